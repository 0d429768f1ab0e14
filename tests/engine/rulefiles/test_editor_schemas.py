"""The JSON Schemas for editors: valid themselves, true to the readers, and no stricter than these."""

import re
from collections.abc import Iterator
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from broken_files import Case, read_cases
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML, YAMLError
from rulefile_samples import HERE, good_files, problems_of

from outbound.domain.source import Severity
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.editor import FILES, Declared, declared_in, editor_schemas

ROOT = Path(__file__).resolve().parents[3]
C = Code
STRUCTURAL = frozenset(
    {
        *(C.UNKNOWN_KEY, C.MISSING_KEY, C.MISPLACED_KEY, C.WRONG_SHAPE, C.UNSUPPORTED, C.EMPTY_VALUE, C.TRIGGER),
        *(C.BAD_TIME, C.BAD_DURATION, C.BAD_MONEY, C.BAD_NAME, C.BAD_VALUE, C.BAD_ADDRESS, C.UNKNOWN_ZONE),
        *(C.UNKNOWN_TOPIC, C.UNKNOWN_CLASS, C.UNKNOWN_CHANNEL, C.UNKNOWN_CALENDAR, C.UNKNOWN_TEMPLATE),
        *(C.UNKNOWN_EVENT, C.CAP_TARGET),
    }
)
"""What a schema can see: keys, forms and declared names. All other codes need several places or a condition."""
BEYOND = frozenset(
    {
        "a cap that looks back too far",
        "a window of two days",
        "limits in another currency",
        "two currencies",
        "two currencies in two channels",
        "an event of messages that nothing makes",
        "an event of messages with fields of another type",
        "an event of messages with a field that must be there",
        "a change to a value the attribute never has",
        "a change of a flag to a text",
        "variants that all send the template of send",
        "templates with the variants and under send",
        "a variant without a template",
        "security messages under caps",
        "create without an address in the event",
        "a reserved attribute of another type",
        "segments of an e-mail",
        "one day with a start",
        "quiet channels without quiet hours",
        "a goal about nothing declared",
    }
)
"""Flaws with such a code that take more than one key, a unit's arithmetic or a condition to see."""


def schema_for(path: str, document: Any) -> str:
    """Which schema a document of a file belongs to."""
    special = {"rules/policy.yaml": "policy", "rules/schema.yaml": "schema", "rules/segments.yaml": "segments"}
    return special.get(path, "test" if isinstance(document, dict) and "test" in document else "rule")


def plain(value: Any) -> Any:
    """As an editor sees it: YAML 1.2 has no dates."""
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


def documents(text: str) -> list[Any]:
    yaml = YAML(typ="safe", pure=True)
    return [plain(one) for one in yaml.load_all(StringIO(text)) if one is not None]


def validators(files: dict[str, bytes]) -> dict[str, Draft202012Validator]:
    return {name: Draft202012Validator(one) for name, one in editor_schemas(declared_in(files)).items()}


def complaints(
    files: dict[str, bytes], only: str = "", known: dict[str, Draft202012Validator] | None = None
) -> Iterator[str]:
    """Every complaint about the YAML files, by what they declare themselves or by schemas that are ``known``."""
    known = known or validators(files)
    for path, content in files.items():
        if path.startswith("rules/") and path.endswith(".yaml") and only in ("", path):
            for document in documents(content.decode()):
                for error in known[schema_for(path, document)].iter_errors(document):
                    yield f"{path}: {error.json_path}: {error.message[:300]}"


def shipped() -> dict[str, bytes]:
    """The rules that come with the product, and its templates."""
    paths = [*(ROOT / "rules").rglob("*.yaml"), *(ROOT / "templates").rglob("template.yaml")]
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in paths}


def test_every_schema_is_one_and_names_its_files() -> None:
    for declared in (Declared(), declared_in(shipped())):
        made = editor_schemas(declared)
        assert set(made) == set(FILES)
        for one in made.values():
            Draft202012Validator.check_schema(one)
            assert one["$schema"].endswith("2020-12/schema")


def test_of_every_key_that_a_reader_knows_something_is_said() -> None:
    """A key that is new in a reader is allowed at once; what it takes has to be written down here."""
    empty: list[str] = []

    def look(node: Any, place: str) -> None:
        if isinstance(node, dict):
            for key, inner in node.get("properties", {}).items():
                if inner == {} and not place.startswith("test"):
                    empty.append(f"{place}.{key}")
            for key, inner in node.items():
                look(inner, f"{place}.{key}")
        elif isinstance(node, list):
            for inner in node:
                look(inner, place)

    for name, one in editor_schemas(declared_in(good_files())).items():
        look({key: value for key, value in one.items() if key != "allOf"}, name)
    assert empty == []


def test_the_shipped_rules_are_valid() -> None:
    assert list(complaints(shipped())) == []


def test_the_good_set_is_valid_also_where_nothing_is_declared() -> None:
    assert list(complaints(good_files())) == []
    for path, content in good_files().items():
        for document in documents(content.decode()) if path.startswith("rules/") else ():
            one = Draft202012Validator(editor_schemas(Declared())[schema_for(path, document)])
            assert [error.message for error in one.iter_errors(document)] == []


def test_the_examples_of_the_reference_are_valid() -> None:
    page = (ROOT / "docs" / "rules-reference.md").read_text(encoding="utf-8")
    files: dict[str, bytes] = {}
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        named = re.match(r"# (rules/\S+)\n", block)
        if named:
            files[named[1]] = block.encode()
    assert len(files) > 8
    assert [c for c in complaints(files) if "is not one of" not in c] == [], "templates alone are not there"


def cases() -> list[Case]:
    """The broken files, without those that are no YAML in the first place."""
    files = sorted(file for file in (HERE / "broken").glob("*.txt") if file.stem != "yaml")
    return [case for file in files for case in read_cases(file)]


def _structural(case: Case) -> set[str]:
    """The structural errors of the file that the flaw is in."""
    return {
        problem.code
        for problem in problems_of(case.files())
        if problem.severity is Severity.ERROR and problem.code in STRUCTURAL and problem.span.file == case.path
    }


def test_structural_flaws_are_refused_by_the_schema_too() -> None:
    """All that the readers refuse for a key, a form or a name, but for what takes more than a schema sees."""
    known = validators(good_files())
    passed = [case for case in cases() if not _refused(case, known)]
    assert len(passed) < len(cases()) / 2
    assert {case.flaw for case in passed if _structural(case)} == BEYOND


def _refused(case: Case, known: dict[str, Draft202012Validator]) -> bool:
    try:
        return any(complaints(case.files(), case.path, known))
    except (YAMLError, ValueError):  # no parser takes it, or a day that does not exist
        return True


@pytest.mark.parametrize("name", ["rule", "policy", "segments", "schema", "test"])
def test_a_document_that_is_no_mapping_is_refused(name: str) -> None:
    one = Draft202012Validator(editor_schemas(Declared())[name])
    assert list(one.iter_errors(["a list"]))
    assert list(one.iter_errors({"nothing": "known"}))
