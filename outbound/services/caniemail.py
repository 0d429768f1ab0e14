"""Reading the data of caniemail.com from a folder of its repository. They are not part of this project."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from outbound.domain.errors import OutboundError
from outbound.engine.rendering.clients import Feature, Support

REMEDY: Final = "git clone https://github.com/hteumeuleu/caniemail and name that folder"
_FOLDER: Final = "_features"
_TITLE: Final = re.compile(r"^title:\s*\"?(.*?)\"?\s*$", re.MULTILINE)
_STATS: Final = re.compile(r"^stats:\s*\{", re.MULTILINE)
_TOKEN: Final = re.compile(r"""["']?([\w.-]+)["']?\s*:\s*(\{|["'][^"']*["'])|(\})""")
_UNKNOWN: Final = "u"
_NONE: Final = "n"


def read(folder: Path) -> Support:
    """Every feature. Raises OutboundError ``caniemail.folder`` where the folder does not hold them."""
    features = folder / _FOLDER if (folder / _FOLDER).is_dir() else folder
    found: dict[str, Feature] = {}
    for path in sorted(features.glob("*.md")) if features.is_dir() else ():
        feature = read_feature(path.read_text(encoding="utf-8", errors="replace"))
        if feature is not None and not path.name.startswith("_"):
            found[path.stem] = feature
    if not found:
        raise OutboundError("caniemail.folder", f"{folder} has no data of caniemail", REMEDY)
    return found


def read_feature(text: str) -> Feature | None:
    """One feature from the head of its file. A program is counted by its newest version that was tested."""
    title, stats = _TITLE.search(text), _STATS.search(text)
    if title is None or stats is None:
        return None
    newest = {client: said for client, said in _support(text, stats.end()) if not said.startswith(_UNKNOWN)}
    without = tuple(client for client, said in newest.items() if said.startswith(_NONE))
    return Feature(title=title[1], clients=len(newest), lacking=without)


def _support(text: str, start: int) -> Iterator[tuple[str, str]]:
    """(``outlook windows``, ``n #1``) for each tested version, oldest first."""
    path: list[str] = []
    for match in _TOKEN.finditer(text, start):
        if match[3]:
            if not path:
                return
            path.pop()
        elif match[2] == "{":
            path.append(match[1])
        else:
            yield " ".join(path), match[2].strip("\"'")
