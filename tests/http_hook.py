"""A real HTTP server on loopback that keeps what it is posted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

_REDIRECT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One request; header names in small letters."""

    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Hook:
    """What was posted so far. It answers ``status`` to the next one; a redirect points back at itself."""

    url: str
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Posted] = field(default_factory=list)


@contextmanager
def hook() -> Iterator[Hook]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.requests.append(Posted(headers={k.lower(): v for k, v in self.headers.items()}, body=body))
            self.send_response(seen.status)
            if seen.status // 100 == _REDIRECT:
                self.send_header("Location", f"{seen.url}/elsewhere")
            for name, value in seen.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    seen = Hook(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
