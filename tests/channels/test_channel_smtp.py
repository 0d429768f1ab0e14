"""The SMTP adapter against a real faulty server: what each fault means, and what is on the wire."""

import asyncio
import hashlib
import socket
from pathlib import Path

import pytest
from channels_kit import (
    Handover,
    big_payload,
    deliver,
    deliver_one,
    email_content,
    email_parcel,
    envelope,
    run,
    smtp_adapter,
)

from outbound.channels.email import mime
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, SmtpTimeouts, Tls
from outbound.domain.outcome import OutcomeKind as K
from outbound.testing.certificates import make_certificate
from outbound.testing.smtp_server import SmtpServer

IMPATIENT = SmtpTimeouts(connect=5, greeting=0.2, command=0.2, data=0.2, block=0.2, final=0.2)
# Patient up to the dot, so that a slow machine still gets there, and then in a hurry.
UNCLEAR = SmtpTimeouts(connect=10, greeting=10, command=10, data=10, block=10, final=0.5)


@pytest.mark.parametrize("fault", ["connect=hang", "hello=hang", "mail=hang", "rcpt=hang", "data=hang"])
def test_f18_a_hang_before_the_body_is_not_sent(any_smtp_server: SmtpServer, fault: str) -> None:
    """F18: each command has its own time limit; nothing is handed over."""
    any_smtp_server.set_modes(fault)
    handover = Handover()
    outcome = deliver_one(smtp_adapter(any_smtp_server, timeouts=IMPATIENT), email_parcel(), handover)
    assert (outcome.kind, handover.asked) == (K.NOT_SENT, 0)
    assert "in time" in outcome.text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("connect=421 4.3.2 later", K.NOT_SENT),
        ("mail=421 4.3.2 later", K.DEFERRED),
        ("rcpt=421 4.3.2 later", K.DEFERRED),
        ("data=421 4.3.2 later", K.DEFERRED),
        ("sent=421 4.3.2 later", K.DEFERRED),
    ],
)
def test_f19_421_is_nobodys_fault_and_the_next_message_goes(any_smtp_server: SmtpServer, fault: str, kind: K) -> None:
    """F19: a server that closes the channel costs no recipient anything, and the connection is replaced."""
    any_smtp_server.set_modes(f"{fault} times 1")
    first, second = deliver(smtp_adapter(any_smtp_server), email_parcel(), email_parcel(reference="m2-1"))
    assert (first.kind, first.code, first.suppress, first.account_fault) == (kind, 421, "", False)
    assert second.kind is K.ACCEPTED
    assert len(any_smtp_server.accepted()) == 1


@pytest.mark.parametrize("code", [450, 451, 452])
def test_f20_greylisting_is_deferred_then_accepted_on_the_same_connection(
    any_smtp_server: SmtpServer, code: int
) -> None:
    """F20: a temporary no is Deferred; after RSET the connection is used again."""
    any_smtp_server.set_modes(f"rcpt={code} try later times 1")
    before = any_smtp_server.connections()
    first, second = deliver(smtp_adapter(any_smtp_server), email_parcel(), email_parcel())
    assert (first.kind, second.kind) == (K.DEFERRED, K.ACCEPTED)
    assert any_smtp_server.connections() == before + 1


def test_f21_an_unknown_mailbox_is_a_hard_bounce(any_smtp_server: SmtpServer) -> None:
    """F21: 550 5.1.1 fails the message and suppresses the address."""
    any_smtp_server.set_modes("rcpt=550 5.1.1 no such user for ^gone@")
    outcomes = deliver(smtp_adapter(any_smtp_server), email_parcel("gone@example.it"), email_parcel("here@example.it"))
    assert [(o.kind, o.suppress) for o in outcomes] == [(K.REJECTED_RECIPIENT, "bounced.hard"), (K.ACCEPTED, "")]
    assert [entry.recipient for entry in any_smtp_server.accepted()] == ["here@example.it"]


