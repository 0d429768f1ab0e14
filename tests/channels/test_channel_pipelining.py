"""Commands sent together (RFC 2920): what is on the wire, and that every answer belongs to its command."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from channels_kit import Handover, email_parcel, smtp_adapter

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, SmtpTimeouts, Tls
from outbound.channels.email.smtp_wire import SmtpWire, UnreadableError
from outbound.domain.outcome import Outcome
from outbound.domain.outcome import OutcomeKind as K
from outbound.runtime import loop
from outbound.testing.certificates import make_certificate
from outbound.testing.smtp_server import SmtpServer

OK, SENDER_NO, RECIPIENT_NO = "250 2.0.0 ok", "451 4.3.0 later", "550 5.1.1 nobody here"
RUNNERS: list[Callable[[Coroutine[Any, Any, Any]], Any]] = [asyncio.run, loop.run]


class Script:
    """A server that answers each thing it is told as scripted: by the first word, the body being ``.``."""

    def __init__(self, answers: dict[str, str], *, offers: str = "PIPELINING") -> None:
        self.answers = {"EHLO": f"250-double\r\n250 {offers}", ".": OK, "RSET": OK, "QUIT": "221 bye", **answers}
        self.heard: list[bytes] = []
        self.connections = 0
        self.serving: list[asyncio.Future[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        over = asyncio.get_running_loop().create_future()
        self.serving.append(over)
        try:
            await self._talk(reader, writer)
        except ConnectionError:  # the client left at once
            pass
        finally:
            writer.close()
            over.set_result(None)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 double\r\n")
        in_body = False
        while data := await reader.read(65_536):
            self.heard.append(data)
            for line in data.split(b"\r\n")[:-1]:
                word = "." if line == b"." else line.partition(b" ")[0].decode()
                if in_body and word != ".":
                    continue
                answer = self.answers[word]
                writer.write(f"{answer}\r\n".encode())
                in_body = answer.startswith("354")

    def deliver(self, *parcels: Any, handover: Handover | None = None) -> list[Outcome]:
        async def work() -> list[Outcome]:
            async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                timeouts = SmtpTimeouts(connect=10, greeting=10, command=10, data=10, block=10, final=10)
                adapter = SmtpAdapter(
                    SmtpSettings(host="127.0.0.1", port=port, tls=Tls.NONE, timeouts=timeouts, sender="a@shop.example")
                )
                try:
                    return [await adapter.deliver(parcel, handover or Handover()) for parcel in parcels]
                finally:
                    await adapter.close()
                    await asyncio.gather(*self.serving)

        return asyncio.run(work())

    def after_hello(self) -> list[bytes]:
        return [data for data in self.heard if not data.startswith((b"EHLO", b"QUIT"))]


def test_the_envelope_goes_in_one_piece_and_the_body_only_after_the_354() -> None:
    """RFC 2920 3.1: MAIL, RCPT and DATA together; a second mail over the same connection."""
    server = Script({"MAIL": OK, "RCPT": OK, "DATA": "354 go ahead"})
    first, second = server.deliver(email_parcel("a@b.example"), email_parcel("c@d.example"))
    assert (first.kind, second.kind, server.connections) == (K.ACCEPTED, K.ACCEPTED, 1)
    envelope = b"MAIL FROM:<a@shop.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n"
    assert server.after_hello()[0] == envelope
    assert server.after_hello()[1].endswith(b"\r\n.\r\n")


def test_without_pipelining_each_command_waits_for_its_answer() -> None:
    """RFC 5321 4.1.1: a server that does not offer it never sees two commands at once."""
    server = Script({"MAIL": OK, "RCPT": OK, "DATA": "354 go ahead"}, offers="HELP")
    assert server.deliver(email_parcel("a@b.example"))[0].kind is K.ACCEPTED
    assert [data.count(b"\r\n") for data in server.after_hello()[:3]] == [1, 1, 1]


def test_a_354_after_a_refused_recipient_is_ended_by_a_lone_dot() -> None:
    """RFC 2920 3.1: nothing of the mail is sent, no handover is asked for, and the connection goes on."""
    server = Script({"MAIL": OK, "RCPT": RECIPIENT_NO, "DATA": "354 go ahead", ".": "554 5.5.1 no valid recipients"})
    handover = Handover()
    first, second = server.deliver(email_parcel("a@b.example"), email_parcel("c@d.example"), handover=handover)
    assert [o.kind for o in (first, second)] == [K.REJECTED_RECIPIENT] * 2
    assert (handover.asked, server.connections) == (0, 1)
    assert server.after_hello()[1::2] == [b".\r\n", b".\r\n"]


def test_a_354_with_a_recipient_but_no_sender_is_left_alone() -> None:
    """A server out of its mind took the recipient: a dot would be an empty mail to them, so the connection goes."""
    server = Script({"MAIL": SENDER_NO, "RCPT": OK, "DATA": "354 go ahead"})
    first, second = server.deliver(email_parcel(), email_parcel())
    assert [o.kind for o in (first, second)] == [K.DEFERRED] * 2
    assert server.connections == 2
    assert b".\r\n" not in server.heard


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({"MAIL": SENDER_NO, "RCPT": "503 MAIL first", "DATA": "503 RCPT first"}, K.DEFERRED),
        ({"MAIL": OK, "RCPT": RECIPIENT_NO, "DATA": "503 RCPT first"}, K.REJECTED_RECIPIENT),
        ({"MAIL": OK, "RCPT": OK, "DATA": "451 4.3.0 full"}, K.DEFERRED),
    ],
)
def test_every_answer_is_heard_before_the_transaction_is_reset(answers: dict[str, str], kind: K) -> None:
    """The first no decides; what follows it is never taken for an answer to RSET or to the next message."""
    server = Script(answers)
    outcomes = server.deliver(email_parcel(), email_parcel())
    assert ([o.kind for o in outcomes], server.connections) == ([kind] * 2, 1)
    assert server.after_hello()[1::2] == [b"RSET\r\n"] * 2


@pytest.mark.parametrize("run", RUNNERS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(("served", "wanted"), [("starttls", Tls.REQUIRED), ("implicit", Tls.IMPLICIT)])
def test_an_encrypted_wire_changes_hands(
    tmp_path: Path, served: str, wanted: Tls, run: Callable[[Coroutine[Any, Any, Any]], Any]
) -> None:
    """F34: both loops' TLS transports go on under our protocol, bodies larger than a record included."""
    files = make_certificate(tmp_path)

    async def work(adapter: SmtpAdapter) -> list[K]:
        big = email_parcel().payload + b"x" * 70 + b"\r\n" * 100_000
        kinds = [(await adapter.deliver(p, Handover())).kind for p in (email_parcel(), email_parcel(payload=big))]
        await adapter.close()
        return kinds

    with SmtpServer(tmp_path, tls=served, certificate=files.chain, key=files.key) as server:
        assert run(work(smtp_adapter(server, tls=wanted, ca_file=files.chain))) == [K.ACCEPTED] * 2
        assert (server.connections(), {e.facts["encrypted"] for e in server.accepted()}) == (1, {True})


