"""``outbound test``: the rule tests in rules/tests, their differences, and the lines no test exercises."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from outbound.services.ruletests import Suite


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def test(
        names: Annotated[
            list[str] | None, typer.Argument(metavar="FILE", help="Only these files of rules/tests. Default: all.")
        ] = None,
        rules: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Test this folder of rules (default: the workspace's).")
        ] = None,
        templates: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Likewise for templates.")] = None,
        coverage: Annotated[
            bool, typer.Option("--coverage", help="Name the lines no test exercises; exit 2 when there are any.")
        ] = False,
        junit: Annotated[
            Path | None, typer.Option("--junit", metavar="FILE", help="Also write the outcome as JUnit XML.")
        ] = None,
        record: Annotated[
            str | None,
            typer.Option("--record", metavar="CUSTOMER", help="Write a test of what happened to this customer."),
        ] = None,
        days: Annotated[int, typer.Option(min=1, max=400, metavar="N", help="So many days of the record.")] = 14,
        output: Annotated[
            Path | None,
            typer.Option("-o", "--out", metavar="FILE", help="Its file. Default: rules/tests/recorded-N.test.yaml."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Run the tests of the rules on a virtual clock. In a store of their own. Exit 0 all hold, 2 not, 1 error."""
        from outbound.interfaces.cli.check import folders, named_by_folder
        from outbound.interfaces.cli.exits import EXIT_CHANGES, EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.progress import steps
        from outbound.services import working_copy
        from outbound.services.ruletests import find_tests, run_tests
        from outbound.services.ruletests.running import chosen

        rules, templates, _ = folders(rules, templates, None)
        if record is not None:
            _record(record, days, (rules, templates), output, as_json=as_json)
            return
        files = working_copy.read_files(rules, templates)
        tests = chosen(find_tests(rules), names or [])
        with steps("test") as told:
            suite = run_tests(files, tests, progress=told)
        if junit is not None:
            from outbound.interfaces.junit import write_junit

            write_junit(junit, suite)
        problems = named_by_folder(suite.problems, {"rules": rules, "templates": templates})
        if as_json:
            print_json({**as_printed(suite), "problems": problems, "uncovered": suite.uncovered if coverage else None})
        else:
            for problem in problems:
                typer.echo(problem.render())
            _print(suite, coverage=coverage)
        if problems:
            raise typer.Exit(EXIT_ERROR)
        if suite.failures or (coverage and suite.uncovered):
            raise typer.Exit(EXIT_CHANGES)


def _record(who: str, days: int, folders: tuple[Path, Path], output: Path | None, *, as_json: bool) -> None:
    """Write the test of one customer's days, and say where the record differs from it."""
    from outbound.domain.errors import OutboundError
    from outbound.interfaces.cli.context import open_context
    from outbound.interfaces.cli.output import counted, print_json
    from outbound.services import customers, working_copy
    from outbound.services.ruletests.recording import Customer, free_name, record

    rules, templates = folders
    file = output or free_name(rules / "tests")
    if not file.resolve().is_relative_to((rules / "tests").resolve()) or not file.name.endswith(".test.yaml"):
        raise OutboundError("test.file", f"{file} would not be found", f"name a .test.yaml in {rules / 'tests'}")
    if file.exists():
        raise OutboundError("test.file", f"{file} exists", "name another with -o")
    path = "rules/tests/" + file.resolve().relative_to((rules / "tests").resolve()).as_posix()
    with open_context() as context:
        identity = customers.find_one(context.reader, context.keyring, who)
        wanted = Customer(id=identity, days=days, now=context.now())
        made = record(context.reader, context.keyring, working_copy.read_files(rules, templates), wanted, path=path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(made.text, encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "messages": made.messages, "reasons": made.reasons, "differs": made.differences})
        return
    typer.echo(f"{file}: {counted(made.messages, 'message')}, {counted(made.reasons, 'reason')} for silence.")
    for one in made.differences:
        typer.echo(f"  differs from the record: {one}")


def as_printed(suite: "Suite") -> dict[str, Any]:
    """The outcome as one JSON object."""
    tests = [
        {
            "test": one.test.name,
            "file": one.test.span.file,
            "passed": one.passed,
            "failures": [{"subject": f.subject, "line": f.span.line, "lines": f.lines} for f in one.failures],
        }
        for one in suite.outcomes
    ]
    return {"good": suite.good, "passed": suite.passed, "failed": len(suite.failures), "tests": tests}


def _print(suite: "Suite", *, coverage: bool) -> None:
    from outbound.interfaces.cli.output import alarm, counted

    for failure in suite.failures:
        typer.echo(alarm(failure.render()))
    failed = f"{len(suite.failures)} failed, " if suite.failures else ""
    typer.echo(f"{failed}{suite.passed} passed in {counted(len(suite.outcomes), 'test')}.")
    if coverage and suite.uncovered:
        typer.echo("Not covered:")
        for one in suite.uncovered:
            typer.echo(f"  {one.render()}")
    elif coverage:
        typer.echo("Every line of the rules is covered.")
