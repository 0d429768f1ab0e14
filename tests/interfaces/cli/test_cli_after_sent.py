"""A rule may listen to what left (`message.sent`); while none does, no event is written for it."""

import sqlalchemy as sa
from trial_shop import Shop

from outbound.storage import tables

AFTER = """
rule: after
owner: ops@shop.example
topic: notices
when: {event: message.sent, if: event.rule == 'letter'}
once: "{event.id}"
send: {template: after, channels: [email]}
"""
TEMPLATE = "subject: {en: You have a letter}\ncontext: {event: [channel]}\nsample: {event: {channel: email}}\n"
BODY = "<mj-section><mj-column><mj-text>By {{ event.channel }}.</mj-text></mj-column></mj-section>"


def test_a_rule_hears_once_of_each_message_that_left(shop: Shop) -> None:
    who = str(shop.customers(["ada", "ben"]))

    def letters_leave(day: str) -> list[tuple[str, str]]:
        shop.run("--at", f"{day}T10:00Z", "send", "letter", "--key", day, "--customers", who)
        shop.run("run", "--at", f"{day}T10:00Z", "--until", f"{day}T10:05Z")
        with shop.database() as database, database.read() as connection:
            made = sa.select(tables.message.c.rule, tables.message.c.state)
            events = connection.execute(sa.select(tables.event.c.name)).scalars()
            assert set(events) <= ({"message.sent"} if day > "2026-11-09" else set())
            return sorted((row[0], row[1]) for row in connection.execute(made))

    assert letters_leave("2026-11-03") == [("letter", "sent")] * 2
    shop.write("rules/after.yaml", AFTER)
    shop.write("templates/after/template.yaml", TEMPLATE)
    shop.write("templates/after/email.mjml", BODY)
    shop.run("--at", "2026-11-10T08:00Z", "apply")
    assert letters_leave("2026-11-10") == [*[("after", "sent")] * 2, *[("letter", "sent")] * 4]
    shop.write("rules/after.yaml", AFTER.replace("event.rule == 'letter'", "event.rule == 'after'"))
    assert "rule 'after' sets itself off" in shop.run("--at", "2026-11-11T08:00Z", "apply", status=1).out
