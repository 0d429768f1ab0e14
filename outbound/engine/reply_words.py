"""What a mail that answers us asks for, by its words: only a whole line that says so opts anybody out (C22)."""

import re
import unicodedata
from enum import StrEnum

_WORDS = frozenset(
    {
        *("unsubscribe", "unsubscribe me", "stop", "remove", "remove me", "opt out", "optout", "opt me out"),
        *("take me off", "take me off your list", "remove me from your list", "no more emails", "stop emails"),
        *("cancellami", "cancellatemi", "cancellazione", "cancella iscrizione", "annulla iscrizione", "disiscrivi"),
        *("disiscrivimi", "disiscrivetemi", "disiscrizione", "rimuovi", "rimuovimi", "rimuovetemi", "basta"),
        *("non voglio piu ricevere email", "non voglio piu", "non scrivetemi piu", "basta email"),
        *("abmelden", "abbestellen", "desabonner", "desinscription", "darme de baja", "baja"),
    }
)
_COURTESY = frozenset(
    {
        *("please", "pls", "thanks", "thank", "you", "me", "now", "hi", "hello"),
        *("grazie", "per", "favore", "cortesia", "prego", "mi", "subito", "ciao", "buongiorno"),
    }
)
_QUOTE = re.compile(
    r"^(>|on .{5,120} wrote:|il (giorno )?.{5,120} ha scritto:|am .{5,120} schrieb|le .{5,120} a [ée]crit|"
    r"-{2,} ?(original|messaggio|forwarded)|_{10,}|from: .+|da: .+|sent from my|inviato da)",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^((re|r|aw|fwd?|i|rif)\s*:\s*)+", re.IGNORECASE)
_SEVERAL = 2


class Asked(StrEnum):
    """``stop``: wants no more. ``unclear``: such a word stands among others, and a person has to read it."""

    NOTHING = "nothing"
    STOP = "stop"
    UNCLEAR = "unclear"


def asked(*, subject: str, text: str, is_reply: bool) -> Asked:
    """What the mail asks for. The subject of a reply is ours and says nothing."""
    lines = [line for line in (normalised(line) for line in own_words(text).splitlines()) if line]
    head = normalised(_PREFIX.sub("", subject))
    if not is_reply and _says(head):
        return Asked.STOP
    if lines and len(lines) <= _SEVERAL and any(_says(line) for line in lines):
        return Asked.STOP
    words = f" {' '.join(lines)} "
    found = any(f" {word} " in words for word in _WORDS if word not in ("stop", "basta", "baja", "remove", "rimuovi"))
    return Asked.UNCLEAR if found else Asked.NOTHING


def own_words(text: str) -> str:
    """What the writer added above the mail that is quoted; the whole text where nothing stands above."""
    kept: list[str] = []
    for line in text.splitlines():
        if _QUOTE.match(line.strip()):
            break
        kept.append(line.rstrip())
    said = "\n".join(kept).strip()
    return said or text.strip()


def normalised(text: str) -> str:
    """Lower-case words without accents and punctuation."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c if c.isalnum() else " " for c in folded if not unicodedata.combining(c))
    return " ".join(kept.split())


def _says(line: str) -> bool:
    if line in _WORDS:
        return True
    bare = " ".join(word for word in line.split() if word not in _COURTESY)
    return bare in _WORDS
