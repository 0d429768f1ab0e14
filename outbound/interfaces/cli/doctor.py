"""``outbound doctor``: what would go wrong, found before it does."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbound.interfaces.cli.context import Context
    from outbound.services.doctor import Finding

_MARK = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
_PATIENCE_SECONDS = 20


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        offline: Annotated[bool, typer.Option("--offline", help="Ask no provider and no DNS server.")] = False,
        selector: Annotated[
            str, typer.Option("--dkim-selector", metavar="NAME", help="Look for this DKIM key of the senders' domains.")
        ] = "",
        dkim: Annotated[
            bool, typer.Option("--dkim", help="Only print the DNS records of the keys under [[email.dkim]].")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Look for what would go wrong. Settings, database, clock, release, guard, credentials, DNS records."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.doctor_dkim import print_records
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json

        with open_context() as context:
            if dkim:
                print_records(context, as_json=as_json)
                return
            findings = list(_inside(context))
            if not offline and findings[0].health != "fail":
                findings += [*_accounts(context), *_domains(context, selector)]
        if as_json:
            print_json(findings)
        else:
            for finding in findings:
                typer.echo(f"{_MARK[finding.health]}  {finding.subject}: {finding.detail}")
                if finding.remedy:
                    typer.echo(f"      -> {finding.remedy}")
        if any(finding.health == "fail" for finding in findings):
            raise typer.Exit(EXIT_ERROR)


def _inside(context: "Context") -> "Iterator[Finding]":
    from outbound.interfaces.cli.doctor_dkim import examine_keys
    from outbound.services.doctor import examine_database, examine_refusal

    settings = _ask("settings", lambda: f"{context.settings.root / 'outbound.toml'}, {context.settings.environment}")
    yield settings
    if settings.health == "fail":
        return
    yield from _safety(context)
    yield _ask("secret key", lambda: f"{len(context.keyring.keys)} key(s)")
    schema = _ask("schema", lambda: "current" if context.database else "")
    yield schema
    if schema.health != "fail":
        yield from examine_database(context.database, now=context.now())
        yield _ask("release", lambda: f"{context.active().id[:12]} active")
        yield from examine_refusal(context.database)
        yield from examine_keys(context, _sender_domains(context))


def _safety(context: "Context") -> "Iterator[Finding]":
    from outbound.app import GUARD_REMEDY, refused_channels
    from outbound.services.doctor import Finding, Health

    settings = context.settings
    if settings.environment == "production" and not settings.public_url.startswith("https://"):
        remedy = "RFC 8058 asks for https, and mail providers ignore anything else"
        yield Finding(subject="public_url", health=Health.FAIL, detail=settings.public_url, remedy=remedy)
    if not settings.guarded and settings.environment != "production":
        remedy = "remove [safety] enabled = false"
        yield Finding(subject="safety", health=Health.WARN, detail="the guard is off", remedy=remedy)
    for channel in refused_channels(settings):
        detail = f"the guard refuses every {channel} message"
        yield Finding(subject="safety", health=Health.WARN, detail=detail, remedy=GUARD_REMEDY)


def _accounts(context: "Context") -> "list[Finding]":
    """Whether each provider takes our credentials."""
    import asyncio

    from outbound.app import App, build
    from outbound.runtime import loop
    from outbound.services.doctor import Finding, Health, examine_adapters

    built: list[App] = []

    def put_together() -> str:
        built.append(build(context.settings, context.database))
        return "put together"

    possible = _ask("adapters", put_together)
    if not built:
        return [possible]

    async def examine() -> "list[Finding]":
        findings = []
        for name, adapter in built[0].adapters.items():
            try:
                findings += await asyncio.wait_for(examine_adapters({str(name): adapter}), _PATIENCE_SECONDS)
            except TimeoutError:
                detail = f"no answer within {_PATIENCE_SECONDS} s"
                remedy = f"see the host and port under [{name}], and the firewall"
                findings.append(Finding(subject=str(name), health=Health.FAIL, detail=detail, remedy=remedy))
        await built[0].close()
        return findings

    return loop.run(examine())


def _domains(context: "Context", selector: str) -> "Iterator[Finding]":
    """What receivers will look up about the domains we send from."""
    from outbound.channels.email.authentication import look_up
    from outbound.interfaces.cli.doctor_dkim import examine_published
    from outbound.services.doctor import Finding, Health

    for domain in _sender_domains(context):
        found = look_up(domain, selector=selector)
        records = {"SPF": found.spf, "DMARC": found.dmarc, **({"DKIM": found.dkim} if selector else {})}
        missing = [name for name, text in records.items() if not text]
        detail = found.error or (f"no {' and no '.join(missing)}" if missing else f"{', '.join(records)} found")
        remedy = f"publish the TXT records of {domain}" if missing and not found.error else ""
        health = Health.WARN if missing or found.error else Health.OK
        yield Finding(subject=f"domain {domain}", health=health, detail=detail, remedy=remedy)
        yield from examine_published(context, domain)


def _sender_domains(context: "Context") -> list[str]:
    """The domains in From; none where no e-mail leaves, or where there is no release to tell (said already)."""
    from email.utils import parseaddr

    from outbound.domain.errors import ConfigurationError, OutboundError

    if context.settings.email.adapter == "mailbox":
        return []
    try:
        senders = context.active().ruleset.policy.brand.senders.values()
    except (ConfigurationError, OutboundError):
        return []
    return sorted({parseaddr(sender)[1].rpartition("@")[2] for sender in senders})


def _ask(subject: str, question: "Callable[[], str]") -> "Finding":
    from outbound.interfaces.cli.mistakes import known
    from outbound.services.doctor import Finding, Health

    try:
        return Finding(subject=subject, health=Health.OK, detail=question())
    except Exception as error:
        trouble = known(error)
        if trouble is None:
            raise
        return Finding(subject=subject, health=Health.FAIL, detail=trouble.message, remedy=trouble.remedy)
