"""Settings: what is read, what is refused, and that the refusal names file, line and remedy."""

from pathlib import Path

import pytest

from outbound.config import find_workspace, read_settings
from outbound.domain.errors import ConfigurationError


def workspace(tmp_path: Path, toml: str, env: str | None = None) -> Path:
    (tmp_path / "outbound.toml").write_text(toml, encoding="utf-8")
    if env is not None:
        (tmp_path / ".env").write_text(env, encoding="utf-8")
        (tmp_path / ".env").chmod(0o600)
    return tmp_path


def test_an_empty_file_gives_safe_defaults(tmp_path: Path) -> None:
    settings = read_settings(workspace(tmp_path, ""), {})
    assert settings.guarded
    assert settings.all_mailbox
    assert settings.database_url == f"sqlite:///{tmp_path / 'outbound.db'}"


def test_production_lifts_the_guard_and_nothing_else_does(tmp_path: Path) -> None:
    assert not read_settings(workspace(tmp_path, 'environment = "production"'), {}).guarded
    assert read_settings(workspace(tmp_path, 'environment = "test"'), {}).guarded


def test_an_unknown_setting_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_settings(workspace(tmp_path, '[email]\nadapter = "smtp"\nhots = "x"\n'), {})
    assert error.value.message == f"{tmp_path / 'outbound.toml'}:3: unknown setting email.hots"
    assert "docs/settings.md" in error.value.remedy


def test_a_value_of_the_wrong_type_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"outbound\.toml:2: email\.port: Input should be a valid integer"):
        read_settings(workspace(tmp_path, '[email]\nport = "25"\n'), {})


def test_broken_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        read_settings(workspace(tmp_path, "[email\n"), {})


def test_the_environment_wins_over_the_env_file_and_secrets_never_print(tmp_path: Path) -> None:
    folder = workspace(tmp_path, "", "OUTBOUND_SECRET_KEY=k1:" + "11" * 32 + "\n")
    assert read_settings(folder, {}).keyring().keys[0][1] == b"\x11" * 32
    settings = read_settings(folder, {"OUTBOUND_SECRET_KEY": "k2:" + "22" * 32})
    assert settings.keyring().keys[0][0] == "k2"
    assert "22" * 8 not in repr(settings)
    assert "22" * 8 not in repr(settings.keyring())


def test_an_env_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    folder = workspace(tmp_path, "", "OUTBOUND_SECRET_KEY=k1:" + "11" * 32)
    (folder / ".env").chmod(0o644)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        read_settings(folder, {})


@pytest.mark.parametrize("key", ["", "k1", "k1:", "k1:zz", "k1:abcd", ":" + "11" * 32])
def test_an_unusable_secret_key_is_refused(tmp_path: Path, key: str) -> None:
    settings = read_settings(workspace(tmp_path, ""), {"OUTBOUND_SECRET_KEY": key})
    with pytest.raises(ConfigurationError, match="OUTBOUND_SECRET_KEY"):
        settings.keyring()


def test_the_workspace_is_found_from_a_folder_below(tmp_path: Path) -> None:
    workspace(tmp_path, "")
    below = tmp_path / "rules" / "tests"
    below.mkdir(parents=True)
    assert find_workspace(below) == tmp_path.resolve()
    with pytest.raises(ConfigurationError, match=r"no outbound\.toml"):
        find_workspace(tmp_path.parent)
