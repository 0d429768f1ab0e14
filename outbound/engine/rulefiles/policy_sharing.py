"""``arbitration``, ``holdout``, ``loops``, ``strangers`` of the policy: who waits, who is left out, where it ends."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from outbound.domain.experiment import BUCKETS, GlobalHoldout
from outbound.domain.money import millionths
from outbound.domain.policy import Arbitration, Loops, Losers, MessageClass, Strangers
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import choice, integer, name
from outbound.engine.rulefiles.values import duration, money, share

ARBITRATION_KEYS: Final = ("window", "losers")
HOLDOUT_KEYS: Final = ("share", "id")
LOOPS_KEYS: Final = ("depth", "per_day")
STRANGERS_KEYS: Final = ("per_address", "per_block", "per_ip", "cost")
_LONGEST_WINDOW: Final = timedelta(hours=24)

HOLDOUT_ID: Final = r"[a-z0-9][a-z0-9_.-]{0,62}"
_holdout_id = name(HOLDOUT_ID, "global-2026")


def read_arbitration(policy: Record, findings: Findings) -> Arbitration:
    """Which messages compete and what becomes of those that lose; the defaults where nothing is written."""
    node = policy.optional_node("arbitration")
    record = open_record(node, findings, keys=ARBITRATION_KEYS) if node is not None else None
    if record is None:
        return Arbitration()
    losers = record.optional("losers", choice([what.value for what in Losers]))
    window = record.optional("window", duration("m", "h"))
    wide = window.elapsed if window is not None else None
    if wide is not None and wide > _LONGEST_WINDOW:
        message = f"messages due within {window} of each other would compete; the most is 24h"
        findings.error(Code.BAD_DURATION, record.value_span("window"), message, "write window: 15m")
    return Arbitration(
        window=wide or Arbitration().window,
        losers=Losers(losers) if losers is not None else Arbitration().losers,
    )


def read_holdout(policy: Record, findings: Findings, classes: dict[str, MessageClass]) -> GlobalHoldout | None:
    """The control group of all marketing, or None."""
    node = policy.optional_node("holdout")
    record = open_record(node, findings, keys=HOLDOUT_KEYS) if node is not None else None
    if record is None:
        return None
    held = record.required("share", share(1, BUCKETS - 1))
    salt = record.required("id", _holdout_id)
    if classes and "marketing" not in classes:
        message = "the holdout is a control group for marketing, and there is no class marketing"
        findings.error(Code.NO_EFFECT, policy.key_span("holdout"), message, "remove it")
    return None if held is None or salt is None else GlobalHoldout(id=salt, share=held)


def read_loops(policy: Record, findings: Findings) -> Loops:
    """The backstop against rules that set each other off; the defaults where nothing is written."""
    node = policy.optional_node("loops")
    record = open_record(node, findings, keys=LOOPS_KEYS) if node is not None else None
    if record is None:
        return Loops()
    return Loops(
        depth=record.optional("depth", integer(1, 100)) or Loops().depth,
        per_day=record.optional("per_day", integer(1, 10_000)) or Loops().per_day,
    )


def read_strangers(policy: Record, findings: Findings, currencies: Collection[str]) -> Strangers:
    """The caps on what anybody can set off; the default cap for an address where nothing is written."""
    node = policy.optional_node("strangers")
    record = open_record(node, findings, keys=STRANGERS_KEYS) if node is not None else None
    if record is None:
        return Strangers()
    cost = record.optional("cost", money)
    used = sorted(filter(None, currencies))
    if cost is not None and used and cost.currency not in used:
        message = f"'cost' is in {cost.currency}, but the policy counts in {' and '.join(used)}"
        findings.error(Code.BAD_MONEY, record.value_span("cost"), message, f"write it like {used[0]} 25")
    return Strangers(
        per_address=record.optional("per_address", integer(1, 1_000)) or Strangers().per_address,
        per_block=record.optional("per_block", integer(1, 1_000_000)),
        per_ip=record.optional("per_ip", integer(1, 1_000_000)),
        cost=millionths(cost.amount) if cost is not None else None,
    )
