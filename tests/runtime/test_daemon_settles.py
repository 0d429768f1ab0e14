"""What a daemon does before its first message: it plans what came in, and after a long absence lets more arrive."""

from datetime import UTC, datetime

import sqlalchemy as sa
from test_daemon_ends import NO_HTTP, planned
from trial_shop import Shop, until

from outbound.storage.tables import daemon, event
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

LONG_AGO = datetime(2026, 11, 1, 8, tzinfo=UTC)


def last_seen_long_ago(shop: Shop) -> None:
    """What a weekend does to the row of a daemon that was switched off."""
    with shop.database() as database, database.write() as connection:
        assert connection.execute(sa.update(daemon).values(seen_at=LONG_AGO)).rowcount


def settled(shop: Shop) -> bool:
    """Whether every event was shown to the rules."""
    with shop.database() as database, database.read() as connection:
        waiting = sa.select(sa.func.count()).select_from(event).where(event.c.handled_at.is_(None))
        return connection.execute(waiting).scalar() == 0


def test_after_a_long_absence_it_receives_and_plans_and_sends_nothing_yet(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """An event from meanwhile is planned; a signal ends the waiting at once; then a short absence waits for nothing."""
    planned(shop, smtp, twilio, 2, more="[dispatch]\nsettle = 3600")
    with shop.start(*NO_HTTP) as started:
        until(lambda: shop.states() == {"sent": 2}, "the letters: a first start has been away from nothing")
        assert started.stop() == 0
        assert "settling" not in started.err
    last_seen_long_ago(shop)
    shop.run("event", "order.placed", "c000", "--data", "order_id=A1")
    with shop.start(*NO_HTTP) as started:
        line = started.event("settling before the first message")
        assert (line["seconds"], line["away"] > 600) == (3600, True)
        until(lambda: settled(shop), "the event to be planned")
        until(lambda: shop.states() == {"sent": 2, "ready": 1}, "its message, which waits")
        assert started.stop() == 0
    assert len(smtp.accepted()) == 2
    with shop.start(*NO_HTTP) as started:
        until(lambda: shop.states() == {"sent": 3}, "the message: the absence was short")
        assert started.stop() == 0
        assert "settling" not in started.err


def test_it_sends_when_it_has_settled(shop: Shop, smtp: SmtpServer, twilio: TwilioDouble) -> None:
    planned(shop, smtp, twilio, 1, more="[dispatch]\nsettle = 0.3")
    with shop.start(*NO_HTTP) as started:
        until(lambda: shop.states() == {"sent": 1}, "the letter")
        assert started.stop() == 0
    last_seen_long_ago(shop)
    shop.run("send", "letter", "--key", "second", "--customer", "c000")
    with shop.start(*NO_HTTP) as started:
        started.event("settling before the first message")
        until(lambda: shop.states() == {"sent": 2}, "the second letter")
        assert started.stop() == 0
