"""Gate ``suppressed``: the address is blocked after a bounce, a complaint or a STOP (C13, C14)."""

from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Pass, Verdict

_ALL = "all"
_CLASSES = frozenset(("security", "transactional", "service", "marketing"))


def suppressed(context: Context) -> Verdict:
    """Drop each channel with a block for this class or for all.

    A scope that names no class we know blocks everything, as does a block that names no channel: what cannot
    be understood must not be sent past (C45).
    """
    blocks = context.person.suppressed
    if not blocks:
        return _nothing(context)
    message_class = context.candidate.topic.message_class.name
    known = context.policy.classes
    dropped = {}
    for name, scope in sorted(blocks):
        if scope not in (_ALL, message_class) and (scope in _CLASSES or scope in known):
            continue
        for channel in context.channels:
            if channel not in dropped and name in (channel, ""):
                dropped[channel] = Reason(ReasonCode.SUPPRESSED, f"{channel}.{scope}")
    return Pass(dropped=dropped) if dropped else _nothing(context)


def _nothing(context: Context) -> Pass:
    if context.notes is not None:
        context.notes.append(f"no address is blocked for {context.candidate.topic.message_class.name}")
    return PASS
