"""``outbound schema``: files for an editor, named in its settings; no database is needed."""

import json

from jsonschema import Draft202012Validator
from trial_shop import Shop


def test_the_schemas_know_what_the_workspace_declares(shop: Shop) -> None:
    (shop.folder / "outbound.db").unlink()
    one = shop.run("schema", "rule").json
    Draft202012Validator.check_schema(one)
    assert one["properties"]["topic"]["enum"] == ["orders", "notices", "newsletter"]
    event = next(t for t in one["properties"]["when"]["oneOf"] if t["title"] == "event")
    assert "order.placed" in event["properties"]["event"]["enum"]
    assert shop.run("schema", "rules", status=64).err.startswith("outbound: there is no schema 'rules'")
    assert not (shop.folder / ".schemas").exists()
    assert not (shop.folder / "outbound.db").exists()


def test_they_are_written_and_named_beside_what_the_settings_say(shop: Shop) -> None:
    shop.write(".vscode/settings.json", '{"editor.rulers": [120], "yaml.schemas": {"./mine.json": "a.yaml"}}')
    out = shop.run("schema", "--vscode").out
    assert "rule.schema.json" in out
    assert out.endswith("settings.json\n")
    settings = json.loads((shop.folder / ".vscode" / "settings.json").read_text())
    assert settings["editor.rulers"] == [120]
    assert settings["yaml.schemas"]["./mine.json"] == "a.yaml"
    assert settings["yaml.schemas"]["./.schemas/policy.schema.json"] == ["rules/policy.yaml"]
    for name in settings["yaml.schemas"]:
        if "mine" not in name:
            Draft202012Validator.check_schema(json.loads((shop.folder / name).read_text()))
    told = shop.run("schema", "--vscode", "--json").json
    assert [one["name"] for one in told["schemas"]] == ["policy", "schema", "segments", "test", "rule"]


def test_rules_that_are_being_written_and_settings_with_comments(shop: Shop) -> None:
    """A broken rule hinders nobody; settings that cannot be kept as they are stay untouched."""
    shop.write("rules/rules.yaml", "rule: half\nowner:")
    shop.run("schema")
    text = '{\n  // mine\n  "a": 1\n}'
    shop.write(".vscode/settings.json", text)
    assert "is not plain JSON" in shop.run("schema", "--vscode", status=1).err
    assert (shop.folder / ".vscode" / "settings.json").read_text() == text
