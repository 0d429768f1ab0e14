"""The plan as a file: written by `outbound plan -o`, published by `outbound apply FILE`, refused when it is stale.

It holds no rule and no template: what is published are the files, which must still be those that were planned.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from outbound.domain.errors import OutboundError
from outbound.domain.ids import content_hash
from outbound.domain.release import Files
from outbound.services.plans.outlook import Hours, moved
from outbound.services.plans.planned import Plan

FORMAT: Final = 1
_FEW = 3
_AGAIN = "run `outbound plan` again"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """What ``apply`` has to know of a plan. ``files`` are the hashes of what was planned, by path.

    ``hours`` are the messages planned up to ``until``, None where nobody looked ahead.
    """

    made_at: datetime
    active: str
    release: str
    include_current: bool = False
    accept_resend: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None
    hours: Hours = field(default_factory=dict)


def of_plan(plan: Plan, files: Files, *, accept_resend: int = 0) -> PlanFile:
    """The file of a plan that was just made."""
    return PlanFile(
        made_at=plan.made_at,
        active=plan.active,
        release=plan.release,
        include_current=plan.include_current,
        accept_resend=accept_resend,
        files={path: content_hash(content) for path, content in sorted(files.items())},
        until=plan.outlook.forecast.until if plan.outlook else None,
        hours=plan.outlook.hours if plan.outlook else {},
    )


def write(path: Path, kept: PlanFile, told: Mapping[str, Any]) -> None:
    """Write the file whole or not at all. ``told`` is the plan for people and other tools to read."""
    document = {
        "format": FORMAT,
        "made_at": kept.made_at.isoformat(),
        "active": kept.active,
        "release": kept.release,
        "include_current": kept.include_current,
        "accept_resend": kept.accept_resend,
        "files": dict(kept.files),
        "until": kept.until.isoformat() if kept.until else None,
        "hours": {rule: dict(hours) for rule, hours in kept.hours.items()},
        "plan": told,
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> PlanFile:
    """The plan in a file. Raises OutboundError ``plan.file`` where it is none, or of another version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise OutboundError("plan.file", f"{path} was written by another version", _AGAIN)
        return PlanFile(
            made_at=datetime.fromisoformat(document["made_at"]),
            active=str(document["active"]),
            release=str(document["release"]),
            include_current=bool(document["include_current"]),
            accept_resend=int(document["accept_resend"]),
            files={str(name): str(value) for name, value in document["files"].items()},
            until=datetime.fromisoformat(document["until"]) if document["until"] else None,
            hours={str(rule): {str(h): int(n) for h, n in one.items()} for rule, one in document["hours"].items()},
        )
    except FileNotFoundError:
        raise OutboundError("plan.file", f"there is no file {path}", "write one with `outbound plan -o FILE`") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OutboundError("plan.file", f"{path} is no plan", "write one with `outbound plan -o FILE`") from None


def refuse_stale(kept: PlanFile, files: Files, *, active: str, now: datetime) -> None:
    """Raise OutboundError ``plan.stale`` unless ``active`` runs and ``files`` are there as when the plan was made.

    So is a plan whose days are over at ``now``.
    """
    if kept.until is not None and kept.until <= now:
        _stale(f"the plan looked ahead to {kept.until:%Y-%m-%d %H:%M} UTC, which is past")
    if active != kept.active:
        then = f"release {kept.active[:12]} ran" if kept.active else "no release ran"
        runs = f"release {active[:12]} runs" if active else "none runs"
        _stale(f"{then} when the plan was made, now {runs}")
    now_files = {path: content_hash(content) for path, content in files.items()}
    if now_files != dict(kept.files):
        paths = sorted(p for p in {*now_files, *kept.files} if now_files.get(p) != kept.files.get(p))
        more = f" and {len(paths) - _FEW} more" if len(paths) > _FEW else ""
        _stale(f"the files are not those that were planned: {', '.join(paths[:_FEW])}{more}")


def refuse_moved(kept: PlanFile, plan: Plan) -> None:
    """Raise OutboundError ``plan.stale`` where the messages planned for the hours left moved by more than 5 %."""
    if kept.until is None or plan.outlook is None:
        return
    said = moved(kept.hours, plan.outlook.hours, since=plan.made_at, until=kept.until)
    if said:
        _stale(said)


def _stale(message: str) -> NoReturn:
    raise OutboundError("plan.stale", message, _AGAIN)
