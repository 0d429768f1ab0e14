"""The command line: one module per command, its imports inside so that ``--help`` is quick.

Exit status: 0 fine, 1 error, 2 plan has changes, test failed or limit hit, 64 wrong usage.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from outbound import __version__
from outbound.domain.errors import ConfigurationError, OutboundError
from outbound.interfaces.cli import context
from outbound.interfaces.cli.exits import EXIT_ERROR, EXIT_USAGE
from outbound.interfaces.cli.output import print_error

COMMANDS = (
    "init",
    "migrate",
    "check",
    "apply",
    "import_",
    "customer",
    "event",
    "send",
    "preview",
    "run",
    "serve",
    "status",
    "report",
    "doctor",
    "bench",
)
"""The modules of this package, in the order ``--help`` lists their commands."""

app = typer.Typer(
    name="outbound",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Contact every customer on the channel they prefer, and keep one record of it.",
)


@app.callback()
def _root(
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", envvar="OUTBOUND_WORKSPACE", help="Folder with outbound.toml.")
    ] = Path(),
    at: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="Act as if it were TIME (only where every adapter is the mailbox)."),
    ] = "",
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    context.remember(workspace, context.parse_instant(at) if at else None)


def build() -> typer.Typer:
    """The application with every command registered."""
    from importlib import import_module

    if not app.registered_commands and not app.registered_groups:
        for name in COMMANDS:
            import_module(f"outbound.interfaces.cli.{name}").register(app)
    return app


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    command = typer.main.get_command(build())
    try:
        status = command.main(standalone_mode=False, prog_name="outbound")
    except typer.TyperException as error:  # the command line itself is wrong
        print_error(f"outbound: {error.format_message()} (see outbound --help)")
        sys.exit(EXIT_USAGE)
    except (typer.Abort, KeyboardInterrupt):
        print_error("interrupted")
        sys.exit(EXIT_ERROR)
    except (OutboundError, ConfigurationError) as error:
        print_error(f"outbound: {error}")
        sys.exit(EXIT_ERROR)
    sys.exit(status if isinstance(status, int) else 0)
