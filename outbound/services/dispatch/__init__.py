"""From a due message to a recorded outcome: claim, gate, render, hand over, record (docs/delivery.md)."""

from outbound.services.dispatch.dispatcher import STAGES, Dispatcher
from outbound.services.dispatch.hints import Hints
from outbound.services.dispatch.kit import DispatchSettings, LinkBuilder
from outbound.services.dispatch.report import SliceReport

__all__ = ["STAGES", "DispatchSettings", "Dispatcher", "Hints", "LinkBuilder", "SliceReport"]
