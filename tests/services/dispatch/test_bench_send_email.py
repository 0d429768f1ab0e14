"""The bench works, and with it the whole way of a message over a published release with compiled templates."""

from pathlib import Path
from queue import SimpleQueue

from outbound.storage.database import Database
from outbound.testing.bench import million_flat, send_email
from outbound.testing.bench.smtp_limit import sink


def test_every_message_of_the_bench_is_sent_and_recorded() -> None:
    """The bench itself refuses a run in which a message was not sent; the figure names what it was compared with."""
    (figure,) = send_email.measure_sqlite(quick=True)
    assert figure.value > 0
    assert figure.limit is not None
    assert figure.ratio == figure.value / figure.limit
    assert "10 sessions" in figure.what or "own bare client" in figure.what


def test_a_run_is_told_tenth_by_tenth(tmp_path: Path) -> None:
    """Every tenth has its rate, and the sender says what it held."""
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    database = Database(url)
    send_email.queue(database, 60)
    database.close()
    answers: SimpleQueue[tuple[list[float], float]] = SimpleQueue()
    with sink() as (port, _):
        million_flat.tell(url, port, 60, answers)
    rates, megabytes = answers.get()
    assert len(rates) == 10
    assert min(rates) > 0
    assert megabytes > 10
