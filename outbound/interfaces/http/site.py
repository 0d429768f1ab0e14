"""What every route works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from outbound.channels.webhooks.base import Webhook
from outbound.config import Settings
from outbound.services.links import LinkMaker
from outbound.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The installation as its routes see it. ``now`` reads its clock."""

    database: Database
    links: LinkMaker
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    settings: Settings = field(default_factory=Settings)
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
