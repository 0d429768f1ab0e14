"""The forecast: the real planner and gates on a scratch copy, without a write to the original and without a socket."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from planning_kit import KEYRING, NEWSLETTER, POLICY, add_customer, add_event, publish, rule_files, utc

from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.forecast import DayFigures, Forecast, RuleFigures
from outbound.services import forecast
from outbound.services.forecast import Account, Stretch
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.schema import migrate

ACCOUNTS = (
    Account(channel=ChannelName.EMAIL, name="smtp"),
    Account(channel=ChannelName.SMS, name="twilio"),
)
PUBLISHED = utc("2026-05-03 12:00")
"""After the letter of that Sunday, which nobody catches up on."""
MONDAY = utc("2026-05-04 06:00")
WEEK = Stretch(start=MONDAY, until=MONDAY + timedelta(days=7))

ORDER = """
rule: order
owner: ops@shop.example
topic: orders
when: {event: order.placed}
once: "{event.order_id}"
send: {template: order, channels: [email]}
"""
DAILY_CAP = POLICY + "\ncaps:\n  - {class: marketing, max: 1, per: day}\n"


@pytest.fixture
def shop(database_url: str) -> Iterator[Database]:
    """A migrated installation with a weekly letter and a receipt, two people with consent and one without."""
    database = Database(database_url)
    try:
        migrate(database)
        publish(database, rule_files(NEWSLETTER, ORDER), PUBLISHED)
        add_customer(database, "ada")
        add_customer(database, "ben", email=None, phone="+393401234567")
        add_customer(database, "cleo", consent=False)
        add_customer(database, "dan", email=None)
        yield database
    finally:
        database.close()


def lived(database: Database, stretch: Stretch = WEEK) -> Forecast:
    with forecast.copied(database.url.render_as_string(hide_password=False)) as scratch:
        active = forecast.adopt(scratch, None, now=stretch.start)
        assert not isinstance(active, tuple)
        return forecast.forecast(scratch, active, stretch, accounts=ACCOUNTS, keyring=KEYRING)


def rule(found: Forecast, name: str) -> RuleFigures:
    return next(one for one in found.rules if one.rule == name)


def test_a_week_is_told_by_rule_day_hour_and_person_on_both_databases(shop: Database) -> None:
    add_event(shop, "o1", "order.placed", "ada", {"order_id": "A1", "total": 10}, MONDAY)
    found = lived(shop)
    news = rule(found, "news")
    assert (news.entered, news.sent, news.skipped, news.waiting) == (4, 2, 2, 0)
    assert news.skipped_by == {"consent.newsletter": 1, "unreachable.no_email": 1}
    assert news.cost == 400 + 2 * 70_000  # with the way to say STOP it takes two segments
    assert (rule(found, "order").sent, rule(found, "order").cost) == (1, 400)
    sunday = utc("2026-05-10 00:00").date()
    assert found.days == (
        DayFigures(day=MONDAY.date(), channel="email", messages=1, cost=400),
        DayFigures(day=sunday, channel="email", messages=1, cost=400),
        DayFigures(day=sunday, channel="sms", messages=1, cost=140_000),
    )
    assert [(one.hour.isoformat(), one.messages) for one in found.hours] == [
        ("2026-05-04T08:00:00+02:00", 1),
        ("2026-05-10T10:00:00+02:00", 2),
    ]
    assert found.people == {0: 2, 1: 1, 2: 1}
    assert found.most == (("ada", 2), ("ben", 1))
    assert (found.sent, found.cost, found.currency, found.zone) == (3, 140_800, "EUR", "Europe/Rome")


def test_it_leaves_the_original_as_it_is(shop: Database) -> None:
    def everything() -> dict[str, list[sa.Row[tuple[object, ...]]]]:
        with shop.read() as connection:
            return {t.name: list(connection.execute(sa.select(t))) for t in tables.metadata.sorted_tables}

    before = everything()
    assert lived(shop).sent == 2
    assert everything() == before


def test_a_rule_that_decides_about_nobody_says_why(shop: Database) -> None:
    grown = NEWSLETTER.replace("rule: news", "rule: grown").replace("catch_up", "who: customer.points > 5\ncatch_up")
    yearly = NEWSLETTER.replace("rule: news", "rule: yearly").replace(
        "FREQ=WEEKLY;BYDAY=SU", "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=1"
    )
    call = ORDER.replace("rule: order", "rule: call").replace("event: order.placed", "script: {}")
    call = call.replace('once: "{event.order_id}"\n', "").replace("template: order", "template: plain")
    publish(shop, rule_files(grown, yearly, call, ORDER), PUBLISHED)
    silences = {one.rule: one.silence for one in lived(shop).rules}
    assert silences == {
        "grown": "0 of 4 match: who[0] keeps out 4 (customer.points > 5)",
        "yearly": "no slot falls into these days",
        "call": "only `outbound send` starts it",
        "order": "no event order.placed happened",
    }


def test_a_cap_holds_here_as_it_will(shop: Database) -> None:
    one, two = (NEWSLETTER.replace("rule: news", f"rule: {name}").replace("=SU", "=TU") for name in ("one", "two"))
    publish(shop, {**rule_files(one, two), "rules/policy.yaml": DAILY_CAP.encode()}, PUBLISHED)
    found = lived(shop)
    assert (rule(found, "one").sent, rule(found, "two").sent) == (2, 2)
    assert rule(found, "one").held == 0
    assert rule(found, "two").held_by == {"cap.marketing.day": 2}
    assert [one.day.day for one in found.days] == [5, 5, 6, 6]


def test_files_that_do_not_pass_the_check_are_answered_as_problems(shop: Database) -> None:
    files = rule_files(NEWSLETTER.replace("topic: newsletter", "topic: newsleter"))
    with forecast.copied(shop.url.render_as_string(hide_password=False)) as scratch:
        answer = forecast.adopt(scratch, files, now=MONDAY)
    assert isinstance(answer, tuple)
    assert "newsleter" in answer[0].message


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(OutboundError) as caught, forecast.copied(f"sqlite:///{tmp_path / 'none.db'}"):
        pass
    assert caught.value.code == "database.missing"
    assert list(tmp_path.iterdir()) == []


def test_a_file_and_folder_nobody_may_write_to_are_enough() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "locked"
        folder.mkdir()
        file = folder / "outbound.db"
        database = Database(f"sqlite:///{file}")
        migrate(database)
        publish(database, rule_files(NEWSLETTER), PUBLISHED)
        add_customer(database, "ada")
        database.close()
        lived(database)  # loads whatever is loaded late, before it may no longer be read
        before = (file.read_bytes(), file.stat().st_mtime_ns, sorted(folder.iterdir()))
        Path(name).chmod(0o755)
        file.chmod(0o444)
        folder.chmod(0o555)
        with _as_nobody():
            with pytest.raises(PermissionError):
                file.open("ab")
            assert lived(database).sent == 1
        assert (file.read_bytes(), file.stat().st_mtime_ns, sorted(folder.iterdir())) == before


def test_a_copy_sees_what_a_running_daemon_has_not_yet_moved_out_of_its_log(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'outbound.db'}")
    try:
        migrate(database)
        publish(database, rule_files(NEWSLETTER), PUBLISHED)
        with database.read() as held_open:
            held_open.execute(sa.select(tables.customer)).all()
            add_customer(database, "ada")
            assert (tmp_path / "outbound.db-wal").stat().st_size > 0
            assert lived(database).sent == 1
    finally:
        database.close()


def test_no_socket_is_made(shop: Database) -> None:
    url = shop.url.render_as_string(hide_password=False)
    with forecast.copied(url) as scratch:  # PostgreSQL itself is asked over a socket, and only here
        active = forecast.adopt(scratch, None, now=MONDAY)
        assert not isinstance(active, tuple)
        with _guarded() as made:
            found = forecast.forecast(scratch, active, WEEK, accounts=ACCOUNTS, keyring=KEYRING)
    assert found.sent == 2
    assert made == []


def test_an_interrupt_leaves_nothing_behind(shop: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupted(_now: datetime) -> None:
        assert [path.name[:17] for path in tmp_path.iterdir() if path.is_dir()] == ["outbound-scratch-"]
        raise KeyboardInterrupt

    def interrupt() -> None:
        with forecast.copied(shop.url.render_as_string(hide_password=False)) as scratch:
            active = forecast.adopt(scratch, None, now=MONDAY)
            assert not isinstance(active, tuple)
            forecast.forecast(scratch, active, WEEK, accounts=ACCOUNTS, keyring=KEYRING, progress=interrupted)

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Without the rights of root, to whom no file is read-only."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


_seen: list[list[str]] = []


def _listen(event: str, _arguments: tuple[object, ...]) -> None:
    if event.startswith("socket."):
        for made in _seen:
            made.append(event)


@contextmanager
def _guarded() -> Iterator[list[str]]:
    """Every use of a socket while the block runs. Python never forgets an audit hook: it is one, and idle between."""
    if not _seen and not hasattr(sys, "_outbound_forecast_hook"):
        sys.addaudithook(_listen)
        sys._outbound_forecast_hook = True  # type: ignore[attr-defined]
    made: list[str] = []
    _seen.append(made)
    try:
        yield made
    finally:
        _seen.remove(made)
