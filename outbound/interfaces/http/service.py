"""The site on its port, as the settings say."""

from collections.abc import Callable
from datetime import datetime

from outbound.app import App
from outbound.interfaces.http.api.application import create as create_api
from outbound.interfaces.http.api.context import WAIT_SECONDS, Api, Limits
from outbound.interfaces.http.application import Site, create
from outbound.runtime.hints import carry
from outbound.runtime.serving import Listener
from outbound.storage.database import Database

_KILOBYTE = 1024


def listen(app: App, *, now: Callable[[], datetime], host: str = "", port: int | None = None) -> Listener:
    """Take the port; ``host`` and ``port`` win over ``[server]``. Raises OutboundError ``server.port``.

    What the API answers must be durable: raises ConfigurationError where the database does not keep that promise.
    """
    app.database.require_durable()
    server = app.settings.server
    site = Site(database=app.database, links=app.links, now=now, settings=app.settings, webhooks=app.webhooks())
    return Listener(
        create(site, api=create_api(_api(app, now))),
        host or server.host,
        server.port if port is None else port,
        trusted_proxies=server.trusted_proxies,
    )


def _api(app: App, now: Callable[[], datetime]) -> Api:
    """The API with connections of its own: however busy it is, the daemon and the pages have theirs."""
    section = app.settings.api
    limits = Limits(rate=section.per_second, body=section.body * _KILOBYTE, bulk=section.bulk * _KILOBYTE)
    database = carry(Database(app.settings.database_url, wait=WAIT_SECONDS))
    return Api(database, app.links.keyring, limits=limits, now=now)
