"""The Jinja2 environments: sandboxed, strict about what is missing, numbers only in arithmetic.

Fault K5: the sandbox of Jinja2 stops attribute escapes but not ``'x' * 400000000`` or nested loops. Here a template
may only contain what ``language`` lists, so nothing in it can grow faster than the text of the template itself.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from outbound.engine.rendering.formats import Stop, formats_for

_LARGEST = 1e15
"""Above this a float no longer holds every whole number, and no amount in a message is larger."""


class Missing(StrictUndefined):
    """A value the context does not have: using it stops this one message (fault F55)."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name = str(self._undefined_name or "a value").replace("__", ".", 1)
        return f"{name} missing"


class Sandbox(ImmutableSandboxedEnvironment):
    """Arithmetic is for numbers of ordinary size: nothing is repeated, joined or formatted by an operator."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``left operator right``. Raises Stop unless both are numbers and the result is a usable one."""
        for operand in (left, right):
            if isinstance(operand, Undefined):
                str(operand)  # raises and names what is missing
            if isinstance(operand, bool) or not isinstance(operand, int | float) or abs(operand) > _LARGEST:
                raise Stop(f"'{operator}' works on numbers only")
        if operator == "**" or (operator in ("/", "//", "%") and right == 0):
            raise Stop(f"'{operator}' by {right} is not possible")
        result = super().call_binop(context, operator, left, right)
        if not math.isfinite(result):
            raise Stop(f"'{operator}' gives no usable number")
        return result


PLAIN_FILTERS: Final = (
    "abs", "capitalize", "d", "default", "e", "escape", "first", "float", "int", "join", "last",
    "length", "lower", "round", "title", "trim", "truncate", "upper", "urlencode",
)  # fmt: skip
"""Filters of Jinja2 whose result is never much longer than what goes in."""

TESTS: Final = ("defined", "undefined", "eq", "ne", "lt", "le", "gt", "ge", "in", "even", "odd")


def make_environment(*, locale: str, html: bool, plain_spaces: bool = False) -> Sandbox:
    """An environment for one locale. ``html`` escapes every value; ``plain_spaces`` keeps GSM-7 free of U+00A0."""
    environment = Sandbox(
        undefined=Missing,
        autoescape=html,
        auto_reload=False,
        cache_size=0,
        keep_trailing_newline=True,
    )
    environment.globals.clear()
    filters: Mapping[str, Callable[..., Any]] = {name: environment.filters[name] for name in PLAIN_FILTERS}
    tests = {name: environment.tests[name] for name in TESTS}
    environment.filters.clear()
    environment.filters.update(filters)
    environment.filters.update(formats_for(locale, plain_spaces=plain_spaces))
    environment.tests.clear()
    environment.tests.update(tests)
    return environment
