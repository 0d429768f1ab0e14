"""Where the API and the pages part: one port, and for each of them its own limits and its own errors."""

from collections.abc import MutableMapping
from typing import Any

from outbound.interfaces.http.answers import Receive, Send
from outbound.interfaces.http.api.application import PREFIX
from outbound.interfaces.http.limits import Asgi


class Entrance:
    """Passes on what is below ``/api/v1``, and everything else."""

    def __init__(self, pages: Asgi, api: Asgi) -> None:
        self._pages = pages
        self._api = api

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/"):
            scope["outbound.group"] = "api"
            await self._api(scope, receive, send)
        else:
            await self._pages(scope, receive, send)