class Pipe(asyncio.Transport):
    """A transport that goes nowhere."""

    closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


def wire_that_heard(*pieces: bytes, owed: int) -> tuple[SmtpWire, list[Any]]:
    """A wire that is owed so many replies, after these pieces; and what it read."""

    async def work() -> tuple[SmtpWire, list[Any]]:
        wire = SmtpWire(Pipe())
        wire.send(b"", replies=owed)
        for piece in pieces:
            wire.data_received(piece)
        found: list[Any] = []
        for _ in range(owed):
            try:
                found.append(tuple(await wire.reply(0.01)))
            except (TimeoutError, UnreadableError) as problem:
                found.append(type(problem))
        return wire, found

    return asyncio.run(work())


def test_replies_are_put_together_however_they_arrive() -> None:
    """RFC 5321 4.2.1: lines of one reply, several replies in one segment, one reply in many."""
    whole = b"250-2.1.0 first\r\n250 second\r\n354\r\n"
    expected = [(250, "2.1.0 first\nsecond"), (354, "")]
    for pieces in ([whole], [whole[:9], whole[9:]], [whole[n : n + 1] for n in range(len(whole))]):
        wire, found = wire_that_heard(*pieces, owed=2)
        assert (found, wire.is_alive) == (expected, True)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b"250 ok\r\n250 again\r\n", [(250, "ok")]),
        (b"250 ok\r\n25", [(250, "ok")]),
        (b"what?\r\n250 ok\r\n", [UnreadableError]),
        (b"250-" + b"x" * 9_000, [UnreadableError]),
        (b"250-and\r\n" * 30_000, [UnreadableError]),
    ],
)
def test_what_nobody_asked_for_makes_the_wire_unfit(said: bytes, found: list[Any]) -> None:
    """F24: an answer too many, or none that can be read, is never taken for the answer to the next command."""
    wire, read = wire_that_heard(said, owed=1)
    assert (read, wire.is_alive) == (found, False)


def test_a_reply_that_never_comes_is_given_up() -> None:
    """F18: each wait has its own limit."""
    assert wire_that_heard(b"250-half\r\n", owed=1)[1] == [TimeoutError]
