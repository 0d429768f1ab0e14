"""A daemon at work: told of things by other processes, it delivers to real servers and answers HTTP."""

import re
from collections import Counter
from pathlib import Path

from trial_shop import Shop, get, outbound, real_adapters, until

from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


def test_a_day_of_a_daemon(either_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble) -> None:
    """One scenario, because starting a daemon is what takes the time: each paragraph proves its own promise."""
    shop = either_shop
    real_adapters(shop, smtp, twilio, more="[dispatch]\ntick = 0.2\n")
    shop.customers(["ada", "ben"])
    shop.customers(["tel"], phones=True)
    with shop.start("run", fresh=True) as daemon:
        site = daemon.ready()
        assert shop.run("status").out.startswith("daemon up since ")
        assert get(f"{site}/ready")[0] == 200

        # An event told on the command line becomes a mail within seconds.
        shop.run("event", "order.placed", "ada", "--data", "order_id=A1")
        until(smtp.accepted, "the receipt", seconds=30)
        assert [entry.recipient for entry in smtp.accepted()] == ["ada@example.org"]

        # `send --wait` ends when the messages have, on either channel.
        words = ("send", "notice", "--key", "k1", "--data", "what=boots", "--wait", "--json")
        sent = shop.run(*words, "--customer", "tel", "--customer", "ben").json
        assert sent["run"]["equation"]["states"] == {"sent": 2}
        assert [entry.recipient for entry in twilio.accepted()] == ["+393401000000"]

        # Unsubscribing on the served page stops the next letter; looking at the page does not.
        shop.run("send", "letter", "--key", "march", "--customer", "ada", "--customer", "ben", "--wait")
        letter = next(
            text for text in map(plain, smtp.messages()) if "To: ada@" in text and "List-Unsubscribe:" in text
        )
        link = re.search(r"/u/[\w.-]+", letter)
        assert link is not None
        status, page = get(site + link[0])
        assert (status, "The monthly letter" in page) == (200, True)
        shop.run("send", "letter", "--key", "april", "--customer", "ada", "--wait")
        assert get(site + link[0], form=b"List-Unsubscribe=One-Click")[0] == 200
        stopped = shop.run("send", "letter", "--key", "may", "--customer", "ada", "--customer", "ben", "--json").json
        assert stopped["send"]["counts"]["skipped_by"] == {"consent": 1}
        shop.run("send", "letter", "--key", "may", "--customer", "ada", "--customer", "ben", "--wait")

        # SIGTERM ends it in order, and the record agrees with what the servers took.
        assert daemon.stop() == 0, daemon.err
    assert shop.run("status").out.startswith("no daemon is running")
    assert len(smtp.accepted()) == 6
    with shop.database() as database:
        assert check(database, [*smtp.accepted(), *twilio.accepted()]) == ()

    # Its log is JSON lines without an address or a secret.
    assert [line["event"] for line in daemon.lines()] == ["daemon started", "draining", "daemon stopped"]
    for canary in ("example.org", "+39340", twilio.auth_token, "5a5a5a"):
        assert canary not in daemon.err


def plain(message: bytes) -> str:
    """A mail with its headers unfolded."""
    return message.decode().replace("\r\n ", " ")


def test_a_failing_database_is_logged_without_values_and_outlived(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """The table it plans into is away for a while; nothing that was recorded meanwhile is lost."""
    real_adapters(shop, smtp, twilio, more="[dispatch]\ntick = 0.1\n")
    shop.customers(["ada"])
    with shop.start("run", "--no-http") as daemon:
        assert daemon.ready() == ""
        with shop.database() as database, database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE decision RENAME TO decision_away")
        shop.run("event", "order.placed", "ada", "--data", "order_id=A1")
        failure = daemon.event("failed")
        assert (failure["stage"], failure["error"]) in {("plan", "OperationalError"), ("arrivals", "OperationalError")}
        with shop.database() as database, database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE decision_away RENAME TO decision")
        assert daemon.event("works again")["stage"] in {"plan", "arrivals"}
        until(smtp.accepted, "the receipt", seconds=30)
        assert daemon.stop() == 0, daemon.err
    failed = Counter(line["stage"] for line in daemon.lines() if line["event"] == "failed")
    assert set(failed.values()) == {1}, "a failure that lasts is said once a minute"
    assert set(failed) <= {"plan", "arrivals"}


def test_a_daemon_before_the_first_release_says_what_it_waits_for(tmp_path: Path) -> None:
    outbound("init", str(tmp_path / "new"))
    shop = Shop(folder=tmp_path / "new")
    shop.run("migrate")
    with shop.start("run", "--no-http") as daemon:
        failure = daemon.event("failed")
        assert (failure["code"], failure["remedy"]) == ("release.none", "run `outbound apply`")
        shop.run("apply")
        assert daemon.event("works again")["stage"] == "plan"
        assert daemon.stop() == 0, daemon.err


def test_a_port_in_use_ends_a_daemon_with_a_sentence_before_anything_has_begun(shop: Shop) -> None:
    with shop.start("run") as first:
        port = first.ready().rpartition(":")[2]
        shop.settings(f"[server]\nport = {port}\n")
        with shop.start("run") as second:
            assert second.ended() == 1
            assert second.err.startswith(f"outbound: port {port} of 127.0.0.1 is in use [server.port] -> ")
            assert "[server]" in second.err
            assert "--no-http" in second.err
        with shop.start("run", "--no-http") as third:
            third.ready()
            assert len(shop.run("status", "--json").json["daemons"]) == 2
            assert third.stop() == 0
        assert first.stop() == 0


def test_the_safety_guard_refuses_on_the_record_and_redirects(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """Outside production nobody is reached whom the settings do not name; the daemon says when that is everybody."""

    def guarded(rules: str) -> None:
        real_adapters(shop, smtp, twilio)
        settings = (shop.folder / "outbound.toml").read_text()
        shop.settings(settings.replace('only_to = ["*@example.org", "+39*"]', rules))

    guarded("")
    shop.customers(["ada"])
    with shop.start("run", "--no-http") as daemon:
        warned = [daemon.event("the safety guard refuses every message")["channel"]]
        shop.run("send", "letter", "--key", "one", "--customer", "ada", "--wait")
        warned += [line["channel"] for line in daemon.lines()[2:] if "refuses" in line["event"]]
        assert daemon.stop() == 0, daemon.err
    assert warned == ["email", "sms"]
    assert smtp.accepted() == []
    assert "letter by email: failed (provider.rejected_policy guard)" in shop.run("customer", "show", "ada").out

    guarded('redirect_to = {email = "me@shop.example"}')
    with shop.start("run", "--no-http") as daemon:
        daemon.ready()
        shop.run("send", "letter", "--key", "two", "--customer", "ada", "--wait")
        daemon.stop()
    assert [entry.recipient for entry in smtp.accepted()] == ["me@shop.example"]
