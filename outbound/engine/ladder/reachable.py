"""Gate ``reachable``: there is an address on the channel, and it is not known to be useless."""

from outbound.domain.customer import AddressState
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Pass, Verdict


def reachable(context: Context) -> Verdict:
    """Drop each channel without a usable address: ``no_email`` if there is none, ``bad_email`` if it is useless."""
    dropped = {}
    for channel in context.channels:
        address = context.person.customer.address(channel)
        if address is None or not address.value:
            dropped[channel] = Reason(ReasonCode.UNREACHABLE, f"no_{channel}")
        elif address.state != AddressState.OK:
            dropped[channel] = Reason(ReasonCode.UNREACHABLE, f"bad_{channel}")
        elif context.notes is not None:
            context.notes.append(f"has {channel}")
    return Pass(dropped=dropped) if dropped else PASS
