"""When a message may leave: zones, wall clocks, quiet hours, recurrences, date triggers and blackouts.

Pure: ``now`` is always an argument and always aware. docs/timing.md says the same in plain words.
"""

from outbound.engine.timing.blackouts import blackout_at
from outbound.engine.timing.calendars import is_working_day, shift_day
from outbound.engine.timing.date_triggers import DateTarget, date_targets
from outbound.engine.timing.quiet import Quiet, Silence, hours_for, quiet_at, quiet_until
from outbound.engine.timing.recurrence import Slot, frequency_of, period_key, slots_between
from outbound.engine.timing.walls import add, local_day, resolve_wall, start_of_day, wall
from outbound.engine.timing.zones import Zones, customer_source, resolve_zones, zone_named, zone_names, zone_source

__all__ = [
    "DateTarget",
    "Quiet",
    "Silence",
    "Slot",
    "Zones",
    "add",
    "blackout_at",
    "customer_source",
    "date_targets",
    "frequency_of",
    "hours_for",
    "is_working_day",
    "local_day",
    "period_key",
    "quiet_at",
    "quiet_until",
    "resolve_wall",
    "resolve_zones",
    "shift_day",
    "slots_between",
    "start_of_day",
    "wall",
    "zone_named",
    "zone_names",
    "zone_source",
]
