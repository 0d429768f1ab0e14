"""Opens and clicks that no person made: scanners, proxies, previews, prefetch (fault F74).

No list of agents is enough, since many scanners call themselves browsers: the method and the time tell too.
"""

import re
from typing import Final

SECONDS: Final = 5.0
"""Nobody reads a mail and clicks within so many seconds of the moment it left; scanners do."""

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
