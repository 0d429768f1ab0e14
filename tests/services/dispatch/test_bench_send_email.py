"""The bench works, and with it the whole way of a message over a published release with compiled templates."""

from outbound.testing.bench import send_email


def test_every_message_of_the_bench_is_sent_and_recorded() -> None:
    """The bench itself refuses a run in which a message was not sent; the figure names what it was compared with."""
    (figure,) = send_email.measure_sqlite(quick=True)
    assert figure.value > 0
    assert figure.limit is not None
    assert figure.ratio == figure.value / figure.limit
    assert "10 sessions" in figure.what or "own bare client" in figure.what
