"""Progress on a terminal, silence anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path


@contextmanager
def reading(file: Path) -> Iterator[Callable[[int], None] | None]:
    """A function that is told how many bytes of ``file`` were read, or None when nobody is watching."""
    if not sys.stderr.isatty() or not file.is_file():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(file.name, total=file.stat().st_size)
        yield lambda position: bar.update(task, completed=position)


@contextmanager
def passing(what: str, start: datetime, until: datetime) -> Iterator[Callable[[datetime], None]]:
    """A function that is told where a virtual clock stands on its way from ``start`` to ``until``."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=(until - start).total_seconds())

        def told(now: datetime) -> None:
            bar.update(task, completed=(now - start).total_seconds(), description=f"{what}: {now:%a %d %b}")

        yield told


@contextmanager
def steps(what: str) -> Iterator[Callable[[str], None]]:
    """A function that is told what is being worked on: shown beside ``what`` while it lasts, gone afterwards."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda step: status.update(f"{what}: {step}")
