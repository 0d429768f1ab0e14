"""Import customers: stream, check, stage, merge."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from outbound.domain.keyring import Keyring
from outbound.domain.rule import Schema
from outbound.engine.timing.zones import zone_source
from outbound.services.imports.closing import closed, report_row
from outbound.services.imports.consent_rows import ConsentReader
from outbound.services.imports.drafts import DraftMaker
from outbound.services.imports.history import watching
from outbound.services.imports.mapping import PREFERENCES, RESERVED, CustomerMapping
from outbound.services.imports.mapping_check import narrow
from outbound.services.imports.report import ImportReport, Remarks
from outbound.services.imports.rows import Cell, Rows
from outbound.storage import import_batches, merge_consents, merge_customers
from outbound.storage.database import Database
from outbound.storage.sets import among
from outbound.storage.stage import Stage, staging
from outbound.storage.tables import customer

_BATCH: Final = 2_000

Progress = Callable[[int], None]
"""Called now and then with the number of bytes read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to import: ``strict`` takes all rows or none, ``dry_run`` keeps nothing, ``report`` lists every remark."""

    strict: bool = False
    dry_run: bool = False
    report: Path | None = None
    progress: Progress | None = None


DEFAULTS: Final = Options()


def import_customers(
    database: Database,
    keyring: Keyring,
    *,
    file: Path,
    mapping: CustomerMapping,
    schema: Schema,
    now: datetime,
    options: Options = DEFAULTS,
) -> ImportReport:
    """Import ``file`` as ``mapping`` says; the same file again changes nothing.

    Check the mapping with ``check_mapping`` first. Raises OutboundError ``import.*`` when the file cannot be
    read as the mapping says.
    """
    with Remarks(options.report) as remarks, Rows(file, mapping.layout, remarks.refuse) as rows:
        mapping = narrow(mapping, rows.columns, remarks)
        wanted = _wanted(mapping)
        maker = DraftMaker(mapping, schema, keyring, remarks, wanted)
        with staging(database) as stage:
            consents = ConsentReader(mapping, wanted, file=file.name, stage=stage, now=now, remarks=remarks)
            unread = rows.read(wanted)
            while batch := list(islice(unread, _BATCH)):
                _stage_batch(stage, batch, maker, consents)
                remarks.flush()
                if options.progress:
                    options.progress(rows.position())
            report = ImportReport(
                kind="customers",
                file=file.name,
                rows=rows.count,
                unreachable=maker.unreachable,
                dry_run=options.dry_run,
                applied=not options.dry_run,
            )
            if options.strict and remarks.refused:
                return closed(replace(report, applied=False), remarks)
            report = _merge(stage, report, mapping, remarks, consents, file=file, now=now)
            return replace(report, watching=watching(database)) if report.new else report


def _merge(
    stage: Stage,
    report: ImportReport,
    mapping: CustomerMapping,
    remarks: Remarks,
    consents: ConsentReader,
    *,
    file: Path,
    now: datetime,
) -> ImportReport:
    duplicates = merged = 0
    with stage.merging(keep=report.applied) as connection:
        for line, identity in merge_customers.drop_duplicates(connection):
            remarks.warn(line, mapping.key, identity, "the same key again further down: the last row wins")
            duplicates += 1
        for line, identity in merge_customers.redirect_merged(connection):
            remarks.warn(line, mapping.key, identity, "merged into another customer: only consents were taken over")
            merged += 1
        source = f"import {mapping.source or file.name}"
        result = merge_customers.merge(
            connection, columns=_stored(mapping), source=source, now=now, zone_source=zone_source
        )

        def remark(line: int, topic: str, reason: str) -> None:
            remarks.warn(line, "", topic, reason)

        counts = merge_consents.merge(connection, now=now, remark=remark)
        counts["undated"] = consents.undated
        report = replace(
            report,
            new=result.new,
            changed=result.changed,
            unchanged=result.unchanged,
            duplicates=duplicates,
            merged=merged,
        )
        report = closed(report, remarks, +counts)
        import_batches.record(connection, report_row(report, file, now))
    return report


def _stage_batch(
    stage: Stage, batch: Sequence[tuple[int, Sequence[Cell]]], maker: DraftMaker, consents: ConsentReader
) -> None:
    drafts = [draft for line, cells in batch if (draft := maker.draft(line, cells)) is not None]
    countries = _stored_countries(stage, [d.id for d in drafts if maker.needs_country(d)])
    rows: list[list[Any]] = []
    said: list[tuple[Any, ...]] = []
    for draft in drafts:
        row = maker.finish(draft, countries.get(draft.id))
        if row is None:
            continue
        rows.append(row)
        said.extend(consents.of(draft))
    stage.add("stage_customer", rows)
    if said:
        stage.add("stage_consent", said)
    if maker.rehashes:
        stage.add("stage_rehash", maker.rehashes)
        maker.rehashes.clear()


def _stored_countries(stage: Stage, ids: Sequence[str]) -> dict[str, str]:
    if not ids:
        return {}
    query = sa.select(customer.c.id, customer.c.country)
    query = query.where(among(stage.connection, customer.c.id, ids), customer.c.country.is_not(None))
    return {row.id: row.country for row in stage.connection.execute(query)}


def _wanted(mapping: CustomerMapping) -> list[str]:
    """Every column the mapping reads, each once."""
    names: dict[str, None] = {mapping.key: None}
    for source in (*mapping.fields.values(), *mapping.preferences.values()):
        if source.column:
            names[source.column] = None
    for consent in mapping.consents:
        for column in (consent.at.column, consent.when.column if consent.when else None):
            if column:
                names[column] = None
    return list(names)


def _stored(mapping: CustomerMapping) -> Collection[str]:
    """What the stage holds for this mapping, in the words of ``storage.stage``."""
    names = {"sms" if name == "phone" else name for name in mapping.fields if name in RESERVED}
    names |= {PREFERENCES[name] for name in mapping.preferences}
    if set(mapping.fields) - RESERVED:
        names.add("attributes")
    return names
