"""A short soak on each database, and proof that a soak can fail (delivery.md 2.9; docs/reliability.md).

Meets by the dice what other tests meet one at a time: F01, F03, F04, F05, F06, F18 to F26, F28, F29, F30, F56.
"""

import os
import random
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from outbound.testing.faults import HTTP_STAGES, SMTP_STAGES, parse_fault
from outbound.testing.promises import Occurrence, Revocation
from outbound.testing.soak.end import verdict
from outbound.testing.soak.shop import MAIL_STANDING, TEXT_STANDING
from outbound.testing.soak.troubles import MAIL_MODES, TEXT_MODES
from outbound.testing.soak.work import Work
from outbound.testing.soak.world import build

SECONDS = 15


@pytest.mark.kill
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("kind", "seed"), [("sqlite", 4), ("postgresql", 4), ("random", None)])
def test_a_short_soak_keeps_every_promise(kind: str, seed: int | None, tmp_path: Path) -> None:
    """Nothing lost, doubled, or sent after a revocation; the same seed mixes the same again."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    kind = ("sqlite", "postgresql")[seed % 2] if kind == "random" else kind
    words = ["--minutes", str(SECONDS / 60), "--seed", str(seed), "--database", kind, "--evidence", str(tmp_path / "e")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OUTBOUND_") or "TEST" in name}
    command = [sys.executable, "-m", "outbound.testing.soak", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    print(f"seed {seed}\n{done.stdout}\n{done.stderr}")  # noqa: T201 - pytest shows it when the test fails
    assert done.returncode == 0
    assert f"every promise kept (seed {seed}" in done.stdout
    sent = re.search(r"(\d+) accepted", done.stdout)
    assert sent is not None
    assert int(sent[1]) > 20, "it hardly sent anything: it proved nothing"
    assert re.search(r"draining; troubles: \w+ \d", done.stdout), "no trouble: it proved nothing"


def test_every_mode_of_the_providers_is_one_they_know() -> None:
    for mode in (*MAIL_STANDING, *MAIL_MODES):
        assert parse_fault(mode, SMTP_STAGES)
    for mode in (*TEXT_STANDING, *TEXT_MODES):
        assert parse_fault(mode, HTTP_STAGES)


def test_a_soak_whose_promises_were_broken_says_so_and_keeps_the_evidence(tmp_path: Path) -> None:
    """The verdict on a diary that the record does not bear out, and on a log that says too much."""
    with build(tmp_path, kind="sqlite", minutes=1) as world:
        work = Work(world, random.Random(1))  # noqa: S311 - a fixed mix
        work.first()
        assert verdict(world, work.diary)[0] == []
        work.diary.acknowledged.append(Occurrence(rule="receipt", once="never", customer_id="here000001"))
        work.diary.revoked.append(Revocation(customer_id="here000001", topic="newsletter", heard_at=datetime.now(UTC)))
        (tmp_path / "logs" / "daemon.log").write_text("mail to x.zqcanary@example.org\nTraceback (most\n", "utf-8")
        found, _ = verdict(world, work.diary)
    assert sorted(one.invariant for one in found) == ["I1", "I1", "I9", "P3"]
    assert "never" in (tmp_path / "sqlite-violations.json").read_text("utf-8")
