"""Unit tests of rules: a clock, people, events, the messages they get and the reasons of those who get none.

A test file is read (``reading``), lived through by the engine of forecasts in an empty scratch store (``world``), and
what came of it is compared with what was expected (``judging``); ``coverage`` says which lines no test has exercised.
"""

from outbound.services.ruletests.running import Outcome, Suite, find_tests, run_tests
from outbound.services.ruletests.values import Failure, RuleTest

__all__ = ["Failure", "Outcome", "RuleTest", "Suite", "find_tests", "run_tests"]
