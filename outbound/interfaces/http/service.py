"""The site on its port, as the settings say."""

from collections.abc import Callable
from datetime import datetime

from outbound.app import App
from outbound.interfaces.http.application import Site, create
from outbound.runtime.serving import Listener


def listen(app: App, *, now: Callable[[], datetime], host: str = "", port: int | None = None) -> Listener:
    """Take the port; ``host`` and ``port`` win over ``[server]``. Raises OutboundError ``server.port``."""
    server = app.settings.server
    site = Site(database=app.database, links=app.links, now=now, settings=app.settings)
    return Listener(
        create(site),
        host or server.host,
        server.port if port is None else port,
        trusted_proxies=server.trusted_proxies,
    )
