"""The command line: one module per command, its imports inside so that ``--help`` is quick.

Exit status: 0 fine, 1 error, 2 plan has changes, test failed or limit hit, 64 wrong usage.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from outbound import __version__
from outbound.interfaces.cli import context
from outbound.interfaces.cli.exits import EXIT_ERROR, EXIT_USAGE
from outbound.interfaces.cli.mistakes import explain as in_words
from outbound.interfaces.cli.mistakes import show_traceback
from outbound.interfaces.cli.output import give_up_output, print_error

COMMANDS = (
    "init",
    "migrate",
    "check",
    "schema",
    "test",
    "plan",
    "simulate",
    "apply",
    "import_",
    "customer",
    "note",
    "event",
    "receipt",
    "mail_in",
    "inbox",
    "sms_in",
    "consent",
    "audit",
    "prune",
    "send",
    "approve",
    "pause",
    "resume",
    "uncertain",
    "resend",
    "replay",
    "explain",
    "preview",
    "proof",
    "run",
    "worker",
    "serve",
    "apikey",
    "api_schema",
    "status",
    "alerts",
    "webhook",
    "report",
    "experiment",
    "verify",
    "doctor",
    "bench",
)
"""The modules of this package, in the order ``--help`` lists their commands."""

_INTERRUPTED = 130
"""What typer answers for Ctrl-C."""


class _InOrder(typer.core.TyperGroup):
    """Lists groups of commands where they belong, not after all others."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        names = [module.rstrip("_").replace("_", "-") for module in COMMANDS]
        self.commands = dict(sorted(self.commands.items(), key=lambda item: names.index(item[0])))


app = typer.Typer(
    name="outbound",
    cls=_InOrder,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Contact every customer on the channel they prefer, and keep one record of it.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    workspace: Annotated[
        Path,
        typer.Option(
            "--workspace", "-w", metavar="FOLDER", envvar="OUTBOUND_WORKSPACE", help="The folder of outbound.toml."
        ),
    ] = Path(),
    at: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="Act as if it were TIME (only where every adapter is the mailbox)."),
    ] = "",
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    context.remember(workspace, context.parse_instant(at) if at else None)


def build() -> typer.Typer:
    """The application with every command registered."""
    from importlib import import_module

    if not app.registered_commands and not app.registered_groups:
        for name in COMMANDS:
            import_module(f"outbound.interfaces.cli.{name}").register(app)
    return app


def execute(arguments: Sequence[str]) -> int:
    """Run one command in this process and answer its exit status. A mistake is one line on standard error."""
    command = typer.main.get_command(build())
    try:
        status = command.main(list(arguments) or ["--help"], prog_name="outbound", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:  # the command line itself is wrong
        asked = getattr(error, "ctx", None)
        print_error(f"outbound: {error.format_message()} (see {asked.command_path if asked else 'outbound'} --help)")
        return EXIT_USAGE
    except (typer.Abort, KeyboardInterrupt):
        status = _INTERRUPTED
    except BrokenPipeError:  # whoever read our answer has seen enough
        give_up_output()
        return EXIT_ERROR
    except Exception as error:
        if show_traceback():
            raise
        print_error(f"outbound: {in_words(error)}")
        return EXIT_ERROR
    if status == _INTERRUPTED:
        # CPython notes an interrupt inside any exec (every dataclass has one) as unhandled, dies of SIGINT at the
        # end although we handled it, and forgets it at the next exec.
        exec("")  # noqa: S102 - see above
        print_error("outbound: interrupted")
        return EXIT_ERROR
    if not arguments:
        return EXIT_USAGE
    return status if isinstance(status, int) else 0


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter must not stop an answer
    sys.exit(execute(sys.argv[1:]))
