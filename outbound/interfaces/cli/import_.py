"""``outbound import customers|events``: a file into the record, as a mapping says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.services.imports.report import ImportReport

_SHOWN = 10

File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSON lines or any separators.")]
MappingFile = Annotated[Path, typer.Option("--mapping", metavar="MAP.yaml", help="What each column means.")]
Strict = Annotated[bool, typer.Option("--strict", help="Import nothing when any row is refused.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything except keeping it.")]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Refused rows and warnings as JSON lines.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Import customers or events from a file.")
    app.add_typer(group, name="import")

    @group.command()
    def customers(
        file: File,
        *,
        mapping: MappingFile,
        strict: Strict = False,
        dry_run: DryRun = False,
        report: Report = None,
        as_json: AsJson = False,
    ) -> None:
        """Import people with their addresses, preferences and consents. The same file again changes nothing."""
        _run("customers", file, mapping, strict=strict, dry_run=dry_run, report=report, as_json=as_json)

    @group.command()
    def events(
        file: File,
        *,
        mapping: MappingFile,
        strict: Strict = False,
        dry_run: DryRun = False,
        fire: Annotated[
            bool, typer.Option("--fire", help="Let the rules see them; without it they are history.")
        ] = False,
        shift_newest_to: Annotated[
            str, typer.Option("--shift-newest-to", metavar="TIME", help="Move all times: the newest to TIME or now.")
        ] = "",
        report: Report = None,
        as_json: AsJson = False,
    ) -> None:
        """Import what happened to customers. Nothing fires without --fire."""
        _run(
            "events",
            file,
            mapping,
            strict=strict,
            dry_run=dry_run,
            report=report,
            as_json=as_json,
            fire=fire,
            shift_newest_to=shift_newest_to,
        )


def _run(
    kind: str,
    file: Path,
    mapping: Path,
    *,
    strict: bool,
    dry_run: bool,
    report: Path | None,
    as_json: bool,
    fire: bool = False,
    shift_newest_to: str = "",
) -> None:
    from dataclasses import replace

    from outbound.interfaces.cli.context import open_context
    from outbound.interfaces.cli.exits import EXIT_ERROR
    from outbound.interfaces.cli.output import counted, print_error, print_json
    from outbound.interfaces.cli.progress import reading
    from outbound.services.imports.customers import Options
    from outbound.services.imports.importing import import_file, vocabulary
    from outbound.services.imports.report import ImportReport

    with open_context() as context, reading(file) as progress:
        found = import_file(
            context.database,
            context.keyring,
            kind=kind,
            file=file,
            mapping=mapping,
            words=vocabulary(context.database, context.settings.rules_dir),
            now=context.now(),
            fire=fire,
            shift_newest_to=shift_newest_to or None,
            options=Options(strict=strict, dry_run=dry_run, report=report, progress=progress),
        )
    if not isinstance(found, ImportReport):
        for problem in found:
            print_error(replace(problem, span=replace(problem.span, file=str(mapping))).render())
        print_error(f"{mapping}: {counted(len(found), 'problem')}, nothing imported")
        raise typer.Exit(EXIT_ERROR)
    if as_json:
        print_json(_shown(found))
    else:
        _print(found, report)
    if strict and found.refused:
        raise typer.Exit(EXIT_ERROR)


def _print(found: "ImportReport", report: Path | None) -> None:
    from outbound.interfaces.cli.output import counted

    note = " (dry run: nothing was kept)" if found.dry_run else ""
    if not found.applied and not found.dry_run:
        note = " (strict: nothing was imported)"
    print(f"{found.file}: {counted(found.rows, 'row')}{note}")
    sums = [("new", found.new), ("changed", found.changed), ("unchanged", found.unchanged)]
    sums += [("duplicates in the file", found.duplicates), ("merged customers", found.merged)]
    sums += [("refused", found.refused), ("phones stored as unreachable", found.unreachable)]
    print("  " + ", ".join(f"{count:,} {name}" for name, count in sums if count or name == "new"))
    if found.consents:
        print("  consents: " + ", ".join(f"{count:,} {name}" for name, count in sorted(found.consents.items())))
    if found.changed_nothing and not found.refused:
        print("  nothing changed: the record already said all of this")
    if found.kind == "events" and found.new and found.applied:
        print("  the rules will see them" if found.fired else "  history only: no rule sees them (--fire would)")
    if found.silent_entries:
        print(f"  {found.silent_entries:,} came into a segment by that: rules on entering it do not fire for them")
    if found.watching:
        would = "would look" if found.dry_run else "look"
        print(
            f"  rules that watch segments ({', '.join(found.watching)}) {would} at the new customers at the next tick:"
        )
        print("  whoever is inside then has entered")
    for reason, count in list(found.reasons.items())[:_SHOWN]:
        print(f"  {count:>7,} x {reason}")
    for remark in found.samples[:_SHOWN]:
        place = f"line {remark.line}" if remark.line else "file"
        print(f"  {place}: {remark.severity}: {remark.column} {remark.masked!r}: {remark.reason}")
    if found.refused + found.warnings > _SHOWN:
        print(f"  all of them: {report}" if report else "  all of them: --report FILE")


def _shown(found: "ImportReport") -> dict[str, object]:
    import dataclasses

    entry: dict[str, object] = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    entry["changed_nothing"] = found.changed_nothing
    entry["samples"] = [
        {"line": r.line, "severity": r.severity, "column": r.column, "value": r.masked, "reason": r.reason}
        for r in found.samples
    ]
    return entry
