"""A daemon tells an operator what is wrong, once, and when it is over; by webhook and by mail."""

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from http_hook import hook
from test_daemon_ends import NO_HTTP
from trial_shop import Shop, real_adapters, until

from outbound.storage import tables
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


def test_f22_an_operator_is_told_that_credentials_are_refused_and_that_it_is_over(
    either_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """Twilio refuses our token: one alert by webhook and mail, however long it lasts; then it is over, told once."""
    shop = either_shop
    twilio.set_modes("request=401")
    with hook() as posted:
        real_adapters(
            shop,
            smtp,
            twilio,
            more=f'[alerts]\nevery = "1s"\nemail = ["ops@example.org"]\nwebhook = "{posted.url}/alerts"\n',
        )
        assert shop.run("alerts").out == "no alert stands\n"
        file = shop.customers(["ada"], phones=True)
        shop.run("send", "notice", "--key", "k", "--customers", str(file), "--data", "what=x")
        with shop.start(*NO_HTTP) as daemon:
            line = daemon.event("alert")
            assert (line["kind"], line["subject"]) == ("account", "twilio")
            until(lambda: posted.requests and smtp.accepted(), "both to be told")
            stands = shop.run("alerts").out
            assert "! account twilio since" in stands
            assert "not_sent 401" in stands
            assert "outbound doctor" in stands
            assert "! twilio is paused since" in shop.run("status").out
            [told] = [json.loads(one.body) for one in posted.requests]
            assert [(one["status"], one["subject"]) for one in told["alerts"]] == [("firing", "twilio")]
            with shop.database() as database, database.write() as connection:
                connection.execute(tables.breaker.delete())  # what a probe that is answered does
                past = datetime.now(UTC) - timedelta(minutes=3)
                connection.execute(sa.update(tables.alert).values(seen_at=past))
            daemon.event("alert over")
            until(lambda: len(posted.requests) == 2 and len(smtp.accepted()) == 2, "both to hear of the end")
            until(lambda: shop.run("alerts").out == "no alert stands\n", "the record to forget")
            assert daemon.stop() == 0
    told = json.loads(posted.requests[1].body)
    assert [(one["status"], one["subject"]) for one in told["alerts"]] == [("over", "twilio")]
    mails = [mail.decode("utf-8") for mail in smtp.messages()]
    subjects = [line for mail in mails for line in mail.split("\r\n") if line.startswith("Subject: ")]
    assert subjects == [f"Subject: [localhost:8025] 1 {what}: account twilio" for what in ("alert", "over")]
    everything = daemon.err + "".join(mails) + "".join(one.body.decode() for one in posted.requests)
    assert "+39340" not in everything


def test_telling_can_be_tried_and_says_who_took_it(shop: Shop) -> None:
    """`outbound alerts --test`: a mailbox stands in for mail here; a webhook that is not there is an error."""
    refused = shop.run("alerts", "--test", status=1)
    assert "write email or webhook under [alerts]" in refused.err
    with hook() as posted:
        shop.settings(f'environment = "test"\n[alerts]\nemail = ["ops@example.org"]\nwebhook = "{posted.url}"\n')
        assert shop.run("alerts", "--test").out == "email: told\nwebhook: told\n"
        assert b"Nothing is wrong" in posted.requests[0].body
        assert any("1 alert: test" in file.read_text() for file in (shop.folder / "mailbox" / "email").glob("*.eml"))
    away = shop.run("alerts", "--test", "--json", status=1)
    assert away.json == {"receivers": {"email": "", "webhook": "no answer: ConnectionRefusedError"}}
    shop.settings('environment = "test"\n[alerts]\nlag = "5 minutes"\n')
    wrong = shop.run("alerts", status=1)
    assert 'write a span as "30s", "5m" or "2h"' in wrong.err


def test_f29_an_operator_asks_the_provider_about_what_nobody_knows(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """F29: `outbound uncertain ask`: a text whose answer was lost stands in Twilio's list."""
    real_adapters(shop, smtp, twilio)
    twilio.set_modes("sent=reset")
    file = shop.customers(["ada"], phones=True)
    shop.run("send", "notice", "--key", "k", "--customers", str(file), "--data", "what=x")
    with shop.start(*NO_HTTP) as daemon:
        until(lambda: shop.states() == {"uncertain": 1}, "the lost answer")
        assert daemon.stop() == 0
    assert shop.run("uncertain", "ask").out == "asked about 1 message: 1 were sent\n"
    assert shop.states() == {"sent": 1}
    assert shop.run("uncertain", "ask", "--json").json == {"asked": 0, "proved": 0, "troubles": {}}
