"""import, customer, event: what goes into the record and how it is looked at."""

import json
from datetime import UTC, datetime
from pathlib import Path

from trial_shop import Shop

from outbound.domain.customer import ChannelName
from outbound.domain.interaction import Interaction, InteractionKind
from outbound.interfaces.cli.arguments import operator
from outbound.storage import interactions


def importing(shop: Shop, rows: str, *words: str, status: int = 0) -> tuple[Path, str, str]:
    file = shop.write("more.csv", "id,email,phone,country,first_name,letter,consent_at\n" + rows)
    answer = shop.run(
        "import", "customers", str(file), "--mapping", str(shop.folder / "mapping.yaml"), *words, status=status
    )
    return file, answer.out, answer.err


def test_an_import_counts_what_it_did_and_the_same_file_changes_nothing(shop: Shop) -> None:
    row = "eva,eva@example.org,,IT,Eva,yes,2026-01-01T10:00Z\n"
    _, first, _ = importing(shop, row)
    assert first == "more.csv: 1 row\n  1 new\n  consents: 1 granted\n"
    _, again, _ = importing(shop, row)
    assert "nothing changed: the record already said all of this" in again


def test_refused_rows_are_listed_and_strict_imports_none(shop: Shop) -> None:
    rows = "eva,eva@example.org,,IT,Eva,,\nfay,not an address,,IT,Fay,,\n"
    report = shop.folder / "report.jsonl"
    _, out, _ = importing(shop, rows, "--strict", "--report", str(report), status=1)
    assert "(strict: nothing was imported)" in out
    assert "1 refused" in out
    assert json.loads(report.read_text().splitlines()[0])["line"] == 3
    assert shop.run("customer", "show", "eva", status=1).err.startswith("outbound: no such customer")
    _, out, _ = importing(shop, rows, "--json")
    assert (json.loads(out)["new"], json.loads(out)["refused"]) == (1, 1)


def test_a_dry_run_of_an_import_keeps_nothing(shop: Shop) -> None:
    _, out, _ = importing(shop, "eva,eva@example.org,,IT,Eva,,\n", "--dry-run")
    assert "(dry run: nothing was kept)" in out
    assert shop.run("status", "--json").json["counts"]["customer"] == 2


def test_an_import_says_that_rules_on_segments_will_look(shop: Shop) -> None:
    """A newcomer may enter: the operator hears it before, from the dry run, and after."""
    rules = shop.folder / "rules" / "rules.yaml"
    entering = "rule: hello\nowner: crm@shop.example\ntopic: newsletter\nwhen: {enters: italians}\n"
    rules.write_text(f"{rules.read_text()}\n---\n{entering}send: {{template: letter, channels: [email]}}\n")
    shop.write("rules/segments.yaml", "segment: italians\nif:\n  - customer.country == 'IT'\n")
    shop.run("apply")
    row = "eva,eva@example.org,,IT,Eva,,\n"
    assert "rules that watch segments (hello) would look at the new" in importing(shop, row, "--dry-run")[1]
    assert "rules that watch segments (hello) look at the new" in importing(shop, row)[1]
    assert "watch segments" not in importing(shop, row)[1]


def test_files_that_cannot_be_imported_are_one_line(shop: Shop) -> None:
    mapping = str(shop.folder / "mapping.yaml")
    answer = shop.run("import", "customers", "/nope.csv", "--mapping", mapping, status=1)
    assert "[import.file]" in answer.err
    answer = shop.run("import", "customers", mapping, "--mapping", "/nope.yaml", status=1)
    assert "[import.mapping]" in answer.err
    answer = shop.run("import", "events", mapping, "--mapping", mapping, status=1)
    assert "[import.mapping] -> run `outbound import customers`" in answer.err


def test_a_mapping_with_mistakes_shows_them_all(shop: Shop) -> None:
    wrong = shop.write("wrong.yaml", "import: customers\nkey: id\nfields: {emial: email, phon: phone}\n")
    answer = shop.run("import", "customers", str(wrong), "--mapping", str(wrong), status=1)
    assert f"{wrong}:3:10: error: " in answer.err
    assert answer.err.endswith(f"{wrong}: 2 problems, nothing imported\n")


def test_events_are_history_unless_they_fire(shop: Shop) -> None:
    file = shop.write("orders.jsonl", '{"order_id": "A1", "customer": "ada", "at": "2026-01-02T10:00Z"}\n')
    mapping = str(shop.folder / "orders.yaml")
    assert "history only" in shop.run("import", "events", str(file), "--mapping", mapping).out
    file.write_text('{"order_id": "A2", "customer": "ada", "at": "2026-01-02T10:00Z"}\n')
    assert "the rules will see them" in shop.run("import", "events", str(file), "--mapping", mapping, "--fire").out
    assert shop.run("status", "--json").json["pending_events"] == 1


def test_a_customer_is_found_by_id_and_address_with_the_newest_first(shop: Shop) -> None:
    shop.run("event", "order.placed", "ada", "--data", "order_id=A1", "--id", "e1")
    by_id = shop.run("customer", "show", "ada")
    assert by_id.out.splitlines()[0] == "ada"
    assert "consent   newsletter / email: granted" in by_id.out
    assert "event    order.placed (order_id=A1)" in by_id.out
    assert shop.run("customer", "show", "ADA@example.org").out == by_id.out
    record = shop.run("customer", "show", "ada", "--json").json
    assert (record["customer"]["id"], record["timeline"][0]["title"]) == ("ada", "order.placed")


