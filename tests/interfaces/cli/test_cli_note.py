"""What was said at the counter, from the command line."""

from trial_shop import Shop


def test_a_note_stands_on_the_timeline_beside_what_was_sent(shop: Shop) -> None:
    shop.run("send", "notice", "--key", "recall", "--customer", "ada", "--data", "what=jars")
    shown = shop.run("customer", "show", "ada", "--json").json["timeline"]
    message = next(one["key"] for one in shown if one["kind"] == "message")
    words = ("--kind", "call", "--text", "Where is it?", "--about", message, "--by", "Mia")
    noted = shop.run("note", "ada", *words, "--json").json
    assert (noted["kind"], noted["message_id"], noted["source"]) == ("call", message, "command line")
    timeline = shop.run("customer", "show", "ada").out
    assert f"call     noted by Mia: Where is it? [answers {message}]" in timeline


def test_mistakes_of_a_note_are_named(shop: Shop) -> None:
    note = ("note", "ada", "--text", "x", "--kind")
    assert "--kind is one of call, visit, chat, other" in shop.run(*note, "reply", status=64).err
    assert "[interaction.message]" in shop.run(*note, "call", "--about", "none", status=1).err
    assert "[interaction.text]" in shop.run("note", "ada", "--kind", "call", "--text", " ", status=1).err
    assert "[interaction.at]" in shop.run(*note, "call", "--at", "2999-01-01T00:00Z", status=1).err
    assert "[customer.unknown]" in shop.run("note", "nobody", "--kind", "call", "--text", "x", status=1).err
