"""What would happen: the real planner, gates and records on a scratch copy, with a virtual clock and no provider.

A scratch copy (``scratch``) gets the release to be tried (``adopt``), is lived through (``course``, with the
``hands`` of a dispatcher whose accounts are ``unplugged``), and its ``figures`` are read. Nothing is rendered, so a
template that stops while it renders is not foreseen here: `outbound check` renders them all.
"""

from outbound.domain.forecast import Forecast
from outbound.services.forecast.course import Feed, Stretch
from outbound.services.forecast.hands import Answer
from outbound.services.forecast.running import LONG_LOOKS, adopt, forecast
from outbound.services.forecast.scratch import copied, empty
from outbound.services.forecast.unplugged import Account

__all__ = ["LONG_LOOKS", "Account", "Answer", "Feed", "Forecast", "Stretch", "adopt", "copied", "empty", "forecast"]
