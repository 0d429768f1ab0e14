"""``outbound init``: a workspace with settings, a fresh secret key, rules and templates to start from."""

from pathlib import Path
from typing import Annotated

import typer

_TOML = """\
# Settings of this installation. docs/settings.md lists every one; secrets come from the environment (or .env).
environment = "development"        # "production" lifts the safety guard below
public_url = "http://localhost:8025"

[database]
url = "sqlite:///outbound.db"      # or postgresql://USER@HOST/NAME

[paths]
rules = "{rules}"
templates = "{templates}"

[email]
adapter = "mailbox"                # "smtp" sends for real: host, port, tls, username

[sms]
adapter = "mailbox"                # "twilio" sends for real: account_sid, from_number

[mailbox]
folder = "mailbox"

[safety]
only_to = []                       # outside production only these are reached, e.g. ["me@shop.example", "+39055*"]
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def init(
        folder: Annotated[Path, typer.Argument(help="Where the workspace goes; made if it is not there.")] = Path(),
        rules: Annotated[
            str, typer.Option(help="Use this folder of rules instead of a copy of the shipped ones.")
        ] = "",
        templates: Annotated[str, typer.Option(help="Likewise for templates.")] = "",
    ) -> None:
        """Make a workspace: outbound.toml, a secret key, rules and templates. Touches nothing that is there."""
        import secrets
        import shutil

        from outbound.interfaces.cli.output import print_error
        from outbound.interfaces.cli.shipped import shipped

        folder.mkdir(parents=True, exist_ok=True)
        toml, env = folder / "outbound.toml", folder / ".env"
        if toml.exists():
            print_error(f"{toml} is there already: nothing changed")
            return
        if not env.exists():
            env.touch(mode=0o600)
            env.write_text(f"OUTBOUND_SECRET_KEY=k1:{secrets.token_hex(32)}\n", encoding="utf-8")
        for name, given in (("rules", rules), ("templates", templates)):
            if not given and not (folder / name).exists():
                shutil.copytree(shipped(name), folder / name)
        toml.write_text(_TOML.format(rules=rules or "rules", templates=templates or "templates"), encoding="utf-8")
        typer.echo(f"Made {toml}. Next: outbound -w {folder} migrate, then outbound -w {folder} apply")
