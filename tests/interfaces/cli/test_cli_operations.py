"""The commands of an operator: pause, resume, uncertain, resend, replay. What they say, and how they refuse."""

import sqlalchemy as sa
from trial_shop import Shop

from outbound.storage import tables


def test_pause_and_resume_say_what_waits(shop: Shop) -> None:
    file = shop.write("who.csv", "id\nada\nben\n")
    shop.run("send", "letter", "--key", "k", "--customers", str(file))
    said = shop.run("pause", "all", "--reason", "fire drill", "--by", "mia").out
    assert said.startswith('all is paused: "fire drill" by mia.')
    again = shop.run("pause", "all", "--reason", "other").out
    assert again.startswith("all was paused already since")
    assert shop.run("status", "--json").json["paused"][0]["reason"] == "fire drill"
    rehearsed = shop.run("resume", "all", "--dry-run").out
    assert rehearsed == "all would go on: due now 2, expired 0, spread over 1 s\n"
    assert shop.run("resume", "all", "--json").json["due"] == 2
    assert "[pause.none]" in shop.run("resume", "all", status=1).err


def test_a_switch_must_be_known_and_have_a_reason(shop: Shop) -> None:
    assert "[pause.unknown]" in shop.run("pause", "nothing", "--reason", "x", status=1).err
    assert "[pause.ambiguous]" in shop.run("pause", "letter", "--reason", "x", status=1).err
    assert shop.run("pause", "all", status=64).out == ""


def test_uncertain_messages_are_listed_settled_and_on_the_timeline(shop: Shop) -> None:
    assert shop.run("uncertain", "list").out == "no message is uncertain\n"
    file = shop.write("who.csv", "id\nada\nben\n")
    shop.run("send", "letter", "--key", "k", "--customers", str(file))
    with shop.database() as database, database.write() as connection:
        connection.execute(tables.message.update().values(state="uncertain", message_id="<m@shop.example>"))
        one = connection.execute(sa.select(tables.message.c.id).where(tables.message.c.customer_id == "ada")).scalar()
    listed = shop.run("uncertain", "list", "--run", "letter/k")
    assert str(one) in listed.out
    assert "<m@shop.example>" in listed.out
    assert shop.run("uncertain", "resolve", str(one), status=64).out == ""
    assert shop.run("uncertain", "resolve", "--sent", status=64).out == ""
    assert "[message.unknown]" in shop.run("uncertain", "resolve", "x", "--sent", status=1).err
    settle = ("uncertain", "resolve", str(one), "--not-sent", "--note", "relay log")
    assert shop.run(*settle, "--dry-run").out == "1 message would be ready to be sent again\n"
    assert shop.run(*settle, "--by", "mia").out == "1 message ready to be sent again\n"
    assert "[uncertain.known]" in shop.run(*settle, status=1).err
    assert shop.run("uncertain", "resolve", "--run", "letter/k", "--unknown", "--json").json["resolved"] == 1
    assert shop.states() == {"ready": 1, "closed_unknown": 1}
    timeline = shop.run("customer", "show", "ada").out
    assert "resolve not-sent" in timeline
    assert "relay log" in timeline


def test_resend_says_what_it_would_and_what_it_did(shop: Shop) -> None:
    file = shop.write("who.csv", "id\nada\nben\n")
    shop.run("send", "letter", "--key", "k", "--customers", str(file))
    with shop.database() as database, database.write() as connection:
        connection.execute(tables.message.update().values(state="failed"))
    rehearsed = shop.run("resend", "--failed", "letter/k", "--dry-run").out
    assert rehearsed == "2 messages would be tried again (failed 2), spread over 1 s\n"
    assert shop.run("resend", "--failed", "letter/k", "--json").json["messages"] == 2
    assert shop.run("resend", "--failed", "letter/k").out == "0 messages to be tried again\n"
    assert "[run.unknown]" in shop.run("resend", "--failed", "nothing", status=1).err


def test_replay_shows_before_it_does(shop: Shop) -> None:
    """With a bare hour, an instant, or neither end in order."""
    shown = shop.run("replay", "--events", "--from", "2026-01-01T00:00Z").out
    assert shown.startswith("0 events from 2026-01-01 00:00 to ")
    assert shop.run("replay", "--events", "--from", "2026-01-01T00:00Z", "--send", "--json").json["messages"] == 0
    assert shop.run("replay", "--from", "09:00", status=64).out == ""
    assert (
        "[replay.rule]"
        in shop.run("replay", "--events", "--from", "2026-01-01T00:00Z", "--rule", "letter", status=1).err
    )
    order = ("replay", "--events", "--from", "2026-01-02T00:00Z", "--to", "2026-01-01T00:00Z")
    assert "[replay.order]" in shop.run(*order, status=1).err
