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
rules = {rules}
templates = {templates}

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
        folder: Annotated[
            Path, typer.Argument(metavar="FOLDER", help="Where the workspace goes; made if it is not there.")
        ] = Path(),
        rules: Annotated[
            str,
            typer.Option(
                metavar="FOLDER", help="Rules to use instead of a copy of the shipped ones, as seen from the workspace."
            ),
        ] = "",
        templates: Annotated[str, typer.Option(metavar="FOLDER", help="Likewise for templates.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Make a workspace. Settings, a secret key, rules and templates; what is there already stays."""
        from outbound.interfaces.cli.output import print_error, print_json

        toml, new = folder / "outbound.toml", False
        if not toml.exists():
            _make(folder, rules, templates)
            new = True
        if as_json:
            print_json({"workspace": str(folder.resolve()), "new": new})
        elif new:
            typer.echo(f"Made {toml}. Next: outbound -w {folder} migrate, then outbound -w {folder} apply")
        else:
            print_error(f"{toml} is there already: nothing changed")


def _make(folder: Path, rules: str, templates: str) -> None:
    """The settings come last: a workspace is whole or none, and the same command again completes it."""
    import json
    import os
    import secrets
    import shutil

    from outbound.domain.errors import OutboundError
    from outbound.interfaces.cli.shipped import shipped

    for given in filter(None, (rules, templates)):
        seen = os.path.normpath(folder / given)
        if not Path(seen).is_dir():
            raise OutboundError("init.folder", f"there is no folder {seen}", "name it as seen from the workspace")
    folder.mkdir(parents=True, exist_ok=True)
    env = folder / ".env"
    if not env.exists():
        env.touch(mode=0o600)
        env.write_text(f"OUTBOUND_SECRET_KEY=k1:{secrets.token_hex(32)}\n", encoding="utf-8")
    for name, given in (("rules", rules), ("templates", templates)):
        if not given and not (folder / name).exists():
            shutil.copytree(shipped(name), folder / name)
    names = {"rules": rules or "rules", "templates": templates or "templates"}
    quoted = {name: json.dumps(path, ensure_ascii=False) for name, path in names.items()}  # a JSON text is a TOML one
    (folder / "outbound.toml").write_text(_TOML.format(**quoted), encoding="utf-8")
