"""What went wrong in a condition that does not parse, in one sentence and with the way to write it.

People bring habits from SQL, spreadsheets and programming languages; each habit has its own sentence.
"""

import re

from lark.exceptions import UnexpectedInput, UnexpectedToken

from outbound.engine.conditions.grammar import JOINING, ConditionSyntaxError, Mark, misplaced

_KEYWORDS = JOINING | {"true", "false"}
_OPERATORS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_CLOSING = {")": "(", "]": "["}
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|[\w.-]+|[=!<>&|?]+|.", re.DOTALL)

_CALCULATES = "a condition cannot calculate"
_CALCULATE_ELSEWHERE = "put the computed value into a customer attribute"

_HABITS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"=+"), "'{found}' does not compare", "write =="),
    (re.compile(r"<>"), "'{found}' does not compare", "write !="),
    (re.compile(r"&+"), "'{found}' does not join conditions", "write and"),
    (re.compile(r"\|+"), "'{found}' does not join conditions", "write or"),
    (re.compile(r"!(?!=)"), "'!' does not negate", "write not"),
    (re.compile(r"\?(?!\?)"), "'?' is not part of a condition", "write ?? to give a default"),
    (re.compile(r'"([^"]*)"'), "text stands in single quotes", "write '{0}'"),
    (
        re.compile("[\u201c\u201d\u2018\u2019\u201e]([^\u201c\u201d\u2018\u2019]*)[\u201c\u201d\u2018\u2019]?"),
        "text stands in straight single quotes",
        "write '{0}'",
    ),
    (
        re.compile("'[^'\x00-\x1f\x7f\ud800-\udfff]*[\x00-\x1f\x7f\ud800-\udfff]"),
        "text may not hold control characters",
        "remove them",
    ),
    (re.compile(r"'[^']*$"), "the text is not closed", "add a ' at its end"),
    (re.compile('"'), "text stands in single quotes", "write '...'"),
    (re.compile(r"\$?\{+[^}]*\}*"), "a condition has no placeholders", "write customer.x or event.x"),
    (re.compile(r"\$"), "'$' is not part of a condition", "write customer.x or event.x"),
    (re.compile(r"[-+*/%^]"), _CALCULATES, _CALCULATE_ELSEWHERE),
    (re.compile(r"~"), "a condition has no patterns", "list the values: customer.x in ['a', 'b']"),
    (re.compile(r":"), "a condition has no ':'", "write within 7d"),
    (re.compile(r";"), "';' does not join conditions", "write and"),
)

_WORDS: dict[str, tuple[str, str]] = {
    "is": ("a condition has no 'is'", "write ==, or not has(...) where it may be missing"),
    "like": ("a condition has no patterns", "list the values: customer.x in ['a', 'b']"),
    "matches": ("a condition has no patterns", "list the values: customer.x in ['a', 'b']"),
    "contains": ("a condition does not look inside text", "list the values: customer.x in ['a', 'b']"),
    "between": ("a condition has no 'between'", "write customer.x >= 1 and customer.x <= 9"),
    "equals": ("a condition has no 'equals'", "write =="),
    "then": ("a condition has no 'then'", "write only what must be true"),
    "if": ("a condition has no 'if'", "write only what must be true"),
}


def explain_syntax(text: str, error: UnexpectedInput) -> ConditionSyntaxError:
    """The sentence for lark's error on ``text``."""
    position: int | None = getattr(error, "pos_in_stream", None)  # lark declares it without a type
    if position is None or _at_end(error):
        return _too_early(text)
    if text[position - 1 : position + 1] == "<>":
        position -= 1  # the first half is an operator of its own
    rest = text[position:]
    found = _found(rest)
    return (
        _habit(position, rest)
        or _bracket(text, position, rest[0])
        or _word(position, found)
        or _sequence(text, position, found, error)
    )


def _at_end(error: UnexpectedInput) -> bool:
    return isinstance(error, UnexpectedToken) and error.token.type == "$END"


