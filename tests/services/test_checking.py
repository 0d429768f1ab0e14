"""The check on several processors says what the check on one says, and once said it is kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from outbound.domain.release import Files
from outbound.services import checking, releases, working_copy
from outbound.services.bench.check_rules import write_workspace
from outbound.services.kept_answers import FOLDER, Found, answer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Twenty rules and fourteen templates: enough for several processes."""
    folder = tmp_path_factory.mktemp("many")
    write_workspace(folder, 20, 14)
    return working_copy.read_files(folder / "rules", folder / "templates")


def broken(shop: Files) -> Files:
    """Mistakes in a rule, in two templates that different processes check, and in what all share."""
    files = dict(shop)
    for name in ("letter-3", "letter-4"):
        path = f"templates/{name}/email.mjml"
        files[path] = files[path].replace(b"customer.first_name", b"customer.frist_name", 1)
    files["templates/letter-5/email.mjml"] += (
        b'<mj-section><mj-column><mj-image src="/x.png" /></mj-column></mj-section>'
    )
    files["rules/rule-1.yaml"] = files["rules/rule-1.yaml"].replace(b"topic: ", b"topic: un", 1)
    return files


def test_many_processes_find_what_one_finds(shop: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(checking.os, "sched_getaffinity"):
        pytest.skip("this system does not say how many processors there are")
    monkeypatch.setattr(checking.os, "sched_getaffinity", lambda _: {0, 1, 2})
    whole = checking.check(shop)
    assert (whole.rules, whole.problems, whole.errors) == (20, releases.check(shop).problems, False)
    files = broken(shop)
    found, alone = checking.check(files), releases.check(files)
    assert (found.rules, found.errors) == (0, True)
    assert sorted(found.problems, key=str) == sorted(alone.problems, key=str)
    assert {p.span.file.split("/")[1] for p in found.problems} == {"letter-3", "letter-4", "letter-5", "rule-1.yaml"}


def asked(files: Files, cache: Path | None) -> Found:
    """What the command says of ``files``."""
    return answer(files, cache, data=None, ask=lambda: checking.check(files))


def never() -> Found:
    pytest.fail("it was checked again")


def test_what_was_said_is_kept_under_the_name_of_the_content(tmp_path: Path) -> None:
    files: Files = {"rules/policy.yaml": b"policy: 1\n", "templates/x/sms.txt": b"x"}
    first = asked(files, tmp_path)
    [kept] = (tmp_path / "check").iterdir()
    assert (tmp_path / ".gitignore").read_text() == "*\n"
    assert answer(files, tmp_path, data=None, ask=never) == first
    for other, data in (({**files, "templates/x/sms.txt": b"y"}, None), (files, {"css-grid": 1})):
        with pytest.raises(pytest.fail.Exception):
            answer(other, tmp_path, data=data, ask=never)
    kept.write_text('{"rules": "many"}')
    assert asked(files, tmp_path) == first, "what cannot be understood is made anew"
    assert answer(files, tmp_path, data=None, ask=never) == first
    for number in range(30):
        asked({**files, "templates/x/sms.txt": b"%d" % number}, tmp_path)
    assert len(list((tmp_path / "check").iterdir())) == 20


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "check").write_text("a file where the folder should be")
    files: Files = {"rules/policy.yaml": b"policy: 1\n"}
    assert asked(files, tmp_path) == asked(files, None)


def test_what_is_kept_is_said_without_loading_rules_templates_or_a_database(shop: Files, tmp_path: Path) -> None:
    """The bar of the warm check is a question of what the command imports."""
    for path, content in shop.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / "outbound.toml").write_text("")
    answer(shop, tmp_path / FOLDER, data=None, ask=lambda: Found(rules=20, problems=()))
    program = "import sys; from outbound.interfaces.cli import execute; print(execute(sys.argv[1:]), *sys.modules)"
    words = [sys.executable, "-c", program, "-w", str(tmp_path), "check"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert told.startswith("20 rules, no problem found.\n0 ")
    heavy = {"sqlalchemy", "ruamel.yaml", "jinja2", "lark", "mrml", "structlog", "rich"}
    assert not heavy & set(told.split())
