"""kill -9 between the receipt of a webhook, its answer and its effect: none is lost, none counts twice (F63)."""

import hmac
import http.client
import json
import time
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from trial_shop import Shop, until

from outbound.services.dispatch import points
from outbound.storage import tables

SETTINGS = 'environment = "test"\n[server]\nport = 0\n[inbound]\nwebhooks = ["mailgun"]\n'


def complaint() -> bytes:
    stamp, token = str(int(time.time())), "t" * 50
    signature = hmac.digest(b"key", (stamp + token).encode(), "sha256").hex()
    event = {"event": "complained", "recipient": "ada@example.org", "id": "e1", "timestamp": 1_700_000_000}
    block = {"timestamp": stamp, "token": token, "signature": signature}
    return json.dumps({"signature": block, "event-data": event}).encode()


def post(url: str) -> int:
    """The status of the answer; 0 where the connection broke without one."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("POST", "/webhooks/mailgun", complaint(), {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (http.client.HTTPException, ConnectionError):
        return 0
    finally:
        connection.close()


def processed(shop: Shop) -> int:
    done = sa.select(sa.func.count()).where(tables.inbox_event.c.processed_at.is_not(None))
    with shop.database() as database, database.read() as connection:
        return int(connection.execute(done).scalar_one())


@pytest.mark.parametrize("point", points.INBOX)
def test_f63_no_webhook_is_lost_and_none_counts_twice(shop: Shop, point: str) -> None:
    """A provider repeats what was not answered; what was answered is there after the restart."""
    shop.settings(SETTINGS)
    shop.secrets(OUTBOUND_MAILGUN_KEYS="key")
    with shop.start("run", environ={points.VARIABLE: point}, fresh=True) as daemon:
        status = post(daemon.ready())
        assert daemon.ended() == -9
    assert (status == 204) == (point == "inbox.worked")
    with shop.start("run") as daemon:
        url = daemon.ready()
        if status != 204:
            assert post(url) == 204
        until(lambda: processed(shop), "the webhook was worked on")
        assert daemon.stop() == 0
    with shop.database() as database, database.read() as connection:
        kept = connection.execute(sa.select(tables.inbox_event.c.processed_at)).all()
        blocks = connection.execute(sa.select(tables.suppression.c.reason)).scalars().all()
        news = connection.execute(sa.select(tables.delivery_event.c.kind)).scalars().all()
    assert len(kept) == 1
    assert (list(blocks), list(news)) == (["complaint"], ["complained"])
