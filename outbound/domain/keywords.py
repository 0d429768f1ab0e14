"""The words by which people stop, resume and ask about text messages, and who answers them (``policy.sms_words``)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SmsMeaning(StrEnum):
    """What an incoming text means. ``unclear`` contains a word that stops without being one; ``other`` is talk."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    UNCLEAR = "unclear"
    OTHER = "other"


class OptOutReplies(StrEnum):
    """Who answers STOP, START and HELP: the provider (Twilio does by itself), or rules on ``request.*`` events."""

    PROVIDER = "provider"
    OUTBOUND = "outbound"


STOP: Final = (
    # CTIA and Twilio, FCC 64.1200(a)(10), AWS End User Messaging (C16)
    *("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT", "OPT OUT", "REMOVE"),
    *("ARRET", "TD"),
    # Italian, which no provider knows by itself (C17)
    *("ANNULLA", "CANCELLA", "CANCELLAMI", "CANCELLAZIONE", "DISISCRIVI", "DISISCRIVIMI", "DISATTIVA", "BASTA"),
    *("FERMA", "RIMUOVI", "REVOCA", "STOP SMS", "NON VOGLIO PIU"),
)
"""Words that opt out. ``NO`` is none of them: alone it answers a question that somebody asked."""

START: Final = ("START", "YES", "UNSTOP", "RIATTIVA", "ISCRIVIMI")
HELP: Final = ("HELP", "INFO", "AIUTO")

COURTESY: Final = (
    *("please", "pls", "plz", "thanks", "thank you", "thx", "ty", "now", "message", "messages", "msg", "msgs"),
    *("text", "texts", "texting", "sms", "me", "all", "the", "these", "your"),
    *("grazie", "per favore", "per cortesia", "perfavore", "ora", "adesso", "subito", "messaggio", "messaggi"),
    *("tutto", "tutti", "gli", "i", "vostri", "questi"),
)
"""Words that may stand beside a keyword without changing what it says; the list is closed on purpose (C18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsWords:
    """The lists in use. Spelling, accents, case and punctuation do not count."""

    stop: tuple[str, ...] = STOP
    start: tuple[str, ...] = START
    help: tuple[str, ...] = HELP
    courtesy: tuple[str, ...] = COURTESY
    replies: OptOutReplies = OptOutReplies.OUTBOUND


BUILT_IN: Final = SmsWords()
"""The words of a policy that says nothing about them."""
