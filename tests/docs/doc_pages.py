"""Reading the Markdown pages that tests hold to the code: sections, tables, files and console sessions."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_ORDER = re.compile(r"^<!-- (?P<kind>\w+): (?P<body>[^\n]*?) -->$", re.MULTILINE)
_NAME = re.compile(r"^\*\*`(?P<path>[^`\n]+)`\*\*[^\n]*\n\s*\Z", re.MULTILINE)
_MASKS = (
    (re.compile(r"\b[0-9a-f]{12,}\b"), "ID"),
    (re.compile(r"/\S*/my-shop/"), "/my-shop/"),
    (re.compile(r"on \S+ \(pid \d+\)"), "on HOST (pid N)"),
    (re.compile(r"UTC by \S+"), "UTC by SOMEBODY"),
    (re.compile(r"(?<=\S)  +"), "  "),  # ids of another length move the columns after them
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. ``file`` is the path that the bold line right above it names, if any."""

    kind: str
    body: str
    line: int
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a console block, with the answer the page shows."""

    text: str
    shown: tuple[str, ...]
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block and every order to the test (``<!-- kind: body -->``, which no reader sees), in order."""
    text = page.read_text(encoding="utf-8")
    for match in sorted((*_BLOCK.finditer(text), *_ORDER.finditer(text)), key=lambda found: found.start()):
        before = text[: match.start()]
        name = _NAME.search(before)
        line = before.count("\n") + 1
        yield Block(kind=match["kind"], body=match["body"], line=line, file=name["path"] if name else "")


def commands(block: Block) -> list[Command]:
    """The commands of a console block: lines that begin with ``$``, each followed by its answer."""
    found: list[Command] = []
    for number, line in enumerate(block.body.splitlines(), block.line + 1):
        if line.startswith("$ "):
            found.append(Command(text=line.removeprefix("$ "), shown=(), line=number))
        else:
            assert found, f"line {number}: an answer without a command"
            last = found.pop()
            found.append(Command(text=last.text, shown=(*last.shown, line), line=last.line))
    return found


def edit(text: str, diff: str) -> str:
    """``text`` with the lines of a diff block removed and added. Its other lines must stand there, once."""
    rows = [(row[:1], row[1:]) for row in diff.splitlines()]
    old = "".join(f"{row}\n" for sign, row in rows if sign != "+")
    new = "".join(f"{row}\n" for sign, row in rows if sign != "-")
    assert text.count(old) == 1, f"these lines must stand in the file, once:\n{old}"
    return text.replace(old, new)


def table(page: Path, heading: str | None = None) -> list[list[str]]:
    """The cells of every table row under ``heading`` (any level), or of the whole page. No header rows."""
    text = page.read_text(encoding="utf-8")
    if heading is not None:
        found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        assert found, f"{page.name} has no heading {heading!r}"
        text = found[1]
    rows: list[list[str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        header = number + 1 < len(lines) and re.fullmatch(r"\|(?:\s*:?-+:?\s*\|)+", lines[number + 1])
        if line.startswith("|") and not header and not re.fullmatch(r"\|(?:\s*:?-+:?\s*\|)+", line):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))])
    return rows


def masked(text: str) -> list[str]:
    """The lines of an answer with ids and folders of this machine masked."""
    for pattern, word in _MASKS:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.strip().splitlines()]


def agrees(shown: Sequence[str], got: Sequence[str]) -> bool:
    """Whether an answer is what the page shows: a line ``...`` stands for any lines, within a line for any text."""
    if not shown:
        return not got
    head, rest = shown[0], shown[1:]
    if head == "...":
        return any(agrees(rest, got[n:]) for n in range(len(got) + 1))
    pattern = ".*".join(re.escape(part) for part in head.split("..."))
    return bool(got) and re.fullmatch(pattern, got[0]) is not None and agrees(rest, got[1:])
