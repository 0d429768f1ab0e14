"""An address of one message: its envelope sender, where its bounce comes back (VERP), or its Reply-To.

``bounces+TOKEN@bounces.shop.example``: TOKEN is message, leg and an HMAC over purpose and both, so that nobody can
report a bounce of a message they did not receive, nor answer one. It is base32 in lower case, since there are servers
that change the case of what they send back.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Literal

from outbound.channels.email.headers import MailRefusedError, normal_address
from outbound.domain.errors import ConfigurationError
from outbound.domain.keyring import Keyring

Purpose = Literal["bounce", "reply"]
_SETTINGS = {"bounce": "bounce", "reply": "replies"}
_REFERENCE = re.compile(r"([0-9a-f]{32})\.([0-9]{1,3})")
_LOCAL_LIMIT = 64  # RFC 5321 4.5.3.1.1
_ID, _MAC = 16, 16
_TOKEN = 53  # base32 of 33 bytes, without padding
_MOST_LOCAL = _LOCAL_LIMIT - _TOKEN - 1
_MAX_LEG = 255


@dataclass(frozen=True, slots=True)
class SignedAddress:
    """Makes and reads addresses under ``address``, whose local part has at most 10 characters.

    One made for a purpose is never read for the other.

    Raises ConfigurationError for an address that cannot carry the token.
    """

    address: str
    keyring: Keyring = field(repr=False)
    purpose: Purpose = "bounce"

    def __post_init__(self) -> None:
        where = f"[email] {_SETTINGS[self.purpose]}"
        remedy = f'write one such as "bounces@bounces.shop.example", at most {_MOST_LOCAL} characters before the @'
        try:
            wire = normal_address(self.address)
        except MailRefusedError:
            raise ConfigurationError(f"{where}: {self.address!r} is not an address", remedy) from None
        local = wire.rpartition("@")[0]
        if len(local) > _MOST_LOCAL or not re.fullmatch(r"[A-Za-z0-9_-]+", local):
            raise ConfigurationError(f"{where}: {self.address!r} leaves no room for the token", remedy)
        object.__setattr__(self, "address", wire)

    def of(self, reference: str) -> str:
        """The address for a parcel's reference (``MESSAGE.LEG``), or "" for one that is no message's leg."""
        found = _REFERENCE.fullmatch(reference)
        if found is None or int(found[2]) > _MAX_LEG:
            return ""
        payload = bytes.fromhex(found[1]) + bytes([int(found[2])])
        token = base64.b32encode(payload + self.keyring.sign(self.purpose, payload)[1][:_MAC]).rstrip(b"=")
        local, _, domain = self.address.rpartition("@")
        return f"{local}+{token.decode('ascii').lower()}@{domain}"

    def read(self, address: str) -> str | None:
        """The reference that an address of ours stands for, or None. Every live key is tried (rotation)."""
        local, _, domain = address.strip().rpartition("@")
        name, _, token = local.casefold().partition("+")
        ours, _, our_domain = self.address.casefold().rpartition("@")
        if (name, domain.casefold()) != (ours, our_domain) or len(token) != _TOKEN:
            return None
        try:
            raw = base64.b32decode(token.upper() + "===")
        except (binascii.Error, ValueError):
            return None
        payload, mac = raw[: _ID + 1], raw[_ID + 1 :]
        if base64.b32encode(raw).rstrip(b"=").decode("ascii").lower() != token:
            return None  # one token, one spelling: base32 would let spare bits vary
        if not any(self.keyring.verify(self.purpose, payload, key_id, mac) for key_id, _ in self.keyring.keys):
            return None
        return f"{payload[:_ID].hex()}.{payload[_ID]}"