@pytest.mark.parametrize("stage", ["mail", "rcpt", "sent"])
def test_f22_policy_is_not_the_recipients_fault(any_smtp_server: SmtpServer, stage: str) -> None:
    """F22: 5.7.x fails that message and suppresses nobody."""
    any_smtp_server.set_modes(f"{stage}=550 5.7.1 refused by policy")
    outcome = deliver_one(smtp_adapter(any_smtp_server), email_parcel())
    assert (outcome.kind, outcome.suppress, outcome.account_fault) == (K.REJECTED_POLICY, "", False)


def test_f22_wrong_credentials_are_an_account_fault_and_stay_secret(tmp_path: Path) -> None:
    """F22: 535 is not_sent with account_fault; the server here echoes user and password, the outcome does not."""
    with SmtpServer(tmp_path, accounts={"outbound": "right-secret"}) as server:
        handover = Handover()
        wrong = smtp_adapter(server, username="outbound", password="wrong-secret")
        outcome = deliver_one(wrong, email_parcel(), handover)
        assert (outcome.kind, outcome.account_fault, outcome.code) == (K.NOT_SENT, True, 535)
        assert handover.asked == 0
        assert "secret" not in repr(outcome)
        assert "secret" not in repr(SmtpSettings(host="x", password="wrong-secret"))
        trouble = run(wrong.check())
        assert trouble.startswith("535 ")
        assert "secret" not in trouble
        right = smtp_adapter(server, username="outbound", password="right-secret")
        assert deliver_one(right, email_parcel()).kind is K.ACCEPTED
        assert server.accepted()[0].facts["user"] == "outbound"
        nobody = deliver_one(smtp_adapter(server), email_parcel())
        assert (nobody.kind, nobody.account_fault, nobody.code) == (K.NOT_SENT, True, 530)


def test_f23_k6_closed_after_354_is_not_sent(any_smtp_server: SmtpServer) -> None:
    """F23, K6: the same exception as a close after the dot, but the stage knows better."""
    any_smtp_server.set_modes("close_after_354")
    outcome = deliver_one(smtp_adapter(any_smtp_server), email_parcel())
    assert outcome.kind is K.NOT_SENT
    assert any_smtp_server.accepted() == []


@pytest.mark.parametrize("fault", ["half_body", "body=hang 65536"])
def test_f23_a_body_cut_in_the_middle_is_not_sent(any_smtp_server: SmtpServer, fault: str) -> None:
    """F23: as long as the dot is held back the server cannot have the message."""
    any_smtp_server.set_modes(fault)
    outcome = deliver_one(
        smtp_adapter(any_smtp_server, timeouts=IMPATIENT), email_parcel(payload=big_payload(30_000_000))
    )
    assert outcome.kind is K.NOT_SENT
    assert any_smtp_server.accepted() == []


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        ("close_after_dot", 0),
        ("accept_then_close", 1),
        ("hang_after_dot", 0),
        ("sent=hang kept", 1),
        ("sent=reset kept", 1),
        ("partial_reply", 1),
        ("garbage", 1),
        ("sent=354 go on", 0),
    ],
)
def test_f24_k6_anything_unclear_after_the_dot_is_uncertain(
    any_smtp_server: SmtpServer, fault: str, arrived: int
) -> None:
    """F24, K6: with the dot out nobody can know, whether the server kept the message or not."""
    any_smtp_server.set_modes(fault)
    handover = Handover()
    outcome = deliver_one(smtp_adapter(any_smtp_server, timeouts=UNCLEAR), email_parcel(), handover)
    assert (outcome.kind, handover.asked) == (K.UNCERTAIN, 1)
    assert len(any_smtp_server.accepted()) == arrived


def test_f24_the_message_after_an_uncertain_one_goes_over_a_new_connection(any_smtp_server: SmtpServer) -> None:
    """F24: a late or garbled answer is never taken for the answer to the next message."""
    any_smtp_server.set_modes("sent=delay 0.8 times 1")
    first, second = deliver(
        smtp_adapter(any_smtp_server, timeouts=UNCLEAR), email_parcel(), email_parcel("two@example.it")
    )
    assert (first.kind, second.kind) == (K.UNCERTAIN, K.ACCEPTED)
    assert sorted(e.recipient for e in any_smtp_server.accepted()) == ["marta.rossi@example.it", "two@example.it"]


