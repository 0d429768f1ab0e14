"""The workspace of the demonstration, and the command line it is worked with."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import sqlalchemy as sa

from outbound.config import ENVIRONMENT, FILE_NAME
from outbound.testing.twilio_double import TwilioDouble

HERE = Path(__file__).resolve().parent

_TOML = """\
# Written by scripts/adventureworks at each start: its servers listen wherever there is room.
environment = "development"        # the guard below stays on

[database]
url = {database}

[paths]
rules = {rules}
templates = {templates}

[email]
adapter = "smtp"
host = "127.0.0.1"
port = {smtp_port}
tls = "none"                       # loopback

[sms]
adapter = "twilio"
account_sid = {account_sid}
from_number = "+12065550100"
api_base = {api_base}

[safety]
only_to = ["*@adventure-works.com", "+1*", "+44*", "+49*"]   # whom the files name, and nobody else
"""


def prepare(folder: Path, *, smtp_port: int, twilio: TwilioDouble, database: str) -> None:
    """Make or renew the workspace, bring its database up to date and publish the rules. Ends the script on error.

    What the caller's environment says about an installation is removed from it first: this one must never
    touch another's database.
    """
    for name in ENVIRONMENT:
        os.environ.pop(name, None)
    shown = sa.make_url(database).render_as_string() if database else "sqlite:///outbound.db"  # *** for a password
    _same_database(folder / FILE_NAME, shown)
    if database:
        os.environ["OUTBOUND_DATABASE_URL"] = database
    os.environ["OUTBOUND_TWILIO_AUTH_TOKEN"] = twilio.auth_token
    rules, templates = HERE / "rules", HERE / "templates"
    if not (folder / ".env").exists():
        command("init", str(folder), "--rules", str(rules), "--templates", str(templates))
    values = {
        "database": shown,
        "rules": str(rules),
        "templates": str(templates),
        "account_sid": twilio.account_sid,
        "api_base": twilio.api_base,
    }
    quoted = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}  # TOML quotes as JSON does
    (folder / FILE_NAME).write_text(_TOML.format(smtp_port=smtp_port, **quoted), encoding="utf-8")
    outbound(folder, "migrate")
    print(outbound(folder, "apply").rstrip())


def outbound(folder: Path, *arguments: str, may_fail: bool = False) -> str:
    """What ``outbound`` prints; its exit status ends the script unless it ``may_fail``."""
    return command("--workspace", str(folder), *arguments, may_fail=may_fail)


def command(*arguments: str, may_fail: bool = False) -> str:
    """Run the command line as an operator would."""
    line = [sys.executable, "-m", "outbound", *arguments]
    done = subprocess.run(line, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    if done.returncode and not may_fail:
        print(done.stdout, end="")
        raise SystemExit(done.returncode)
    return done.stdout


def _same_database(toml: Path, database: str) -> None:
    """The ledgers beside outbound.toml tell what one database sent: another one cannot be compared with them."""
    if not toml.exists():
        return
    before = tomllib.loads(toml.read_text("utf-8")).get("database", {}).get("url")
    if before != database:
        print(f"{toml.parent} belongs to {before}: name another --workspace, or remove it", file=sys.stderr)
        raise SystemExit(1)
