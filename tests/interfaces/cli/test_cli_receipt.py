"""``outbound receipt``: what a provider reports is on the record, once."""

import sqlalchemy as sa
from trial_shop import Shop

from outbound.storage.tables import leg


def sent(shop: Shop) -> str:
    """One notice to ada is sent; the provider's reference of it."""
    at = ("--at", "2030-06-03T08:00Z")
    shop.run(*at, "send", "notice", "--customer", "ada", "--data", "what=rain", "--key", "k1")
    shop.run(*at, "run", "--until", "2030-06-03T09:00Z")
    with shop.database() as database, database.read() as connection:
        reference: str = connection.execute(sa.select(leg.c.provider_ref)).scalar_one()
    return reference


def test_a_receipt_is_noted_once(shop: Shop) -> None:
    reference = sent(shop)
    assert shop.run("receipt", reference, "--delivered", "2026-11-24T10:00Z").out.endswith(" delivered.\n")
    assert shop.run("receipt", reference).out.endswith(" was reported before: nothing changed.\n")
    assert shop.run("receipt", reference, "--json").json["new"] is False
    with shop.database() as database, database.read() as connection:
        assert f"{connection.execute(sa.select(leg.c.receipt_at)).scalar_one():%Y-%m-%dT%H:%M}" == "2026-11-24T10:00"


def test_an_unknown_reference_is_a_mistake(shop: Shop) -> None:
    answer = shop.run("receipt", "SM404", status=1)
    assert "no message has the provider's reference 'SM404'" in answer.err