def test_f25_a_connection_that_dies_before_quit_was_still_sent(any_smtp_server: SmtpServer) -> None:
    """F25: 250 is 250."""
    any_smtp_server.set_modes("250_close")
    assert deliver_one(smtp_adapter(any_smtp_server), email_parcel()).kind is K.ACCEPTED


def test_f26_a_slow_answer_to_the_dot_is_waited_for(any_smtp_server: SmtpServer) -> None:
    """F26: the wait for the final answer is its own, longest limit (600 s by default)."""
    any_smtp_server.set_modes("sent=delay 1.0")
    timeouts = SmtpTimeouts(connect=10, greeting=0.9, command=0.9, data=0.9, block=0.9, final=10)
    assert deliver_one(smtp_adapter(any_smtp_server, timeouts=timeouts), email_parcel()).kind is K.ACCEPTED
    assert SmtpTimeouts().final == 600


def test_f27_one_recipient_per_transaction(any_smtp_server: SmtpServer) -> None:
    """F27: partial acceptance cannot happen, since no transaction ever has two recipients."""
    parcels = [email_parcel(f"p{n}@example.it") for n in range(5)]
    deliver(smtp_adapter(any_smtp_server), *parcels)
    assert [entry.facts["recipients"] for entry in any_smtp_server.accepted()] == [1] * 5
    assert [entry.recipient for entry in any_smtp_server.accepted()] == [parcel.address for parcel in parcels]


def test_f34_starttls_stripped_is_refused_when_required(smtp_server: SmtpServer) -> None:
    """F34: a server that offers no STARTTLS gets nothing, not even MAIL."""
    outcome = deliver_one(smtp_adapter(smtp_server, tls=Tls.REQUIRED), email_parcel())
    assert outcome.kind is K.NOT_SENT
    assert "STARTTLS" in outcome.text
    assert smtp_server.accepted() == []


@pytest.mark.parametrize(
    ("served", "wanted"), [("starttls", Tls.REQUIRED), ("starttls", Tls.OPPORTUNISTIC), ("implicit", Tls.IMPLICIT)]
)
def test_f34_tls_with_a_trusted_certificate_delivers_encrypted(tmp_path: Path, served: str, wanted: Tls) -> None:
    """F34: TLS in its three forms; a certificate nobody vouches for is refused."""
    files = make_certificate(tmp_path)
    with SmtpServer(tmp_path, tls=served, certificate=files.chain, key=files.key, accounts={"u": "p"}) as server:
        login = {"tls": wanted, "username": "u", "password": "p"}
        outcome = deliver_one(smtp_adapter(server, ca_file=files.chain, **login), email_parcel())
        assert outcome.kind is K.ACCEPTED
        assert server.accepted()[0].facts["encrypted"] is True
        stranger = deliver_one(smtp_adapter(server, **login), email_parcel())
        assert stranger.kind is K.NOT_SENT
        assert "self-signed" in stranger.text or "self signed" in stranger.text
        unchecked = deliver_one(smtp_adapter(server, verify=False, **login), email_parcel())
        assert unchecked.kind is K.ACCEPTED


def test_f34_expired_and_misnamed_certificates_are_refused(tmp_path: Path) -> None:
    """F34: an expired certificate, or one of another host, is as bad as none."""
    for host, days in (("localhost", -1), ("mail.elsewhere.example", 30)):
        files = make_certificate(tmp_path, host=host, days=days)
        with SmtpServer(tmp_path, tls="implicit", certificate=files.chain, key=files.key) as server:
            adapter = smtp_adapter(server, tls=Tls.IMPLICIT, ca_file=files.chain, host="localhost")
            outcome = deliver_one(adapter, email_parcel())
            assert outcome.kind is K.NOT_SENT
            assert outcome.text.startswith("tls: ")
            assert server.accepted() == []


