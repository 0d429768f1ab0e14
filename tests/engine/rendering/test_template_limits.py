"""What a template may not do, however it is written (faults K5, F68)."""

import time

import pytest
from template_workbench import good, mail, problems_of, section, stop

from outbound.engine.rendering.environment import make_environment
from outbound.engine.rendering.formats import Stop

REFUSED = [
    "{{ ''.__class__.__mro__ }}",
    "{{ customer.__class__ }}",
    "{{ customer.first_name.__class__ }}",
    "{{ customer['first_name'] }}",
    "{{ customer }}",
    "{{ customer.first_name.format(x) }}",
    "{{ customer.first_name.upper() }}",
    "{{ customer.first_name | attr('__class__') }}",
    "{{ customer.first_name | map('upper') | list }}",
    "{{ customer.first_name | center(300000000) }}",
    "{{ customer.first_name | indent(300000000) }}",
    "{{ customer.first_name | wordwrap(1) }}",
    "{{ customer.first_name | replace('a', 'aaaa') }}",
    "{{ '%300000000d' | format(1) }}",
    "{{ customer.first_name | xmlattr }}",
    "{{ customer.first_name | tojson }}",
    "{{ customer.first_name | safe }}",
    "{{ customer.first_name | truncate(300000000) }}",
    "{{ 1.5 | round(300000000) }}",
    "{{ customer.first_name | join(customer.first_name) }}",
    "{{ range(10) }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{% for c in 'aaaa' %}x{% endfor %}",
    "{% for c in [1, 2] %}x{% endfor %}",
    "{% for c in customer.first_name recursive %}x{% endfor %}",
    "{{ customer.first_name ~ customer.first_name }}",
    "{{ [customer.first_name, customer.first_name] }}",
    "{{ (1, 2) }}",
    "{{ {'a': 1} }}",
    "{{ 2 ** 9 }}",
    "{{ lipsum() }}",
    "{{ cycler('a') }}",
    "{{ namespace() }}",
    "{{ self }}",
    "{{ config }}",
    "{{ super() }}",
    "{% macro f() %}{{ f() }}{% endmacro %}",
    "{% call f() %}{% endcall %}",
    "{% set a %}{{ customer.first_name }}{% endset %}",
    "{% set customer = 1 %}",
    "{% set a, b = 1, 2 %}",
    "{% block a %}{% endblock %}",
    "{% extends 'x' %}",
    "{% import 'x' as y %}",
    "{% include customer.first_name %}",
    "{% filter upper %}x{% endfilter %}",
    "{% autoescape false %}{{ customer.first_name }}{% endautoescape %}",
    "{% with a = 1 %}{% endwith %}",
    "{% do 1 %}",
    "{% raw %}{{ x }}{% endraw %}",
    "{{ customer.first_name is sameas 1 }}",
    "{{ customer.first_name is callable }}",
]


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("file", ["hello/email.mjml", "hello/sms.txt"])
def test_a_dangerous_or_unknown_construct_is_refused_when_compiled(text: str, file: str) -> None:
    started = time.perf_counter()
    written = section("Ciao {{ customer.first_name }} " + text) if file.endswith("mjml") else text
    found = problems_of({file: written})
    assert any(f"templates/{file}:1:" in problem for problem in found), found
    assert time.perf_counter() - started < 5, "refusing must not do what is refused"


@pytest.mark.parametrize(
    "text", ["{{ 'x' * 400000000 }}", "{{ customer.first_name * 400000000 }}", "{{ '%9d' % 1 }}", "{{ 'a' + 'b' }}"]
)
def test_operators_work_on_numbers_only(text: str) -> None:
    found = problems_of({"hello/email.mjml": section(text + "{{ customer.first_name }}")})
    assert any("works on numbers only" in problem for problem in found), found


@pytest.mark.parametrize(
    ("left", "operator", "right"),
    [
        (1e15, "*", 1e15),
        (1, "/", 0),
        (1, "//", 0),
        (5, "%", 0),
        (2, "**", 3),
        (True, "+", 1),
        ("a", "*", 3),
        ([1], "*", 9),
    ],
)
def test_arithmetic_that_gives_no_usable_number_is_stopped(left: object, operator: str, right: object) -> None:
    environment = make_environment(locale="en", html=True)
    if operator == "*" and left == right:
        product = environment.call_binop(None, operator, left, right)  # type: ignore[arg-type]
        with pytest.raises(Stop):
            environment.call_binop(None, operator, product, 1)  # type: ignore[arg-type]
        return
    with pytest.raises(Stop):
        environment.call_binop(None, operator, left, right)  # type: ignore[arg-type]


def test_ordinary_arithmetic_works() -> None:
    environment = make_environment(locale="en", html=True)
    for operator, expected in {"+": 9, "-": 5, "*": 14, "/": 3.5, "//": 3, "%": 1}.items():
        assert environment.call_binop(None, operator, 7, 2) == expected  # type: ignore[arg-type]


LOOP = """subject: {it: Ciao, en: Hello}
context: {script: [items]}
sample: {script: {items: [a, b]}}
"""
NESTED = section("{% for a in script.items %}{% for b in script.items %}<b>{{ a }}{{ b }}</b>{% endfor %}{% endfor %}")


def test_nested_loops_over_the_largest_context_end_soon_and_stop_at_the_limit() -> None:
    templates = good({"hello/template.yaml": LOOP, "hello/email.mjml": NESTED})
    started = time.perf_counter()
    assert stop(templates, context={"script": {"items": ["a" * 50] * 998}}) == "longer than 524,288 characters"
    assert time.perf_counter() - started < 5


def test_a_loop_inside_the_limits_renders() -> None:
    templates = good({"hello/template.yaml": LOOP, "hello/email.mjml": NESTED})
    assert "<b>xx</b><b>xy</b><b>yx</b><b>yy</b>" in mail(templates, context={"script": {"items": ["x", "y"]}}).html


@pytest.mark.parametrize("depth", [3])
def test_more_than_two_loops_inside_each_other_are_refused(depth: int) -> None:
    loops = "".join(f"{{% for v{i} in script.items %}}" for i in range(depth)) + "x" + "{% endfor %}" * depth
    assert any(
        "2 loops inside each other" in p
        for p in problems_of({"hello/template.yaml": LOOP, "hello/email.mjml": section(loops)})
    )


def test_a_context_of_too_many_values_stops_the_message() -> None:
    assert (
        stop(good(), context={"customer": {"first_name": "a", "x": ["y"] * 1001}}) == "customer.x holds too many values"
    )
    assert (
        stop(good(), context={"customer": {"first_name": "a", **{f"n{i}": "y" for i in range(1001)}}})
        == "more than 1000 values"
    )
    assert "too many" in stop(good(), context={"customer": {"first_name": [[[["a"]]]]}})


@pytest.mark.parametrize("size", [300_000])
def test_a_file_of_absurd_size_is_refused(size: int) -> None:
    assert any("bytes (limit" in problem for problem in problems_of({"hello/email.mjml": section("x" * size)}))
