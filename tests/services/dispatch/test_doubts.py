"""What an unknown outcome, a repeated commit and a foreign lock must not lead to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, SMS, World, add_customers, names, queue
from sqlalchemy.engine import Connection

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.channels.sms.twilio import TwilioAdapter, TwilioSettings
from outbound.domain.message import Lane
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.switches import Switch, turn_on
from outbound.testing.checker import check
from outbound.testing.postgres import empty_database
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


@pytest.fixture
def twilio(tmp_path: Path) -> Iterator[TwilioDouble]:
    with TwilioDouble(tmp_path) as double:
        yield double


def smtp(server: SmtpServer) -> SmtpAdapter:
    return SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))


def texts(double: TwilioDouble) -> TwilioAdapter:
    return TwilioAdapter(
        TwilioSettings(
            account_sid=double.account_sid,
            auth_token=double.auth_token,
            from_number="+15005550006",
            api_base=double.api_base,
        )
    )


def dispatch(world: World, *, at: timedelta = timedelta()) -> None:
    async def main() -> None:
        dispatcher = world.dispatcher()
        for lane in Lane:
            while (await dispatcher.run_slice(lane, now=NOW + at)).claimed:
                pass
        await dispatcher.close()

    asyncio.run(main())


def rows(database: Database, table: sa.Table = tables.message) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


def test_f35_no_other_provider_takes_over_what_may_have_arrived(
    database: Database, server: SmtpServer, twilio: TwilioDouble
) -> None:
    """F35: the mail server has the message and says nothing; SMS is next in the waterfall and must stay silent.

    Neither a later pass, nor the pause of the mail channel, nor the class that is sent again after an unknown outcome
    opens another channel before the first one is settled.
    """
    add_customers(database, names(2))
    queue(database, "both", ["c0001"])
    queue(database, "code", ["c0002"], channels="email,sms")
    server.set_modes("sent=close kept")

    def world() -> World:
        return World(database=database, adapters={EMAIL: smtp(server), SMS: texts(twilio)})

    dispatch(world())
    server.set_modes("down")
    for hours in (1, 5, 9):
        dispatch(world(), at=timedelta(hours=hours))
    with database.write() as connection:
        turn_on(connection, Switch(key="channel:email", reason="outage"))
    for hours in (13, 20):
        dispatch(world(), at=timedelta(hours=hours))
    assert twilio.accepted() == []
    assert [one.channel for one in rows(database, tables.leg)] == ["email", "email"]
    found = {one.customer_id: one.state for one in rows(database)}
    assert found["c0001"] == "uncertain"
    assert found["c0002"] in {"uncertain", "ready", "scheduled"}, "a code may be tried again, by e-mail alone"
    assert len(server.accepted()) == 2
    assert check(database, server.accepted()) == ()


class Forgetful(Database):
    """A commit whose answer is lost: it happened, and whoever asked is told that it failed."""

    lose = 0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            yield connection
        if self.lose:
            self.lose -= 1
            raise sa.exc.OperationalError("COMMIT", {}, OSError("the connection was lost"))


def test_f08_a_result_that_was_committed_is_written_again_and_counts_once(
    database_url: str, server: SmtpServer
) -> None:
    """F08: the writer is told that its commit failed and repeats it: one send, one price, one state."""
    database = Forgetful(database_url)
    tables.metadata.create_all(database.engine)
    add_customers(database, names(3))
    queue(database, "receipt", names(3))
    real = server.accepted

    class Losing(SmtpAdapter):
        async def deliver(self, parcel: Any, handover: Any) -> Any:
            outcome = await super().deliver(parcel, handover)
            database.lose = 2  # the group's commit, and the first try alone
            return outcome

    dispatch(
        World(
            database=database, adapters={EMAIL: Losing(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))}
        )
    )
    assert database.lose < 2, "nothing was lost: the test proved nothing"
    database.lose = 0
    dispatch(World(database=database, adapters={EMAIL: smtp(server)}), at=timedelta(hours=5))
    found = rows(database)
    assert [one.state for one in found] == ["sent"] * 3
    assert len(real()) == 3
    assert [one.outcome for one in rows(database, tables.attempt)].count("accepted") == 3
    assert check(database, real()) == ()
    database.close()


def test_f41_a_transaction_that_stands_idle_holds_up_its_own_message_only(
    postgres_database: Database, server: SmtpServer
) -> None:
    """F41: somebody looks at a row `FOR UPDATE` in psql and goes for lunch."""
    database = postgres_database
    add_customers(database, names(20))
    queue(database, "receipt", names(20))
    other = Database(database.url.render_as_string(hide_password=False))
    with other.engine.connect() as lunch:
        held = sa.select(tables.message.c.id).where(tables.message.c.customer_id == "c0007").with_for_update()
        lunch.execute(held).all()
        dispatch(World(database=database, adapters={EMAIL: smtp(server)}))
        assert {one.customer_id for one in rows(database) if one.state == "ready"} == {"c0007"}
        assert len(server.accepted()) == 19
    dispatch(World(database=database, adapters={EMAIL: smtp(server)}))
    assert {one.state for one in rows(database)} == {"sent"}
    assert check(database, server.accepted()) == ()
    other.close()


@pytest.fixture
def postgres_database(postgres_server: str) -> Iterator[Database]:
    with empty_database(postgres_server) as url:
        database = Database(url)
        tables.metadata.create_all(database.engine)
        yield database
        database.close()
