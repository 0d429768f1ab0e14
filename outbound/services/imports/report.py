"""What an import did: counts, refused rows and warnings; the rows go to a file as they are found."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from outbound.domain.errors import OutboundError

_SAMPLES: Final = 20
_DISTINCT: Final = 200
"""Different reasons that are counted apart: memory stays flat whatever the file holds."""
_HELD: Final = 10_000
"""Remarks kept back for sorting, at most."""
REFUSED: Final = "refused"
WARNING: Final = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One refused row or warning. ``value`` is as it came: show it through ``masked``."""

    line: int
    severity: str
    column: str
    value: str
    reason: str

    @property
    def masked(self) -> str:
        """The value without what identifies a person: first character and domain, or the last two digits."""
        local, at, domain = self.value.rpartition("@")
        if at:
            return f"{local[:1]}***@{domain}"
        digits = sum(c.isdigit() for c in self.value)
        return f"***{self.value[-2:]}" if digits >= _PHONE_DIGITS else self.value


_PHONE_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """The sums of one import. ``rows`` = new + changed + unchanged + duplicates + merged + refused.

    ``applied`` is False after a dry run and after a strict import with refused rows. ``consents`` counts
    granted, withdrawn, unchanged, older, kept_withdrawn and undated; ``reasons`` the refusals and warnings.
    ``silent_entries`` counts who came into a segment by history, which fires nothing; ``watching`` names the live
    rules on segments that will look at new customers.
    """

    kind: str
    file: str
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    merged: int = 0
    refused: int = 0
    warnings: int = 0
    unreachable: int = 0
    consents: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Remark, ...] = ()
    applied: bool = True
    dry_run: bool = False
    fired: bool = False
    silent_entries: int = 0
    watching: tuple[str, ...] = ()

    @property
    def changed_nothing(self) -> bool:
        """The store already held everything the file says."""
        said = self.consents.get("granted", 0) + self.consents.get("withdrawn", 0) + self.consents.get("older", 0)
        return not (self.new or self.changed or said)


class Remarks:
    """Collects refusals and warnings: counted, the first few kept, all written to the report file.

    Raises OutboundError ``import.report`` when the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.refused = 0
        self.warnings = 0
        self.reasons: Counter[str] = Counter()
        self.samples: list[Remark] = []
        self._batch: list[Remark] = []
        try:
            self._file = path.open("w", encoding="utf-8") if path else None
        except OSError as error:
            raise OutboundError("import.report", f"the report cannot be written: {error.strerror}", "") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.flush()
        if self._file:
            self._file.close()

    def refuse(self, line: int, column: str, value: str, reason: str) -> None:
        """Note a row that does not go in."""
        self.refused += 1
        self._note(Remark(line=line, severity=REFUSED, column=column, value=value, reason=reason))

    def warn(self, line: int, column: str, value: str, reason: str) -> None:
        """Note something odd about a row that goes in, or about the file (line 0)."""
        self.warnings += 1
        self._note(Remark(line=line, severity=WARNING, column=column, value=value, reason=reason))

    def _note(self, remark: Remark) -> None:
        reason = f"{remark.column}: {remark.reason}" if remark.column else remark.reason
        self.reasons[reason if reason in self.reasons or len(self.reasons) < _DISTINCT else "other"] += 1
        self._batch.append(remark)
        if len(self._batch) >= _HELD:
            self.flush()

    def flush(self) -> None:
        """Write what was noted since the last time, in the order of lines: one batch is checked in two passes."""
        self._batch.sort(key=lambda remark: remark.line)
        self.samples += self._batch[: _SAMPLES - len(self.samples)]
        if self._file:
            self._file.writelines(f"{json.dumps(asdict(remark), ensure_ascii=False)}\n" for remark in self._batch)
        self._batch.clear()
