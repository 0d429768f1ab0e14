"""The part of ``outbound doctor`` that is about DKIM: who is signed for, and what DNS must say."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outbound.channels.email.dkim_keys import DkimKey
    from outbound.interfaces.cli.context import Context
    from outbound.services.doctor import Finding

_ADD = "add [[email.dkim]], or let the relay sign; List-Unsubscribe must be under the signature (RFC 8058)"
_PUBLISH = "`outbound doctor --dkim` prints the TXT record to publish"


def print_records(context: "Context", *, as_json: bool) -> None:
    """The TXT record of every key, as lines of a zone file. Raises ConfigurationError when there is no key."""
    from outbound.app import dkim_keys
    from outbound.domain.errors import ConfigurationError
    from outbound.interfaces.cli.output import print_json

    keys = dkim_keys(context.settings)
    if not keys:
        raise ConfigurationError("there is no DKIM key", "docs/settings.md says how to add one under [[email.dkim]]")
    if as_json:
        print_json([{"name": key.record_name, "type": "TXT", "text": key.record} for key in keys])
        return
    for key in keys:
        typer.echo(key.zone_line)


def examine_keys(context: "Context", domains: "Sequence[str]") -> "Iterator[Finding]":
    """Whether the keys can be used, and whether each sender's domain has one. Asks nobody."""
    from outbound.app import dkim_keys
    from outbound.domain.errors import ConfigurationError
    from outbound.services.doctor import Finding, Health

    try:
        keys = dkim_keys(context.settings)
    except ConfigurationError as error:
        yield Finding(subject="dkim", health=Health.FAIL, detail=error.message, remedy=error.remedy)
        return
    for domain in domains:
        signing = ", ".join(f"{key.selector} ({key.kind})" for key in _of(keys, domain))
        yield Finding(
            subject=f"dkim {domain}",
            health=Health.OK if signing else Health.WARN,
            detail=f"signed with {signing}" if signing else "not signed by us",
            remedy="" if signing else _ADD,
        )


def examine_published(context: "Context", domain: str) -> "Iterator[Finding]":
    """Whether DNS has the record of each key of the domain."""
    from outbound.app import dkim_keys
    from outbound.channels.email.authentication import look_up
    from outbound.domain.errors import ConfigurationError
    from outbound.services.doctor import Finding, Health

    try:
        keys = _of(dkim_keys(context.settings), domain)
    except ConfigurationError:
        return  # said already
    for key in keys:
        found = look_up(key.domain, selector=key.selector)
        trouble = found.error or key.compare(found.dkim)
        yield Finding(
            subject=f"dkim {key.record_name}",
            health=Health.WARN if trouble else Health.OK,
            detail=trouble or "published",
            remedy=_PUBLISH if trouble and not found.error else "",
        )


def _of(keys: "Sequence[DkimKey]", domain: str) -> "list[DkimKey]":
    from outbound.channels.email.headers import MailRefusedError, normal_address

    try:
        wire = normal_address(f"x@{domain}").removeprefix("x@").lower()
    except MailRefusedError:
        return []
    return [key for key in keys if key.domain == wire]
