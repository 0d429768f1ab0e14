"""Keys of the API from the command line."""

import json

from trial_shop import Shop


def test_a_key_is_made_listed_and_revoked(shop: Shop) -> None:
    made = shop.run("apikey", "create", "web shop", "--scope", "events:write", "--json").json
    assert made["scopes"] == ["events:write"]
    assert made["secret"].startswith(f"obk_{made['prefix']}_")
    listed = shop.run("apikey", "list")
    assert "web shop" in listed.out
    assert made["secret"] not in shop.run("apikey", "list", "--json").out
    assert "is revoked" in shop.run("apikey", "revoke", made["prefix"], "--note", "lost").out
    assert "nothing changed" in shop.run("apikey", "revoke", made["prefix"]).out
    assert shop.run("apikey", "list", "--json").json[0]["state"].startswith("revoked")


def test_mistakes_name_the_remedy(shop: Shop) -> None:
    assert "events:write" in shop.run("apikey", "create", "x", status=1).err
    assert "[apikey.scope]" in shop.run("apikey", "create", "x", "--scope", "everything", status=1).err
    assert "[apikey.unknown]" in shop.run("apikey", "revoke", "none", status=1).err
    assert (
        "[apikey.expires]"
        in shop.run(
            *("apikey", "create", "x", "--scope", "events:write", "--expires", "2020-01-01T00:00Z"), status=1
        ).err
    )


def test_the_document_of_the_api_is_printed(shop: Shop) -> None:
    document = json.loads(shop.run("api-schema").out)
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/events" in document["paths"]
    assert all(
        operation.get("summary") and operation.get("description")
        for path in document["paths"].values()
        for operation in path.values()
    )
