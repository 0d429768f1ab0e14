"""What a template may contain. Everything else of Jinja2 is refused when the template is compiled.

The list is short on purpose (fault K5): no expression here can make a text much longer than its inputs, loops run only
over lists of the message's context, and no name leads to a Python object. Declared paths (``customer.first_name``)
become single variables (``customer__first_name``), which is also the fastest thing Jinja2 can look up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Environment
from jinja2.visitor import NodeTransformer

from outbound.domain.source import Problem, Span
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.environment import PLAIN_FILTERS, TESTS
from outbound.engine.rulefiles.findings import did_you_mean

LOOP_DEPTH: Final = 2
"""Loops inside loops: with at most 1,000 values in a context this bounds the work of a message."""

FILTERS: Final = (*PLAIN_FILTERS, "money", "number", "date", "time", "web_address")
LAYOUT_NAMES: Final = (
    *("subject", "preheader", "marketing", "message_class"),
    *("unsubscribe_url", "preferences_url", "verify_url", "verify_code"),
)
_LOOP_FIELDS = ("index", "index0", "first", "last", "length", "revindex")
_CONSTANT_ARGUMENTS = {"join": 16, "date": 30, "truncate": 500, "round": 6, "number": 6}
"""Filters whose arguments must stand in the template: the longest text and the largest number allowed."""

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Name, nodes.Const,
    nodes.Getattr, nodes.Call, nodes.Filter, nodes.Test, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not,
    nodes.Compare, nodes.Operand, nodes.List, nodes.Keyword, nodes.Neg, nodes.Pos,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod,
)  # fmt: skip

_HINTS: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Concat: "write two expressions side by side instead of ~",
    nodes.Getitem: "write a dot: customer.first_name",
    nodes.Tuple: "write in ['a', 'b']",
    nodes.Macro: "put shared text into a partial and {% include %} it",
    nodes.CallBlock: "put shared text into a partial and {% include %} it",
    nodes.Include: 'only {% include "NAME" %} of a file in templates/brand',
    nodes.Extends: "the brand's layout is put around every template by itself",
    nodes.Block: "the brand's layout is put around every template by itself",
    nodes.AssignBlock: "write {% set name = value %}",
    nodes.Pow: "write the product out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The names a template may use.

    ``declared``: the context of template.yaml by root; ``strings`` and ``brand`` are fixed texts;
    ``assets`` maps a file name to its content-addressed name.
    """

    declared: Mapping[str, frozenset[str]]
    strings: Mapping[str, str] = field(default_factory=dict)
    brand: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Checked:
    """A tree ready to be compiled, the declared paths and assets it uses, and whether it loops."""

    tree: nodes.Template
    problems: list[Problem]
    used: set[str]
    assets: set[str]
    loops: bool


Locate = Callable[[int, str], Span]
"""The place of a word on a 1-based line of the text that was parsed."""


def check(environment: Environment, text: str, scope: Scope, locate: Locate) -> Checked:
    """Parse ``text`` and rewrite it; ``locate`` finds the places of problems."""
    rewriter = _Rewriter(scope, locate)
    try:
        tree = rewriter.visit(environment.parse(text))
    except TemplateSyntaxError as error:
        problem = Problem(span=locate(error.lineno, ""), message=f"template syntax: {error.message}", code=Code.SYNTAX)
        return Checked(tree=nodes.Template([]), problems=[problem], used=set(), assets=set(), loops=False)
    except RecursionError:
        problem = Problem(span=locate(1, ""), message="too many brackets inside each other", code=Code.TOO_LARGE)
        return Checked(tree=nodes.Template([]), problems=[problem], used=set(), assets=set(), loops=False)
    tree.set_environment(environment)
    return Checked(
        tree=tree, problems=rewriter.problems, used=rewriter.used, assets=rewriter.assets, loops=rewriter.loops
    )


def _is_asset(node: nodes.Concat) -> bool:
    first = node.nodes[0]
    return isinstance(first, nodes.Name) and first.name == "assets_url"


