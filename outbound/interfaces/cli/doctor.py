"""``outbound doctor``: what would go wrong, found before it does."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbound.interfaces.cli.context import Context
    from outbound.services.doctor import Finding

_MARK = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        offline: Annotated[bool, typer.Option("--offline", help="Ask no provider and no DNS server.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Examine settings, keys, database, clock, release, credentials and SPF/DKIM/DMARC."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json

        with open_context() as context:
            findings = [*_inside(context), *([] if offline else _outside(context))]
        if as_json:
            print_json(findings)
        else:
            for finding in findings:
                typer.echo(f"{_MARK[finding.health]}  {finding.subject}: {finding.detail}")
                if finding.remedy:
                    typer.echo(f"      -> {finding.remedy}")
        if any(finding.health == "fail" for finding in findings):
            raise typer.Exit(EXIT_ERROR)


def _inside(context: "Context") -> "list[Finding]":
    from outbound.domain.errors import ConfigurationError, OutboundError
    from outbound.services.doctor import Finding, Health, examine_database

    settings = context.settings
    findings = [
        Finding(
            subject="settings", health=Health.OK, detail=f"{settings.root / 'outbound.toml'}, {settings.environment}"
        )
    ]
    if settings.environment == "production" and not settings.public_url.startswith("https://"):
        remedy = "RFC 8058 asks for https, and mail providers ignore anything else"
        findings.append(Finding(subject="public_url", health=Health.FAIL, detail=settings.public_url, remedy=remedy))
    if not settings.guarded and settings.environment != "production":
        remedy = "remove [safety] enabled = false"
        findings.append(Finding(subject="safety", health=Health.WARN, detail="the guard is off", remedy=remedy))
    questions: tuple[tuple[str, Callable[[], str]], ...] = (
        ("secret key", lambda: f"{len(context.keyring.keys)} key(s)"),
        ("schema", lambda: "current" if context.database else ""),
        ("release", lambda: f"{context.active().id[:12]} active"),
    )
    for subject, question in questions:
        try:
            findings.append(Finding(subject=subject, health=Health.OK, detail=question()))
        except (ConfigurationError, OutboundError) as error:
            findings.append(Finding(subject=subject, health=Health.FAIL, detail=error.message, remedy=error.remedy))
            return findings
    return [*findings, *examine_database(context.database, now=context.now())]


def _outside(context: "Context") -> "list[Finding]":
    import asyncio
    from email.utils import parseaddr

    from outbound.app import build
    from outbound.channels.email.authentication import look_up
    from outbound.domain.errors import ConfigurationError, OutboundError
    from outbound.services.doctor import Finding, Health, examine_adapters

    try:
        active, built = context.active(), build(context.settings, context.database)
    except (ConfigurationError, OutboundError):
        return []  # said by the examination inside

    async def ask() -> list[Finding]:
        try:
            return await examine_adapters({str(name): adapter for name, adapter in built.adapters.items()})
        finally:
            await built.close()

    findings = asyncio.run(ask())
    if context.settings.email.adapter == "mailbox":
        return findings
    senders = active.ruleset.policy.brand.senders.values()
    for domain in sorted({parseaddr(sender)[1].rpartition("@")[2] for sender in senders}):
        records = look_up(domain)
        missing = [name for name, text in (("SPF", records.spf), ("DMARC", records.dmarc)) if not text]
        detail = records.error or (f"no {' and no '.join(missing)}" if missing else "SPF and DMARC found")
        remedy = f"publish the TXT records for {domain}" if missing else ""
        health = Health.WARN if missing or records.error else Health.OK
        findings.append(Finding(subject=f"domain {domain}", health=health, detail=detail, remedy=remedy))
    return findings
