"""How many mails a core signs with DKIM in a second, beside the RSA operation alone."""

import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from outbound.channels.email.dkim import Signer
from outbound.channels.email.dkim_keys import DkimKey
from outbound.services.bench.figure import Figure
from outbound.testing.bench.render_email import shipped_letters

_BAR, _SHARE = 2_500, 0.7


def measure(quick: bool) -> list[Figure]:
    """The medians of five interleaved runs (one when ``quick``) over mails that differ, RSA-2048, one core."""
    private = generate_private_key(65537, 2048)
    # A mail is signed right after it was rendered: few of them, many times, so that they are in the cache as then.
    mails = shipped_letters(20) * (1 if quick else 25)
    signer = Signer([DkimKey(domain=_sender_domain(mails[0]), selector="bench", private=private)])
    if not signer.signed(mails[0]).startswith(b"DKIM-Signature: "):
        raise AssertionError("the shipped letter was not signed")
    operation = _operation(private)
    ours, limits = [], []
    for _ in range(1 if quick else 5):
        ours.append(_rate(signer.signed, mails))
        limits.append(_rate(operation, mails))
    value, limit = statistics.median(ours), statistics.median(limits)
    ratio = statistics.median(one / most for one, most in zip(ours, limits, strict=True))
    return [
        Figure(
            name="sign_dkim",
            value=value,
            unit="mails/s",
            limit=limit,
            ratio=ratio,
            bar=f">= {_BAR:,}/s and ratio >= {_SHARE}",
            met=value >= _BAR and ratio >= _SHARE,
            what=f"RSA-2048 signing a hash it is given; {len(mails[0]):,} bytes a mail",
        )
    ]


def _operation(private: RSAPrivateKey) -> Callable[[bytes], object]:
    """The RSA operation and nothing else: no canonical form, no hash."""
    padding, algorithm = PKCS1v15(), Prehashed(SHA256())
    return lambda mail: private.sign(mail[:32], padding, algorithm)


def _sender_domain(mail: bytes) -> str:
    sender = mail.partition(b"\r\nFrom: ")[2].partition(b"\r\n")[0]
    return sender.rstrip(b">").rpartition(b"@")[2].decode("ascii")


def _rate(work: Callable[[bytes], object], mails: list[bytes]) -> float:
    """A second of a core: time that others use it does not count."""
    started = time.process_time()
    for mail in mails:
        work(mail)
    return len(mails) / (time.process_time() - started)
