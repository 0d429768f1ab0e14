"""The TCP proxy does to SMTP, HTTP and PostgreSQL connections what it says, and nothing when it is healed."""

import smtplib
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
import sqlalchemy as sa

from outbound.testing import postgres
from outbound.testing.proxy import TcpProxy
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import ACCOUNT_SID, AUTH_TOKEN, TwilioDouble

MAIL = b"From: a@shop.example\r\nTo: b@example.org\r\nMessage-ID: <m1@shop.example>\r\nSubject: x\r\n\r\nHello.\r\n"


def _echo(listening: socket.socket) -> None:
    """Answer every connection with what it says; after its end of file say goodbye."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
            connection.sendall(b"bye")
        except OSError:
            pass


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """A proxy before an echo."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_echo, args=(listening,), daemon=True).start()
        with TcpProxy(f"127.0.0.1:{listening.getsockname()[1]}") as proxy:
            yield proxy
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def client(proxy: TcpProxy) -> Iterator[socket.socket]:
    """A connection through it that works."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        assert said(client, b"hello") == b"hello"
        yield client


def said(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return client.recv(4096)


def silent(client: socket.socket, seconds: float = 0.3) -> bool:
    """Whether nothing comes."""
    before = client.gettimeout()
    client.settimeout(seconds)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(before)
    return False


def broken(client: socket.socket) -> bool:
    """Whether the connection was reset or closed."""
    try:
        return client.recv(4096) == b""
    except ConnectionResetError:
        return True


def refused(port: int) -> bool:
    """Whether a new connection is reset: at once, or when it speaks."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as late:
            return said(late, b"hello") != b"hello"
    except ConnectionError:
        return True


def test_a_stalled_connection_stays_open_and_goes_on_where_it_was(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.stall()
    client.sendall(b"later")
    assert silent(client)
    assert proxy.connections() == 1
    proxy.heal()
    assert client.recv(4096) == b"later"


def test_a_stall_with_an_end_ends_by_itself(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.stall(seconds=0.4)
    began = time.monotonic()
    assert said(client, b"later") == b"later"
    assert time.monotonic() - began > 0.3


def test_a_new_connection_during_a_stall_is_taken_and_silent(proxy: TcpProxy) -> None:
    proxy.stall()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as late:
        late.sendall(b"hello")
        assert silent(late)
        proxy.heal()
        assert late.recv(4096) == b"hello"


def test_a_drop_resets_what_is_open_and_takes_new_ones(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.drop()
    assert broken(client)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as again:
        assert said(again, b"hello") == b"hello"


def test_refusing_resets_new_connections_only(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.refuse()
    assert refused(proxy.port)
    assert said(client, b"still") == b"still"
    proxy.heal()
    assert not refused(proxy.port)


def test_half_closing_to_the_client_ends_what_it_hears_and_not_what_it_says(
    proxy: TcpProxy, client: socket.socket
) -> None:
    proxy.half_close("client")
    assert client.recv(4096) == b""
    client.sendall(b"into the void")  # nobody reset it


def test_half_closing_to_the_server_leaves_its_answer(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.half_close("server")
    assert client.recv(4096) == b"bye", "the server saw no end of file, or its answer was lost"


def test_an_end_of_file_is_carried_and_the_other_direction_stays_open(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    assert client.recv(4096) == b"bye"


def test_a_limit_slows_both_directions(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.limit(2000)
    began = time.monotonic()
    client.sendall(b"x" * 1000)
    got = 0
    while got < 1000:
        got += len(client.recv(4096))
    assert time.monotonic() - began >= 0.5


def test_an_answer_after_the_dot_is_lost_although_the_server_accepted(tmp_path: Path) -> None:
    """F24: the ledger has the message, the sender has an error."""
    with SmtpServer(tmp_path) as server, TcpProxy(f"127.0.0.1:{server.port}") as proxy:
        proxy.lose_answer(b"\r\n.\r\n")
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            _mail(proxy.port)
        assert len(server.accepted()) == 1
        _mail(proxy.port)
        assert len(server.accepted()) == 2, "only one answer was to be lost"


def test_a_stall_makes_the_sender_of_a_mail_give_up(tmp_path: Path) -> None:
    with SmtpServer(tmp_path) as server, TcpProxy(f"127.0.0.1:{server.port}") as proxy:
        proxy.stall()
        with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
            _mail(proxy.port, timeout=0.5)
        assert server.accepted() == []


def test_an_http_answer_is_lost_although_twilio_took_the_message(tmp_path: Path) -> None:
    """F29: a reset after the request's body was written."""
    with TwilioDouble(tmp_path) as double, TcpProxy(f"127.0.0.1:{double.port}") as proxy:
        proxy.lose_answer(b"Body=")
        with pytest.raises((HTTPException, ConnectionError)):
            _text(proxy.port)
        assert len(double.accepted()) == 1
        assert _text(proxy.port) == 201


@pytest.mark.parametrize("lost", [True, False])
def test_a_commit_whose_answer_is_lost_stands(postgres_server: str, *, lost: bool) -> None:
    """F39's means: the connection dies after COMMIT was sent; the row is there and the client has an error."""
    with postgres.empty_database(postgres_server) as url:
        parsed = sa.make_url(url)
        plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as look:
            look.execute("CREATE TABLE t (i int)")
            with TcpProxy(postgres.address_of(url)) as proxy:
                if lost:
                    proxy.lose_answer(b"COMMIT")
                with closing(psycopg.connect(postgres.through(url, proxy.port).replace("+psycopg", ""))) as through:
                    through.execute("INSERT INTO t VALUES (1)")
                    with pytest.raises(psycopg.OperationalError) if lost else nullcontext():
                        through.commit()
            assert _eventually(lambda: look.execute("SELECT count(*) FROM t").fetchone() == (1,))


def _eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def _mail(port: int, timeout: float = 10) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=timeout) as smtp:
        smtp.sendmail("a@shop.example", ["b@example.org"], MAIL)


def _text(port: int) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    basic = b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    form = urlencode({"To": "+393401234567", "From": "+15005550006", "Body": "Hello"})
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", form, headers)
        return connection.getresponse().status
    finally:
        connection.close()
