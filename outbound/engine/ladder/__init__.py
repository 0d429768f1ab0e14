"""The gates a message passes, in order. docs/ladder.md says the same in plain words."""

from outbound.engine.ladder.context import Candidate, Context, Pass, Switches, Verdict
from outbound.engine.ladder.ladder import LADDER, Step, decide, ladder_steps

__all__ = ["LADDER", "Candidate", "Context", "Pass", "Step", "Switches", "Verdict", "decide", "ladder_steps"]
