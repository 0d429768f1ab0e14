"""docs/compliance.md lists every statement, and claims no test that does not exist or does not name it."""

from compliance_table import STATEMENTS, named_by_tests, rows


def test_every_statement_is_listed_once_and_in_order() -> None:
    assert list(rows()) == [f"C{number:02}" for number in range(1, STATEMENTS + 1)]


def test_every_named_test_exists_and_names_its_statement() -> None:
    """A test that is not listed yet is no lie; run tests/docs/compliance_table.py to list it."""
    named = named_by_tests()
    wrong = {c: test for c, (_, tests) in rows().items() for test in tests if test not in named.get(c, [])}
    assert wrong == {}
