"""Is this message really from us? What a reader learns by its code, and nothing else."""

from dataclasses import dataclass
from datetime import datetime

from outbound.domain.verification import read_code
from outbound.services.releases import Active
from outbound.storage import sent_messages
from outbound.storage.database import Database

_NO_CODE = "-"
"""Asked for in place of what cannot be a code, so that the same work is done for everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A message of ours: when it left (UTC), its topic and what customers call that, by language."""

    at: datetime
    topic: str
    titles: dict[str, str]


def verify(database: Database, active: Active | None, text: str) -> Verified | None:
    """The message that ``text`` is the code of, or None when none of ours has it. One look-up, whatever was typed."""
    code = read_code(text) or _NO_CODE
    with database.read() as connection:
        found = sent_messages.by_code(connection, code)
    if found is None:
        return None
    topic, at = found
    known = active.ruleset.policy.topics.get(topic) if active else None
    return Verified(at=at, topic=topic, titles=dict(known.titles) if known else {})
