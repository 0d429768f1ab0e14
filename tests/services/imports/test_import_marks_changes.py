"""An import marks the changes that a rule waits for, in the transaction that writes them."""

import sqlalchemy as sa
from import_shop import FIELDS, NOW, Shop

from outbound.storage import changes, customers
from outbound.storage.changes import Watched
from outbound.storage.tables import customer_change, installation

MAPPING = FIELDS + "email: email\n  plan: plan\n  country: country\n"


def _watch(shop: Shop, *attributes: str, entered: bool = False) -> None:
    with shop.database.write() as connection:
        changes.watch(connection, Watched(changed=frozenset(attributes), entered=entered))


def _marked(shop: Shop) -> list[tuple[str, str]]:
    with shop.database.read() as connection:
        query = sa.select(customer_change.c.customer_id, customer_change.c.attribute).where(
            customer_change.c.pending.is_(True)
        )
        return sorted((row[0], row[1]) for row in connection.execute(query))


def test_only_watched_attributes_of_customers_who_were_there(shop: Shop) -> None:
    """A document's attribute, a column and an address; who is new did not change, and the same again is no change."""
    _watch(shop, "plan", "country", "email")
    shop.customers(MAPPING, "id,email,plan,country\nada,ada@shop.example,free,IT\nbob,bob@shop.example,free,IT\n")
    assert _marked(shop) == []
    content = (
        "id,email,plan,country\nada,ada@shop.example,pro,FR\nbob,bob@other.example,free,IT\ncy,c@x.example,pro,IT\n"
    )
    for _ in range(2):
        shop.customers(MAPPING, content)
    assert _marked(shop) == [("ada", "country"), ("ada", "plan"), ("bob", "email")]


def test_nothing_is_marked_while_nothing_is_watched(shop: Shop) -> None:
    for plan in ("free", "pro"):
        shop.customers(MAPPING, f"id,email,plan,country\nada,ada@shop.example,{plan},IT\n")
    assert _marked(shop) == []


def test_what_is_watched_from_now_on_is_seen_by_the_next_import_and_by_pages(shop: Shop) -> None:
    shop.customers(MAPPING, "id,email,plan,country\nada,ada@shop.example,free,IT\n")
    _watch(shop, "country")
    shop.customers(MAPPING, "id,email,plan,country\nada,ada@shop.example,pro,IT\n")
    assert _marked(shop) == []
    with shop.database.write() as connection:
        update = customers.Update(customer_id="ada", columns={"country": "FR"}, attributes={"plan": "free"})
        customers.apply(connection, update, source="page", now=NOW)
    assert _marked(shop) == [("ada", "country")]


def test_new_customers_ask_for_a_look_at_everybody_where_segments_are_watched(shop: Shop) -> None:
    """Nobody waits for the full hour; a dry run asks for nothing, and an import without new customers neither."""

    def asked() -> bool:
        with shop.database.read() as connection:
            return changes.sweep_asked(connection) is not None

    first = "id,email,plan,country\nada,ada@shop.example,free,IT\n"
    shop.customers(MAPPING, first)
    assert not asked()
    _watch(shop, entered=True)
    shop.customers(MAPPING, first)
    shop.customers(MAPPING, first + "bob,bob@shop.example,free,IT\n", dry_run=True)
    assert not asked()
    shop.customers(MAPPING, first + "bob,bob@shop.example,free,IT\n")
    assert asked()
    with shop.database.write() as connection:
        word = changes.sweep_asked(connection)
        assert word is not None
        changes.ask_for_sweep(connection, now=NOW)
        changes.sweep_done(connection, word)
        assert connection.execute(sa.select(installation.c.name)).scalars().all().count("sweep_asked") == 1
