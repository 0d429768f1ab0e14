"""DKIM keys: read from a file or the environment, checked once, and the DNS records that go with them."""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from outbound.channels.email.headers import MailRefusedError, normal_address
from outbound.domain.errors import ConfigurationError

VARIABLE = "OUTBOUND_DKIM_KEYS"
_MIN_BITS, _MAX_BITS = 2048, 4096
"""RFC 8301 3.2: signers should use 2048 bits, and no verifier need know more than 4096."""
_SELECTOR = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_STRING = 255  # of a TXT record (RFC 1035 3.3.14)
_PADDING, _HASH = PKCS1v15(), Prehashed(SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimKey:
    """One private key of a sender's domain under its selector. Both names are lower-case ASCII."""

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The value of ``a=`` (RFC 6376 3.3.2, RFC 8463 3)."""
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"

    @property
    def kind(self) -> str:
        """What it is, for a person: ``RSA-2048`` or ``ed25519``."""
        return f"RSA-{self.private.key_size}" if isinstance(self.private, RSAPrivateKey) else "ed25519"

    @property
    def record_name(self) -> str:
        """Where the public key is published (RFC 6376 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The text to publish (RFC 6376 3.6.1; an ed25519 key is bare, RFC 8463 4)."""
        public = self.private.public_key()
        if isinstance(self.private, RSAPrivateKey):
            kind, octets = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            kind, octets = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode('ascii')}"

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file, in strings of at most 255 characters."""
        text = self.record
        strings = (text[at : at + _STRING] for at in range(0, len(text), _STRING))
        return f"{self.record_name}. IN TXT " + " ".join(f'"{part}"' for part in strings)

    def sign(self, octets: bytes) -> bytes:
        """The signature. The same octets give the same one: neither algorithm draws a random number."""
        digest = hashlib.sha256(octets).digest()
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(digest, _PADDING, _HASH)
        return self.private.sign(digest)  # RFC 8463 3: the hash is what is signed

    def compare(self, published: str) -> str:
        """What is wrong with the record found in DNS ("" is none): "" when verifiers will find this key."""
        if not published:
            return "not published"
        tags = dict(re.findall(r"([a-z]+)\s*=\s*([^;]*)", published))
        ours = dict(re.findall(r"([a-z]+)=([^;]*)", self.record))
        found = re.sub(r"\s", "", tags.get("p", ""))
        if not found:
            return "revoked in DNS"
        if (tags.get("k", "rsa").strip(), found) != (ours["k"], ours["p"]):
            return "another key is published"
        return ""


def load_key(*, domain: str, selector: str, key_file: Path | None, environment: Mapping[str, str]) -> DkimKey:
    """One key from its file, or from the environment where it has none.

    Raises ConfigurationError for a file that others can read, for what is no RSA key of 2048 to 4096 bits and no
    ed25519 key, and for names that cannot stand in DNS. No message holds any of the key.
    """
    selector = selector.lower()
    if not _SELECTOR.fullmatch(selector):
        raise ConfigurationError(f"DKIM: {selector!r} is not a selector", "use letters, digits and hyphens")
    try:
        domain = normal_address(f"x@{domain}").rpartition("@")[2].lower()
    except MailRefusedError:
        raise ConfigurationError(f"DKIM: {domain!r} is not a domain", "name the domain in From") from None
    if key_file is not None:
        private = _parsed(_read(key_file), str(key_file))
    else:
        entry = f"{selector}@{domain}"
        if entry not in environment:
            remedy = f"name its key_file, or put {entry}:BASE64 into {VARIABLE}"
            raise ConfigurationError(f"DKIM: there is no key for selector {selector} of {domain}", remedy)
        private = _parsed(environment[entry].encode(), f"{VARIABLE} ({entry})")
    return DkimKey(domain=domain, selector=selector, private=private)


def keys_in(text: str) -> dict[str, str]:
    """The entries of OUTBOUND_DKIM_KEYS, ``selector@domain:BASE64`` with commas between: by ``selector@domain``."""
    entries = (part.strip().partition(":") for part in text.split(",") if part.strip())
    return {name.lower(): value for name, _, value in entries}


def _read(path: Path) -> bytes:
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others", f"chmod 600 {path}")
        return path.read_bytes()
    except OSError as problem:
        raise ConfigurationError(f"DKIM: {path}: {problem.strerror}", "see key_file under [[email.dkim]]") from None


def _parsed(text: bytes, where: str) -> RSAPrivateKey | Ed25519PrivateKey:
    remedy = "make one: openssl genrsa -out key.pem 2048, or openssl genpkey -algorithm ed25519 -out key.pem"
    try:
        if text.lstrip().startswith(b"-----BEGIN"):
            private = load_pem_private_key(text, password=None)
        else:
            private = load_der_private_key(binascii.a2b_base64(text, strict_mode=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"DKIM: {where} holds no private key without a password", remedy) from None
    if isinstance(private, Ed25519PrivateKey):
        return private
    if isinstance(private, RSAPrivateKey) and _MIN_BITS <= private.key_size <= _MAX_BITS:
        return private
    raise ConfigurationError(f"DKIM: {where} is not RSA of {_MIN_BITS} to {_MAX_BITS} bits nor ed25519", remedy)
