"""A workspace for each test of the command line: made once, copied for each."""

import os
from pathlib import Path

import pytest
from trial_shop import Shop, copy_shop, make_shop


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OUTBOUND_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = make_shop(tmp_path_factory.mktemp("cli") / "shop")
    shop.customers(["ada", "ben"])
    return shop


@pytest.fixture
def shop(_shop: Shop, tmp_path: Path) -> Shop:
    """Three rules, customers ``ada`` and ``ben`` with an e-mail address each, adapters the mailbox."""
    return copy_shop(_shop, tmp_path / "shop")
