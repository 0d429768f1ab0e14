"""Whose fault a bounce is, from its status, reply code and words. Only a hard one says anything about the address.

Read top down, the first row that fits decides: words before codes, because servers give 5.1.1 or 550 for reasons that
are not the address (RFC 3463 leaves the choice to them), and never the other way round.
"""

import re
from dataclasses import dataclass

from outbound.domain.delivery import BounceKind

K = BounceKind


@dataclass(frozen=True, slots=True)
class _Row:
    kind: BounceKind
    words: re.Pattern[str]


def _row(kind: BounceKind, *words: str) -> _Row:
    return _Row(kind, re.compile("|".join(words), re.IGNORECASE | re.DOTALL))


_WORDS: tuple[_Row, ...] = (
    # Our own fault: who we are, how we speak, what we sent.
    _row(
        K.SENDER,
        r"relay(ing)? (access |not |is )?(denied|permitted|allowed)|unable to relay|not (permitted|allowed) to relay",
        r"relaying (denied|is prohibited)|\bno relaying\b",
        r"sender (address|domain)? ?(rejected|denied|verify failed|not found)",
        r"\bspf\b|\bdkim\b|\bdmarc\b|sender id|authentication (required|check|fail)|unauthenticated",
        r"reverse[ -]?(dns|lookup|record|mapping)|\bptr\b|\brdns\b|\behlo\b|starttls|\btls\b (is )?required",
        r"must issue",
        r"(message|mail|size|content|body).{0,30}(too (big|large|long)|exceed|limit)|too large|max(imum)? message size",
        r"rfc ?[0-9]{3,4} |non.?complian|syntax|malformed|line length|bare lf",
        r"virus|malware|infected|attachment.{0,30}(not (allowed|accepted)|block|prohibit|reject)|file type|executable",
        r"loop(ing)? (detected|back)|too many hops|hop count|mail loop",
    ),
    # They do not want it: about us or this message, not about the address.
    _row(
        K.POLICY,
        r"\bspam|junk|unsolicited|\bbulk\b|black ?list|block ?list|\brbl\b|dnsbl|spamhaus|barracuda|spamcop|reputation",
        r"blocked|\bban(ned)?\b|listed (at|on)|poor|content (filter|reject|error)|message (content )?reject|phish",
        r"policy|prohibit|administrative|not (authorized|authorised|permitted)",
        r"denied|forbidden|security|unauthori[sz]ed",
        r"filter(ed|ing)?|refused (by|to accept)|rejected (by|for|due)",
        r"not accepted|restrict|access denied|closed group",
        r"\bon ?hold\b|quarantin|accepting mail from",
    ),
    # May work another day.
    _row(
        K.SOFT,
        r"quota|(mailbox|mail ?box|inbox|account|user|folder|disk|storage).{0,20}(full|exceed|limit|over|size)",
        r"over ?quota",
        r"insufficient (disk|system|storage)|no space|out of (disk|storage)|not enough (space|storage|disk)",
        r"(account|mailbox|user|address|recipient).{0,30}(disabled|suspend|inactive|locked|frozen)",
        r"(account|mailbox|user|address|recipient).{0,30}(deactivat|dormant|expired)",
        r"account has been (disabled|suspended)|temporar(y|ily)|try (again )?later|gr[ae]y-?list",
        r"too (many|fast|much)|rate limit|throttl",
        r"exceeded (the )?(rate|limit|quota)|receiving (mail|email)s? at a rate",
        r"time[ds]? ?-?out|timeout|deferred|delayed|not yet been delivered|still (trying|being)|warning",
        r"connection (refused|reset|lost|timed|closed)|unreachable|network (error|is)|could not connect|no route",
        r"resources|overload|server (busy|error|down|not available)|service unavailable|system (error|failure|problem)",
        r"retry time|max(imum)? (queue|retry)|expired|lifetime|queue too long|not (responding|collected)|attempts",
    ),
)

