"""``outbound mail-in``: take what waits in the mailbox: bounces, complaints and replies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from outbound.app import App


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="mail-in")
    def mail_in(
        once: Annotated[
            bool, typer.Option("--once", help="Take what waits and stop; else look again and again.")
        ] = False,
        files: Annotated[
            list[Path] | None, typer.Option("--file", metavar="X.eml", help="Take in this mail instead of a mailbox.")
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="With --file: say what the mail is, keep nothing.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Take mail in from the mailbox, or from files. That of [inbound.mail]; `outbound run` does so by itself."""
        import time

        from outbound.app import build
        from outbound.domain.errors import OutboundError
        from outbound.interfaces.cli.arguments import wrong_usage
        from outbound.interfaces.cli.context import open_context

        if dry_run and not files:
            wrong_usage("--dry-run goes with --file")
        with open_context() as context:
            built = build(context.settings, context.database)
            if files:
                mails = [one.read_bytes() for one in files]
                if dry_run:
                    _show(built, mails, as_json=as_json)
                else:
                    _keep(built, mails, now=context.now(), as_json=as_json)
                return
            mailbox = built.mailbox()
            if mailbox is None:
                raise OutboundError("mail_in.none", "no mailbox is set up", "write host under [inbound.mail]")
            while True:
                _take(built, now=context.now(), as_json=as_json)
                if once:
                    return
                time.sleep(context.settings.inbound.mail.every)


def _take(built: "App", *, now: "datetime", as_json: bool) -> None:
    from outbound.services.inbox.mailbox import take

    mailbox = built.mailbox()
    if mailbox is None:
        return
    taken = take(built.database, mailbox, now=now)
    _report(built, mails=taken.mails, new=taken.new, now=now, as_json=as_json)


def _keep(built: "App", mails: list[bytes], *, now: "datetime", as_json: bool) -> None:
    from outbound.services.inbox.mailbox import take_in

    new = take_in(built.database, mails, now=now)
    _report(built, mails=len(mails), new=new, now=now, as_json=as_json)


def _report(built: "App", *, mails: int, new: int, now: "datetime", as_json: bool) -> None:
    from outbound.interfaces.cli.output import counted, print_json

    worked = built.inbox().work(now=now)
    if as_json:
        print_json({"mails": mails, "new": new, "worked": worked})
        return
    typer.echo(f"{counted(mails, 'mail')}, {new:,} new: {counted(worked.news, 'piece')} of news, ", nl=False)
    typer.echo(f"{counted(worked.contacts, 'letter')} of people")
    if worked.troubled:
        typer.echo(f"! {worked.troubled:,} could not be worked on", err=True)


def _show(built: "App", mails: list[bytes], *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from outbound.interfaces.cli.output import print_json, print_rows
    from outbound.services.inbox.mailbox import told
    from outbound.services.inbox.receiving import raw

    came = [raw("mail", "", one, head={}, now=datetime.now(UTC)) for one in mails]
    rows = [said for one in came for said in told(built.read_mail(one))]
    if as_json:
        print_json(rows)
    else:
        columns = ("what", "whose fault", "status", "of", "from or to")
        print_rows(columns, [(one.what, one.fault, one.status, one.about, one.who) for one in rows])
