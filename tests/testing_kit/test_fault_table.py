"""docs/reliability.md lists every fault, and claims no test that does not name it."""

from fault_table import FAULTS, named_by_tests, rows


def test_every_fault_is_listed_once_and_in_order() -> None:
    assert list(rows()) == [f"F{number:02}" for number in range(1, FAULTS + 1)]


def test_no_row_claims_a_test_that_does_not_name_its_fault() -> None:
    """A test that is not listed yet is no lie; run tests/testing_kit/fault_table.py to list it."""
    named = named_by_tests()
    wrong = {fault: file for fault, (_, files) in rows().items() for file in files if file not in named.get(fault, [])}
    assert wrong == {}
