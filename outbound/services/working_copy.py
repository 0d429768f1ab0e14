"""The files of a working copy, as a set that can be checked and published."""

from pathlib import Path

from outbound.domain.errors import OutboundError
from outbound.domain.release import Files


def read_files(rules_dir: Path, templates_dir: Path) -> Files:
    """Every file of a working copy, under ``rules/`` and ``templates/``, without hidden files and rule tests.

    Raises OutboundError ``release.files`` when a folder is missing.
    """
    files: dict[str, bytes] = {}
    for prefix, folder in (("rules", rules_dir), ("templates", templates_dir)):
        if not folder.is_dir():
            raise OutboundError(
                "release.files", f"there is no folder {folder}", f"name the folder that holds your {prefix}"
            )
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            hidden = any(part.startswith(".") or part.endswith("~") for part in parts)
            if path.is_file() and not hidden and not (prefix == "rules" and parts[0] == "tests"):
                files["/".join((prefix, *parts))] = path.read_bytes()
    return files
