"""Import events: history by default, news for the rules only when asked to fire."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from outbound.domain.errors import OutboundError
from outbound.domain.rule import Field, Schema
from outbound.services.imports.closing import closed, report_row
from outbound.services.imports.customers import DEFAULTS, Options
from outbound.services.imports.drafts import MAX_KEY, edit
from outbound.services.imports.history import Silence, silently
from outbound.services.imports.mapping import EventMapping, Source
from outbound.services.imports.odd_text import looks_odd
from outbound.services.imports.report import ImportReport, Remarks
from outbound.services.imports.rows import Cell, Rows
from outbound.services.imports.values import Invalid, Read, by_type, read_instant
from outbound.storage import import_batches, merge_events
from outbound.storage.bulk import instant_writer
from outbound.storage.database import Database
from outbound.storage.stage import Stage, staging

_BATCH: Final = 2_000


def import_events(
    database: Database,
    *,
    file: Path,
    mapping: EventMapping,
    schema: Schema,
    now: datetime,
    fire: bool = False,
    options: Options = DEFAULTS,
) -> ImportReport:
    """Import ``file`` as ``mapping`` says; an event that is there already stays as it is.

    Without ``fire`` no rule ever sees them, and whom they bring into a segment is in it without an entry. Check
    the mapping with ``check_mapping`` first. Raises OutboundError ``import.*`` when the file cannot be read as the
    mapping says, and ``release.unreadable`` where rules watch segments that nobody can read.
    """
    with (
        Remarks(options.report) as remarks,
        Rows(file, mapping.layout, remarks.refuse) as rows,
        staging(database) as stage,
    ):
        reader = _EventReader(mapping, schema.events[mapping.event], stage, now, remarks)
        unread = rows.read(reader.wanted)
        while batch := list(islice(unread, _BATCH)):
            stage.add("stage_event", [row for line, cells in batch if (row := reader.row(line, cells)) is not None])
            remarks.flush()
            if options.progress:
                options.progress(rows.position())
        report = ImportReport(
            kind="events",
            file=file.name,
            rows=rows.count,
            dry_run=options.dry_run,
            applied=not options.dry_run,
            fired=fire,
        )
        if options.strict and remarks.refused:
            return closed(replace(report, applied=False), remarks)
        return _merge(database, stage, report, mapping, remarks, shift=reader.shift(), file=file, now=now)


def _merge(
    database: Database,
    stage: Stage,
    report: ImportReport,
    mapping: EventMapping,
    remarks: Remarks,
    *,
    shift: timedelta,
    file: Path,
    now: datetime,
) -> ImportReport:
    duplicates = 0
    with stage.merging(keep=report.applied) as connection:
        for line, identity in merge_events.drop_duplicates(connection):
            remarks.warn(line, mapping.id or "", identity, "the same event again further down: the last row wins")
            duplicates += 1
        for line, identity in merge_events.unknown_customers(connection):
            remarks.warn(line, mapping.customer, identity, "no such customer yet: the event waits for them")
        quiet = nullcontext(Silence()) if report.fired else silently(connection, database, mapping.event, now=now)
        with quiet as silence:
            new, known = merge_events.merge(
                connection,
                name=mapping.event,
                shift=shift,
                now=now,
                fire=report.fired,
                source=f"import {mapping.source or file.name}",
            )
        entries = silence.entries
        report = replace(report, new=new, unchanged=known, duplicates=duplicates, silent_entries=entries)
        report = closed(report, remarks)
        import_batches.record(connection, report_row(report, file, now))
    return report


class _EventReader:
    """Reads rows into rows of ``stage_event`` and remembers the newest time."""

    def __init__(
        self, mapping: EventMapping, declared: dict[str, Field] | Any, stage: Stage, now: datetime, remarks: Remarks
    ) -> None:
        self._mapping = mapping
        self._remarks = remarks
        self._now = now
        self._newest: datetime | None = None
        self._instant = instant_writer(stage.connection)
        names: dict[str, None] = {mapping.customer: None}
        columns = (mapping.id, mapping.at.column, *(source.column for source in mapping.data.values()))
        names.update((column, None) for column in columns if column)
        self.wanted = list(names)
        self._required = frozenset(name for name, field in declared.items() if field.required)
        self._data: list[tuple[str, Source, int | None, Read]] = [
            (name, source, self._place(source.column), by_type(source, declared[name]))
            for name, source in mapping.data.items()
        ]
        self._customer, self._id = self.wanted.index(mapping.customer), self._place(mapping.id)
        self._at = self._place(mapping.at.column)

    def shift(self) -> timedelta:
        """How far all times move so that the newest is where the mapping wants it.

        Raises OutboundError ``import.shift`` for a time that cannot be read.
        """
        wanted = self._mapping.shift_newest_to
        if wanted is None or self._newest is None:
            return timedelta(0)
        if wanted == "now":
            return self._now - self._newest
        try:
            return read_instant(wanted, "", "UTC") - self._newest
        except Invalid:
            message = f"shift_newest_to cannot be {wanted!r}"
            raise OutboundError("import.shift", message, "write now or 2026-11-24T08:00+01:00") from None

    def row(self, line: int, cells: Sequence[Cell]) -> tuple[Any, ...] | None:
        """The values in the order of ``stage.EVENT``, or None when the row was refused."""
        customer = self._key(line, self._mapping.customer, cells[self._customer])
        identity = "" if self._id is None else self._key(line, self._mapping.id or "", cells[self._id])
        if not customer or (self._id is not None and not identity):
            return None
        at = self._moment(line, cells)
        data = None if at is None else self._fields(line, cells)
        if at is None or data is None:
            return None
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        if not identity:
            identity = hashlib.sha256(f"{customer}\0{at.isoformat()}\0{text}".encode()).hexdigest()[:32]
        self._newest = at if self._newest is None else max(self._newest, at)
        return line, f"{self._mapping.event}/{identity}", customer, self._instant(at), text

    def _key(self, line: int, column: str, cell: Cell) -> str:
        text = cell.strip() if isinstance(cell, str) else ""
        if text and len(text) <= MAX_KEY and text.isprintable():
            return text
        self._remarks.refuse(line, column, text[:MAX_KEY], "empty" if not text else "not a key")
        return ""

    def _moment(self, line: int, cells: Sequence[Cell]) -> datetime | None:
        source = self._mapping.at
        cell = source.constant if self._at is None else cells[self._at]
        text = cell.strip() if isinstance(cell, str) else ""
        try:
            return read_instant(text, source.format, source.zone)
        except Invalid as error:
            self._remarks.refuse(line, source.column or "at", text, str(error))
            return None

    def _fields(self, line: int, cells: Sequence[Cell]) -> dict[str, Any] | None:
        data: dict[str, Any] = {}
        for name, source, place, read in self._data:
            cell = source.constant if place is None else cells[place]
            text = cell.strip() if isinstance(cell, str) else ""
            try:
                if text and text not in self._mapping.layout.empty_when:
                    data[name] = read(edit(text, source))
                elif name in self._required:
                    raise Invalid("empty, and the event requires it")
            except Invalid as error:
                if source.ignore_invalid and name not in self._required:
                    self._remarks.warn(line, source.column or name, text, str(error))
                    continue
                self._remarks.refuse(line, source.column or name, text, str(error))
                return None
            if not text.isascii() and (hint := looks_odd(text)):
                self._remarks.warn(line, source.column or name, text, hint)
        return data

    def _place(self, column: str | None) -> int | None:
        return None if column is None else self.wanted.index(column)
