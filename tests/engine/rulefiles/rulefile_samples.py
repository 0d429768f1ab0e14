"""The good set of these tests, and ways to break it."""

from pathlib import Path

from outbound.domain.source import Problem
from outbound.engine.rulefiles import load

HERE = Path(__file__).parent

_TEMPLATES = {
    "order-shipped": ("email.mjml", "push.txt", "sms.txt"),
    "news": ("email.it.mjml", "email.html"),
    "renewal-early": ("email.mjml", "sms.txt"),
    "renewal-last": ("email.mjml", "sms.de.txt"),
    "birthday": ("email.mjml", "push.txt"),
    "recall": ("email.mjml", "sms.txt"),
    "winback-plain": ("email.mjml",),
    "winback-10-off": ("email.mjml",),
}


def good_files() -> dict[str, bytes]:
    """A fresh copy of the good set; of the templates only the names exist."""
    rules = {f"rules/{p.name}": p.read_bytes() for p in sorted((HERE / "good" / "rules").glob("*.yaml"))}
    names = [(name, file) for name, bodies in _TEMPLATES.items() for file in ("template.yaml", *bodies)]
    return rules | {f"templates/{name}/{file}": b"" for name, file in names}


def edited(path: str, old: str, new: str) -> dict[str, bytes]:
    """The good set with one piece of one file exchanged; an empty ``old`` appends."""
    files = good_files()
    text = files[path].decode()
    assert text.count(old) == 1 or not old, f"{old!r} stands {text.count(old)} times in {path}"
    files[path] = (text.replace(old, new) if old else text + new).encode()
    return files


def problems_of(files: dict[str, bytes]) -> tuple[Problem, ...]:
    """What the loader says about the files."""
    return load(files=files).problems


def rendered(files: dict[str, bytes]) -> str:
    """The same as ``outbound check`` prints it."""
    return "\n".join(problem.render() for problem in problems_of(files))
