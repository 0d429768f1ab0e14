"""Gate ``experiment``: the person belongs to a group that gets nothing, so that the others' effect can be seen."""

from outbound.domain.decision import Skip
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Verdict

COVERAGE = "coverage"


def experiment(context: Context) -> Verdict:
    """Skip whoever the rule's experiment or the global holdout holds out.

    Reads the assignment it is given and hashes nothing. Planning gives one; the gate before the handover does not
    ask again, since group and template of a message are fixed once it is planned. Planning drops people outside the
    coverage before there is a candidate; whoever asks about one all the same learns that ``who`` ends there.
    """
    found = context.assignment
    if found is None:
        if context.notes is not None:
            context.notes.append("no experiment")
        return PASS
    if context.notes is not None and found.why:
        context.notes.append(found.why)
    if not found.covered:
        return Skip(reason=Reason(ReasonCode.WHO, COVERAGE))
    if found.held_out_by:
        return Skip(reason=Reason(ReasonCode.HELD_OUT, found.held_out_by))
    return PASS
