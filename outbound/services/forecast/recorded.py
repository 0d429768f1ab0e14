"""What providers really answered, for a replay: looked up by the message and the number of the attempt.

A message that was not made then, or an attempt that nobody made, is accepted. Blocks that followed from an answer
are not repeated from here: they are on the record themselves, and happen again with it.
"""

from collections.abc import Mapping

import sqlalchemy as sa

from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services.dispatch.parcels import Passed
from outbound.services.forecast.hands import accepted
from outbound.storage.database import Database
from outbound.storage.tables import attempt, message

_Key = tuple[str, str, str, int, int]


class RecordedAnswers:
    """The answers of a database, to be read before it is taken back."""

    def __init__(self, answers: Mapping[_Key, Outcome]) -> None:
        self._answers = answers

    @classmethod
    def of(cls, database: Database) -> "RecordedAnswers":
        """Every answer but the plain acceptances."""
        query = (
            sa.select(
                message.c.rule, message.c.once, message.c.customer_id, attempt.c.leg, attempt.c.n, attempt.c.outcome,
                attempt.c.code, attempt.c.enhanced, attempt.c.text,
            )
            .join(message, message.c.id == attempt.c.message_id)
            .where(attempt.c.outcome.not_in(("", OutcomeKind.ACCEPTED.value)))
        )  # fmt: skip
        with database.read() as connection:
            return cls(
                {
                    tuple(row[:5]): Outcome(kind=OutcomeKind(row[5]), code=row[6], enhanced=row[7], text=row[8])
                    for row in connection.execute(query)
                }
            )

    def answer(self, passed: Passed) -> Outcome:
        """What was said to this attempt then."""
        one, begin = passed.message, passed.begin
        found = self._answers.get((one.rule, one.once, one.customer_id, begin.leg, begin.n))
        return found or accepted(passed)
