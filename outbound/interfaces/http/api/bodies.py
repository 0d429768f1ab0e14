"""How much a request may carry: counted as it streams in, and refused before it fills the memory."""

from tempfile import SpooledTemporaryFile
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BULK: Final = "/events/bulk"
_IN_MEMORY: Final = 1024 * 1024


class Bounded:
    """An application whose requests may carry ``most`` bytes, those of bulk addresses ``bulk``, all uncompressed."""

    def __init__(self, app: ASGIApp, *, most: int, bulk: int) -> None:
        self._app = app
        self._most = most
        self._bulk = bulk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counting ``receive``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._bulk if scope["path"].endswith(BULK) else self._most
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        compressed = headers.get(b"content-encoding", b"identity").lower() != b"identity"
        refusal: HTTPException | None = None
        if compressed:
            refusal = HTTPException(415, "a compressed body is not taken")
        elif not declared.isdigit() or int(declared) > most:
            refusal = _too_large(most)
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            if refusal is not None:
                raise refusal
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)


async def spooled(request: Request) -> SpooledTemporaryFile[bytes]:
    """The whole body in a file that is in memory while it is small. A body that breaks off leaves nothing.

    The caller closes it.
    """
    file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller reads and closes it
    try:
        async for part in request.stream():
            file.write(part)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"the body is longer than {most:,} bytes")