def test_f34_opportunistic_goes_without_tls_where_none_is_offered(smtp_server: SmtpServer) -> None:
    """F34: opportunistic means what it says, for mail without credentials."""
    assert deliver_one(smtp_adapter(smtp_server, tls=Tls.OPPORTUNISTIC), email_parcel()).kind is K.ACCEPTED


@pytest.mark.parametrize(
    ("host", "words"), [("127.0.0.1", "connection refused"), ("no-such-host.invalid", "not resolved")]
)
def test_refused_connection_and_unknown_host_are_not_sent(host: str, words: str) -> None:
    """Nothing listens, or the name does not exist: not_sent, nobody's fault, nothing handed over."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    handover = Handover()
    adapter = SmtpAdapter(SmtpSettings(host=host, port=port, tls=Tls.NONE, timeouts=SmtpTimeouts(connect=5)))
    outcome = deliver_one(adapter, email_parcel(), handover)
    assert (outcome.kind, outcome.account_fault, handover.asked) == (K.NOT_SENT, False, 0)
    assert words in outcome.text


def test_k7_f69_the_bytes_arrive_exactly_with_clean_line_ends(any_smtp_server: SmtpServer) -> None:
    """K7, F69: what was packed is what the server kept: dots stuffed and unstuffed, no bare CR or LF."""
    tricky = mime.build(email_content(text=".\n..\n.leading\n\n.", html="<p>.</p>\n.\n"), envelope())
    payloads = [tricky, mime.build(email_content(), envelope()), big_payload(200_000)]
    deliver(smtp_adapter(any_smtp_server), *(email_parcel(payload=payload) for payload in payloads))
    assert any_smtp_server.messages() == payloads
    assert [entry.facts["bare_line_ends"] for entry in any_smtp_server.accepted()] == [0, 0, 0]
    assert any_smtp_server.accepted()[0].sha256 == hashlib.sha256(tricky).hexdigest()


@pytest.mark.parametrize(
    "payload",
    [
        b"Subject: x\r\n\r\na\r\n.\rMAIL FROM:<evil@example.com>\r\n",
        b"Subject: x\n\n.\nQUIT\n",
        b"a\r\n\0b\r\n",
        b"no end",
    ],
)
def test_k7_a_payload_with_bare_line_ends_is_refused(smtp_server: SmtpServer, payload: bytes) -> None:
    """K7: smuggling needs bare line ends; such bytes never reach a connection."""
    handover = Handover()
    outcome = deliver_one(smtp_adapter(smtp_server), email_parcel(payload=payload), handover)
    assert (outcome.kind, handover.asked) == (K.REJECTED_CONTENT, 0)
    assert smtp_server.accepted() == []


@pytest.mark.parametrize(
    "address", ["a@b.example>\r\nRCPT TO:<spy@example.com", "a b@example.it", "nobody", "a\0@b.it"]
)
def test_f69_an_address_cannot_become_a_command(smtp_server: SmtpServer, address: str) -> None:
    """F69: an address that is none is rejected before anything is said to the server."""
    payload = mime.build(email_content(), envelope())
    before = smtp_server.connections()
    outcome = deliver_one(smtp_adapter(smtp_server), email_parcel(address, payload=payload))
    assert outcome.kind is K.REJECTED_CONTENT
    assert smtp_server.connections() == before


def test_internationalised_addresses_use_smtputf8_and_only_they(smtp_server: SmtpServer) -> None:
    """RFC 6531: SMTPUTF8 is announced where an address needs it; an IDNA domain does not."""
    people = ["marta@example.it", "marta@città.example", "martà@città.example"]
    outcomes = deliver(smtp_adapter(smtp_server), *(email_parcel(to) for to in people))
    assert [o.kind for o in outcomes] == [K.ACCEPTED] * 3
    entries = smtp_server.accepted()
    assert ["SMTPUTF8" in e.facts["parameters"] for e in entries] == [False, False, True]
    assert entries[2].recipient == "martà@xn--citt-3na.example"


def test_a_server_without_smtputf8_cannot_take_such_an_address(smtp_server: SmtpServer) -> None:
    """Said before anything is sent; the address is not suppressed for the relay's limits."""
    smtp_server.set_modes("hello=hide SMTPUTF8")
    outcome = deliver_one(smtp_adapter(smtp_server), email_parcel("martà@example.it"))
    assert (outcome.kind, outcome.suppress) == (K.REJECTED_CONTENT, "")


