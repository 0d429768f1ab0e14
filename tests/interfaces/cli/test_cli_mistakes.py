"""No command ever shows a traceback for an operator's mistake, and none says more than it may."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from trial_shop import Shop, outbound, until

from outbound.interfaces.cli.mistakes import explain
from outbound.services import presence

CANARY = "ada.canary@example.org"


def test_a_database_that_does_not_answer_is_one_line_without_the_password(shop: Shop) -> None:
    shop.secrets(OUTBOUND_DATABASE_URL="postgresql://me:s3cret-canary@127.0.0.1:1/none")
    answer = shop.run("status", status=1)
    assert answer.err.startswith("outbound: the database: ")
    assert "[database.unavailable]" in answer.err
    assert "canary" not in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "outbound: the database URL cannot be read [database.url]"),
        ("mysql://me@host/name", "outbound: database must be sqlite or postgresql, not mysql"),
        ("sqlite:///rules/rules.yaml", "outbound: the file is not a database of ours [database.foreign]"),
        ("sqlite:////proc/nope/outbound.db", "outbound: /proc/nope: No such file or directory [system]"),
        ("sqlite:///empty.db", "outbound: the database is empty, needed is "),
    ],
)
def test_a_wrong_database_url_is_one_line(shop: Shop, url: str, sentence: str) -> None:
    shop.secrets(OUTBOUND_DATABASE_URL=url)
    answer = shop.run("status", status=1)
    assert answer.err.startswith(sentence)
    assert answer.err.count("\n") == 1


def test_a_database_of_a_newer_version_is_left_alone(shop: Shop) -> None:
    with shop.database() as database, database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert "[schema.newer]" in shop.run("migrate", status=1).err


def test_a_full_or_read_only_disk_is_one_line(shop: Shop) -> None:
    with shop.database() as database, database.write() as connection:
        pages = connection.execute(sa.text("PRAGMA page_count")).scalar_one()
    error = sa.exc.OperationalError("INSERT", {"email": CANARY}, Exception("database or disk is full"))
    assert pages
    assert explain(error).startswith("the database: database or disk is full [database.unavailable]")
    assert CANARY not in explain(error)


def test_a_surprise_is_one_line_with_a_code_and_never_quotes_values() -> None:
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        line = explain(error)
    assert line.startswith("this should not have happened: ValueError")
    assert "[internal]" in line
    assert "OUTBOUND_TRACEBACK=1" in line
    assert CANARY not in line


def test_a_surprise_names_the_line_of_ours_where_it_happened(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("outbound.services.status.overview.daemons", broken)
    answer = shop.run("status", status=1)
    assert answer.err.startswith(
        "outbound: this should not have happened: ZeroDivisionError in outbound/services/status.py:"
    )
    monkeypatch.setenv("OUTBOUND_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        shop.run("status")


def test_a_closed_pipe_ends_quietly(shop: Shop) -> None:
    """``outbound report --json | head -1`` is no error."""
    shop.run("send", "letter", "--key", "k", "--customer", "ada")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "outbound", "-w", str(shop.folder), "report", "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1


def test_text_that_the_terminal_cannot_show_does_not_stop_the_answer(shop: Shop) -> None:
    shop.write("rules/più.yaml", "rule: [\n")
    command = [sys.executable, "-m", "outbound", "-w", str(shop.folder), "check", "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 1
    assert b"pi\\xf9.yaml" in done.stdout


def test_ctrl_c_is_no_traceback(shop: Shop) -> None:
    """Interrupted while it waits for a daemon that looks alive."""
    with shop.database() as database:
        presence.started(database, now=datetime.now(UTC))
    with shop.start("send", "letter", "--key", "k", "--customer", "ada", "--wait", fresh=True) as running:
        until(lambda: shop.states().get("ready"), "the message to be planned")
        running.signal(signal.SIGINT)
        assert running.ended() == 1, running.err
        assert running.err == "outbound: interrupted\n"


def test_who_has_no_login_name_is_named_by_number(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a bare user id."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    shop.write(
        "rules/extra.yaml",
        "rule: extra\nowner: a@shop.example\ntopic: orders\nwhen: {script: {}}\n"
        'once: "{key}"\nsend: {template: letter, channels: [email]}\n',
    )
    shop.run("apply")
    assert f"by uid {os.getuid()}" in shop.run("status").out


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    answer = outbound("init", str(tmp_path / "file"), "--rules", "/nope", status=1)
    assert answer.err == "outbound: there is no folder /nope [init.folder] -> name it as seen from the workspace\n"
    (tmp_path / "file").write_text("x")
    answer = outbound("init", str(tmp_path / "file"), status=1)
    assert answer.err.startswith(f"outbound: {tmp_path / 'file'}: File exists [system]")
