"""From a row of the file to the row of the stage: each cell by its declared type."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from outbound.domain.customer import AddressState
from outbound.domain.keyring import Keyring
from outbound.domain.rule import Schema
from outbound.engine.timing.zones import zone_source
from outbound.services.imports.contacts import read_email, read_phone
from outbound.services.imports.mapping import PREFERENCES, RESERVED, CustomerMapping, Source
from outbound.services.imports.odd_text import looks_odd
from outbound.services.imports.report import Remarks
from outbound.services.imports.rows import ABSENT, Cell
from outbound.services.imports.values import Invalid, Read, preference_reader, reader
from outbound.storage.stage import CUSTOMER

MAX_KEY: Final = 200
_PLACE: Final = {name: n for n, name in enumerate(CUSTOMER)}
_COUNTRY, _TIMEZONE = _PLACE["country"], _PLACE["timezone"]
_EMAIL, _EMAIL_HASH = _PLACE["email"], _PLACE["email_hash"]
_SMS, _SMS_HASH, _SMS_STATE = _PLACE["sms"], _PLACE["sms_hash"], _PLACE["sms_state"]
_ZONE, _ATTRIBUTES = _PLACE["zone_source"], _PLACE["attributes"]
_BLANK: Final = (None,) * len(CUSTOMER)

Row = list[Any]
"""Values in the order of ``stage.CUSTOMER``."""

zone_of = lru_cache(maxsize=8192)(zone_source)


@dataclass(slots=True)
class Draft:
    """A staged row in the making. ``phone`` waits for its country, where the row itself has none."""

    line: int
    id: str
    row: Row
    cells: Sequence[Cell]
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    """One mapped attribute: where its cell is, how it is read, where it goes."""

    name: str
    source: Source
    cell: int | None
    read: Read
    place: int | None


class DraftMaker:
    """Reads rows into drafts; a row that does not fit is noted in ``remarks`` and yields None."""

    def __init__(
        self, mapping: CustomerMapping, schema: Schema, keyring: Keyring, remarks: Remarks, wanted: Sequence[str]
    ) -> None:
        self._empty = mapping.layout.empty_when
        self._remarks = remarks
        self._keyring = keyring
        self._key = wanted.index(mapping.key)
        self._columns: list[_Column] = []
        self._phone: _Column | None = None
        for name, source in mapping.fields.items():
            cell = None if source.column is None else wanted.index(source.column)
            if name == "phone":
                self._phone = _Column(name, source, cell, str, _SMS)
                continue
            read: Read = read_email if name == "email" else reader(name, source, schema.customer[name])
            self._columns.append(_Column(name, source, cell, read, _PLACE[name] if name in RESERVED else None))
        for name, source in mapping.preferences.items():
            cell = None if source.column is None else wanted.index(source.column)
            place = _PLACE[PREFERENCES[name]]
            self._columns.append(_Column(PREFERENCES[name], source, cell, preference_reader(name, source), place))
        self.rehashes: list[tuple[str, str, str]] = []
        self.unreachable = 0

    def draft(self, line: int, cells: Sequence[Cell]) -> Draft | None:
        """The row with everything but the phone read, or None when it was refused."""
        identity = self._identity(line, cells[self._key])
        if not identity:
            return None
        row: Row = list(_BLANK)
        row[0], row[1] = line, identity
        attributes: dict[str, Any] = {}
        for column in self._columns:
            cell = column.source.constant if column.cell is None else cells[column.cell]
            if cell is ABSENT or cell is None:
                continue
            text = cell.strip()
            if not text or text in self._empty:
                if column.source.clear:
                    _put(row, attributes, column, None)
            elif not self._take(line, column, text, row, attributes):
                return None
        if attributes:
            row[_ATTRIBUTES] = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
        if row[_EMAIL]:
            row[_EMAIL_HASH] = self._hash("email", row[_EMAIL])
        draft = Draft(line, identity, row, cells)
        if self._phone is not None:
            self._take_phone(draft, self._phone)
        return draft

    def needs_country(self, draft: Draft) -> bool:
        """The phone can only be read with the country that the store knows."""
        return draft.phone is not None and not draft.row[_COUNTRY] and not draft.phone.startswith("+")

    def finish(self, draft: Draft, stored_country: str | None) -> Row | None:
        """The row with its phone and send zone, or None when the phone refused it."""
        row = draft.row
        if draft.phone is not None and self._phone is not None:
            country = row[_COUNTRY] or stored_country or self._phone.source.country
            try:
                value, state = read_phone(draft.phone, country)
            except Invalid as error:
                if not self._invalid(draft.line, self._phone, draft.phone, str(error)):
                    return None
            else:
                row[_SMS], row[_SMS_STATE], row[_SMS_HASH] = value, state.value, self._hash("sms", value)
                self.unreachable += state is AddressState.UNREACHABLE
        timezone, country = row[_TIMEZONE] or None, row[_COUNTRY] or None
        row[_ZONE] = zone_of(timezone, country, None if timezone or country else row[_SMS] or None)
        return row

    def _identity(self, line: int, cell: Cell) -> str:
        """The row's key; empty when it was refused."""
        identity = cell.strip() if cell is not ABSENT else ""
        if 0 < len(identity) <= MAX_KEY and identity.isprintable():
            return identity
        reason = f"a key has at most {MAX_KEY} printable characters" if identity else "no key"
        self._remarks.refuse(line, "", identity[:MAX_KEY], reason)
        return ""

    def _take(self, line: int, column: _Column, text: str, row: Row, attributes: dict[str, Any]) -> bool:
        """Read one cell into the row; False when it refuses the row."""
        try:
            _put(row, attributes, column, column.read(edit(text, column.source)))
        except Invalid as error:
            return self._invalid(line, column, text, str(error))
        if not text.isascii() and (hint := looks_odd(text)):
            self._remarks.warn(line, column.source.column or column.name, text, hint)
        return True

    def _take_phone(self, draft: Draft, column: _Column) -> None:
        cell = column.source.constant if column.cell is None else draft.cells[column.cell]
        text = cell.strip() if isinstance(cell, str) else ""
        if text and text not in self._empty:
            draft.phone = edit(text, column.source)
        elif isinstance(cell, str) and column.source.clear:
            draft.row[_SMS] = ""

    def _invalid(self, line: int, column: _Column, text: str, reason: str) -> bool:
        """Note a bad value; True when the row goes in without it."""
        name = column.source.column or column.name
        if column.source.ignore_invalid:
            self._remarks.warn(line, name, text, reason)
            return True
        self._remarks.refuse(line, name, text, reason)
        return False

    def _hash(self, channel: str, value: str) -> str:
        newest, *older = self._keyring.address_hashes(channel, value)
        for digest in older:
            self.rehashes.append((digest, newest, channel))
        return newest


def edit(text: str, source: Source) -> str:
    """The text after ``strip_prefix`` and ``map``."""
    if source.strip_prefix:
        text = text.removeprefix(source.strip_prefix).strip()
    return source.replace.get(text, text) if source.replace else text


def _put(row: Row, attributes: dict[str, Any], column: _Column, value: Any) -> None:
    if column.place is None:
        attributes[column.name] = value
    else:
        row[column.place] = "" if value is None else value
