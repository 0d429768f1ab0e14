"""``outbound schema``: JSON Schemas with which an editor completes and checks the files in rules/."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from outbound.domain.release import Files
    from outbound.interfaces.cli.context import Context

NAMES = ("policy", "schema", "segments", "test", "rule")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def schema(
        name: Annotated[
            str,
            typer.Argument(metavar="[NAME]", help=f"One of {', '.join(NAMES)}: print it. Default: all into a folder."),
        ] = "",
        *,
        out: Annotated[
            Path | None, typer.Option("--out", metavar="FOLDER", help="Default: .schemas in the workspace.")
        ] = None,
        vscode: Annotated[
            bool, typer.Option("--vscode", help="Also name them in .vscode/settings.json of the workspace.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Write JSON Schemas (2020-12) of rule files for editors. With the names this workspace declares."""
        from outbound.engine.rulefiles.editor import FILES, declared_in, editor_schemas
        from outbound.interfaces.cli.arguments import wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json

        if name and name not in NAMES:
            wrong_usage(f"there is no schema {name!r}; there are {', '.join(NAMES)}")
        with open_context() as context:
            made = editor_schemas(declared_in(_files(context)))
            if name:
                print_json(made[name])
                return
            root = context.settings.root
            folder = out if out is not None else root / ".schemas"
            written = _write(folder, made)
            settings = _name_in_vscode(root, written) if vscode else None
        if as_json:
            schemas = [{"name": n, "file": str(written[n]), "files": FILES[n]} for n in written]
            print_json({"schemas": schemas, "settings": str(settings) if settings else None})
            return
        width = max(len(str(path)) for path in written.values())
        for one, path in written.items():
            typer.echo(f"{path!s:<{width}}  {' '.join(FILES[one])}")
        if settings is not None:
            typer.echo(f"named in {settings}")


def _files(context: "Context") -> "Files":
    """The working copy; nothing where its folders are not there yet."""
    from outbound.domain.errors import OutboundError
    from outbound.services.working_copy import read_files

    try:
        return read_files(context.settings.rules_dir, context.settings.templates_dir)
    except OutboundError as error:
        if error.code != "release.files":
            raise
        return {}


def _write(folder: Path, made: dict[str, dict[str, Any]]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, one in made.items():
        written[name] = folder / f"{name}.schema.json"
        written[name].write_text(json.dumps(one, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return written


def _name_in_vscode(root: Path, written: dict[str, Path]) -> Path:
    """Merge the schemas into the settings that the YAML extension of VS Code reads; everything else stays."""
    from outbound.domain.errors import OutboundError
    from outbound.engine.rulefiles.editor import FILES

    path = root / ".vscode" / "settings.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError:
        remedy = "remove its comments, or name the schemas there yourself (docs/editors.md)"
        raise OutboundError("schema.settings", f"{path} is not plain JSON", remedy) from None
    known = settings.setdefault("yaml.schemas", {})
    for name, file in written.items():
        known[_relative(file, root)] = list(FILES[name])
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path


def _relative(file: Path, root: Path) -> str:
    try:
        return f"./{file.resolve().relative_to(root.resolve())}"
    except ValueError:
        return str(file.resolve())
