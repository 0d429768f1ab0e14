"""``outbound explain``: why a customer gets a message of a rule, or does not; now, then, or if they were different.

Every verdict comes from the code that decides in earnest: slots and dates from planning, conditions from the closures
of the engine, gates from the ladder. Here is only what asks them one after the other, about one person, and keeps the
words. Nothing is written and no socket is opened.
"""

from outbound.services.explain.answer import Before, Explained, Line, Outcome
from outbound.services.explain.asking import Question, explain_all, explain_rule, own_zone

__all__ = ["Before", "Explained", "Line", "Outcome", "Question", "explain_all", "explain_rule", "own_zone"]
