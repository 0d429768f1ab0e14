"""``outbound customer show|merge|export|erase``: everything on record about one person."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from outbound.interfaces.cli import customer_rights

if TYPE_CHECKING:
    from outbound.services.customers import Record
    from outbound.storage.timeline import Entry

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SAID = 160
"""Characters of a contact that one line of the timeline shows; ``--json`` has them all."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Show, merge, export or erase one record.")
    app.add_typer(group, name="customer")

    @group.command()
    def show(
        who: Annotated[str, typer.Argument(metavar="ID|EMAIL|PHONE")],
        *,
        limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Entries of the timeline.")] = 50,
        before: Annotated[str, typer.Option("--before", metavar="CURSOR", help="The cursor that ended a page.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Show profile, consents, blocks and the timeline, newest first."""
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services import audit
        from outbound.services.customers import show as read

        with open_context() as context:
            record = read(context.database, context.keyring, who, limit=limit, before=_place(before))
            audit.note(
                context.database,
                kind=audit.SHOWN,
                customer_id=record.customer.id,
                by=operator(),
                now=context.now(),
            )
        if as_json:
            print_json(_as_json(record))
        else:
            _print(record)

    @group.command()
    def merge(
        loser: Annotated[str, typer.Argument(metavar="LOSER", help="The id that goes.")],
        winner: Annotated[str, typer.Argument(metavar="WINNER", help="The id that stays.")],
        *,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would move; keep nothing.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Make LOSER part of WINNER. Messages, events and consents move; nothing is sent twice."""
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services.customers import merge as unite

        with open_context() as context:
            now = context.now()
            result = unite(context.database, loser=loser, winner=winner, by=operator(), now=now, dry_run=dry_run)
        if as_json:
            print_json(result)
            return
        print(f"{'would move' if dry_run else 'moved'} from {loser} to {winner}:")
        moved = ("messages", "decisions", "events", "interactions", "consents")
        print("  " + ", ".join(f"{getattr(result, name):,} {name}" for name in moved))
        print(
            f"  addresses: {', '.join(result.addresses) or 'none'}; filled in: {', '.join(result.filled) or 'nothing'}"
        )
        if result.cancelled:
            print(f"  {result.cancelled:,} waiting messages cancelled: the other record has the same one")

    customer_rights.add(group)


def _print(record: "Record") -> None:
    customer = record.customer
    print(f"{customer.id}" + (f" (also {', '.join(record.also)})" if record.also else ""))
    for address in customer.addresses:
        print(f"  {address.channel:<9} {address.value}" + ("" if address.state == "ok" else f"  [{address.state}]"))
    stated = {"country": customer.country, "zone": customer.zone_source, **_preferences(customer.preference)}
    for name, value in {**stated, **customer.attributes}.items():
        if value not in {None, ""}:
            print(f"  {name:<9} {value}")
    for standing in record.consents:
        channel = standing.channel or "every channel"
        print(f"  consent   {standing.topic} / {channel}: {standing.entry.state} ({standing.entry.basis})")
    for block in record.suppressions:
        print(f"  blocked   {block.channel} for {block.scope}: {block.reason}, {block.at:%Y-%m-%d}")
    print("timeline (UTC)")
    for entry in record.timeline:
        print(f"  {entry.at:%Y-%m-%d %H:%M}  {_line(entry)}")
    if not record.timeline:
        print("  nothing yet")
    if record.older:
        print(f"  older: --before {_cursor(record)}")


def _line(entry: "Entry") -> str:
    details = entry.details
    match entry.kind:
        case "message":
            until = f" until {details['not_before']:%Y-%m-%d %H:%M}" if entry.state == "scheduled" else ""
            sent = f" at {details['sent_at']:%H:%M}" if details.get("sent_at") else ""
            reason = f" ({entry.reason})" if entry.reason else ""
            return f"message  {entry.title} by {entry.channel}: {entry.state}{sent}{until}{reason}"
        case "interaction":
            return _contact(entry)
        case "delivery":
            why = " ".join(word for word in (entry.reason, details["code"]) if word)
            return f"news     {entry.title}{f' ({why})' if why else ''} of {details['message']}, {details['provider']}"
        case "decision":
            return f"skipped  {entry.title}: {entry.reason}"
        case "consent":
            where = f" / {entry.channel}" if entry.channel else ""
            return f"consent  {entry.title}{where}: {entry.state}, {details.get('source', '')}"
        case "event":
            fields = ", ".join(f"{name}={value}" for name, value in details.items() if name != "source")
            return f"event    {entry.title}" + (f" ({fields})" if fields else "")
        case "operation":
            note = f": {entry.reason}" if entry.reason else ""
            return f"operator {entry.title}: {entry.state} by {details['by']}{note}"
        case _:
            return f"change   {entry.title}: {details['old']!s} -> {details['new']!s} ({details['source']})"


def _contact(entry: "Entry") -> str:
    """``reply    by email: Parcel: where is it? [answers 0198...]``, the beginning of what was said on one line."""
    details = entry.details
    said = " ".join(f"{entry.title}: {details['text']}".removeprefix(": ").split())
    words = said if len(said) <= _SAID else said[: _SAID - 3] + "..."
    who = [f"by {entry.channel}"] if entry.channel else []
    who += [f"noted by {details['by']}"] if details["by"] else []
    answers = f" [answers {details['message']}]" if details["message"] else ""
    attention = f" ! {entry.reason}" if entry.reason else ""
    head = f"{entry.state:<8} {', '.join(who)}" if who else entry.state
    return f"{head}: {words}{answers}{attention}"


def _preferences(preference: Any) -> dict[str, Any]:
    hours = preference.quiet_hours
    pauses = ", ".join(f"{p.start} to {p.end}" for p in preference.pauses)
    return {
        "prefers": preference.channel,
        "language": preference.language,
        "timezone": preference.timezone,
        "quiet": f"{hours.start:%H:%M} to {hours.end:%H:%M}" if hours else None,
        "pause": pauses or None,
    }


def _as_json(record: "Record") -> dict[str, Any]:
    import dataclasses

    entry: dict[str, Any] = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    entry["suppressions"] = [
        {"channel": b.channel, "scope": b.scope, "reason": b.reason, "at": b.at} for b in record.suppressions
    ]
    entry["older"] = _cursor(record)
    return entry


def _cursor(record: "Record") -> str | None:
    place = record.older
    return f"{place.at.isoformat()},{place.kind},{place.key}" if place else None


def _place(cursor: str) -> Any:
    from datetime import datetime

    from outbound.domain.errors import OutboundError
    from outbound.storage.timeline import Place

    if not cursor:
        return None
    at, _, rest = cursor.partition(",")
    kind, _, key = rest.partition(",")
    try:
        return Place(at=datetime.fromisoformat(at), kind=kind, key=key)
    except ValueError:
        raise OutboundError("customer.cursor", "--before is not a cursor", "copy it from the end of a page") from None
