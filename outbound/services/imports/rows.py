"""Reading the file as a stream: rows of any separators, bounded lines, and a reason for every row that is no row."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from outbound.domain.errors import OutboundError
from outbound.engine.rulefiles.findings import near_hint
from outbound.services.imports.mapping import Layout

MAX_ROW: Final = 1024 * 1024
"""Characters of one row. A longer one is skipped as it streams by, never held in memory."""
MAX_COLUMNS: Final = 1_000
_BLOCK: Final = 64 * 1024
_SHOWN: Final = 200
_BROKEN: Final = re.compile("[\ud800-\udfff]")
"""Bytes that the encoding does not know, as ``surrogateescape`` marks them."""
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_COMPRESSED: Final = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


class Absent(Enum):
    """A JSON object without the key: unlike an empty cell, it never clears anything."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
Cell = str | Absent
"""What a row holds for a column."""

Refuse = Callable[[int, str, str, str], None]
"""Called with line, column, value and reason for each row that is refused while reading."""


class Rows:
    """One open file. ``columns`` are its column names, None for JSON lines, where every row has its own.

    Raises OutboundError ``import.file``, ``import.compressed``, ``import.encoding`` or ``import.header``.
    """

    def __init__(self, path: Path, layout: Layout, refuse: Refuse) -> None:
        self._layout = layout
        self._refuse = refuse
        self.line = 0
        self.count = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise OutboundError("import.file", f"{path.name} cannot be read: {error.strerror}", "") from None
        try:
            self._text = _text(self._file, layout)
            self._lines = self._split_rows() if layout.row_separator else self._read_lines()
            self.columns = self._columns()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._file.close()

    def position(self) -> int:
        """How many bytes were read so far."""
        return self._file.tell()

    def index(self, column: str) -> int:
        """Where ``column`` stands. Raises OutboundError ``import.column`` when absent or named twice."""
        columns = self.columns or ()
        if columns.count(column) == 1:
            return columns.index(column)
        if column in columns:
            raise OutboundError("import.column", f"two columns are named {column!r}", "name them apart in the header")
        hint = near_hint(column, columns[:MAX_COLUMNS])  # no list: a file read wrongly has data where names should be
        raise OutboundError("import.column", f"the file has no column {column!r}", hint)

    def read(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Cell]]]:
        """Line number and the cells of the ``wanted`` columns, in that order, row by row."""
        if self.columns is None:
            return self._read_json(wanted)
        return self._read_delimited([self.index(name) for name in wanted])

    def _read_delimited(self, indexes: list[int]) -> Iterator[tuple[int, Sequence[Cell]]]:
        expected = len(self.columns or ())
        single = indexes[0] if len(indexes) == 1 else None
        pick: Callable[[list[str]], tuple[str, ...]] = (
            itemgetter(*indexes) if single is None else (lambda row: (row[single],))
        )
        for line, row in self._table():
            self.count += 1
            if len(row) != expected:
                self._refuse(line, "", "", f"{len(row)} columns where {expected} are expected")
                continue
            yield line, pick(row)

    def _read_json(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Cell]]]:
        for text in self._lines:
            if text.isspace():
                continue
            self.count += 1
            try:
                entry = json.loads(text, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", "not readable")
                self._refuse(self.line, "", text.strip()[:_SHOWN], f"not JSON: {reason}")
                continue
            if not isinstance(entry, dict):
                self._refuse(self.line, "", text.strip()[:_SHOWN], "not a JSON object")
                continue
            cells: list[Cell] = []
            for name in wanted:
                cell = _cell(entry, name)
                if cell is None:
                    self._refuse(self.line, name, str(entry[name])[:_SHOWN], "not a single value, or not storable")
                    break
                cells.append(cell)
            else:
                yield self.line, cells

    def _table(self) -> Iterator[tuple[int, list[str]]]:
        if self._layout.quote:
            return self._csv_table()
        return self._split_table()

    def _split_table(self) -> Iterator[tuple[int, list[str]]]:
        separator = self._layout.separator
        for text in self._lines:
            row = text.rstrip("\r\n") if not self._layout.row_separator else text
            if row:
                yield self.line, row.split(separator)

    def _csv_table(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._lines, delimiter=self._layout.separator, quotechar=self._layout.quote, strict=True)
        while True:
            before = reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                first = self.line - (reader.line_num - before) + 1
                self.count += 1
                self._refuse(first, "", f"lines {first} to {self.line}", f"{error} (a quote that is never closed?)")
                continue
            if row:
                yield self.line - (reader.line_num - before) + 1, row

    def _read_lines(self) -> Iterator[str]:
        readline = self._text.readline
        while text := readline(MAX_ROW + 1):
            self.line += 1
            if len(text) > MAX_ROW:
                while (rest := readline(MAX_ROW)) and not rest.endswith(("\n", "\r")):
                    pass
                self._refuse_row(f"is longer than {MAX_ROW:,} characters")
            elif self._is_sound(text):
                yield text

    def _split_rows(self) -> Iterator[str]:
        separator = self._layout.row_separator
        step = separator.count("\n") or 1
        buffer, skipping, following = "", False, 1
        while block := self._text.read(_BLOCK):
            *whole, buffer = (buffer + block).split(separator)
            for text in whole:
                self.line = following
                following += text.count("\n") + step
                if skipping or len(text) > MAX_ROW:
                    self._refuse_row(f"is longer than {MAX_ROW:,} characters")
                elif self._is_sound(text):
                    yield text
                skipping = False
            if len(buffer) > MAX_ROW:
                following += buffer.count("\n")
                buffer, skipping = buffer[-len(separator) :], True
        if buffer.strip("\r\n"):
            self.line = following
            if self._is_sound(buffer):
                yield buffer.rstrip("\r\n")

    def _is_sound(self, text: str) -> bool:
        if "\0" in text:
            self._refuse_row("contains NUL (is the file UTF-16? then write encoding: utf-16-le)")
            return False
        if not text.isascii() and _BROKEN.search(text):
            self._refuse_row(f"is not {self._layout.encoding} text (write the right encoding: in the mapping)")
            return False
        return True

    def _refuse_row(self, reason: str) -> None:
        self.count += 1
        self._refuse(self.line, "", "", f"the row {reason}")

    def _columns(self) -> tuple[str, ...] | None:
        if self._layout.format == "jsonl":
            return None
        if not self._layout.header:
            if not self._layout.columns:
                raise OutboundError("import.header", "the mapping names no columns", "write columns: or header: true")
            return self._layout.columns
        _, header = next(self._table(), (0, []))
        names = self._layout.columns or tuple(name.strip() for name in header)
        if not header or len(names) > MAX_COLUMNS:
            found = f"{len(names):,} columns" if header else "no header"
            raise OutboundError("import.header", f"the file has {found}", f"1 to {MAX_COLUMNS:,} columns are read")
        return names


def _text(file: Any, layout: Layout) -> TextIOWrapper:
    start = file.read(8)
    file.seek(0)
    wide = layout.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if start.startswith(_COMPRESSED):
        raise OutboundError("import.compressed", "the file is compressed", "unpack it first")
    if start.startswith(_UTF16) and not wide:
        raise OutboundError("import.encoding", "the file is UTF-16", "write encoding: utf-16 in the mapping")
    encoding = "utf-8-sig" if layout.encoding.lower() in ("utf-8", "utf8") else layout.encoding
    # wide encodings cannot mark a broken byte; their replacement character is kept and seen as odd text
    return TextIOWrapper(file, encoding=encoding, errors="replace" if wide else "surrogateescape", newline="")


def _cell(entry: dict[str, Any], name: str) -> Cell | None:
    """A JSON value as the text a cell would hold; None where it is not one value."""
    value = entry.get(name, ABSENT)
    if isinstance(value, str):
        return None if _UNSTORABLE.search(value) else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return ABSENT if value is ABSENT else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a value")
