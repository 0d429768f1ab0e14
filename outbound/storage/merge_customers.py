"""From the stage into the record, set by set: customers, addresses and the history of what really changed."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage import changes
from outbound.storage.bulk import instant_writer
from outbound.storage.customers import COLUMNS
from outbound.storage.customers import set_zone_source as _store_zones

_DATES: Final = frozenset({"pause_from", "pause_to"})
_CHUNK: Final = 5_000
_STREAM: Final = {"yield_per": 1_000}

# A staged consent ``s`` that may change what stands. The address is the stored one: of whom it changes is in
# stage_change anyway.
_NEW_WORD: Final = (
    " WHERE NOT EXISTS (SELECT 1 FROM consent c WHERE c.customer_id = s.customer_id AND c.topic = s.topic"
    " AND c.channel = s.channel AND c.state = s.state AND (s.state = 'withdrawn' AND c.at >= s.at"
    " OR s.state = 'granted' AND (s.confirmed = 0 OR EXISTS (SELECT 1 FROM address a"
    " WHERE a.customer_id = s.customer_id AND a.channel = s.channel AND a.value = c.address))))"
)

ZoneSource = Callable[[str | None, str | None, str | None], str]
"""timezone, country, phone → what the send zone is worked out from (``engine.timing.zones.zone_source``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """How many customers were new, changed and the same."""

    new: int
    changed: int
    unchanged: int


def drop_duplicates(connection: Connection) -> Iterator[tuple[int, str]]:
    """Keep the last row of each id; yields line and id of the others. Their grants go, their withdrawals stay."""
    _index(connection, "stage_customer", "id, line")
    earlier = (
        "EXISTS (SELECT 1 FROM stage_customer later WHERE later.id = stage_customer.id"
        " AND later.line > stage_customer.line)"
    )
    yield from _stream(connection, f"SELECT line, id FROM stage_customer WHERE {earlier} ORDER BY line")
    grants = f"SELECT line FROM stage_customer WHERE {earlier}"
    connection.exec_driver_sql(f"DELETE FROM stage_consent WHERE state = 'granted' AND line IN ({grants})")
    connection.exec_driver_sql(f"DELETE FROM stage_customer WHERE {earlier}")


def redirect_merged(connection: Connection) -> Iterator[tuple[int, str]]:
    """Rows of customers who live on under another id: yields them; only their consents stay, for the survivor."""
    gone = "SELECT id FROM customer WHERE merged_into IS NOT NULL"
    yield from _stream(connection, f"SELECT line, id FROM stage_customer WHERE id IN ({gone}) ORDER BY line")
    survivor = "SELECT merged_into FROM customer WHERE customer.id = stage_consent.customer_id"
    connection.exec_driver_sql(f"UPDATE stage_consent SET customer_id = ({survivor}) WHERE customer_id IN ({gone})")
    connection.exec_driver_sql(f"DELETE FROM stage_customer WHERE id IN ({gone})")


def merge(
    connection: Connection, *, columns: Collection[str], source: str, now: datetime, zone_source: ZoneSource
) -> Merged:
    """Create and change customers and their addresses as staged; ``columns`` are those the mapping names."""
    sql = _Dialect(connection)
    at = instant_writer(connection)(now)
    for column in COLUMNS:
        if column in columns:
            sql.run(sql.column_changes(column))
    if "attributes" in columns:
        sql.run(sql.attribute_changes())
    for channel, name in (("email", "email"), ("sms", "phone")):
        if channel in columns:
            sql.run(sql.address_changes(channel, name))
    _index(connection, "stage_change", "customer_id")
    sql.lock()
    total = sql.count("SELECT count(*) FROM stage_customer")
    known = "EXISTS (SELECT 1 FROM customer c WHERE c.id = s.id)"
    new = sql.count(f"SELECT count(*) FROM stage_customer s WHERE NOT {known}")
    touched = "EXISTS (SELECT 1 FROM stage_change ch WHERE ch.customer_id = s.id)"
    changed = sql.count(f"SELECT count(*) FROM stage_customer s WHERE {touched} AND {known}")
    watched = changes.watched(connection)
    names = {f"watched{number}": name for number, name in enumerate(sorted(watched.attributes))}
    listed = ", ".join(f":{name}" for name in names)
    there = "EXISTS (SELECT 1 FROM customer c WHERE c.id = stage_change.customer_id)"  # who is new did not change
    pending = f"attribute IN ({listed}) AND {there}" if names else "false"
    sql.run(
        "INSERT INTO customer_change (customer_id, attribute, old, new, at, source, pending)"
        f" SELECT customer_id, attribute, old_json, new_json, :at, :source, {pending} FROM stage_change",
        at=at,
        source=source,
        **names,
    )
    sql.run(sql.update_customers(columns), at=at)
    sql.run(sql.insert_customers(), at=at)
    for channel in ("email", "sms"):
        if channel in columns:
            sql.run(sql.upsert_addresses(channel), at=at)
            clear = f"SELECT id FROM stage_customer WHERE {channel} = ''"
            sql.run(f"DELETE FROM address WHERE channel = '{channel}' AND customer_id IN ({clear})")
    sql.run(
        "INSERT INTO suppression (channel, scope, hash, reason, at)"
        " SELECT r.channel, b.scope, r.new, b.reason, b.at FROM stage_rehash r"
        " JOIN suppression b ON b.hash = r.old AND b.channel = r.channel WHERE true ORDER BY r.new, b.scope"
        " ON CONFLICT (channel, scope, hash) DO NOTHING"
    )
    _refresh_zones(connection, zone_source)
    if new and watched.entered:
        changes.ask_for_sweep(connection, now=now)
    return Merged(new=new, changed=changed, unchanged=total - new - changed)


def _state(channel: str) -> str:
    return "COALESCE(s.sms_state, 'ok')" if channel == "sms" else "'ok'"


def _moved(channel: str) -> str:
    """The staged address ``s`` is another than the stored one ``a``, or known by another hash, or in another state."""
    return f"(a.value <> s.{channel} OR a.hash <> s.{channel}_hash OR a.state <> {_state(channel)})"


class _Dialect:
    """The statements, in the words of one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sqlite = connection.dialect.name == "sqlite"

    def run(self, statement: str, **values: object) -> None:
        self._connection.execute(sa.text(statement), values)

    def lock(self) -> None:
        """Lock every customer of whom anything will change, in the order of ``storage.locks``."""
        if self._sqlite:
            return
        self._connection.exec_driver_sql("ANALYZE stage_change")
        rewritten = [
            f"SELECT s.id FROM stage_customer s JOIN address a ON a.customer_id = s.id AND a.channel = '{channel}'"
            f" WHERE s.{channel} <> '' AND {_moved(channel)}"
            for channel in ("email", "sms")
        ]
        changed = " UNION ALL ".join(
            [
                "SELECT customer_id FROM stage_change",
                *rewritten,
                f"SELECT s.customer_id FROM stage_consent s{_NEW_WORD}",
            ]
        )
        self._connection.exec_driver_sql(
            f"SELECT count(*) FROM (SELECT id FROM customer WHERE id IN ({changed}) ORDER BY id FOR UPDATE) locked"
        )

    def count(self, statement: str) -> int:
        number: int = self._connection.exec_driver_sql(statement).scalar_one()
        return number

    def column_changes(self, column: str) -> str:
        return self._changes(
            f"'{column}'",
            old=self._json(f"c.{column}"),
            new=self._json(self._staged(f"s.{column}", column)),
            source=f"stage_customer s LEFT JOIN customer c ON c.id = s.id WHERE s.{column} IS NOT NULL"
            f" AND {self._differs(self._staged(f's.{column}', column), f'c.{column}')}",
        )

    def address_changes(self, channel: str, name: str) -> str:
        return self._changes(
            f"'{name}'",
            old=self._json("a.value"),
            new=self._json(self._staged(f"s.{channel}", channel)),
            source=f"stage_customer s LEFT JOIN address a ON a.customer_id = s.id AND a.channel = '{channel}'"
            f" WHERE s.{channel} IS NOT NULL AND {self._differs(self._staged(f's.{channel}', channel), 'a.value')}",
        )

    def attribute_changes(self) -> str:
        if not self._sqlite:
            old, new = "NULLIF(c.attributes -> j.key, 'null')", "NULLIF(j.value, 'null')"
            source = "stage_customer s CROSS JOIN LATERAL jsonb_each(s.attributes) j"
        else:
            path = "'$.\"' || j.key || '\"'"
            kind, value = f"json_type(c.attributes, {path})", f"json_extract(c.attributes, {path})"
            old = _sqlite_json(kind, value)
            new = _sqlite_json("j.type", "j.value")
            source = "stage_customer s JOIN json_each(s.attributes) j"
        source += f" LEFT JOIN customer c ON c.id = s.id WHERE {self._differs(old, new)}"
        return self._changes("j.key", old=old, new=new, source=source)

    def update_customers(self, columns: Collection[str]) -> str:
        settings = [
            f"{name} = CASE WHEN s.{name} IS NULL THEN customer.{name} ELSE {self._staged(f's.{name}', name)} END"
            for name in COLUMNS
            if name in columns
        ]
        if "attributes" in columns:
            patched = (
                "json_patch(customer.attributes, s.attributes)"
                if self._sqlite
                else "jsonb_strip_nulls(customer.attributes || s.attributes)"
            )
            settings.append(f"attributes = CASE WHEN s.attributes IS NULL THEN customer.attributes ELSE {patched} END")
        return (
            f"UPDATE customer SET {', '.join([*settings, 'updated_at = :at'])} FROM stage_customer s"
            " WHERE customer.id = s.id AND EXISTS (SELECT 1 FROM stage_change ch WHERE ch.customer_id = s.id)"
        )

    def insert_customers(self) -> str:
        names = ", ".join(COLUMNS)
        values = ", ".join(self._staged(f"s.{name}", name) for name in COLUMNS)
        fresh = (
            "json_patch('{}', COALESCE(s.attributes, '{}'))"
            if self._sqlite
            else "jsonb_strip_nulls(COALESCE(s.attributes, '{}'))"
        )
        return (
            f"INSERT INTO customer (id, {names}, zone_source, attributes, created_at, updated_at)"
            f" SELECT s.id, {values}, COALESCE(s.zone_source, ''), {fresh}, :at, :at FROM stage_customer s"
            " WHERE NOT EXISTS (SELECT 1 FROM customer c WHERE c.id = s.id)"
        )

    def upsert_addresses(self, channel: str) -> str:
        # What stands already is left out: ON CONFLICT would lock it.
        return (
            "INSERT INTO address (customer_id, channel, value, hash, state, updated_at)"
            f" SELECT s.id, '{channel}', s.{channel}, s.{channel}_hash, {_state(channel)}, :at FROM stage_customer s"
            f" LEFT JOIN address a ON a.customer_id = s.id AND a.channel = '{channel}'"
            f" WHERE s.{channel} <> '' AND (a.value IS NULL OR {_moved(channel)})"
            " ON CONFLICT (customer_id, channel) DO UPDATE SET value = excluded.value, hash = excluded.hash,"
            " state = excluded.state, updated_at = excluded.updated_at"
        )

    def _changes(self, attribute: str, *, old: str, new: str, source: str) -> str:
        return (
            "INSERT INTO stage_change (customer_id, attribute, old_json, new_json)"
            f" SELECT s.id, {attribute}, {old}, {new} FROM {source}"
        )

    def _staged(self, value: str, column: str) -> str:
        text = f"NULLIF({value}, '')"
        return f"CAST({text} AS date)" if column in _DATES and not self._sqlite else text

    def _json(self, value: str) -> str:
        if self._sqlite:
            return f"CASE WHEN {value} IS NULL THEN NULL ELSE json_quote({value}) END"
        return f"to_jsonb({value})"

    def _differs(self, left: str, right: str) -> str:
        return f"{left} IS NOT {right}" if self._sqlite else f"{left} IS DISTINCT FROM {right}"


def _sqlite_json(kind: str, value: str) -> str:
    return (
        f"(CASE COALESCE({kind}, 'null') WHEN 'null' THEN NULL WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
        f" ELSE json_quote({value}) END)"
    )


def _refresh_zones(connection: Connection, zone_source: ZoneSource) -> None:
    query = sa.text(
        "SELECT c.id, c.timezone, c.country, a.value, c.zone_source FROM stage_customer s"
        " JOIN customer c ON c.id = s.id LEFT JOIN address a ON a.customer_id = c.id AND a.channel = 'sms'"
        " WHERE s.id > :after AND EXISTS (SELECT 1 FROM stage_change ch WHERE ch.customer_id = s.id)"
        " ORDER BY s.id LIMIT :chunk"
    )
    after = ""
    while rows := connection.execute(query, {"after": after, "chunk": _CHUNK}).all():
        fresh = {row[0]: zone_source(row[1], row[2], row[3]) for row in rows}
        _store_zones(connection, {row[0]: fresh[row[0]] for row in rows if fresh[row[0]] != row[4]})
        after = rows[-1][0]


def _index(connection: Connection, table: str, columns: str) -> None:
    schema = "temp." if connection.dialect.name == "sqlite" else ""
    connection.exec_driver_sql(f"CREATE INDEX {schema}{table}_by ON {table} ({columns})")


def _stream(connection: Connection, statement: str) -> Iterator[tuple[int, str]]:
    for row in connection.execute(sa.text(statement), execution_options=_STREAM):
        yield row[0], row[1]
