"""The command line as a whole: help, wrong usage, missing workspace, exit statuses, and how fast it starts."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from trial_shop import Shop, outbound

from outbound import __version__
from outbound.interfaces import cli

HEAVY = ("sqlalchemy", "pydantic", "rich", "fastapi", "phonenumbers", "holidays", "twilio", "mrml", "lark", "jinja2")


def leaves() -> dict[str, list[str]]:
    """Every command by its words, with its option names."""
    found: dict[str, list[str]] = {}

    def walk(command: object, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            options = [name for parameter in command.params for name in parameter.opts]  # type: ignore[attr-defined]
            found[" ".join(words)] = options
            return
        for name, child in children.items():
            walk(child, (*words, name))

    walk(typer.main.get_command(cli.build()), ())
    return found


def test_help_lists_the_commands_in_the_order_of_a_first_day() -> None:
    answer = outbound("--help")
    listed = [line.split()[0] for line in answer.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == [module.rstrip("_").replace("_", "-") for module in cli.COMMANDS]
    assert answer.err == ""


def test_no_sentence_in_the_list_of_commands_is_cut_off() -> None:
    for words in ((), ("customer",), ("consent",), ("import",)):
        assert "..." not in outbound(*words, "--help").out.partition("Commands:")[2]


def test_help_imports_nothing_heavy() -> None:
    """The bar of 250 ms is kept by what is not imported; the bench measures it."""
    program = (
        "import sys; from outbound.interfaces import cli; cli.execute(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_version_is_printed() -> None:
    assert outbound("--version").out == f"{__version__}\n"


def test_no_command_shows_the_help_and_counts_as_wrong_usage() -> None:
    answer = outbound(status=64)
    assert answer.out.startswith("Usage: outbound")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("nosuch", "outbound: No such command 'nosuch'. (see outbound --help)"),
        ("status --nope", "outbound: No such option: --nope (see outbound status --help)"),
        ("customer", "outbound: Missing command. (see outbound customer --help)"),
        ("customer show", "outbound: Missing argument 'ID|EMAIL|PHONE'. (see outbound customer show --help)"),
        ("event", "outbound: Missing argument 'NAME'. (see outbound event --help)"),
        ("send notice", "outbound: Missing option '--key'. (see outbound send --help)"),
        ("bench nope", "outbound: there is no bench nope; there are "),
        ("serve --port 70000", "outbound: Invalid value for '--port': "),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_help_to_read(words: str, sentence: str) -> None:
    answer = outbound(*words.split(), status=64)
    assert answer.err.startswith(sentence)
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_every_command_that_answers_can_answer_in_json() -> None:
    without = {name for name, options in leaves().items() if "--json" not in options}
    assert without == {"serve", "worker"}, "these two answer nothing: they log JSON lines until they are stopped"


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("yesterday", "outbound: 'yesterday' is not a time [time.format] -> write 2026-11-24T08:00+01:00\n"),
        (
            "2026-11-24",
            "outbound: '2026-11-24' has no offset [time.naive] -> write 2026-11-24T00:00+01:00 or 2026-11-24T00:00Z\n",
        ),
        ("0001-01-01T00:00+14:00", "outbound: '0001-01-01T00:00+14:00' is not a time [time.format]"),
    ],
)
def test_a_time_is_an_instant_with_its_offset(shop: Shop, at: str, sentence: str) -> None:
    assert shop.run("--at", at, "status", status=1).err.startswith(sentence)


def test_at_is_refused_where_a_real_person_could_be_reached(shop: Shop) -> None:
    shop.settings('[email]\nadapter = "smtp"\n')
    answer = shop.run("--at", "2026-11-24T08:00Z", "status", status=1)
    assert answer.err.startswith("outbound: --at works only where every adapter is the mailbox [clock.refused]")


def test_a_folder_without_settings_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    answer = outbound("-w", str(tmp_path), "status", status=1)
    assert answer.err == (
        "outbound: no outbound.toml in this folder or above -> run `outbound init` or name --workspace\n"
    )
    missing = outbound("-w", str(tmp_path / "nope"), "status", status=1)
    assert missing.err.startswith(f"outbound: there is no folder {tmp_path / 'nope'} -> ")


def test_the_workspace_may_come_from_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_WORKSPACE", str(shop.folder))
    assert outbound("status", "--json").json["counts"]["customer"] == 2


def test_a_wrong_setting_is_named_with_its_line(shop: Shop) -> None:
    shop.settings('environment = "test"\nnope = 1\n')
    answer = shop.run("status", status=1)
    assert answer.err.startswith(f"outbound: {shop.folder / 'outbound.toml'}:2: unknown setting nope")
