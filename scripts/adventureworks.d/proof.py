"""The proof: what the files held, what the record says and what the servers accepted, side by side."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console import rate_line
from workspace import outbound

from outbound.config import read_settings
from outbound.storage.database import Database
from outbound.testing.checker import Violation, check
from outbound.testing.ledger import Accepted

RULES = ("newsletter", "order-follow-up")
_ENDED = frozenset({"sent", "failed", "expired", "skipped", "cancelled", "closed_unknown"})
_COLUMN = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledgers:
    """What the SMTP server and the Twilio double accepted since the workspace was made, oldest first."""

    email: Sequence[Accepted]
    sms: Sequence[Accepted]

    @property
    def copies(self) -> int:
        """Messages accepted once more than once: the same Message-ID, or the same text to the same number."""
        emails = Counter(one.reference for one in self.email)
        texts = Counter((one.recipient, one.sha256) for one in self.sms)
        return len(self.email) - len(emails) + len(self.sms) - len(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the table shows. ``runs`` are the equations of each rule's runs, summed; ``total`` is the whole's."""

    people: int
    customers: int
    consents: int
    orders: int
    runs: Mapping[str, Mapping[str, Counter[str]]]
    total: Mapping[str, Any]
    holds: bool
    ledgers: Ledgers
    violations: Sequence[Violation]


def gather(folder: Path, imported: Mapping[str, Any], ledgers: Ledgers) -> Facts:
    """Read the record once the daemon has ended."""
    report = json.loads(outbound(folder, "report", "--json", may_fail=True))
    status = json.loads(outbound(folder, "status", "--json"))
    database = Database(read_settings(folder).database_url)
    try:
        violations = check(database, [*ledgers.email, *ledgers.sms])
    finally:
        database.close()
    consents = imported["people"]["consents"]
    return Facts(
        people=imported["emails"]["rows"] - imported["emails"]["refused"],
        customers=status["counts"]["customer"],
        consents=consents.get("granted", 0) + consents.get("unchanged", 0),
        orders=imported["orders"]["rows"] - imported["orders"]["refused"],
        runs={rule: _summed([r["equation"] for r in report["runs"] if r["rule"] == rule]) for rule in RULES},
        total=report["total"],
        holds=report["holds"] and all(r["equation"]["holds"] for r in report["runs"]),
        ledgers=ledgers,
        violations=violations,
    )


def _summed(equations: Sequence[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """The runs of one rule together: an event rule has one for each day."""
    summed = {name: Counter[str]() for name in ("sums", "skipped_by", "states", "sent_by_channel")}
    for one in equations:
        summed["sums"].update({name: one[name] for name in ("candidates", "skipped", "messages")})
        for name in ("skipped_by", "states", "sent_by_channel"):
            summed[name].update(one[name])
    return summed


def table(facts: Facts) -> Iterator[str]:
    """The proof in lines."""

    def line(label: str, values: Sequence[int]) -> str:
        return f"{label:34}" + "".join(f"{value:>{_COLUMN},}" for value in (*values, sum(values)))

    def each(label: str, part: str, name: str) -> str:
        return line(label, [facts.runs[rule][part][name] for rule in RULES])

    def named(part: str, label: Callable[[str], str]) -> Iterator[str]:
        for name in sorted({name for rule in RULES for name in facts.runs[rule][part]}):
            yield each(label(name), part, name)

    yield f"{'':34}" + "".join(f"{name:>{_COLUMN}}" for name in (*RULES, "total"))
    yield line("people, orders imported", [facts.people, facts.orders])
    yield each("candidates", "sums", "candidates")
    yield each("= skipped at planning", "sums", "skipped")
    yield from named("skipped_by", lambda reason: f"    {reason}")
    yield each("+ messages", "sums", "messages")
    yield from named("states", lambda state: f"    {state}")
    yield from named("sent_by_channel", lambda channel: f"        by {channel}")
    sent, ledgers = facts.total["sent_by_channel"], facts.ledgers
    yield ""
    for server, channel, accepted in (("SMTP server", "email", ledgers.email), ("Twilio double", "sms", ledgers.sms)):
        label = f"accepted by the {server}"
        yield f"{label:34}{len(accepted):>{_COLUMN},}   = sent by {channel} on the record {sent.get(channel, 0):,}"
    yield f"{'accepted twice':34}{ledgers.copies:>{_COLUMN},}"
    yield f"{'consents in the files':34}{facts.consents:>{_COLUMN},}"
    yield f"{'checker: promises broken':34}{len(facts.violations):>{_COLUMN},}"


def problems(facts: Facts) -> list[str]:
    """What does not balance, in words; empty when all of it does."""
    sent, ledgers = facts.total["sent_by_channel"], facts.ledgers
    runs, states = facts.runs, facts.total["states"]
    candidates = {rule: runs[rule]["sums"]["candidates"] for rule in RULES}
    equal = (
        ("people in the files and on the record", facts.people, facts.customers),
        ("people and candidates of the newsletter", facts.people, candidates["newsletter"]),
        ("orders and candidates of the follow-up", facts.orders, candidates["order-follow-up"]),
        ("candidates of the two rules and in total", sum(candidates.values()), facts.total["candidates"]),
        ("people without consent and skipped for it", *_unconsented(facts)),
        ("e-mails sent and accepted", sent.get("email", 0), len(ledgers.email)),
        ("text messages sent and accepted", sent.get("sms", 0), len(ledgers.sms)),
        ("messages accepted twice and none", ledgers.copies, 0),
        ("messages neither sent nor ended and none", sum(n for s, n in states.items() if s not in _ENDED), 0),
    )
    found = [f"{what}: {one:,} and {other:,}" for what, one, other in equal if one != other]
    if not facts.holds:
        found.append("an equation of delivery.md 2.3 does not hold: see `outbound report`")
    return found + [str(violation) for violation in facts.violations]


def _unconsented(facts: Facts) -> tuple[int, int]:
    return facts.people - facts.consents, facts.runs["newsletter"]["skipped_by"]["consent"]


def rates(ledgers: Ledgers, before: tuple[int, int]) -> Iterator[str]:
    """How fast each server was given its messages of this run, first to last."""
    fresh = (("e-mail, first to last", ledgers.email[before[0] :]), ("SMS, first to last", ledgers.sms[before[1] :]))
    for name, accepted in fresh:
        if len(accepted) > 1:
            yield rate_line(name, accepted[-1].time - accepted[0].time, len(accepted))
