"""A release: rules, policy, schema and templates published together, immutable and named by their content."""

from collections.abc import Mapping
from dataclasses import dataclass

from outbound.domain.condition import Clause
from outbound.domain.policy import Policy
from outbound.domain.rule import Rule, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Everything parsed from ``rules/``."""

    schema: Schema
    policy: Policy
    segments: Mapping[str, tuple[Clause, ...]]
    rules: Mapping[str, Rule]


Files = Mapping[str, bytes]
"""Relative path (``rules/news.yaml``, ``templates/news/email.mjml``) to content."""
