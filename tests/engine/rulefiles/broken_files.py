"""Good files with one flaw each, as the files in broken/ describe them.

A case is a heading, a path, lines taken out (``- ``) and put in (``+ ``), ``=``, and what the loader says then.
"""

from dataclasses import dataclass
from pathlib import Path

from rulefile_samples import good_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One flaw: the pieces exchanged in one file, and the exact report."""

    flaw: str
    path: str
    edits: tuple[tuple[str, str], ...]
    expected: str

    def files(self) -> dict[str, bytes]:
        """The good set with the flaw."""
        files = good_files()
        text = files[self.path].decode()
        for old, new in self.edits:
            assert text.count(old) >= 1, f"{self.flaw}: {old!r} is not in {self.path}"
            text = text.replace(old, new, 1)
        files[self.path] = text.encode()
        return files


def read_cases(path: Path) -> list[Case]:
    """The cases of one file, in order."""
    cases = []
    for block in path.read_text(encoding="utf-8").split("## ")[1:]:
        head, _, expected = block.partition("\n=\n")
        flaw, file, *lines = head.rstrip("\n").split("\n")
        edits: list[tuple[list[str], list[str]]] = []
        for line in lines:
            if line.startswith("- ") and (not edits or edits[-1][1]):
                edits.append(([], []))
            edits[-1][0 if line.startswith("- ") else 1].append(line[2:])
        pieces = tuple(("\n".join(old), "\n".join(new)) for old, new in edits)
        cases.append(Case(flaw=flaw, path=file, edits=pieces, expected=expected.rstrip("\n")))
    return cases