def test_a_long_record_is_read_in_pages(shop: Shop) -> None:
    for number in range(4):
        shop.run("event", "order.placed", "ada", "--data", f"order_id=A{number}", "--id", f"e{number}")
    first = shop.run("customer", "show", "ada", "--limit", "2", "--json").json
    second = shop.run("customer", "show", "ada", "--limit", "50", "--before", first["older"], "--json").json
    keys = [entry["key"] for entry in first["timeline"] + second["timeline"]]
    assert len(keys) == len(set(keys))
    assert sum(entry["kind"] == "event" for entry in first["timeline"] + second["timeline"]) == 4
    assert shop.run("customer", "show", "ada", "--limit", "0", status=64).out == ""
    assert "[customer.cursor]" in shop.run("customer", "show", "ada", "--before", "x", status=1).err


def test_two_records_become_one_after_a_rehearsal(shop: Shop) -> None:
    rehearsal = shop.run("customer", "merge", "ben", "ada", "--dry-run")
    assert rehearsal.out.startswith("would move from ben to ada:")
    assert shop.run("customer", "show", "ben").out.startswith("ben\n")
    assert shop.run("customer", "merge", "ben", "ada", "--json").json["consents"] == 1
    (noted,) = shop.run("audit", "ada", "--kind", "customer.merge", "--json").json  # C44; the rehearsal left nothing
    assert (noted["by"], noted["details"]["merged"]) == (operator(), "ben")
    assert shop.run("customer", "show", "ben").out.startswith("ada (also ben)\n")
    assert "[customer.merge]" in shop.run("customer", "merge", "ada", "ada", status=1).err
    assert "[customer.unknown]" in shop.run("customer", "merge", "nobody", "ada", status=1).err


def test_an_event_counts_once_per_id(shop: Shop) -> None:
    words = ("event", "order.placed", "ada", "--data", "order_id=A1", "--data", "total=12.5", "--id", "e1")
    assert shop.run(*words).out == "order.placed/e1 recorded.\n"
    assert shop.run(*words).out == "order.placed/e1 was recorded before: nothing changed.\n"
    answer = shop.run(*words, "--json").json
    assert (answer["new"], answer["customer_known"]) == (False, True)
    assert answer["event"]["data"] == {"order_id": "A1", "total": 12.5}
    assert shop.run("status", "--json").json["counts"]["event"] == 1


def test_an_event_of_nobody_we_know_is_recorded_with_a_remark(shop: Shop) -> None:
    answer = shop.run("event", "order.placed", "nobody", "--data", "order_id=A1")
    assert answer.err == "! there is no customer 'nobody' yet\n"
    assert answer.out.endswith(" recorded.\n")


def test_a_dry_run_of_an_event_checks_and_records_nothing(shop: Shop) -> None:
    words = ("event", "order.placed", "ada", "--dry-run")
    assert shop.run(*words, "--data", "order_id=A1").out == "order.placed would be recorded.\n"
    typed = shop.run(*words, "--data", "order_id=A1", "--data", "total=2", "--json").json
    assert typed == {"dry_run": True, "data": {"order_id": "A1", "total": 2}, "customer_known": True}
    assert "[event.data]" in shop.run(*words, status=1).err
    assert shop.run("status", "--json").json["counts"]["event"] == 0


def test_what_does_not_fit_an_event_is_one_line(shop: Shop) -> None:
    assert "[event.name] -> declared are: order.placed" in shop.run("event", "order.lost", "ada", status=1).err
    answer = shop.run("event", "order.placed", "ada", "--data", "order_id", status=64)
    assert answer.err == "outbound: --data takes name=value, each name once; not 'order_id'\n"
    answer = shop.run("event", "order.placed", "ada", "--data", "order_id=1", "--data", "order_id=2", status=64)
    assert "'order_id=2'" in answer.err
    assert "[time.format]" in shop.run("event", "order.placed", "ada", "--happened", "today", status=1).err


def test_what_a_customer_said_is_one_line_of_the_timeline(shop: Shop) -> None:
    at = datetime(2026, 11, 30, 9, tzinfo=UTC)
    with shop.database() as database, database.write() as connection:
        for number, (kind, channel, text, by) in enumerate(
            [
                (InteractionKind.REPLY, ChannelName.EMAIL, "Where\nis it? " + "x" * 200, ""),
                (InteractionKind.VISIT, None, "asked for oil", "mia"),
            ]
        ):
            said = Interaction(
                id=f"i{number}",
                customer_id="ada",
                kind=kind,
                channel=channel,
                subject="Parcel" if channel else "",
                text=text,
                at=at,
                recorded_at=at,
                source="mail",
                message_id="m1" if channel else "",
                by=by,
                attention="keyword" if channel else "",
            )
            interactions.add(connection, said)
    lines = shop.run("customer", "show", "ada").out.splitlines()
    assert f"  2026-11-30 09:00  reply    by email: Parcel: Where is it? {'x' * 136}... [answers m1] ! keyword" in lines
    assert "  2026-11-30 09:00  visit    noted by mia: asked for oil" in lines
