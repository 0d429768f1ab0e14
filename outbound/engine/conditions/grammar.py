"""The grammar of conditions and its parser: text in, tree with exact positions out.

The parser is LALR(1) and iterative, so no nesting depth can exhaust Python's stack here. It is built once,
on first use, because loading lark costs more than starting a small command may take.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

    Node = Tree[Token] | Token

MAX_TEXT = 20_000
"""The longest condition in characters: bounds the time to read hostile input."""

JOINING = frozenset({"and", "or", "not", "in", "where", "within", "since"})
"""The words of the language; where none of them can stand, the lexer reads them as a name."""

GRAMMAR = r"""
?start: cond
?cond: conj | conj ("or" conj)+ -> or_
?conj: neg | neg ("and" neg)+ -> and_
?neg: test | "not" neg -> not_
?test: val
     | val OP val -> compare
     | val "in" list -> in_
     | val "not" "in" list -> not_in
?val: term | term ("??" term)+ -> default
?term: TEXT | DATE | DURATION | NUMBER | NAME | call | "(" cond ")"
call: NAME "(" [arg ("," arg)*] ")"
?arg: cond
    | "where" cond -> where
    | "within" term -> within
    | "since" NAME -> since
list: "[" [term ("," term)*] "]"

OP: "==" | "!=" | "<=" | ">=" | "<" | ">"
TEXT: /'(?:[^'\x00-\x1f\x7f\ud800-\udfff]|'')*'/
DATE.4: /\d+-\d+-\d+/
DURATION.3: /-?\d+(?:\.\d+)?[A-Za-z]+/
NUMBER.2: /-?\d+(?:\.\d+)?/
NAME: /[A-Za-z_][\w-]*(?:\.[\w-]+)*/
%ignore /\s+/
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of the condition's text: where it starts (0-based) and how many characters it has."""

    start: int
    width: int


class ConditionSyntaxError(Exception):
    """The text is not a condition. ``mark`` is the piece at fault, ``suggestion`` the way to write it."""

    def __init__(self, mark: Mark, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message
        self.suggestion = suggestion


def misplaced(word: str) -> str:
    """The sentence for a word of the language where a value is expected."""
    return f"'{word}' stands where a value is expected"


@cache
def _parser() -> "Lark":
    from lark import Lark  # noqa: PLC0415 - loaded on first use: commands without conditions start faster

    return Lark(GRAMMAR, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=False)


def parse(text: str) -> "Node":
    """The tree of a condition. Raises ConditionSyntaxError with the piece at fault."""
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - as above

    from outbound.engine.conditions.syntax import explain_syntax  # noqa: PLC0415 - needed only when wrong

    if not text.strip():
        raise ConditionSyntaxError(Mark(0, 1), "the condition is empty", "leave it out to mean everyone")
    if len(text) > MAX_TEXT:
        message = f"the condition has {len(text):,} characters, at most {MAX_TEXT:,} are read"
        raise ConditionSyntaxError(Mark(0, 1), message, "split it into segments")
    try:
        tree: Node = _parser().parse(text)  # lark names the wider type of any start rule
    except UnexpectedInput as error:
        raise explain_syntax(text, error) from None
    return tree
