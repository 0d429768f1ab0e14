"""A real HTTP process that answers as Twilio's Messages API does, keeps a ledger and can be made faulty.

As a program: ``python -m outbound.testing.twilio_double --port 0 --ledger FILE [--mode FAULT]...`` prints
``{"port": N, ...}`` on its first line. In tests: ``with TwilioDouble(folder) as double: ...``.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from outbound.testing.control import announce, run, serve_orders
from outbound.testing.faults import HTTP_STAGES, Fault, parse_fault
from outbound.testing.ledger import Accepted, LedgerWriter, read_ledger
from outbound.testing.smtp_protocol import reset
from outbound.testing.spawn import ServerProcess

ACCOUNT_SID = "AC" + "0" * 31 + "1"
AUTH_TOKEN = "double-token"  # noqa: S105 - the double's own, opens nothing
_SEGMENT = 153


class TwilioDouble:
    """The double as a child process. Use as a context manager.

    ``modes`` are faults: stage ``request`` strikes before the message exists, ``sent`` after it was accepted.
    ``request=429 30`` answers with Retry-After (seconds or an HTTP date), ``request=400 21610`` with an error.
    """

    def __init__(
        self,
        folder: Path,
        *,
        modes: Iterable[str] = (),
        account_sid: str = ACCOUNT_SID,
        auth_token: str = AUTH_TOKEN,
        port: int = 0,
    ) -> None:
        self.ledger = folder / "twilio-ledger.jsonl"
        self.account_sid = account_sid
        self.auth_token = auth_token
        self._arguments = ["--ledger", str(self.ledger), "--port", str(port)]
        self._arguments += ["--account-sid", account_sid, "--auth-token", auth_token]
        for mode in modes:
            self._arguments += ["--mode", mode]
        self._process: ServerProcess | None = None
        self.port = port

    def __enter__(self) -> Self:
        self._process = ServerProcess("outbound.testing.twilio_double", self._arguments)
        self.port = int(self._process.facts["port"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def api_base(self) -> str:
        """What to put into ``TwilioSettings.api_base``."""
        return f"http://127.0.0.1:{self.port}"

    def set_modes(self, *modes: str) -> None:
        """Replace the faults from now on; none makes the double well again."""
        if self._process is None:
            raise RuntimeError("the double is not running: use it as a context manager")
        self._process.order(modes=list(modes))

    def forget(self) -> None:
        """Empty the ledger."""
        os.truncate(self.ledger, 0)

    def accepted(self) -> list[Accepted]:
        """What the ledger holds."""
        return read_ledger(self.ledger)


class Messages:
    """The resource: everything accepted since the start, and the faults."""

    def __init__(self, ledger: LedgerWriter, account_sid: str, auth_token: str) -> None:
        self.faults: list[Fault] = []
        self._ledger = ledger
        self._account_sid = account_sid
        self._credentials = "Basic " + base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode("ascii")
        self._kept: list[dict[str, Any]] = []

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=1_000_000)
        application.router.add_post("/2010-04-01/Accounts/{sid}/Messages.json", self.create)
        application.router.add_get("/2010-04-01/Accounts/{sid}/Messages.json", self.index)
        return application

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST: accept one message, or fail as told."""
        form = await request.post()
        to = str(form.get("To", ""))
        if (refused := self._refused(request)) is not None:
            return refused
        if (fault := self._fault("request", to)) is not None:
            answer = await self._strike(fault, request)
            if answer is not None:
                return answer
        if (refused := _problem(form)) is not None:
            return refused
        message = self._accept(form, to)
        if (fault := self._fault("sent", to)) is not None:
            answer = await self._strike(fault, request, message)
            if answer is not None:
                return answer
        return web.json_response(message, status=HTTPStatus.CREATED)

    async def index(self, request: web.Request) -> web.Response:
        """GET: list by To, From and DateSent, newest first, in pages (the operators < and > are part of the name)."""
        if (refused := self._refused(request)) is not None:
            return refused
        query = request.query
        found = [m for m in reversed(self._kept) if _fits(m, query)]
        size, page = int(query.get("PageSize", "50")), int(query.get("Page", "0"))
        shown = found[page * size : (page + 1) * size]
        path = request.path

        def at(number: int) -> str:
            return f"{path}?PageSize={size}&Page={number}"

        return web.json_response(
            {
                "messages": shown,
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(0, len(shown) - 1),
                "uri": at(page),
                "first_page_uri": at(0),
                "next_page_uri": at(page + 1) if len(found) > (page + 1) * size else None,
                "previous_page_uri": at(page - 1) if page else None,
            }
        )

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != self._credentials:
            return _error(401, 20003, "Authenticate")
        if request.match_info["sid"] != self._account_sid:
            return _error(404, 20404, "The requested resource was not found")
        return None

    def _fault(self, stage: str, to: str) -> Fault | None:
        return next((f for f in self.faults if f.stage == stage and f.strikes(to)), None)

    async def _strike(
        self, fault: Fault, request: web.Request, message: dict[str, Any] | None = None
    ) -> web.StreamResponse | None:
        transport = request.transport
        match fault.action:
            case "reply":
                status, _, rest = fault.value.partition(" ")
                return _reply(int(status), rest)
            case "delay":
                await asyncio.sleep(float(fault.value))
                return None
            case "hang":
                await asyncio.Event().wait()
                return None
            case "truncate" | "partial":
                body = json.dumps(message or {"sid": "SM"}).encode()
                answer = web.StreamResponse(status=201, headers={"Content-Length": str(len(body))})
                answer.content_type = "application/json"
                await answer.prepare(request)
                await answer.write(body[: len(body) // 2])
                if transport is not None:
                    transport.close()
                return answer
            case "garbage":
                return web.Response(status=201, text="<html>it works</html>", content_type="text/html")
            case _:
                if transport is not None:
                    reset(transport)
                return web.Response()

    def _accept(self, form: Any, to: str) -> dict[str, Any]:
        body = str(form.get("Body", ""))
        now = datetime.now(UTC)
        sid = "SM" + hashlib.sha256(f"{now.timestamp()}:{len(self._kept)}".encode()).hexdigest()[:32]
        stamp = format_datetime(now)
        service = form.get("MessagingServiceSid")
        path = f"/2010-04-01/Accounts/{self._account_sid}/Messages/{sid}"
        message = {
            "sid": sid,
            "account_sid": self._account_sid,
            "api_version": "2010-04-01",
            "body": body,
            "num_segments": "0" if service else str(-(-len(body) // _SEGMENT)),
            "num_media": "0",
            "direction": "outbound-api",
            "from": None if service else str(form.get("From")),
            "to": to,
            "messaging_service_sid": str(service) if service else None,
            "status": "accepted" if service else "queued",
            "date_created": stamp,
            "date_updated": stamp,
            "date_sent": stamp,
            "error_code": None,
            "error_message": None,
            "price": None,
            "price_unit": "USD",
            "uri": f"{path}.json",
            "subresource_uris": {"media": f"{path}/Media.json"},
        }
        self._ledger.append(
            reference=sid,
            recipient=to,
            sha256=hashlib.sha256(body.encode()).hexdigest(),
            size=len(body.encode()),
            time=time.time(),
            sender=message["from"] or message["messaging_service_sid"],
            fields=sorted(form.keys()),
        )
        self._kept.append(message)
        return message


def _problem(form: Any) -> web.Response | None:
    """What Twilio refuses by itself."""
    if not form.get("To"):
        return _error(400, 21604, "A 'To' phone number is required.")
    if not re.fullmatch(r"\+[1-9]\d{6,14}", str(form["To"])):
        return _error(400, 21211, f"Invalid 'To' Phone Number: {form['To']}")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return _error(400, 21603, "A 'From' phone number is required.")
    if not form.get("Body"):
        return _error(400, 21602, "Message body is required.")
    return None


def _fits(message: dict[str, Any], query: Any) -> bool:
    day = datetime.strptime(message["date_sent"], "%a, %d %b %Y %H:%M:%S %z").date()

    def days(name: str) -> date:
        return datetime.fromisoformat(query[name]).date()

    return (
        query.get("To", message["to"]) == message["to"]
        and query.get("From", message["from"]) == message["from"]
        and ("DateSent" not in query or day == days("DateSent"))
        and ("DateSent>" not in query or day >= days("DateSent>"))
        and ("DateSent<" not in query or day <= days("DateSent<"))
    )


def _reply(status: int, rest: str) -> web.Response:
    """``429 30`` and ``503 30``: Retry-After; ``400 21610 words``: an error number and its message."""
    if status in {429, 503} and rest:
        return _error(status, 20429 if status == HTTPStatus.TOO_MANY_REQUESTS else 20503, "Later", retry_after=rest)
    number, _, words = rest.partition(" ")
    return _error(status, int(number or 20000 + status), words or HTTPStatus(status).phrase)


def _error(status: int, code: int, message: str, *, retry_after: str = "") -> web.Response:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(body, status=status, headers={"Retry-After": retry_after} if retry_after else {})


async def serve(options: argparse.Namespace) -> None:
    """Serve until cancelled or, with ``--control``, until standard input closes."""
    ledger = LedgerWriter(options.ledger, fsync=options.fsync)
    messages = Messages(ledger, options.account_sid, options.auth_token)
    messages.faults = [parse_fault(mode, HTTP_STAGES) for mode in options.mode]
    runner = web.AppRunner(messages.application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port, backlog=512)
    await site.start()
    announce(port=runner.addresses[0][1], ledger=str(options.ledger))

    def obey(order: dict[str, Any]) -> dict[str, Any]:
        messages.faults = [parse_fault(mode, HTTP_STAGES) for mode in order["modes"]]
        return {}

    if options.control:
        await serve_orders(obey)
    else:
        await asyncio.Event().wait()
    await runner.cleanup()
    ledger.close()


def options_from(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m outbound.testing.twilio_double", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ledger", type=Path, required=True, help="one JSON line per accepted message")
    parser.add_argument("--fsync", action="store_true", help="the ledger also survives a power cut")
    parser.add_argument("--mode", action="append", default=[], help="a fault, such as request=429 30 or sent=reset")
    parser.add_argument("--account-sid", default=ACCOUNT_SID)
    parser.add_argument("--auth-token", default=AUTH_TOKEN)
    parser.add_argument("--control", action="store_true", help="obey JSON lines on standard input, end with it")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the double."""
    run(serve(options_from(sys.argv[1:])))


if __name__ == "__main__":
    main()
