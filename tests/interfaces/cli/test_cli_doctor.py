"""doctor: what it finds, on real servers of every kind it asks."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.resolver
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from trial_shop import Shop

from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


class NameServer:
    """A DNS server on loopback that knows the TXT records it was given."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def stop(self) -> None:
        """An empty datagram ends it."""
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _answer(self) -> None:
        while True:
            wire, sender = self._socket.recvfrom(4096)
            if not wire:
                return
            query = dns.message.from_wire(wire)
            response = dns.message.make_response(query)
            name = query.question[0].name
            if text := self.texts.get(name.to_text(omit_final_dot=True)):
                strings = " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))
                response.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", strings))
            self._socket.sendto(response.to_wire(), sender)


@pytest.fixture(autouse=True)
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """The only name server this process asks."""
    server = NameServer()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    yield server
    server.stop()


def healths(shop: Shop, *words: str, status: int) -> dict[str, str]:
    return {
        finding["subject"]: finding["health"] for finding in shop.run("doctor", *words, "--json", status=status).json
    }


def test_the_doctor_finds_a_healthy_installation_healthy(shop: Shop) -> None:
    assert set(healths(shop, status=0).values()) == {"ok"}
    assert "FAIL" not in shop.run("doctor", "--offline").out


def test_the_doctor_goes_as_far_as_it_can(shop: Shop) -> None:
    shop.write(".env", "").chmod(0o600)
    found = healths(shop, "--offline", status=1)
    assert (found["secret key"], found["schema"], found["release"]) == ("fail", "ok", "ok")
    shop.secrets(OUTBOUND_DATABASE_URL="postgresql://me:canary@127.0.0.1:1/none")
    answer = shop.run("doctor", "--offline", status=1)
    assert "FAIL  schema: the database: " in answer.out
    assert "canary" not in answer.out
    shop.settings("nope = 1")
    assert healths(shop, status=1) == {"settings": "fail"}


def test_the_doctor_asks_each_account_whether_it_takes_us(shop: Shop, tmp_path: Path) -> None:
    with SmtpServer(tmp_path, accounts={"shop": "right"}) as smtp, TwilioDouble(tmp_path) as twilio:
        shop.settings(
            f'[email]\nadapter = "smtp"\nhost = "127.0.0.1"\nport = {smtp.port}\ntls = "none"\nusername = "shop"\n'
            f'[sms]\nadapter = "twilio"\naccount_sid = "{twilio.account_sid}"\nfrom_number = "+15005550006"\n'
            f'api_base = "{twilio.api_base}"\n[safety]\nredirect_to = {{email = "me@example.org"}}\n'
        )
        shop.secrets(OUTBOUND_SMTP_PASSWORD="right", OUTBOUND_TWILIO_AUTH_TOKEN=twilio.auth_token)
        found = healths(shop, status=0)
        assert (found["email (smtp)"], found["sms (twilio)"]) == ("ok", "ok")
        assert found["safety"] == "warn"  # nothing lets a text through
        shop.secrets(OUTBOUND_SMTP_PASSWORD="wrong-canary", OUTBOUND_TWILIO_AUTH_TOKEN="wrong-canary")
        answer = shop.run("doctor", status=1)
        assert "FAIL  email (smtp): 535" in answer.out
        assert "FAIL  sms (twilio): 401" in answer.out
        assert "canary" not in answer.out
        assert smtp.accepted() == []
        assert twilio.accepted() == []


def test_the_doctor_names_a_credential_that_is_missing(shop: Shop) -> None:
    shop.settings('[sms]\nadapter = "twilio"\n')
    answer = shop.run("doctor", status=1)
    assert "FAIL  adapters: Twilio needs an account and its token" in answer.out
    shop.settings('[sms]\nadapter = "twilio"\naccount_sid = "AC1"\n')
    shop.secrets(OUTBOUND_TWILIO_AUTH_TOKEN="x")
    assert "Twilio needs a sender" in shop.run("doctor", status=1).out


def test_production_without_https_is_a_failure(shop: Shop) -> None:
    shop.settings('environment = "production"\n')
    assert healths(shop, "--offline", status=1)["public_url"] == "fail"


def test_the_doctor_looks_for_the_records_of_the_senders_domains(
    shop: Shop, tmp_path: Path, name_server: NameServer
) -> None:
    with SmtpServer(tmp_path) as smtp:
        shop.settings(
            f'[email]\nadapter = "smtp"\nhost = "127.0.0.1"\nport = {smtp.port}\ntls = "none"\n'
            '[safety]\nonly_to = ["*"]\n'
        )
        name_server.texts = {"shop.example": "v=spf1 -all", "unrelated.example": "x"}
        answer = shop.run("doctor", "--dkim-selector", "s1")
        assert "WARN  domain shop.example: no DMARC and no DKIM" in answer.out
        assert "-> publish the TXT records of shop.example" in answer.out
        name_server.texts |= {"_dmarc.shop.example": "v=DMARC1; p=none", "s1._domainkey.shop.example": "v=DKIM1; p=x"}
        assert "ok    domain shop.example: SPF, DMARC, DKIM found" in shop.run("doctor", "--dkim-selector", "s1").out
        assert healths(shop, status=0)["domain shop.example"] == "ok"


def test_the_doctor_says_who_is_signed_for_and_what_dns_must_hold(
    shop: Shop, tmp_path: Path, name_server: NameServer
) -> None:
    """C02: no key is a warning; then the record that --dkim prints is the one the doctor looks for and finds."""
    with SmtpServer(tmp_path) as smtp:
        base = f'[email]\nadapter = "smtp"\nhost = "127.0.0.1"\nport = {smtp.port}\ntls = "none"\n'
        guard = '[safety]\nonly_to = ["*"]\n'
        shop.settings(base + guard)
        assert "WARN  dkim shop.example: not signed by us" in shop.run("doctor", "--offline").out
        answer = shop.run("doctor", "--dkim", status=1)
        assert "there is no DKIM key" in answer.err

        key_file = shop.write("dkim.pem", private_key())
        key_file.chmod(0o600)
        entry = '[[email.dkim]]\ndomain = "shop.example"\nselector = "k1"\nkey_file = "dkim.pem"\n'
        shop.settings(base + entry + guard)
        name_server.texts = {"shop.example": "v=spf1 -all", "_dmarc.shop.example": "v=DMARC1; p=none"}
        found = shop.run("doctor").out
        assert "ok    dkim shop.example: signed with k1 (RSA-2048)" in found
        assert "WARN  dkim k1._domainkey.shop.example: not published" in found
        line = shop.run("doctor", "--dkim").out.strip()
        name, _, rest = line.partition(". IN TXT ")
        text = "".join(re.findall(r'"([^"]*)"', rest))
        assert shop.run("doctor", "--dkim", "--json").json == [{"name": name, "type": "TXT", "text": text}]
        name_server.texts[name] = text
        assert "ok    dkim k1._domainkey.shop.example: published" in shop.run("doctor").out
        name_server.texts[name] = "v=DKIM1; k=rsa; p=AAAA"
        assert "another key is published" in shop.run("doctor").out

        key_file.chmod(0o644)
        refused = shop.run("doctor", "--offline", status=1).out
        assert "FAIL  dkim: " in refused
        assert "can be read by others" in refused


def private_key() -> str:
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
