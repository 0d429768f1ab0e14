"""Where the rules, templates and demo customers that ship with the package are, installed or in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


def shipped(name: str) -> Path:
    """The folder of shipped ``rules``, ``templates`` or ``demo``."""
    installed = _PACKAGE / "_shipped" / name
    if installed.is_dir():
        return installed
    checkout = _PACKAGE.parent
    return checkout / "scripts" / "demo" if name == "demo" else checkout / name
