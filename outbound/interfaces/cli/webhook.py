"""``outbound webhook``: other systems that are told what happens."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbound.channels.hook_client import Answer
    from outbound.domain.hook import PostState
    from outbound.interfaces.cli.context import Context

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in [webhooks.NAME] of outbound.toml.")]
_SECRET_BYTES = 32


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Tell other systems by signed webhooks what happens.")
    app.add_typer(group, name="webhook")
    for name, command in (
        ("list", _list),
        ("secret", _secret),
        ("test", _test),
        ("deliveries", _deliveries),
        ("replay", _replay),
        ("enable", _enable),
    ):
        group.command(name=name)(command)


def _list(*, as_json: AsJson = False) -> None:
    """List what [webhooks] declares, with how it goes and what waits."""
    from outbound.interfaces.cli.output import print_json, print_rows
    from outbound.services import hooks

    with _declared() as context:
        found = hooks.statuses(context.database)
    if as_json:
        print_json(found)
    elif found:
        print_rows(
            ("name", "state", "waiting", "done", "failed", "events"),
            [
                (one.name, f"{one.state} {one.why}".strip(), one.waiting, one.done, one.failed, len(one.events))
                for one in found
            ],
        )
    else:
        typer.echo("no webhook is declared: docs/webhooks-out.md says how")


def _secret(*, as_json: AsJson = False) -> None:
    """Make a secret to sign with. It is kept nowhere: put it into the environment and give it to the other side."""
    import base64
    import secrets

    from outbound.channels.hook_client import SECRET_PREFIX
    from outbound.interfaces.cli.output import print_json

    made = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
    if as_json:
        print_json({"secret": made})
    else:
        typer.echo(made)


def _test(name: Name, *, as_json: AsJson = False) -> None:
    """Post a test now, and say what was answered."""
    from outbound.interfaces.cli.exits import EXIT_ERROR
    from outbound.interfaces.cli.output import print_json

    with _declared() as context:
        answer = _try(context, name)
    if as_json:
        print_json({"name": name, "taken": answer.taken, "status": answer.status, "answer": answer.text})
    else:
        typer.echo(f"{name}: {answer.text}{'' if answer.taken else ': not taken'}")
    if not answer.taken:
        raise typer.Exit(EXIT_ERROR)


def _deliveries(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only those of one webhook.")] = "",
    *,
    state: Annotated[str, typer.Option(metavar="STATE", help="waiting, done or failed.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was posted or waits, the newest first."""
    from outbound.interfaces.cli.context import open_context
    from outbound.interfaces.cli.output import print_json, print_rows
    from outbound.storage import hook_posts

    with open_context() as context, context.database.read() as connection:
        found = hook_posts.listed(connection, hook=name, state=_state(state), limit=limit)
    if as_json:
        print_json(found)
    elif found:
        print_rows(
            ("id", "webhook", "event", "at (UTC)", "state", "tries", "answer"),
            [(f"msg_{o.id}", o.hook, o.event, f"{o.at:%Y-%m-%d %H:%M:%S}", o.state, o.tries, o.answer) for o in found],
        )
    else:
        typer.echo("nothing was posted, and nothing waits")


def _replay(
    name: Name,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Only these deliveries.")] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Those that were given up.")] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="All that happened from then on.")] = "",
    as_json: AsJson = False,
) -> None:
    """Post again, with the same ids: the other side can tell that it knows them."""
    from outbound.domain.hook import PostState
    from outbound.interfaces.cli.arguments import operator
    from outbound.interfaces.cli.context import parse_instant
    from outbound.interfaces.cli.output import print_json
    from outbound.services import hooks

    if not ids and not failed and not since:
        raise typer.BadParameter("name deliveries, or give --failed or --since TIME")
    with _declared() as context:
        number = hooks.again(
            context.database,
            name,
            ids=[one.removeprefix("msg_") for one in ids or ()],
            state=PostState.FAILED if failed else None,
            since=parse_instant(since) if since else None,
            by=operator(),
            now=context.now(),
        )
    if as_json:
        print_json({"name": name, "waiting": number})
    else:
        typer.echo(f"{number:,} wait to be posted again by `outbound run`")


def _enable(name: Name, *, as_json: AsJson = False) -> None:
    """Post to it again after it was switched off; what waited is due now."""
    from outbound.interfaces.cli.arguments import operator
    from outbound.interfaces.cli.output import print_json
    from outbound.services import hooks

    with _declared() as context:
        waiting = hooks.switch_on(context.database, name, by=operator(), now=context.now())
    if as_json:
        print_json({"name": name, "waiting": waiting})
    else:
        typer.echo(f"{name} is on: {waiting:,} wait to be posted by `outbound run`")


@contextmanager
def _declared() -> "Iterator[Context]":
    """The workspace, its record brought up to what outbound.toml declares."""
    from outbound.interfaces.cli.context import open_context
    from outbound.services import hooks

    with open_context() as context:
        hooks.declare(context.database, context.settings.hooks)
        yield context


def _state(text: str) -> "PostState | None":
    from outbound.domain.hook import PostState

    try:
        return PostState(text) if text else None
    except ValueError:
        raise typer.BadParameter("--state is waiting, done or failed") from None


def _try(context: "Context", name: str) -> "Answer":
    from outbound.app import hook_targets
    from outbound.channels.hook_client import HookClient
    from outbound.domain.errors import OutboundError
    from outbound.domain.hook import HOOK_TEST, Post, PostState
    from outbound.domain.ids import new_id
    from outbound.runtime import loop

    targets, now = hook_targets(context.settings), context.now()
    if name not in targets:
        known = ", ".join(sorted(targets)) or "none"
        raise OutboundError("webhook.unknown", f"there is no webhook {name!r}", f"outbound.toml declares: {known}")
    post = Post(
        id=new_id(now),
        hook=name,
        event=HOOK_TEST,
        customer_id="",
        data={},
        at=now,
        state=PostState.WAITING,
        tries=0,
        due_at=now,
    )

    async def ask() -> "Answer":
        client = HookClient(targets)
        answer = await client.post(post, now=now)
        await client.close()
        return answer

    return loop.run(ask())
