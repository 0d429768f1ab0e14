"""Opening an SMTP connection: connect, say hello, encrypt, sign in, all by aiosmtplib; then its wire is ours."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import cast

import aiosmtplib

from outbound.channels.email.smtp_problems import PROBLEMS, Refusal, failure, local, tls_problem
from outbound.channels.email.smtp_settings import SmtpSettings, Tls
from outbound.channels.email.smtp_wire import SmtpWire
from outbound.channels.outcomes import Stage


async def open_wire(
    settings: SmtpSettings, context: ssl.SSLContext | None, helo_name: str
) -> tuple[SmtpWire, Mapping[str, str]]:
    """An open, authenticated wire, and what the server offers on it (lower-case keyword to parameters).

    Raises Refusal for whatever stops it.
    """
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        local_hostname=helo_name,
        use_tls=settings.tls is Tls.IMPLICIT,
        start_tls=False,
        tls_context=context,
    )
    try:
        with _refused_at(Stage.CONNECT, settings):
            connection = await _connect(settings.host, settings.port, settings.timeouts.connect)
            await client.connect(sock=connection, timeout=settings.timeouts.greeting)
        await _hello(client, settings)
        await _encrypt(client, settings, context)
        await _log_in(client, settings)
        transport = None if client.protocol is None else client.protocol.transport
        if transport is None:
            raise Refusal(local("connection lost", Stage.HELLO))
    except BaseException:
        client.close()
        raise
    return SmtpWire(cast("asyncio.Transport", transport)), dict(client.esmtp_extensions)


async def _connect(host: str, port: int, timeout: float) -> socket.socket:  # noqa: ASYNC109 - a limit for each address
    """A connected socket to the first address of ``host`` that answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    problem: OSError = OSError("no address")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(timeout):
                await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            problem = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise problem


async def _hello(client: aiosmtplib.SMTP, settings: SmtpSettings) -> None:
    limit = settings.timeouts.command
    with _refused_at(Stage.HELLO, settings):
        try:
            await client.ehlo(timeout=limit)
        except aiosmtplib.SMTPHeloError as refused:
            if refused.code // 100 != 5:  # noqa: PLR2004 - RFC 5321 3.2: only a permanent no means "try HELO"
                raise
            await client.helo(timeout=limit)


async def _encrypt(client: aiosmtplib.SMTP, settings: SmtpSettings, context: ssl.SSLContext | None) -> None:
    """STARTTLS as the settings want it (RFC 3207); what was offered in the clear is asked again."""
    if settings.tls not in {Tls.REQUIRED, Tls.OPPORTUNISTIC}:
        return
    if client.supports_extension("starttls"):
        with _refused_at(Stage.TLS, settings):
            await client.starttls(tls_context=context, timeout=settings.timeouts.command)
        await _hello(client, settings)
    elif settings.tls is Tls.REQUIRED:
        raise Refusal(local("tls is required and the server offers no STARTTLS", Stage.TLS))


async def _log_in(client: aiosmtplib.SMTP, settings: SmtpSettings) -> None:
    if not settings.username:
        return
    with _refused_at(Stage.AUTH, settings):
        if client.get_transport_info("sslcontext") is None and not settings.is_loopback:
            raise Refusal(local("credentials are never sent over an unencrypted connection", Stage.AUTH))
        await client.login(settings.username, settings.password, timeout=settings.timeouts.command)


@contextlib.contextmanager
def _refused_at(stage: Stage, settings: SmtpSettings) -> Iterator[None]:
    """Turn whatever goes wrong inside into a Refusal that knows the stage."""
    try:
        yield
    except PROBLEMS as problem:
        at = Stage.TLS if tls_problem(problem) is not None else stage
        raise Refusal(failure(problem, at, settings.secrets)) from None
