"""Why a message was held, skipped or failed: one closed list that every part of the product shares."""

from dataclasses import dataclass
from enum import StrEnum


class ReasonCode(StrEnum):
    """The closed list. The order of the first sixteen is the order of the ladder."""

    MATCH = "match"
    WHO = "who"
    REENTRY = "reentry"
    ONCE = "once"
    PAUSED = "paused"
    SUPPRESSED = "suppressed"
    CONSENT = "consent"
    UNREACHABLE = "unreachable"
    HELD_OUT = "held_out"
    CONFLICT = "conflict"
    CAP = "cap"
    BLACKOUT = "blackout"
    QUIET_HOURS = "quiet_hours"
    LIMITS = "limits"
    RENDER = "render"
    PROVIDER = "provider"
    EXPIRED = "expired"
    LOOP = "loop"
    DUPLICATE_ADDRESS = "duplicate_address"
    UNKNOWN_CUSTOMER = "unknown_customer"
    RULE_WITHDRAWN = "rule_withdrawn"
    REPLIED = "replied"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason code plus free detail, written ``code.detail`` (``consent.newsletter``)."""

    code: ReasonCode
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.code}.{self.detail}" if self.detail else str(self.code)
