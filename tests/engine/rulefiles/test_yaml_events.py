"""Two parsers read the same: what libyaml may read, ruamel.yaml reads alike."""

from pathlib import Path
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from outbound.domain.source import Problem
from outbound.engine.rulefiles import yaml_events
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import Node
from outbound.engine.rulefiles.yaml_source import read_documents

RULES = Path(__file__).parents[3] / "rules"
PIECES = (
    *("a", "on", "x y", "é", "🙂", "12:30", "http://x", "<<", "??", "!=", "==", "(", ")", "-3d", "~", "\\n", "$"),
    *(": ", ":", " ", "  ", "\n", "\n  ", "\n- ", "- ", "\n    ", ",", ", ", "k: v\n", "a: b", "{a: b}", "[a, b]"),
    *("[", "]", "{", "}", "'", '"', "''", "#", " # c", "?", "? ", "&a", "*a", "!", " !", "|", ">", "|-", "%", "@"),
    *("`", "\t", "---", "\n---\n", "...", "\n...\n", "<", "=", '"a\\n"', "'b c'", "|\n  t\n"),
)


def read(text: str) -> tuple[list[Node], list[Problem]]:
    findings = Findings()
    return read_documents("rules/x.yaml", text.encode(), findings), findings.problems


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("a: \nb: 1")
@example("k: [a,\n  b]\nl: {a: }")
@settings(max_examples=200, deadline=None)
def test_both_parsers_read_the_same(text: str) -> None:
    both = read("k: " + text)
    with patch.object(yaml_events, "_FAST", None):
        assert read("k: " + text) == both


def test_the_shipped_rules_go_the_fast_way() -> None:
    texts = [file.read_text(encoding="utf-8") for file in sorted(RULES.glob("*.yaml"))]
    assert texts
    assert [yaml_events.by_libyaml(text) is not None for text in texts].count(True) == len(texts)
