"""What the world's mail servers will look up about a sender's domain: SPF, DKIM and DMARC records."""

from dataclasses import dataclass

import dns.exception
import dns.resolver


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRecords:
    """The records found for a domain, "" where there is none. ``error`` says why nothing could be looked up."""

    domain: str
    spf: str = ""
    dmarc: str = ""
    dkim: str = ""
    error: str = ""


def look_up(domain: str, *, selector: str = "", timeout: float = 3.0) -> DomainRecords:
    """Ask DNS for the SPF (RFC 7208), DMARC (RFC 7489) and, with a selector, DKIM (RFC 6376) records.

    ``timeout`` is in seconds for each question.
    """
    try:
        return DomainRecords(
            domain=domain,
            spf=_text(domain, "v=spf1", timeout),
            dmarc=_text(f"_dmarc.{domain}", "v=DMARC1", timeout),
            dkim=_text(f"{selector}._domainkey.{domain}", "", timeout) if selector else "",
        )
    except dns.exception.DNSException as error:
        return DomainRecords(domain=domain, error=type(error).__name__)


def _text(name: str, prefix: str, timeout: float) -> str:
    try:
        answers = dns.resolver.resolve(name, "TXT", lifetime=timeout)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ""
    texts = (b"".join(answer.strings).decode("utf-8", "replace") for answer in answers)
    return next((text for text in texts if text.startswith(prefix)), "")
