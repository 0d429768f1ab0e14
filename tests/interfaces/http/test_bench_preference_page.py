"""The bench of the preference page works over the whole of it: real server, real release, real sockets."""

from outbound.testing.bench import preference_page


def test_the_bench_asks_real_pages_and_names_its_limit() -> None:
    """The bench refuses an answer that is no 200."""
    (figure,) = preference_page.measure(quick=True)
    assert figure.value > 0
    assert figure.limit is not None
    assert "200 requests/s, 500 customers" in figure.what