_WHO = r"(addressee|user|mail ?box|recipient|address|account|person|domain|host|destination|e-?mail)"
_HARD = re.compile(
    "|".join(
        (
            rf"{_WHO}.{{0,25}}(unknown|not (found|known|exist|listed|here|local)|does not exist|nxdomain|no longer)",
            rf"{_WHO}.{{0,25}}(invalid|unavailable|undeliverable|non-?exist|inexist|has moved|closed|removed|deleted)",
            rf"(unknown|invalid|illegal|no such|bad|wrong) (local[ -]?part|name|{_WHO})",
            rf"(nonexist\w*|inexist\w*|incorrect) (local[ -]?part|name|{_WHO})",
            r"(unrouteable|undeliverable|unroutable) (address|mail ?box|domain|destination)",
            r"unknown (to|in|at) |no such (user|one)",
            r"(does|do|did|could|was|were|is|are)( not|n.t).{0,20}(exist|be found|a valid|our customer)",
            r"(was|were|is|are)( not|n.t).{0,20}(recogni[sz]ed|listed)",
            r"(does|do)(n.t| not) (have|handle).{0,40}(account|mail ?box|user)|not a (valid|known|local|real) ",
            r"no (mail ?box|account|user|recipient|person|one) (here|by|with|exist|found|named|called)",
            r"no longer (valid|exist|active|work|available|an employee|with us|at)|recipnotfound|user_?unknown",
            r"\bnxdomain\b|\bno mx\b|null ?mx|no smtp service|name or service not known|invalid .{0,20}userid",
            r"(has|have) moved|has left|changed (his|her|their|the|my)? ?(e-?mail )?address|does not accept mail",
            r"(user|address|mail ?box) not listed in|not listed in .{0,20}directory|non[- ]?existent",
            r"sconosciut|inesistente|inconnu|unbekannt|desconocid|n.existe pas",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)

_HARD_STATUS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.4.4"})
"""RFC 3463: no such mailbox, no such host, bad address, moved; RFC 7505: null MX; unable to route."""

_SAYS_NOTHING_ELSE = re.compile(r"|5\.[015]\.\d+|5\.3\.0|5\.4\.4")
"""Statuses that do not contradict words about the address. 5.2.x does: the mailbox is there, and off or full."""

_STATUS = (
    (re.compile(r"5\.2\.[0-4]|5\.4\.[1-7]|5\.3\.[12]"), K.SOFT),
    (re.compile(r"5\.1\.[78]|5\.3\.4|5\.5\.\d+|5\.6\.\d+|5\.7\.([4-9]|1\d|2\d)"), K.SENDER),
    (re.compile(r"5\.7\.\d+"), K.POLICY),
)


def bounce_kind(*, status: str, text: str, code: int | None = None) -> BounceKind:
    """Whose fault it is. ``status`` is RFC 3463 (``5.1.1``), ``code`` the SMTP reply, ``text`` the server's words.

    With nothing to go by it is ``policy``: the message failed, and nobody is blamed.
    """
    telling = status if re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", status) else ""
    if telling.startswith("4") or (code is not None and code // 100 == 4):  # noqa: PLR2004 - SMTP's first digit
        return K.SOFT
    return _by_words(text, telling) or _by_status(telling) or K.POLICY


def says_why(text: str) -> bool:
    """Whether there is a word in ``text`` that any row knows."""
    return _HARD.search(text) is not None or any(row.words.search(text) for row in _WORDS)


def _by_words(text: str, status: str) -> BounceKind | None:
    found = next((row.kind for row in _WORDS if row.words.search(text)), None)
    if found is None and _HARD.search(text) and _SAYS_NOTHING_ELSE.fullmatch(status):
        return K.HARD
    return found


def _by_status(status: str) -> BounceKind | None:
    if status in _HARD_STATUS:
        return K.HARD
    return next((kind for pattern, kind in _STATUS if pattern.fullmatch(status)), None)
