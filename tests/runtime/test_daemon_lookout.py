"""What a customer waits for does not wait for a tick."""

from test_daemon_ends import NO_HTTP
from trial_shop import Shop, real_adapters, until

from outbound.testing.bench import latency
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


def test_an_event_and_a_send_leave_long_before_the_next_tick(
    either_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """The tick is a minute, the commands are other processes' (here: another connection's), the wait is a moment."""
    shop = either_shop
    real_adapters(shop, smtp, twilio, more="[dispatch]\ntick = 60.0\n")
    shop.customers(["ada"])
    with shop.start(*NO_HTTP) as daemon:
        daemon.ready()
        until(lambda: '"event": "daemon started"' in daemon.err, "the start")
        shop.run("event", "order.placed", "ada", "--data", "order_id=o1")
        until(smtp.accepted, "the receipt", 30)
        shop.run("event", "order.placed", "nobody", "--data", "order_id=o2")  # waits for its customer
        shop.run("event", "order.placed", "ada", "--data", "order_id=o3")
        until(lambda: len(smtp.accepted()) == 2, "the second receipt", 30)
        assert daemon.stop() == 0
    assert shop.states() == {"sent": 2}
    assert '"failed"' not in daemon.err


def test_the_bench_of_latency_times_every_trigger_to_its_own_mail() -> None:
    ours, bare = latency._once(latency.on_sqlite, 3, 0, bulk=False)
    assert len(ours) == len(bare) == 3
    assert all(time > 0 for time in (*ours, *bare))
