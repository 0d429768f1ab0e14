"""Headings on the terminal, and how long each part took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Part:
    """One measured part: ``seconds`` it took for ``count`` things, 0 where nothing is counted."""

    name: str
    seconds: float = 0.0
    count: int = 0


@dataclass(slots=True)
class Stopwatch:
    """Measures the parts of the demonstration, in order."""

    parts: list[Part] = field(default_factory=list)

    @contextmanager
    def measure(self, name: str) -> Iterator[Part]:
        """Time a block; the block may say how many things it was about."""
        part = Part(name)
        start = time.monotonic()
        yield part
        part.seconds = time.monotonic() - start
        self.parts.append(part)

    def lines(self) -> Iterator[str]:
        """One line per part."""
        for part in self.parts:
            yield rate_line(part.name, part.seconds, part.count)


def rate_line(name: str, seconds: float, count: int) -> str:
    """``import   12.3 s   65,000 (5,284/s)``."""
    rate = f"   {count:>7,} ({count / seconds:,.0f}/s)" if count and seconds else ""
    return f"{name:24}{seconds:>7.1f} s{rate}"


def say(heading: str) -> None:
    """A heading, bold on a terminal."""
    print(f"\n\033[1m{heading}\033[0m" if sys.stdout.isatty() else f"\n{heading}", flush=True)
