"""init, migrate, check, apply: from nothing to a running release."""

import json
import stat
import tomllib
from pathlib import Path

import pytest
from trial_shop import Shop, outbound

from outbound.config import read_settings


def test_init_makes_a_workspace_that_the_next_commands_accept(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    answer = outbound("init", str(folder))
    assert answer.out == (
        f"Made {folder}/outbound.toml. Next: outbound -w {folder} migrate, then outbound -w {folder} apply\n"
    )
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert read_settings(folder).keyring().keys
    assert (folder / "rules" / "policy.yaml").is_file()
    assert (folder / "templates" / "brand").is_dir()
    outbound("-w", str(folder), "migrate")
    outbound("-w", str(folder), "apply")


def test_init_again_changes_nothing_and_says_so(tmp_path: Path) -> None:
    first = outbound("init", str(tmp_path), "--json").json
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    second = outbound("init", str(tmp_path))
    assert first == {"workspace": str(tmp_path), "new": True}
    assert second.err == f"{tmp_path}/outbound.toml is there already: nothing changed\n"
    assert outbound("init", str(tmp_path), "--json").json["new"] is False
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_init_takes_folders_that_are_there_under_any_name(tmp_path: Path) -> None:
    rules = tmp_path / 'rules of "Ada" è'
    rules.mkdir()
    outbound("init", str(tmp_path / "mine"), "--rules", '../rules of "Ada" è')
    written = tomllib.loads((tmp_path / "mine" / "outbound.toml").read_text(encoding="utf-8"))
    assert written["paths"] == {"rules": '../rules of "Ada" è', "templates": "templates"}
    assert not (tmp_path / "mine" / "rules").exists()


def test_the_first_apply_that_is_refused_says_that_nothing_runs(tmp_path: Path) -> None:
    outbound("init", str(tmp_path))
    outbound("-w", str(tmp_path), "migrate")
    (tmp_path / "rules" / "policy.yaml").write_text("policy: 1\n")
    refused = outbound("-w", str(tmp_path), "apply", status=1)
    assert refused.err.endswith("Nothing runs yet: no release was published.\n")


def test_an_interrupted_init_is_completed_by_the_next(tmp_path: Path) -> None:
    outbound("init", str(tmp_path))
    key = (tmp_path / ".env").read_text()
    (tmp_path / "outbound.toml").unlink()
    outbound("init", str(tmp_path))
    assert (tmp_path / ".env").read_text() == key
    assert (tmp_path / "outbound.toml").is_file()


def test_migrate_says_what_it_would_do_does_it_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    outbound("init", str(tmp_path))

    def migrate(*words: str) -> str:
        return outbound("-w", str(tmp_path), "migrate", *words).out

    assert migrate("--dry-run").startswith("would apply 0001")
    assert json.loads(migrate("--dry-run", "--json"))["pending"][0] == "0001"
    assert migrate().startswith("applied 0001")
    assert migrate().endswith(": nothing to do.\n")
    assert json.loads(migrate("--json"))["pending"] == []


def test_every_other_command_asks_for_the_migration_first(tmp_path: Path) -> None:
    outbound("init", str(tmp_path))
    for words in (["status"], ["apply"], ["report"], ["customer", "show", "a"], ["run"]):
        answer = outbound("-w", str(tmp_path), *words, status=1)
        assert "[schema.old] -> run `outbound migrate`" in answer.err


def test_commands_that_need_a_release_ask_for_one(tmp_path: Path) -> None:
    outbound("init", str(tmp_path))
    outbound("-w", str(tmp_path), "migrate")
    for line in (
        "event order.placed a",
        "send notice --key k --customer a",
        "preview a b",
        "proof a --as b --to a@b.example",
        "run --at 2026-11-24T08:00Z --until 2026-11-24T09:00Z",
    ):
        answer = outbound("-w", str(tmp_path), *line.split(), status=1)
        assert answer.err == "outbound: no release is active [release.none] -> run `outbound apply`\n"


def test_check_finds_nothing_in_a_good_set(shop: Shop) -> None:
    assert shop.run("check").out == "3 rules, no problem found.\n"
    assert shop.run("check", "--json").json == []


def test_check_reports_place_and_suggestion_and_apply_refuses(shop: Shop) -> None:
    rules = shop.folder / "rules" / "rules.yaml"
    rules.write_text(rules.read_text().replace("topic: newsletter", "topic: newsleter"))
    answer = shop.run("check", status=1)
    line = next(n for n, text in enumerate(rules.read_text().splitlines(), 1) if "newsleter" in text)
    assert f"{rules}:{line}:8: error: " in answer.out
    assert "newsletter" in answer.out
    assert answer.out.endswith("1 error\n")
    problem = shop.run("check", "--json", status=1).json[0]
    assert (problem["severity"], problem["span"]["file"], problem["span"]["line"]) == ("error", str(rules), line)

    refused = shop.run("apply", status=1)
    assert refused.err == "Refused: 1 error. The release that ran before goes on.\n"
    assert shop.run("apply", "--json", status=1).json["refused"] is True
    assert shop.run("send", "letter", "--key", "k", "--customer", "ada").out.startswith("1 new")

    told = shop.run("status").out  # fault F50: the last good release runs, and people are told
    assert "! newer rules were refused " in told
    assert f": 1 error, first rules/rules.yaml:{line}:8: " in told
    assert "newer rules" in shop.run("doctor", "--offline", status=1).out
    rules.write_text(rules.read_text().replace("topic: newsleter", "topic: newsletter"))
    assert shop.run("apply").out.endswith("runs already: nothing changed.\n")
    assert "refused" not in shop.run("status").out


def test_check_tells_github_only_some_files_and_is_strict_on_demand(shop: Shop) -> None:
    rules = shop.folder / "rules" / "rules.yaml"
    shop.write("rules/segments.yaml", "segment: idle\nif: customer.country == 'IT'\n")
    assert "no rule uses segment" in shop.run("check").out
    assert shop.run("check", "--strict", status=1).out.endswith("1 warning\n")
    assert shop.run("check", str(rules), "--strict").out == "3 rules, no problem found.\n"
    assert shop.run("check", "--format", "github").out == (
        f"::warning file={shop.folder}/rules/segments.yaml,line=1,endLine=1,col=10,endColumn=14,title=unused-segment"
        "::no rule uses segment 'idle' -> remove it, or use it in a rule\n"
    )
    assert shop.run("check", "--format", "json").json[0]["code"] == "unused-segment"
    assert "--format takes text, json, github" in shop.run("check", "--format", "xml", status=64).err
    assert "is not among the files that are checked" in shop.run("check", str(rules) + "x", status=64).err
    assert "[caniemail.folder]" in shop.run("check", "--caniemail", str(shop.folder), status=1).err


def test_check_names_files_as_seen_from_here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.folder)
    shop.write("rules/broken.yaml", "rule: [\n")
    assert outbound("check", status=1).out.startswith("rules/broken.yaml:")
    missing = outbound("check", "--rules", "nope", status=1)
    assert missing.err.startswith("outbound: there is no folder nope [release.files]")


def test_apply_publishes_once_and_a_dry_run_does_not(shop: Shop) -> None:
    with (shop.folder / "rules" / "rules.yaml").open("a") as file:
        file.write("---\nrule: second\nowner: a@shop.example\ntopic: orders\nwhen: {script: {}}\n")
        file.write('once: "{key}"\nsend: {template: letter, channels: [email]}\n')
    before = shop.run("status", "--json").json["release"]
    assert shop.run("apply", "--dry-run").out == "+ second  new  2 people\nWould be published.\n"
    assert shop.run("status", "--json").json["release"] == before
    published = shop.run("apply", "--json").json
    assert (published["refused"], published["release"]["changed"], published["release"]["rules"]) == (False, True, 4)
    assert shop.run("apply").out.endswith("runs already: nothing changed.\n")
