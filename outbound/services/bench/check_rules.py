"""``check_rules``: seconds of `outbound check` over a thousand rules and a hundred templates, cold and warm."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Final

from outbound.services.bench.figure import Figure
from outbound.services.bench.month_shop import month_files
from outbound.services.kept_answers import FOLDER

RULES, TEMPLATES, RUNS = 1_000, 100, 5
_QUICK_RULES, _QUICK_TEMPLATES = 40, 14
_COLD_SECONDS, _WARM_SECONDS = 5.0, 1.0
_PARAGRAPHS: Final = 12


def measure(quick: bool) -> list[Figure]:
    """The median of five runs of the command (one when ``quick``), without and with what it keeps."""
    rules, templates = (_QUICK_RULES, _QUICK_TEMPLATES) if quick else (RULES, TEMPLATES)
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
        workspace = Path(folder)
        write_workspace(workspace, rules, templates)
        cold, warm = [], []
        for _ in range(1 if quick else RUNS):
            rmtree(workspace / FOLDER, ignore_errors=True)
            cold.append(_seconds(workspace))
            warm.append(_seconds(workspace))
    what = f"outbound check in a process of its own: {rules:,} rules, {templates} templates"
    return [
        _figure("check_rules", median(cold), _COLD_SECONDS, what),
        _figure("check_rules_warm", median(warm), _WARM_SECONDS, f"{what}, nothing changed since"),
    ]


def _figure(name: str, value: float, most: float, what: str) -> Figure:
    return Figure(name=name, value=value, unit="s", bar=f"<= {most:g} s", met=value <= most, what=what)


def write_workspace(folder: Path, rules: int, templates: int) -> None:
    """The twenty rules of the month's shop again and again, under other names, and as many letters as asked for."""
    files = dict(month_files())
    bodies = {path: content for path, content in files.items() if path.startswith("templates/letter/")}
    documents = files.pop("rules/newsletter.yaml").decode().split("---\n")
    for number in range(templates):
        for path, content in bodies.items():
            longer = content * _PARAGRAPHS if path.endswith(".mjml") else content
            files[path.replace("/letter/", f"/letter-{number}/")] = longer
    for number in range(rules):
        text = documents[number % len(documents)]
        text = re.sub(r"^rule: (\S+)$", rf"rule: \1-{number}", text, flags=re.MULTILINE)
        files[f"rules/rule-{number}.yaml"] = text.replace(
            "template: letter", f"template: letter-{number % templates}"
        ).encode()
    for path in bodies:
        del files[path]
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "outbound.toml").write_text("", encoding="utf-8")


def _seconds(workspace: Path) -> float:
    command = [sys.executable, "-m", "outbound", "-w", str(workspace), "check", "--json"]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ)  # noqa: S603 - our own program
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise AssertionError(done.stdout.decode()[-2000:] + done.stderr.decode())
    return seconds
