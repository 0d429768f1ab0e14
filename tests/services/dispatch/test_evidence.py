"""F29: the answer to a text was lost. Twilio's own list is the evidence; where it is silent, nothing is sent again."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import SMS, World, add_customers, names, queue

from outbound.channels.guard import Guarded
from outbound.channels.sms.twilio import TwilioAdapter, TwilioSettings
from outbound.domain.message import Lane
from outbound.services import evidence
from outbound.services.evidence import SCHEDULE, Sought
from outbound.storage import tables, timeline
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.twilio_double import TwilioDouble


@pytest.fixture
def twilio(tmp_path: Path) -> Iterator[TwilioDouble]:
    with TwilioDouble(tmp_path) as double:
        yield double


def texts(double: TwilioDouble) -> TwilioAdapter:
    return TwilioAdapter(
        TwilioSettings(
            account_sid=double.account_sid,
            auth_token=double.auth_token,
            from_number="+15005550006",
            api_base=double.api_base,
        )
    )


def rows(database: Database, table: sa.Table = tables.message) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all())


def send(database: Database, double: TwilioDouble, *customers: str, once: str = "k", now: datetime) -> None:
    """One text for each, by the real clock: the double dates what it takes by it."""
    moment = {"not_before": now, "expires": now + timedelta(days=5), "created_at": now}
    queue(database, "both", customers, channels="sms", once=once, **moment)
    dispatch(database, double, now=now)


def dispatch(database: Database, double: TwilioDouble, *, now: datetime) -> None:
    async def main() -> None:
        dispatcher = World(database=database, adapters={SMS: texts(double)}).dispatcher()
        while (await dispatcher.run_slice(Lane.EXPRESS, now=now)).claimed:
            pass
        await dispatcher.close()

    asyncio.run(main())


def seek(database: Database, adapter: Any, *, now: datetime, at_once: bool = False) -> Sought:
    async def main() -> Sought:
        found = await evidence.seek(database, [adapter], now=now, at_once=at_once)
        await adapter.close()
        return found

    return asyncio.run(main())


def states(database: Database) -> list[str]:
    return [row.state for row in rows(database)]


def test_f29_a_text_that_twilio_lists_was_sent_and_one_that_it_does_not_stays_unknown(
    database: Database, twilio: TwilioDouble
) -> None:
    now = datetime.now(UTC)
    add_customers(database, names(2))
    twilio.set_modes("sent=reset for 1$", "request=reset for 2$")
    send(database, twilio, "c0001", "c0002", now=now)
    assert states(database) == ["uncertain", "uncertain"]
    assert len(twilio.accepted()) == 1
    twilio.set_modes()
    assert seek(database, texts(twilio), now=now + timedelta(seconds=30)) == Sought(troubles={}), "too early"
    assert seek(database, texts(twilio), now=now + timedelta(seconds=90)) == Sought(asked=2, proved=1, troubles={})
    found = {row.customer_id: row for row in rows(database)}
    assert (found["c0001"].state, found["c0001"].detail) == ("sent", "listed by twilio")
    assert found["c0002"].state == "uncertain"
    [proved] = [leg for leg in rows(database, tables.leg) if leg.provider_ref]
    assert proved.provider_ref == twilio.accepted()[0].reference
    with database.read() as connection:
        said = [str(entry) for entry in timeline.page(connection, ["c0001"], limit=20)]
    assert any("found in the list of twilio" in entry for entry in said)
    dispatch(database, twilio, now=now + timedelta(hours=30))
    assert len(twilio.accepted()) == 1, "never sent again"
    assert check(database, twilio.accepted()) == ()


def test_each_is_asked_about_five_times_and_an_absence_counts_once(database: Database, twilio: TwilioDouble) -> None:
    now = datetime.now(UTC)
    add_customers(database, names(1))
    twilio.set_modes("request=reset")
    send(database, twilio, "c0001", now=now)
    twilio.set_modes()
    asked = []
    for minutes in (1, 2, 4, 5, 6, 30, 359, 360, 1439, 1440, 2000):
        moment = now + timedelta(minutes=minutes, seconds=30)
        asked += [minutes] * seek(database, texts(twilio), now=moment).asked
    assert asked == [1, 5, 30, 360, 1440]
    assert len(SCHEDULE) == len(asked)
    with database.write() as connection:
        connection.execute(tables.evidence_look.delete())
    assert seek(database, texts(twilio), now=now + timedelta(hours=7)).asked == 1
    assert seek(database, texts(twilio), now=now + timedelta(hours=7)).asked == 0, "four looks were due, one is enough"
    assert seek(database, texts(twilio), now=now + timedelta(hours=7), at_once=True).asked == 1, "an operator asks"


def test_the_same_words_to_the_same_number_are_not_taken_for_each_other(
    database: Database, twilio: TwilioDouble
) -> None:
    """A text that is known belongs to its own message; other words, another number and another hour prove nothing."""
    now = datetime.now(UTC)
    add_customers(database, names(1))
    send(database, twilio, "c0001", now=now)
    twilio.set_modes("request=reset")
    with database.write() as connection:
        connection.execute(tables.run.delete())
    send(database, twilio, "c0001", once="again", now=now)
    twilio.set_modes()
    assert sorted(states(database)) == ["sent", "uncertain"]
    later = now + timedelta(minutes=2)
    assert seek(database, texts(twilio), now=later) == Sought(asked=1, proved=0, troubles={})
    for change in ({"body_hash": "other"}, {"body_hash": rows(database)[0].body_hash}):
        with database.write() as connection:
            connection.execute(tables.leg.update().values(provider_ref=""))
            connection.execute(tables.message.update().where(tables.message.c.state == "uncertain").values(**change))
        proved = seek(database, texts(twilio), now=later, at_once=True).proved
        assert proved == (0 if change["body_hash"] == "other" else 1)


def test_a_provider_that_cannot_be_asked_costs_no_look(database: Database, twilio: TwilioDouble) -> None:
    now = datetime.now(UTC)
    add_customers(database, names(3))
    twilio.set_modes("sent=reset")
    send(database, twilio, *names(3), now=now)
    twilio.set_modes()
    later = now + timedelta(minutes=2)
    wrong = TwilioAdapter(
        TwilioSettings(account_sid=twilio.account_sid, auth_token="wrong", from_number="+1", api_base=twilio.api_base)
    )
    refused = seek(database, wrong, now=later)
    assert (refused.asked, refused.proved, list(refused.troubles)) == (0, 0, ["twilio"])
    assert "401" in refused.troubles["twilio"]
    assert seek(database, texts(twilio), now=later) == Sought(asked=3, proved=3, troubles={})


def test_what_the_safety_guard_diverted_is_looked_for_where_it_went(database: Database, twilio: TwilioDouble) -> None:
    now = datetime.now(UTC)
    add_customers(database, names(1))
    guarded = Guarded(texts(twilio), only_to=(), redirect_to="+393330000000")
    moment = {"not_before": now, "expires": now + timedelta(days=5), "created_at": now}
    queue(database, "both", ["c0001"], channels="sms", **moment)
    twilio.set_modes("sent=reset")

    async def main() -> None:
        dispatcher = World(database=database, adapters={SMS: guarded}).dispatcher()
        await dispatcher.run_slice(Lane.EXPRESS, now=now)
        await dispatcher.close()

    asyncio.run(main())
    twilio.set_modes()
    assert states(database) == ["uncertain"]
    again = Guarded(texts(twilio), only_to=(), redirect_to="+393330000000")
    assert seek(database, again, now=now + timedelta(minutes=2)).proved == 1
