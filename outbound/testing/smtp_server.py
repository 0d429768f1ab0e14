"""A real SMTP server on loopback that keeps a ledger and can be made faulty.

As a program: ``python -m outbound.testing.smtp_server --port 0 --ledger FILE [--mode FAULT]...`` prints
``{"port": N, ...}`` on its first line. In tests: ``with SmtpServer(folder) as server: ...``.
"""

import argparse
import asyncio
import os
import ssl
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from outbound.testing.control import announce, run, serve_orders
from outbound.testing.faults import NAMED, SMTP_STAGES, parse_fault
from outbound.testing.ledger import Accepted, LedgerWriter, read_ledger
from outbound.testing.smtp_protocol import EXTENSIONS, Behaviour, Session
from outbound.testing.spawn import ServerProcess


class SmtpServer:
    """The server as a child process. Use as a context manager.

    ``modes`` are faults (see ``outbound.testing.faults``), ``accounts`` maps user to password and makes AUTH
    a must, ``tls`` is "none", "starttls" or "implicit" (then ``certificate`` and ``key`` are files), ``keep``
    stores every accepted message as a file in ``folder / "kept"``. ``without`` is an extension it does not offer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        modes: Iterable[str] = (),
        accounts: Mapping[str, str] | None = None,
        tls: str = "none",
        certificate: Path | None = None,
        key: Path | None = None,
        keep: bool = True,
        size_limit: int = 50_000_000,
        without: str = "",
        port: int = 0,
    ) -> None:
        self.ledger = folder / "smtp-ledger.jsonl"
        self.kept = folder / "kept"
        arguments = ["--ledger", str(self.ledger), "--port", str(port), "--tls", tls]
        arguments += ["--size-limit", str(size_limit)]
        if without:
            arguments += ["--without", without]
        for mode in modes:
            arguments += ["--mode", mode]
        for user, password in (accounts or {}).items():
            arguments += ["--account", f"{user}:{password}"]
        if certificate is not None and key is not None:
            arguments += ["--certificate", str(certificate), "--key", str(key)]
        if keep:
            self.kept.mkdir(exist_ok=True)
            arguments += ["--store", str(self.kept)]
        self._arguments = arguments
        self._process: ServerProcess | None = None
        self.port = port

    def __enter__(self) -> Self:
        self._process = ServerProcess("outbound.testing.smtp_server", self._arguments)
        self.port = int(self._process.facts["port"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.stop()

    def set_modes(self, *modes: str) -> None:
        """Replace the faults from now on; none makes the server well again."""
        self._order(modes=list(modes))

    def drop_connections(self) -> None:
        """Close every open connection, as a restart would."""
        self._order(drop=True)

    def connections(self) -> int:
        """How many connections were made so far."""
        return int(self._order(count=True)["connections"])

    def forget(self) -> None:
        """Empty the ledger and the kept messages."""
        os.truncate(self.ledger, 0)
        for file in self.kept.glob("*"):
            file.unlink()

    def accepted(self) -> list[Accepted]:
        """What the ledger holds."""
        return read_ledger(self.ledger)

    def messages(self) -> list[bytes]:
        """The bytes of every kept message, in the order of acceptance."""
        return [file.read_bytes() for file in sorted(self.kept.iterdir())]

    def _order(self, **order: Any) -> dict[str, Any]:
        if self._process is None:
            raise RuntimeError("the server is not running: use it as a context manager")
        return self._process.order(**order)


async def serve(options: argparse.Namespace) -> None:
    """Serve until cancelled or, with ``--control``, until standard input closes."""
    ledger = LedgerWriter(options.ledger, fsync=options.fsync)
    context = None
    if options.certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    behaviour = Behaviour(
        ledger=ledger,
        faults=[parse_fault(mode, SMTP_STAGES) for mode in options.mode],
        accounts=dict(account.split(":", 1) for account in options.account) or None,
        certificate=context if options.tls == "starttls" else None,
        extensions=EXTENSIONS - set(options.without),
        size_limit=options.size_limit,
        store=options.store,
    )
    server = await asyncio.get_running_loop().create_server(
        lambda: Session(behaviour),
        options.host,
        options.port,
        ssl=context if options.tls == "implicit" else None,
        backlog=512,
    )

    def obey(order: dict[str, Any]) -> dict[str, Any]:
        if "modes" in order:
            behaviour.faults = [parse_fault(mode, SMTP_STAGES) for mode in order["modes"]]
        if "drop" in order:
            for session in list(behaviour.open_now):
                session.hang_up()
        return {"connections": behaviour.connections, "accepted": behaviour.accepted}

    async with server:
        announce(port=server.sockets[0].getsockname()[1], ledger=str(options.ledger))
        if options.control:
            await serve_orders(obey)
        else:
            await server.serve_forever()
    ledger.close()


def options_from(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m outbound.testing.smtp_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ledger", type=Path, required=True, help="one JSON line per accepted message")
    parser.add_argument("--fsync", action="store_true", help="the ledger also survives a power cut")
    parser.add_argument("--store", type=Path, help="folder in which to keep every accepted message")
    parser.add_argument("--mode", action="append", default=[], help=f"a fault; short names: {', '.join(NAMED)}")
    parser.add_argument("--account", action="append", default=[], help="USER:PASSWORD; AUTH becomes a must")
    parser.add_argument("--tls", choices=("none", "starttls", "implicit"), default="none")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--without", action="append", default=[], help="an extension that EHLO does not name")
    parser.add_argument("--size-limit", type=int, default=50_000_000)
    parser.add_argument("--control", action="store_true", help="obey JSON lines on standard input, end with it")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the server."""
    run(serve(options_from(sys.argv[1:])))


if __name__ == "__main__":
    main()
