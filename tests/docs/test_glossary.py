"""The glossary and the vocabulary in the code are the same list."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from outbound import domain

GLOSSARY = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"


def public_classes() -> set[str]:
    found = set()
    for module in pkgutil.iter_modules(domain.__path__):
        loaded = importlib.import_module(f"outbound.domain.{module.name}")
        for _, value in inspect.getmembers(loaded, inspect.isclass):
            if value.__module__ == loaded.__name__ and not value.__name__.startswith("_"):
                found.add(f"{module.name}.{value.__name__}")
    return found


def test_every_public_class_of_the_domain_has_a_term_and_every_term_a_class() -> None:
    named = set(re.findall(r"`([a-z]+\.[A-Z]\w+)`", GLOSSARY.read_text(encoding="utf-8")))
    assert named == public_classes()
