"""``outbound customer export|erase``: what the law gives a person, asked for at the counter or by letter."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.domain.errors import OutboundError
    from outbound.services.rights.erasing import Receipt

Who = Annotated[str, typer.Argument(metavar="ID|EMAIL|PHONE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add(group: typer.Typer) -> None:
    """Add the commands to ``outbound customer``."""

    @group.command()
    def export(
        who: Who,
        *,
        to: Annotated[
            Path | None, typer.Option("--to", metavar="FILE", help="The archive to write; left out: ID.zip here.")
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the record as JSON instead of writing it.")
        ] = False,
    ) -> None:
        """Write everything on record about one person.

        JSON, and CSV that a spreadsheet opens safely. Messages are rendered again while their context is kept.
        """
        from outbound.app import build
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.services.rights import exporting

        if to is not None and to.exists():
            raise _taken(to)
        with open_context() as context:
            links = build(context.settings, context.database).links.of_message
            record = exporting.export(
                context.database, context.keyring, who=who, links=links, by=operator(), now=context.now()
            )
        if as_json:
            typer.echo(record.as_json(), nl=False)
            return
        path = to or Path(f"{_safe(record.customer_id)}.zip")
        _write(path, record.archive())
        sizes = ", ".join(f"{len(rows):,} {name}" for name, rows in record.tables.items())
        typer.echo(f"{path}: profile, {sizes}")

    @group.command()
    def erase(
        who: Who,
        *,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; keep everything.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Erase one person. What stays: runs still add up, and the address gets no marketing.

        Waiting messages are cancelled. It cannot be undone, and a receipt is kept.
        """
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services.customers import find_one
        from outbound.services.rights import erasing

        with open_context() as context:
            identity = find_one(context.database, context.keyring, who)
            if not yes and not dry_run:
                typer.confirm(f"Erase {identity} for good?", abort=True)
            receipt = erasing.erase(
                context.database,
                context.keyring,
                customer_id=identity,
                by=operator(),
                now=context.now(),
                dry_run=dry_run,
            )
        if as_json:
            print_json(receipt)
        else:
            _print(receipt)


def _print(receipt: "Receipt") -> None:
    gone = ", ".join(f"{number:,} {table}" for table, number in receipt.rows.items() if number)
    typer.echo(f"{'would erase' if receipt.dry_run else 'erased'}: {gone or 'nothing'}")
    typer.echo(
        f"  {receipt.cancelled:,} waiting messages cancelled, {receipt.blocked:,} addresses blocked for marketing"
    )
    for head in receipt.chains:
        typer.echo(f"  consent chain of {head.n:,} events, head {head.hash}")
    if not receipt.dry_run:
        typer.echo(f"receipt {receipt.id}, {receipt.at:%Y-%m-%d %H:%M} UTC, by {receipt.by}")


def _safe(identity: str) -> str:
    """A file name: ids may hold anything."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in identity).lstrip(".") or "customer"


def _taken(path: Path) -> "OutboundError":
    from outbound.domain.errors import OutboundError

    return OutboundError("export.file", f"{path} exists", "name another file with --to")


def _write(path: Path, content: bytes) -> None:
    """A new file that its owner alone can read."""
    import os

    from outbound.domain.errors import OutboundError

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise OutboundError("export.file", f"cannot write {path}: {error.strerror}", "name a file with --to") from None
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
