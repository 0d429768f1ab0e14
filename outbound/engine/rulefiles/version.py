"""The version of a rule: a hash of what it says, not of how it is laid out."""

import json
import re
from typing import Any

from outbound.domain.ids import content_hash
from outbound.engine.rulefiles.nodes import ListNode, MapNode, Node

_CONDITIONS = ("who", "if", "goal")
_BLANKS = re.compile(r"('(?:[^']|'')*')|\s+")


def rule_version(document: Node) -> str:
    """SHA-256 (hex) of the document with its keys in order and without comments, quotes and layout.

    Blanks count only inside quoted texts of conditions; a list keeps its order; a condition alone is the same
    as a list of that one.
    """
    text = json.dumps(canonical(document), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return content_hash(text.encode())


def canonical(node: Node) -> Any:
    """What a document says as JSON types: texts with single blanks, a condition alone as in a list of one."""
    if isinstance(node, MapNode):
        return {key.text: canonical(value) for key, value in node}
    if isinstance(node, ListNode):
        items = [canonical(item) for item in node.items]
        return items[0] if node.name in _CONDITIONS and len(items) == 1 else items
    return _BLANKS.sub(lambda match: match[1] or " ", node.text.strip())