def _found(rest: str) -> str:
    match = _TOKEN.match(rest)
    return match.group() if match else rest[:1]


def _too_early(text: str) -> ConditionSyntaxError:
    opened = _open_bracket(text)
    if opened is not None:
        closing = ")" if text[opened] == "(" else "]"
        return ConditionSyntaxError(Mark(opened, 1), f"this '{text[opened]}' is not closed", f"add a '{closing}'")
    last = list(_TOKEN.finditer(text.rstrip()))[-1]
    message = f"the condition stops after '{last.group()}'"
    return ConditionSyntaxError(Mark(last.start(), len(last.group())), message, "say what comes next, or remove it")


def _open_bracket(text: str) -> int | None:
    """Where the innermost bracket opens that nothing closes."""
    stack: list[int] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in {"(", "["}:
            stack.append(match.start())
        elif token in _CLOSING and stack:
            stack.pop()
    return stack[-1] if stack else None


def _habit(position: int, rest: str) -> ConditionSyntaxError | None:
    for pattern, message, suggestion in _HABITS:
        match = pattern.match(rest)
        if match and match.group() not in _OPERATORS:
            mark = Mark(position, len(match.group()))
            return ConditionSyntaxError(mark, message.format(found=match.group()), suggestion.format(*match.groups()))
    return None


def _bracket(text: str, position: int, found: str) -> ConditionSyntaxError | None:
    if found not in _CLOSING:
        return None
    opened = _open_bracket(text[:position])
    if opened is None:
        return ConditionSyntaxError(
            Mark(position, 1), f"there is no '{_CLOSING[found]}' for this '{found}'", "remove it"
        )
    if text[opened] != _CLOSING[found]:
        closing = ")" if text[opened] == "(" else "]"
        return ConditionSyntaxError(Mark(opened, 1), f"this '{text[opened]}' is not closed", f"add a '{closing}'")
    return None


def _word(position: int, found: str) -> ConditionSyntaxError | None:
    lowered = found.lower()
    mark = Mark(position, len(found))
    if lowered in _KEYWORDS and found != lowered:
        return ConditionSyntaxError(mark, f"'{found}' must be in lower case", f"write {lowered}")
    if lowered in _WORDS:
        return ConditionSyntaxError(mark, *_WORDS[lowered])
    return None


def _sequence(text: str, position: int, found: str, error: UnexpectedInput) -> ConditionSyntaxError:
    mark = Mark(position, len(found))
    shown = found if found.startswith("'") else f"'{found}'"
    before = text[:position].strip()
    expected = set(error.expected) if isinstance(error, UnexpectedToken) else set()
    if found in _OPERATORS and "AND" in expected:
        return ConditionSyntaxError(mark, "comparisons cannot be chained", "write a < b and b < c")
    if not before:
        return ConditionSyntaxError(mark, f"a condition cannot start with {shown}", "start with customer.x")
    last = list(_TOKEN.finditer(before))[-1].group()
    opened = _open_bracket(before)
    if opened is not None and before[opened] == "[" and "COMMA" in expected:
        return ConditionSyntaxError(mark, f"a list has commas between its values, not {shown}", "add a comma")
    if last in JOINING and "AND" in expected:
        start = before.rindex(last)
        return ConditionSyntaxError(Mark(start, len(last)), misplaced(last), "a value is missing before it")
    if "AND" in expected or "OP" in expected:
        message = f"{shown} does not follow what stands before it"
        return ConditionSyntaxError(mark, message, "join conditions with and, or")
    if expected == {"LSQB"}:
        return ConditionSyntaxError(mark, "'in' needs a list", "write in ['a', 'b']")
    if last == "," and found in _CLOSING:
        return ConditionSyntaxError(mark, f"a value is missing before '{found}'", "remove the comma")
    message = f"{shown} cannot follow '{last}'"
    return ConditionSyntaxError(mark, message, "a value is missing between them")