class _Rewriter(NodeTransformer):
    """Refuses what is not listed, replaces paths and fixed texts."""

    def __init__(self, scope: Scope, locate: Locate) -> None:
        self.scope = scope
        self.locate = locate
        self.problems: list[Problem] = []
        self.used: set[str] = set()
        self.assets: set[str] = set()
        self.loops = False
        self._locals: list[str] = []
        self._depth = 0

    def _fault(self, node: nodes.Node, code: Code, message: str, hint: str = "", word: str = "") -> None:
        line = node.lineno or next((child.lineno for child in node.find_all(nodes.Node) if child.lineno), 1)
        place = self.locate(line, word)
        problem = Problem(span=place, message=message, code=code, suggestion=hint)
        if problem not in self.problems:
            self.problems.append(problem)

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(node, _ALLOWED):
            what = type(node).__name__.lower()
            hint = _HINTS.get(type(node), "docs/templates.md lists what a template may contain")
            self._fault(node, Code.NOT_ALLOWED, f"a template may not contain {what}", hint)
            return node
        return super().visit(node, *args, **kwargs)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 -- Jinja2's visitor names
        if not isinstance(node.node, nodes.Name):
            self._fault(node, Code.NOT_ALLOWED, f"'.{node.attr}' of a value", "write customer.NAME", node.attr)
            return node
        root, name = node.node.name, node.attr
        if root == "loop" and self._depth:
            if name not in _LOOP_FIELDS:
                self._fault(node, Code.NOT_ALLOWED, f"loop.{name}", did_you_mean(name, _LOOP_FIELDS), f"loop.{name}")
            return node
        if root in self._locals:
            return nodes.Getitem(node.node, nodes.Const(name), "load", lineno=node.lineno)
        if root in ("t", "brand"):
            return self._fixed(node, root, name)
        if root not in self.scope.declared:
            self._unknown_root(node, root, f"{root}.{name}")
            return node
        if name not in self.scope.declared[root]:
            known = self.scope.declared[root]
            hint = did_you_mean(name, known) or "add it under context: in template.yaml"
            message = f"'{root}.{name}' is not declared under context in template.yaml"
            self._fault(node, Code.UNDECLARED, message, hint, f"{root}.{name}")
            return node
        self.used.add(f"{root}.{name}")
        return nodes.Name(f"{root}__{name}", "load", lineno=node.lineno)

    def _fixed(self, node: nodes.Getattr, root: str, name: str) -> nodes.Node:
        texts = self.scope.strings if root == "t" else self.scope.brand
        if name not in texts:
            what = "strings: of template.yaml or brand.yaml" if root == "t" else "values: of brand.yaml"
            message = f"'{root}.{name}' is not in {what}"
            self._fault(node, Code.UNKNOWN_NAME, message, did_you_mean(name, texts), f"{root}.{name}")
            return node
        return nodes.Const(texts[name], lineno=node.lineno)

    def _unknown_root(self, node: nodes.Node, root: str, word: str) -> None:
        roots = (*self.scope.declared, "t", "brand")
        hint = did_you_mean(root, roots)
        self._fault(node, Code.UNKNOWN_NAME, f"'{word}' is not declared under context", hint, word)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802
        if node.name in self._locals or node.name in LAYOUT_NAMES:
            return node
        if node.name in self.scope.declared:
            self._fault(node, Code.UNKNOWN_NAME, f"'{node.name}' alone is not a value", "write its field", node.name)
        else:
            self._unknown_root(node, node.name, node.name)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        call = node.node
        argument = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if isinstance(call, nodes.Name) and call.name == "asset" and isinstance(argument, nodes.Const):
            name = str(argument.value)
            if name not in self.scope.assets:
                hint = did_you_mean(name, self.scope.assets)
                self._fault(node, Code.UNKNOWN_ASSET, f"there is no asset '{name}'", hint, name)
                return node
            self.assets.add(name)
            # the folder of assets is known when the message is rendered, the name now
            return nodes.Concat([nodes.Name("assets_url", "load"), nodes.Const(self.scope.assets[name])])
        self._fault(node, Code.NOT_ALLOWED, "a template calls nothing but asset('FILE')", "use a filter: value | upper")
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802
        """An asset that stands alone is its folder and its name one after the other: nothing is joined per message."""
        self.generic_visit(node)
        parts = [part.nodes if isinstance(part, nodes.Concat) and _is_asset(part) else [part] for part in node.nodes]
        node.nodes = [one for some in parts for one in some]
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        if node.name not in FILTERS:
            hint = did_you_mean(node.name, FILTERS)
            self._fault(node, Code.UNKNOWN_FILTER, f"unknown filter '{node.name}'", hint, node.name)
        if node.node is None or node.dyn_args or node.dyn_kwargs:
            self._fault(node, Code.NOT_ALLOWED, f"'{node.name}' without a value", "write value | filter", node.name)
            return node
        longest = _CONSTANT_ARGUMENTS.get(node.name)
        arguments = [*node.args, *(keyword.value for keyword in node.kwargs)]
        if longest is not None and not all(_small(argument, longest) for argument in arguments):
            message = f"the arguments of '{node.name}' must be short texts or small numbers"
            self._fault(node, Code.NOT_ALLOWED, message, "write them out", node.name)
        return self.generic_visit(node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802
        if node.name not in TESTS:
            self._fault(
                node, Code.UNKNOWN_FILTER, f"unknown test '{node.name}'", did_you_mean(node.name, TESTS), node.name
            )
        return self.generic_visit(node)

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        if not all(isinstance(item, nodes.Const) for item in node.items):
            self._fault(node, Code.NOT_ALLOWED, "a list holds constants only", "write in ['a', 'b']")
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802
        if not isinstance(node.target, nodes.Name) or not self._new_name(node, node.target.name):
            self._fault(node, Code.NOT_ALLOWED, "set takes one new name", "write {% set name = value %}")
            return node
        node.node = self.visit(node.node)
        self._locals.append(node.target.name)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        path = node.iter
        if not isinstance(path, nodes.Getattr) or node.recursive or not isinstance(node.target, nodes.Name):
            message = "a loop runs over one list of the context"
            self._fault(node, Code.NOT_ALLOWED, message, "write {% for item in event.items %}")
            return node
        if self._depth >= LOOP_DEPTH:
            self._fault(node, Code.NOT_ALLOWED, f"more than {LOOP_DEPTH} loops inside each other")
            return node
        if not self._new_name(node, node.target.name):
            return node
        self.loops = True
        node.iter = self.visit(path)
        self._depth += 1
        self._locals.append(node.target.name)
        node.test = self.visit(node.test) if node.test else None
        node.body = [self.visit(child) for child in node.body]
        node.else_ = [self.visit(child) for child in node.else_]
        self._locals.remove(node.target.name)
        self._depth -= 1
        return node

    def _new_name(self, node: nodes.Node, name: str) -> bool:
        reserved = (*self.scope.declared, *LAYOUT_NAMES, "t", "brand", "loop", "asset", "assets_url")
        if name in reserved or "__" in name:
            self._fault(node, Code.NOT_ALLOWED, f"'{name}' is taken", "choose another name", name)
            return False
        return True


def _small(argument: nodes.Node, longest: int) -> bool:
    """Whether the argument is a constant that cannot make a filter work long."""
    if not isinstance(argument, nodes.Const):
        return False
    if isinstance(argument.value, int | float):
        return abs(argument.value) <= longest
    return len(str(argument.value)) <= longest
