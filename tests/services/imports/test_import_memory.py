"""Memory does not grow with the file."""

from pathlib import Path

from outbound.services.bench.import_ import peak_megabytes, write_people


def test_a_file_ten_times_longer_needs_no_more_memory(tmp_path: Path) -> None:
    """Whole processes: 3,000 people, then 30,000, whose file alone would add more than is allowed here."""
    short, long = tmp_path / "short.csv", tmp_path / "long.csv"
    write_people(short, 3_000)
    write_people(long, 30_000)
    low, high = peak_megabytes(short), peak_megabytes(long)
    assert high - low < 8, f"{low:.0f} MiB grew to {high:.0f} MiB"
