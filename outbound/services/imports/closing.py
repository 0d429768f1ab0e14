"""The end of an import: the sums for the operator, and the row that remembers them."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from outbound.domain.ids import new_id
from outbound.services.imports.report import ImportReport, Remarks


def report_row(report: ImportReport, file: Path, now: datetime) -> dict[str, Any]:
    """The row of ``import_batch``: which file it was, and its sums."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    names = ("rows", "new", "changed", "unchanged", "duplicates", "merged", "refused", "warnings", "unreachable")
    counts = {name: getattr(report, name) for name in names} | {"consents": dict(report.consents)}
    return {
        "id": new_id(now),
        "kind": report.kind,
        "file": report.file,
        "file_hash": digest,
        "at": now,
        "counts": counts,
    }


def closed(report: ImportReport, remarks: Remarks, consents: Mapping[str, int] | None = None) -> ImportReport:
    """The report with everything that was remarked."""
    remarks.flush()
    return replace(
        report,
        refused=remarks.refused,
        warnings=remarks.warnings,
        reasons=dict(remarks.reasons.most_common()),
        samples=tuple(remarks.samples),
        consents=dict(consents or {}),
    )
