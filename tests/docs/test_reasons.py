"""docs/reasons.md explains every reason, those of the ladder in the order of the ladder."""

from doc_pages import DOCS, table

from outbound.domain.reasons import ReasonCode

LADDER = 16
"""So many members of ReasonCode come first, in the order of the ladder."""


def test_every_reason_is_explained_in_the_order_of_the_code() -> None:
    page = DOCS / "reasons.md"
    documented = [row[0].strip("`") for heading in ("By the ladder", "Others") for row in table(page, heading)]
    assert documented == [code.value for code in ReasonCode]
    assert len(table(page, "By the ladder")) == LADDER
