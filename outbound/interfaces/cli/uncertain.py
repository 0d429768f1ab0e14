"""``outbound uncertain list|ask|resolve``: messages whose outcome nobody knows, and what an operator found out."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.services.uncertain import Evidence, Listed

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_RUN_HELP = "A run's id or its beginning, or RULE/SLOT."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List messages with an unknown outcome, and settle them.")
    app.add_typer(group, name="uncertain")

    @group.command(name="list")
    def list_(
        run: Annotated[str, typer.Option(metavar="RUN", help=f"Only those of this run. {_RUN_HELP}")] = "",
        rule: Annotated[str, typer.Option(metavar="RULE", help="Only those of this rule.")] = "",
        limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 50,
        as_json: AsJson = False,
    ) -> None:
        """List them, with what a provider is asked by."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.report import one_run
        from outbound.services import uncertain

        with open_context() as context:
            run_id = one_run(context.database, run) if run else ""
            found = uncertain.listed(context.database, run_id=run_id, rule=rule, limit=limit)
        if as_json:
            print_json(found)
        else:
            _print(found)

    @group.command()
    def ask(as_json: AsJson = False) -> None:
        """Ask providers about every uncertain message, now. Those that list what they took."""
        _ask(as_json=as_json)

    @group.command()
    def resolve(
        messages: Annotated[list[str] | None, typer.Argument(metavar="MESSAGE...", help="Ids of messages.")] = None,
        run: Annotated[str, typer.Option(metavar="RUN", help=f"All of this run instead. {_RUN_HELP}")] = "",
        sent: Annotated[bool, typer.Option("--sent", help="The provider has it: it counts as sent.")] = False,
        not_sent: Annotated[
            bool, typer.Option("--not-sent", help="It never arrived: send it again, if the gate still lets it.")
        ] = False,
        unknown: Annotated[bool, typer.Option("--unknown", help="Nobody will find out: close it.")] = False,
        by: Annotated[str, typer.Option(metavar="NAME", help="Who knows. Left out: who runs the command.")] = "",
        note: Annotated[str, typer.Option(metavar="TEXT", help="How you know: it stands in the timeline.")] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many that would be.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Say what became of messages, one or many. It stands in the timeline of their customers."""
        from outbound.interfaces.cli.arguments import operator, wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import counted, print_json
        from outbound.interfaces.cli.report import one_run
        from outbound.services import uncertain

        evidence = _evidence(sent=sent, not_sent=not_sent, unknown=unknown)
        if bool(messages) == bool(run):
            wrong_usage("name messages, or --run for all of a run")
        with open_context() as context:
            run_id = one_run(context.database, run) if run else ""
            done = uncertain.resolve(
                context.database,
                messages or [],
                evidence,
                run_id=run_id,
                by=by or operator(),
                note=note,
                now=context.now(),
                dry_run=dry_run,
            )
        if as_json:
            print_json(done)
            return
        became = {
            uncertain.Evidence.SENT: "counted as sent",
            uncertain.Evidence.NOT_SENT: "ready to be sent again",
            uncertain.Evidence.UNKNOWN: "closed as unknown",
        }[evidence]
        typer.echo(f"{counted(done.resolved, 'message')} {'would be ' if dry_run else ''}{became}")
        if done.moved:
            typer.echo(f"  {done.moved:,} were settled meanwhile by other evidence")


def _ask(*, as_json: bool) -> None:
    from outbound.app import build
    from outbound.interfaces.cli.context import open_context
    from outbound.interfaces.cli.exits import EXIT_ERROR
    from outbound.interfaces.cli.output import counted, print_error, print_json
    from outbound.interfaces.logs import log_to_stderr
    from outbound.runtime import loop
    from outbound.services import evidence

    log_to_stderr()
    with open_context() as context:
        built = build(context.settings, context.database)

        async def seek() -> evidence.Sought:
            adapters = tuple(built.adapters.values())
            found = await evidence.seek(context.database, adapters, now=context.now(), at_once=True)
            await built.close()
            return found

        found = loop.run(seek())
    if as_json:
        print_json(found)
    else:
        typer.echo(f"asked about {counted(found.asked, 'message')}: {found.proved:,} were sent")
        for account, trouble in found.troubles.items():
            print_error(f"{account} could not be asked: {trouble}")
    if found.troubles:
        raise typer.Exit(EXIT_ERROR)


def _evidence(*, sent: bool, not_sent: bool, unknown: bool) -> "Evidence":
    from outbound.interfaces.cli.arguments import wrong_usage
    from outbound.services.uncertain import Evidence

    given = [
        one for one, on in ((Evidence.SENT, sent), (Evidence.NOT_SENT, not_sent), (Evidence.UNKNOWN, unknown)) if on
    ]
    if len(given) != 1:
        wrong_usage("say one of --sent, --not-sent, --unknown")
    return given[0]


def _print(found: "Listed") -> None:
    from outbound.interfaces.cli.output import print_rows

    if not found.messages:
        typer.echo("no message is uncertain")
        return
    rows = [
        (
            one.id,
            f"{one.handed_over_at or one.since:%Y-%m-%d %H:%M:%S}",
            one.rule,
            one.customer_id,
            one.channel,
            one.address,
            one.message_id or one.account,
        )
        for one in found.messages
    ]
    print_rows(("message", "handed over (UTC)", "rule", "customer", "channel", "address", "ask for"), rows)
    if found.total > len(found.messages):
        typer.echo(f"... {found.total - len(found.messages):,} more: --limit {found.total}")
