"""docs/settings.md lists every setting and every variable."""

import re
from pathlib import Path

from pydantic import BaseModel

from outbound import config
from outbound.config import accounts, inbound

DOC = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def documented() -> dict[str, set[str]]:
    """Setting names in the first column of each section's table."""
    sections: dict[str, set[str]] = {}
    name = ""
    for line in DOC.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            name = line.removeprefix("## ").strip("[]")
        elif line.startswith("| `"):
            sections.setdefault(name, set()).update(re.findall(r"`(\w+)`", line.split("|")[1]))
    return sections


def test_every_setting_is_documented_and_nothing_else() -> None:
    found = documented()
    top = set()
    for name, field in config.Settings.model_fields.items():
        if field.exclude:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            assert found.get(name) == set(field.annotation.model_fields), name
        else:
            top.add(name)
    assert found["Top level"] == top
    assert found["email.dkim"] == set(accounts.DkimSection.model_fields)
    assert found["inbound.ses"] == set(inbound.SesSection.model_fields)
    assert found["webhooks.NAME"] == set(config.HookSection.model_fields)
    assert found["inbound.mail"] == set(inbound.MailInSection.model_fields)


def test_every_variable_is_documented() -> None:
    assert documented()["Environment"] == {*config.ENVIRONMENT, "OUTBOUND_WEBHOOK_NAME_SECRET", "OUTBOUND_WORKSPACE"}
    assert config.HOOK_SECRET.fullmatch("OUTBOUND_WEBHOOK_NAME_SECRET")
