"""The words of a JSON Schema, and the values of the rule language in them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from outbound.domain.customer import ChannelName
from outbound.engine.timing.zones import zone_names

Json = dict[str, Any]

NOT_EMPTY = r"\S"
DATE = r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
MOMENT = r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:00)?)?$"
MONEY = r"^[A-Z]{3} [0-9]{1,9}(\.[0-9]{1,6})?$"
SOME = r"^(?!0+(\.0+)?%)[0-9]{1,3}(\.[0-9]{1,2})?%$"
NOT_ALL = r"^[0-9]{1,2}(\.[0-9]{1,2})?%$"
SOME_MONEY = r"^[A-Z]{3} (?!0+(\.0+)?$)[0-9]{1,9}(\.[0-9]{1,6})?$"
SOME_NOT_ALL = r"^(?!0+(\.0+)?%)[0-9]{1,2}(\.[0-9]{1,2})?%$"
PERCENT = r"^[0-9]{1,4}(\.[0-9]{1,3})?%$"
ADDRESS = r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+\.[^\s@<>,;:\".]+$"
SENDER = r"^.*\S.*<[^\s@<>,;:\"]+@[^\s@<>,;:\"]+>$"
COUNTRY = r"^[A-Z]{2}$"
LANGUAGE = r"^[a-z]{2,3}(-[A-Z]{2})?$"


def text(about: str, *examples: str) -> Json:
    """A text of one line."""
    return _with({"type": "string", "pattern": NOT_EMPTY, "maxLength": 1000}, about, examples)


def form(pattern: str, about: str, *examples: str) -> Json:
    """A text of a given form."""
    return _with({"type": "string", "pattern": pattern}, about, examples)


def name(pattern: str, about: str, *examples: str) -> Json:
    """A name of the form that a reader asks for."""
    return form(f"^{pattern}$", about, *examples)


def choice(options: Iterable[str], about: str) -> Json:
    """One of some words; any text where none are known."""
    known = list(options)
    return _with({"enum": known} if known else {"type": "string", "pattern": NOT_EMPTY}, about, ())


def number(low: int, high: int, about: str) -> Json:
    """A whole number within bounds."""
    return {"type": "integer", "minimum": low, "maximum": high, "description": about}


def boolean(about: str) -> Json:
    """True or false."""
    return {"type": "boolean", "description": about}


def value(about: str) -> Json:
    """A single value of any type."""
    return {"type": ["string", "number", "boolean"], "description": about}


def listing(item: Json, about: str, *, at_least: int = 1) -> Json:
    """A list without repetitions."""
    return {"type": "array", "items": item, "minItems": at_least, "uniqueItems": True, "description": about}


def table(key: Json, item: Json, about: str, *, at_least: int = 0) -> Json:
    """A mapping whose keys the author chooses."""
    made = {"type": "object", "propertyNames": key, "additionalProperties": item, "description": about}
    return {**made, "minProperties": at_least} if at_least else made


def record(
    keys: Collection[str], properties: Mapping[str, Json], about: str = "", *, required: Sequence[str] = ()
) -> Json:
    """A mapping with exactly the keys that its reader knows; one that nothing is said about takes any value."""
    known: dict[str, Json] = {key: properties.get(key, {}) for key in keys}
    made: Json = {"type": "object", "properties": known, "additionalProperties": False}
    if required:
        made["required"] = list(required)
    return _with(made, about, ())


def conditions(about: str) -> Json:
    """A condition, or a list of them that must all be true."""
    one = {"type": "string", "pattern": NOT_EMPTY, "maxLength": 20_000}
    return {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}], "description": about}


def duration(about: str, *units: str, signed: bool = False) -> Json:
    """``48h``, with the units that a key takes."""
    amount = "[+-]?[0-9]{1,4}" if signed else r"\+?0*[1-9][0-9]{0,3}"
    return form(f"^{amount}({'|'.join(sorted(units, key=len, reverse=True))})$", about)


def channel(known: Iterable[str], about: str = "A channel of the policy.") -> Json:
    """A channel that the policy describes; any of the product's where it is not known."""
    return choice(list(known) or [one.value for one in ChannelName], about)


def zone(about: str, *more: str) -> Json:
    """An IANA time zone."""
    return choice([*more, "UTC", *sorted(one for one in zone_names() if "/" in one)], about)


def only_with(key: str, *triggers: str) -> Json:
    """``key`` goes with some triggers alone."""
    fitting = [{"properties": {"when": {"required": [trigger]}}} for trigger in triggers]
    return {"if": {"required": [key]}, "then": {"anyOf": fitting}}


def _with(made: Json, about: str, examples: Sequence[str]) -> Json:
    if about:
        made["description"] = about
    if examples:
        made["examples"] = list(examples)
    return made
