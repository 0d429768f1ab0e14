"""A provider that says nothing any more keeps its own messages waiting, and nobody else's."""

from trial_shop import Shop, real_adapters, until

from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


def test_texts_and_other_mails_leave_while_a_mail_server_hangs(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """Silent after the dot, for up to ten minutes: first on one message, then on as many as connections allow."""
    real_adapters(shop, smtp, twilio, more="[dispatch]\ndrain = 0.2\ntick = 0.2\n")
    mails = [f"c{number:02}" for number in range(12)]
    shop.customers(mails)
    shop.customers(["tel"], phones=True)

    def notice(key: str, *customers: str) -> None:
        chosen = [word for customer in customers for word in ("--customer", customer)]
        shop.run("send", "notice", "--key", key, "--data", "what=boots", *chosen)

    smtp.set_modes("sent=hang for c00")
    with shop.start("run", "--no-http") as daemon:
        daemon.ready()
        notice("one", "c00")
        until(lambda: shop.states() == {"sending": 1}, "the first mail to hang")
        notice("two", "c01")
        until(smtp.accepted, "another mail of the lane", seconds=10)
        smtp.set_modes("sent=hang")
        notice("three", *mails[2:])
        until(lambda: shop.states().get("sending", 0) == 4, "every connection to hang")  # real_adapters says four
        notice("four", "tel")
        until(twilio.accepted, "the text message", seconds=10)
        daemon.stop()
    assert [entry.recipient for entry in smtp.accepted()] == ["c01@example.org"]
    with shop.database() as database:
        assert check(database, [*smtp.accepted(), *twilio.accepted()]) == ()
