"""``scripts/soak``: a real service, a seeded mix of work and faults, and the checker at the end.

Exit 0 when nothing was lost, doubled or sent after a revocation; 1 otherwise, and then the evidence is kept.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from outbound.testing.checker import Violation
from outbound.testing.soak.end import drain, says, verdict
from outbound.testing.soak.troubles import Troubles, let_leases_end
from outbound.testing.soak.work import Work
from outbound.testing.soak.world import World, build

_WORK_EVERY = 0.12
_TROUBLE_EVERY = (1.0, 5.0)
_TROUBLE_EVERY_IN_SHORT = (0.5, 2.0)
_LONG_MINUTES = 2.0
_SHOWN = 50


def soak(kind: str, *, seed: int, minutes: float, evidence: Path, workers: int = 0) -> int:
    """Soak one database; how many promises were broken."""
    dice = random.Random(f"{seed} {kind}")  # noqa: S311 - it must be repeatable
    began = time.monotonic()
    say(kind, f"seed {seed}, {minutes:g} minutes, evidence in {evidence}")
    with build(evidence, kind=kind, minutes=minutes, workers=workers) as world:
        work = Work(world, dice)
        troubles = Troubles(world, dice, long=minutes >= _LONG_MINUTES)
        work.first()
        for daemon in world.daemons:
            daemon.start()
        world.wait_until_serving()
        _mix(kind, world, work, troubles, dice, minutes=minutes)
        troubles.end()
        say(kind, f"draining; troubles: {_sums(troubles.counts)}")
        if minutes < _LONG_MINUTES:  # what the dead held would otherwise come back after their lease
            world.heal()
            for daemon in world.daemons:
                daemon.kill()
            let_leases_end(world)
        found = drain(world)
        world.stuck_daemons += [daemon.name for daemon in world.daemons if daemon.stop() == -signal.SIGKILL]
        broken, sums = verdict(world, work.diary)
        found += broken
        say(kind, says(world, work.diary))
        say(kind, f"work: {_sums(work.diary.counts)}; starts of daemons: {sum(d.starts for d in world.daemons)}")
        say(kind, f"equation: {sums}")
        tell(kind, found, seed=seed, seconds=time.monotonic() - began)
    return len(found)


def _mix(kind: str, world: World, work: Work, troubles: Troubles, dice: random.Random, *, minutes: float) -> None:
    """Work and troubles until the time is over, with a line a minute."""
    began = time.monotonic()
    end, minute = began + minutes * 60, began + 60
    trouble_at = began + 1
    pause = _TROUBLE_EVERY if minutes >= _LONG_MINUTES else _TROUBLE_EVERY_IN_SHORT
    while (now := time.monotonic()) < end:
        troubles.tend(now)
        if now >= trouble_at and now < end - 1:
            troubles.begin(now)
            trouble_at = time.monotonic() + dice.uniform(*pause)
        if now >= minute:
            minute += 60
            say(kind, f"{(now - began) / 60:.0f} min: {says(world, work.diary)}")
        work.step()
        time.sleep(_WORK_EVERY)


def tell(kind: str, found: Sequence[Violation], *, seed: int, seconds: float) -> None:
    """The verdict in words."""
    for one in found[:_SHOWN]:
        say(kind, f"VIOLATION {one}")
    if len(found) > _SHOWN:
        say(kind, f"and {len(found) - _SHOWN} more")
    word = f"{len(found)} promises broken" if found else "every promise kept"
    say(kind, f"{word} (seed {seed}, {seconds:.0f} s)")


def say(kind: str, text: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {kind}: {text}\n")
    sys.stdout.flush()


def _sums(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def options_from(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to mix, on each database (default 5)")
    parser.add_argument("--seed", type=int, default=None, help="repeat the mix of an earlier soak (default: random)")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that send, one of them `run` (default: two of `run`)"
    )
    parser.add_argument("--evidence", type=Path, default=None, help="where to keep everything (default: a new folder)")
    options = parser.parse_args(arguments)
    if options.workers > 1 and options.database != "postgresql":
        parser.error("--workers needs --database postgresql")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status."""
    options = options_from(sys.argv[1:] if arguments is None else arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    kinds = ("sqlite", "postgresql") if options.database == "both" else (options.database,)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the daemons, too
    evidence = options.evidence or Path(tempfile.mkdtemp(prefix="outbound-soak-"))
    evidence.mkdir(parents=True, exist_ok=True)
    broken = sum(
        [soak(kind, seed=seed, minutes=options.minutes, evidence=evidence, workers=options.workers) for kind in kinds]
    )
    if broken:
        say("soak", f"the evidence is in {evidence}")
    elif options.evidence is None:
        shutil.rmtree(evidence)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
