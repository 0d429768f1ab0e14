"""Faults a provider double can be told to have, written as one line of text.

``STAGE=ACTION [VALUE] [for REGEX] [times N]``, for example ``rcpt=550 5.1.1 no such user for ^bounce`` or
``sent=close times 3``. The names of the fault catalogue (``close_after_354`` ...) are short for such lines.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

SMTP_STAGES = ("connect", "hello", "starttls", "auth", "mail", "rcpt", "data", "body", "sent", "quit")
HTTP_STAGES = ("request", "sent")
ACTIONS = ("reply", "close", "reset", "hang", "partial", "garbage", "delay", "hide", "truncate")

NAMED = {
    "close_after_354": "body=close",
    "half_body": "body=reset 8192",
    "close_after_dot": "sent=close",
    "accept_then_close": "sent=close kept",
    "hang_after_dot": "sent=hang",
    "partial_reply": "sent=partial kept",
    "garbage": "sent=garbage kept",
    "250_close": "quit=close",
    "greylist": "rcpt=451 4.3.0 try again later times 1",
    "down": "connect=421 4.3.2 service not available",
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault. ``kept`` means the message counts as accepted although its sender never learns it.

    ``left`` is how often it still strikes; None means always. ``pattern`` is searched in the recipient.
    """

    stage: str
    action: str
    value: str = ""
    pattern: str = ""
    left: int | None = None
    kept: bool = False

    def strikes(self, recipient: str) -> bool:
        """Whether it applies now; counts the stroke."""
        if self.left == 0 or (self.pattern and not re.search(self.pattern, recipient)):
            return False
        if self.left is not None:
            self.left -= 1
        return True


def parse_fault(text: str, stages: Iterable[str]) -> Fault:
    """Read one line. Raises ValueError saying what is wrong with it."""
    line = NAMED.get(text, text)
    stage, equals, rest = line.partition("=")
    if not equals or stage not in stages:
        raise ValueError(f"fault {text!r} does not begin with one of {', '.join(stages)} and =")
    left: int | None = None
    pattern = ""
    if found := re.fullmatch(r"(.*) times (\d+)", rest):
        rest, left = found[1], int(found[2])
    if found := re.fullmatch(r"(.*) for (\S+)", rest):
        rest, pattern = found[1], found[2]
    kept = rest.endswith(" kept")
    rest = rest.removesuffix(" kept")
    action, _, value = rest.partition(" ")
    if re.fullmatch(r"\d{3}", action):
        action, value = "reply", rest
    if action not in ACTIONS:
        raise ValueError(f"fault {text!r} has none of the actions CODE, {', '.join(ACTIONS[1:])}")
    return Fault(stage=stage, action=action, value=value, pattern=pattern, left=left, kept=kept)