def test_a_mail_larger_than_the_servers_limit_is_not_even_begun(tmp_path: Path) -> None:
    """RFC 1870: SIZE is honoured without sending the body."""
    with SmtpServer(tmp_path, size_limit=100_000) as server:
        outcome = deliver_one(smtp_adapter(server), email_parcel(payload=big_payload(200_000)))
        assert (outcome.kind, outcome.enhanced) == (K.REJECTED_CONTENT, "5.3.4")


def test_connections_are_reused_and_replaced_when_worn(smtp_server: SmtpServer) -> None:
    """max_messages: seven messages at three a connection take three connections, one after the other."""
    before = smtp_server.connections()
    adapter = smtp_adapter(smtp_server, max_messages=3)
    outcomes = deliver(adapter, *(email_parcel(f"p{n}@example.it") for n in range(7)))
    assert [o.kind for o in outcomes] == [K.ACCEPTED] * 7
    assert smtp_server.connections() - before == 3


@pytest.mark.parametrize("probe_after", [0.0, 1000.0])
def test_a_connection_the_server_closed_meanwhile_costs_nothing(
    any_smtp_server: SmtpServer, probe_after: float
) -> None:
    """A server restart between two messages: the second goes over a new connection, handed over once."""

    async def work() -> tuple[K, int]:
        adapter = smtp_adapter(any_smtp_server, probe_after=probe_after)
        await adapter.deliver(email_parcel(), Handover())
        await asyncio.to_thread(any_smtp_server.drop_connections)
        handover = Handover()
        kind = (await adapter.deliver(email_parcel("two@example.it"), handover)).kind
        await adapter.close()
        return kind, handover.asked

    assert run(work()) == (K.ACCEPTED, 1)
    assert len(any_smtp_server.accepted()) == 2


def test_no_more_connections_than_the_pool_allows(smtp_server: SmtpServer) -> None:
    """pool_size bounds what the account sees, however many deliveries wait."""
    before = smtp_server.connections()

    async def work() -> None:
        adapter = smtp_adapter(smtp_server, pool_size=2)
        await asyncio.gather(*(adapter.deliver(email_parcel(f"p{n}@example.it"), Handover()) for n in range(20)))
        await adapter.close()

    run(work())
    assert smtp_server.connections() - before <= 2
    assert len(smtp_server.accepted()) == 20


def test_the_envelope_sender_is_the_parcels_the_accounts_or_the_one_in_from(smtp_server: SmtpServer) -> None:
    """Bounces go to the most particular address known."""
    deliver_one(smtp_adapter(smtp_server), email_parcel())
    deliver_one(smtp_adapter(smtp_server, sender="bounces@bottega.example"), email_parcel())
    assert [e.facts["sender"] for e in smtp_server.accepted()] == ["news@bottega.example", "bounces@bottega.example"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [(socket.EAI_AGAIN, "Temporary failure in name resolution"), (socket.EAI_NONAME, "Name or service not known")],
)
def test_f33_a_relay_whose_name_does_not_resolve_is_not_sent_and_says_which_it_is(
    monkeypatch: pytest.MonkeyPatch, answer: int, words: str
) -> None:
    """F33: SERVFAIL passes, NXDOMAIN is a mistake in the settings: nothing was handed over; the words tell which."""

    def resolver(*_: object, **__: object) -> object:
        raise socket.gaierror(answer, words)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    adapter = SmtpAdapter(SmtpSettings(host="relay.shop.example", port=25, tls=Tls.NONE))
    handover = Handover()

    outcome = deliver_one(adapter, email_parcel(), handover)
    assert outcome.kind is K.NOT_SENT
    assert not outcome.account_fault
    assert outcome.text == f"host name not resolved: {words}"
    assert handover.asked == 0
