"""run on a virtual clock, serve, status, report, bench."""

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from trial_shop import Shop, get, outbound, until

from outbound.services import presence
from outbound.storage import tables

HOURS = ("run", "--at", "2026-11-24T08:00Z", "--until", "2026-11-24T09:00Z")


def test_hours_on_a_virtual_clock_send_what_is_due_and_show_where(shop: Shop) -> None:
    shop.run("--at", "2026-11-24T08:00Z", "send", "letter", "--key", "k", "--customer", "ada")
    answer = shop.run(*HOURS)
    index = shop.folder / "mailbox" / "index.html"
    assert answer.out.endswith(f"Look through the messages: {index}\n")
    assert index.is_file()
    again = shop.run(*HOURS, "--json").json
    assert (again["index"], again["report"]["claimed"]) == (str(index), 0)
    assert shop.run("status", "--json").json["sent"] == {"email": 1}


def test_the_global_time_starts_the_virtual_clock_as_well(shop: Shop) -> None:
    answer = shop.run("--at", "2026-11-24T08:00Z", "run", "--until", "2026-11-24T09:00Z")
    assert answer.out.startswith("Ran from 2026-11-24 08:00 to 2026-11-24 09:00 UTC")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ("run --at 2026-11-24T08:00Z", 64, "outbound: --at and --until go together"),
        ("--at 2026-11-24T08:00Z run", 64, "outbound: --at and --until go together"),
        ("run --until 2026-11-24T08:00Z", 64, "outbound: --at and --until go together"),
        ("run --json", 64, "outbound: --json is for --at and --until"),
        ("run --at 2026-11-24T08:00Z --until 2026-11-23T08:00Z", 1, "outbound: --until is not after --at [time.order]"),
        ("report nope", 1, "outbound: 'nope' is no run [run.unknown] -> `outbound report` lists the runs"),
        ("serve --host 192.0.2.1", 1, "outbound: port 8025 of 192.0.2.1 cannot be listened on: "),
    ],
)
def test_what_cannot_run_is_one_line(shop: Shop, words: str, status: int, sentence: str) -> None:
    shop.settings("")
    answer = shop.run(*words.split(), status=status)
    assert answer.err.startswith(sentence)
    assert answer.err.count("\n") == 1


def test_a_virtual_clock_is_refused_where_a_real_person_could_be_reached(shop: Shop) -> None:
    shop.settings('[sms]\nadapter = "twilio"\n')
    assert "[clock.refused]" in shop.run(*HOURS, status=1).err


def test_serve_answers_until_a_signal_and_a_second_one_hears_that_the_port_is_taken(shop: Shop) -> None:
    with shop.start("serve", "--port", "0", fresh=True) as running:
        where = until(lambda: running.err.partition("serving on ")[2].partition(" ")[0], "the server")
        assert get(f"{where}/ready") == (200, '{"status":"ready","health":"green"}')
        port = where.rpartition(":")[2]
        taken = shop.run("serve", "--port", port, status=1)
        assert taken.err.startswith(f"outbound: port {port} of 127.0.0.1 is in use [server.port] -> write another port")
        assert "--no-http" in taken.err
        running.signal(signal.SIGTERM)
        assert running.ended() == 0, running.err


def test_status_tells_whether_a_daemon_lives(shop: Shop) -> None:
    assert shop.run("status").out.startswith("no daemon is running -> outbound run\n")
    now = datetime.now(UTC)
    with shop.database() as database:
        daemon_id = presence.started(database, now=now)
    assert shop.run("status").out.startswith("daemon up since ")
    with shop.database() as database:
        presence.seen(database, daemon_id, now=now - timedelta(minutes=5))
    shown = shop.run("status").out
    assert f"not seen since {now - timedelta(minutes=5):%Y-%m-%d %H:%M} UTC" in shown
    assert "no daemon is running" in shown
    with shop.database() as database:
        presence.started(database, now=now + timedelta(seconds=1))
    assert "not seen since" not in shop.run("status").out, "another on this host has taken its place"


def test_status_names_every_worker_where_it_runs_and_what_it_holds(shop: Shop) -> None:
    """A worker that died is missed although another one runs on the same host."""
    now = datetime.now(UTC)
    shop.run("send", "letter", "--key", "k", "--customer", "ada", "--customer", "ben")
    with shop.database() as database:
        other = presence.started(database, now=now - timedelta(hours=1), role=presence.Role.WORKER, worker="w1")
        presence.seen(database, other, now=now)
        dead = presence.started(database, now=now - timedelta(hours=2), role=presence.Role.WORKER, worker="w2")
        presence.seen(database, dead, now=now + timedelta(seconds=1))
        with database.write() as connection:
            connection.execute(tables.message.update().values(state="claimed", worker="w2"))
    shown = shop.run("status").out
    assert shown.startswith("worker up since ")
    assert f"(pid {os.getpid()}), seen {now + timedelta(seconds=1):%H:%M:%S}, holds 2\n" in shown
    assert "! only workers are running: nothing is planned -> outbound run\n" in shown
    assert [(one["role"], one["holds"]) for one in shop.run("status", "--json").json["daemons"]] == [
        ("worker", 0),
        ("worker", 2),
    ]
    with shop.database() as database:
        presence.seen(database, dead, now=now - timedelta(minutes=2))
    assert "! worker on " in shop.run("status").out
    with shop.database() as database:
        presence.started(database, now=now, role=presence.Role.WORKER)
    assert "! worker on " not in shop.run("status").out


@pytest.mark.parametrize("words", [("worker",), ("run", "--workers", "2")])
def test_several_processes_need_postgresql(shop: Shop, words: tuple[str, ...]) -> None:
    refused = shop.run(*words, status=1).err
    assert "several processes need PostgreSQL; this is SQLite [fleet.sqlite] -> " in refused


def test_status_counts_what_waits(shop: Shop) -> None:
    shop.run("send", "letter", "--key", "k", "--customer", "ada", "--customer", "ben")
    assert "queue 2" in shop.run("status").out
    answer = shop.run("status", "--json").json
    assert (answer["states"], answer["counts"]["customer"]) == ({"ready": 2}, 2)


def test_report_balances_and_finds_a_run_by_its_name_or_the_beginning_of_its_id(shop: Shop) -> None:
    shop.run("send", "letter", "--key", "k1", "--customer", "ada", "--customer", "ben")
    shop.run("send", "notice", "--key", "k2", "--customer", "ada", "--data", "what=x")
    shop.run(*HOURS)
    whole = shop.run("report").out
    assert {"run", "planned", "skipped", "messages", "sent", "waiting", "other"} <= set(whole.splitlines()[0].split())
    assert whole.endswith(": holds\n")
    by_name = shop.run("report", "letter/k1", "--json").json
    assert [run["slot"] for run in by_name["runs"]] == ["k1"]
    assert by_name["total"]["candidates"] == 2
    assert shop.run("report", by_name["runs"][0]["id"][:20], "--json").json == by_name
    assert len(shop.run("report", "--rule", "notice", "--json").json["runs"]) == 1
    assert "means several runs" in shop.run("report", by_name["runs"][0]["id"][:1], status=1).err


def test_a_bench_prints_its_figure() -> None:
    figure = outbound("bench", "cli_start", "--quick", "--json").json[0]
    assert (figure["name"], figure["unit"], figure["bar"]) == ("cli_start", "ms", "<= 250 ms")
    assert figure["value"] > figure["limit"] > 0
