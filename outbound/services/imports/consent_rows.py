"""The consents in a row of the file: what was said, when, and the proof that goes with it."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from outbound.domain.consent import ConsentState
from outbound.domain.ids import new_id
from outbound.services.imports.drafts import Draft
from outbound.services.imports.mapping import ConsentSource, CustomerMapping
from outbound.services.imports.report import Remarks
from outbound.services.imports.rows import Cell
from outbound.services.imports.values import Invalid, read_instant
from outbound.storage.bulk import instant_writer
from outbound.storage.stage import Stage


class ConsentReader:
    """Reads the consents of a row into rows of the stage."""

    def __init__(
        self,
        mapping: CustomerMapping,
        wanted: Sequence[str],
        *,
        file: str,
        stage: Stage,
        now: datetime,
        remarks: Remarks,
    ) -> None:
        self.undated = 0
        self._remarks = remarks
        self._now = now
        self._instant = instant_writer(stage.connection)
        self._readers = [partial(self._read, source, *_places(source, wanted)) for source in mapping.consents]
        self._proofs = [_proof(source, mapping.source, file) for source in mapping.consents]

    def of(self, draft: Draft) -> Iterator[tuple[Any, ...]]:
        """The consents this row gives, in the order of ``stage.CONSENT``."""
        for read, (before, after) in zip(self._readers, self._proofs, strict=True):
            found = read(draft)
            if found is not None:
                yield (*found, f"{before}{draft.line}{after}")

    def _read(
        self, source: ConsentSource, at_cell: int | None, when_cell: int | None, draft: Draft
    ) -> tuple[Any, ...] | None:
        if source.when is not None and when_cell is not None:
            cell = draft.cells[when_cell]
            word = cell.strip() if isinstance(cell, str) else ""
            if not word or (source.when.values is not None and word not in source.when.values):
                return None
        try:
            at = self._at(source, draft.cells[at_cell] if at_cell is not None else None)
        except Invalid as error:
            if source.state is ConsentState.WITHDRAWN:
                return self._row(source, draft, self._now)  # a no needs no proof
            self.undated += 1
            text = draft.cells[at_cell] if at_cell is not None else ""
            shown = text if isinstance(text, str) else ""
            self._remarks.warn(draft.line, source.at.column or "at", shown, f"no consent to {source.topic}: {error}")
            return None
        return self._row(source, draft, at)

    def _row(self, source: ConsentSource, draft: Draft, at: datetime) -> tuple[Any, ...]:
        return (
            draft.line,
            new_id(self._now),
            draft.id,
            source.topic,
            source.channel.value if source.channel else "",
            source.state.value,
            int(source.confirmed and source.state is ConsentState.GRANTED),
            self._instant(at),
        )

    def _at(self, source: ConsentSource, cell: Cell | None) -> datetime:
        if source.at.now:
            return self._now
        text = (source.at.constant or "") if cell is None else cell.strip() if isinstance(cell, str) else ""
        if not text:
            raise Invalid("no date")
        at = read_instant(text, source.at.format, source.at.zone)
        if at > self._now:
            raise Invalid("a date in the future")
        return at


def _places(source: ConsentSource, wanted: Sequence[str]) -> tuple[int | None, int | None]:
    at = wanted.index(source.at.column) if source.at.column else None
    when = wanted.index(source.when.column) if source.when else None
    return at, when


def _proof(source: ConsentSource, origin: str, file: str) -> tuple[str, str]:
    """The evidence as JSON, in two parts with room for the line between them."""
    evidence = {
        "source": f"import of {file} line \0" + (f" from {origin}" if origin else ""),
        "wording": source.wording,
        "language": source.language,
        "actor": "import",
        "basis": source.basis,
    }
    text = json.dumps({name: value for name, value in evidence.items() if value}, ensure_ascii=False)
    before, _, after = text.partition("\\u0000")
    return before, after
