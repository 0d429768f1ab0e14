"""What an outcome means for its message: the table of delivery.md 2.5, second half. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from outbound.domain.consent import Suppression
from outbound.domain.customer import AddressState
from outbound.domain.keyring import Keyring
from outbound.domain.message import MessageState
from outbound.domain.outcome import MAILBOX_UNUSABLE, Outcome, OutcomeKind
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.costs import price
from outbound.services.blocks import blocks
from outbound.services.dispatch.parcels import Answered, Passed
from outbound.services.dispatch.retries import SECURITY, charged, delay
from outbound.storage.outbox_results import NextLeg, Result

S = MessageState
K = OutcomeKind

_BOUNCED = "bounced"
_SOFT = "bounced.soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """Where to, and what goes with it (see ``Result``)."""

    state: MessageState
    reason: Reason | None = None
    not_before: datetime | None = None
    charged: bool = False
    next_leg: NextLeg | None = None
    resend_at: datetime | None = None


def verdict(
    answered: Answered, *, keyring: Keyring, now: datetime, jitter: float, retry_at: datetime | None = None
) -> Result:
    """Where the message goes from ``sending``. ``retry_at`` is when a paused account may be tried again."""
    passed, outcome = answered.passed, answered.outcome
    if answered.stop is not None:
        state = S.UNCERTAIN if answered.stop.changed else S.SKIPPED
        to = _Move(state=state, reason=Reason(ReasonCode.RENDER, answered.stop.detail))
    elif answered.unspent:
        to = _unspent(Reason(ReasonCode.PROVIDER, describe(outcome)), retry_at or now)
    else:
        to = _after(outcome, passed, now=now, jitter=jitter, retry_at=retry_at)
    if passed.in_doubt and to.state in (S.FAILED, S.EXPIRED, S.SKIPPED):
        # An earlier copy may have arrived: nobody can say that it did not.
        to = replace(to, state=S.UNCERTAIN, next_leg=None)
    return Result(
        attempt_id=passed.begin.attempt_id,
        message_id=passed.message.id,
        leg=passed.begin.leg,
        outcome=outcome,
        state=to.state,
        reason=to.reason,
        not_before=to.not_before,
        charged=to.charged,
        next_leg=to.next_leg,
        resend_at=to.resend_at,
        suppress=suppressions(outcome.suppress, passed, keyring=keyring, now=now),
        suppress_repeated=_repeated(outcome, passed, keyring=keyring, now=now),
        cost=_cost(answered) if outcome.kind is K.ACCEPTED else 0,
    )


def _cost(answered: Answered) -> int:
    """What an accepted message costs, by today's policy and where the customer lives."""
    passed = answered.passed
    return price(passed.policy, passed.begin.channel, passed.customer.country, parts=answered.parts)


def _after(outcome: Outcome, passed: Passed, *, now: datetime, jitter: float, retry_at: datetime | None) -> _Move:
    reason, message = Reason(ReasonCode.PROVIDER, describe(outcome)), passed.message
    match outcome.kind:
        case K.ACCEPTED:
            return _Move(state=S.SENT, charged=True)
        case K.NOT_SENT if outcome.account_fault:
            return _unspent(reason, retry_at or now)
        case K.NOT_SENT | K.DEFERRED | K.THROTTLED:
            return _again(outcome, passed, reason, now=now, jitter=jitter, retry_at=retry_at)
        case K.REJECTED_RECIPIENT:
            return _Move(state=S.FAILED, reason=reason, charged=True, next_leg=_next_leg(passed))
        case K.REJECTED_SENDER | K.REJECTED_CONTENT | K.REJECTED_POLICY:
            return _Move(state=S.FAILED, reason=reason, charged=True)
        case K.UNCERTAIN:
            pause = SECURITY[min(message.attempts, len(SECURITY) - 1)]
            resend_at = now + pause if message.on_uncertain == "resend" else None
            return _Move(state=S.UNCERTAIN, reason=reason, resend_at=resend_at)
        case _ as never:
            assert_never(never)


def _again(
    outcome: Outcome, passed: Passed, reason: Reason, *, now: datetime, jitter: float, retry_at: datetime | None
) -> _Move:
    """Ready again later, or expired when that would be too late."""
    message, counts = passed.message, charged(outcome)
    tries = message.attempts + 1 if counts else passed.begin.n
    not_before = now + delay(outcome, message_class=message.message_class, tries=tries, jitter=jitter)
    if not counts and retry_at is not None:
        not_before = max(not_before, retry_at)
    if not_before >= message.expires:
        return _Move(state=S.EXPIRED, reason=Reason(ReasonCode.EXPIRED, reason.detail), charged=counts)
    return _Move(state=S.READY, reason=reason, not_before=not_before, charged=counts)


def _unspent(reason: Reason, not_before: datetime) -> _Move:
    return _Move(state=S.READY, reason=reason, not_before=not_before)


def describe(outcome: Outcome) -> str:
    """The outcome in a few words for the record: kind, code and status, never the provider's text."""
    if outcome.suppress == "opted_out":
        return outcome.suppress
    parts = (outcome.kind.value, str(outcome.code) if outcome.code else "", outcome.enhanced)
    return " ".join(part for part in parts if part)


def _repeated(outcome: Outcome, passed: Passed, *, keyring: Keyring, now: datetime) -> tuple[Suppression, ...]:
    """The blocks on an address whose mailbox could not be used, should that have become a habit."""
    if outcome.kind is not K.DEFERRED or outcome.enhanced not in MAILBOX_UNUSABLE:
        return ()
    return suppressions(_SOFT, passed, keyring=keyring, now=now)


def suppressions(event: str, passed: Passed, *, keyring: Keyring, now: datetime) -> tuple[Suppression, ...]:
    """The blocks that ``event`` puts on the address, as the policy scopes them; ``all`` where the policy is silent."""
    begin = passed.begin
    return blocks(event, channel=begin.channel, address=begin.address, policy=passed.policy, keyring=keyring, now=now)


def _next_leg(passed: Passed) -> NextLeg | None:
    """The channel after this one, when the policy moves on from a bounce."""
    if _BOUNCED not in passed.policy.next_on:
        return None
    begin = passed.begin
    remaining = [channel for channel in passed.message.channels if channel not in (begin.channel, *passed.tried)]
    reachable = {a.channel for a in passed.customer.addresses if a.state is AddressState.OK}
    following = next((channel for channel in remaining if channel in reachable), None)
    return NextLeg(channel=following, moved_on=_BOUNCED) if following else None
