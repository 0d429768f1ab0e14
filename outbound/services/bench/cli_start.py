"""How long ``outbound --help`` takes, beside a bare interpreter."""

import statistics
import subprocess
import sys
import time

from outbound.services.bench.figure import Figure

_BAR_MS = 250


def measure(quick: bool) -> list[Figure]:
    """The median of whole processes, in milliseconds, interleaved with an interpreter that does nothing."""
    runs = 3 if quick else 11
    bare, started = [], []
    for _ in range(runs):
        bare.append(_milliseconds([sys.executable, "-c", "pass"]))
        started.append(_milliseconds([sys.executable, "-m", "outbound", "--help"]))
    value, limit = statistics.median(started), statistics.median(bare)
    return [
        Figure(
            name="cli_start",
            value=value,
            unit="ms",
            limit=limit,
            ratio=value / limit,
            bar=f"<= {_BAR_MS} ms",
            met=value <= _BAR_MS,
            what="bare interpreter",
        )
    ]


def _milliseconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own interpreter
    return (time.perf_counter() - start) * 1000
