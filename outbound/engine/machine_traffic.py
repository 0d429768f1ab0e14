"""Opens and clicks that no person made: scanners, proxies, previews, prefetch (fault F74).

No list of agents is enough, since many scanners call themselves browsers: the method, the time and how many links were
followed at once tell too.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

SECONDS: Final = 5.0
"""Nobody reads a mail and clicks within so many seconds of the moment it left; scanners do."""

WAITS: Final = "waits"
"""A click that is not judged yet: what follows within seconds may tell that nobody read."""
ALL_LINKS: Final = "all_links"
JUDGED_AFTER: Final = timedelta(seconds=10)
_TOGETHER: Final = timedelta(seconds=SECONDS)
_MANY: Final = 3

_AGENTS: Final = re.compile(
    r"bot\b|bot/|crawl|spider|preview|proxy|prefetch|scan(ner)?\b|barracuda|mimecast|proofpoint|urldefense|safelinks|"
    r"microsoft office|ms-office|outlook-?iOS/.*bot|cloudmark|trend ?micro|symantec|fireeye|forcepoint|zscaler|"
    r"googleimageproxy|yahoomailproxy|yahoocachesystem|applemailproxy|facebookexternalhit|whatsapp|telegrambot|slackbot|"
    r"skypeuripreview|curl/|wget/|python-|go-http-client|java/|okhttp|libwww|headless|phantomjs|httpclient|axios|node-fetch",
    re.IGNORECASE,
)


def automated(*, method: str, user_agent: str, seconds: float | None) -> str:
    """Why a hit is likely a machine's, in a word; "" for a person's. ``seconds`` since the message left, if known."""
    if method.upper() != "GET":
        return "method"
    if not user_agent.strip() and seconds is not None and seconds < SECONDS:
        return "no_agent"
    if _AGENTS.search(user_agent):
        return "agent"
    if seconds is not None and seconds < SECONDS:
        return "too_fast"
    return ""


def follows_all(at: datetime, clicks: Iterable[tuple[datetime, str]]) -> bool:
    """Whether a click at ``at`` was one of many: three different links of a mail within five seconds of it.

    ``clicks`` are all of that mail, with the link of each.
    """
    return len({link for moment, link in clicks if abs(moment - at) <= _TOGETHER}) >= _MANY
