"""Publishing with the plan in sight: check, plan, publish; or exactly the plan in a file."""

from dataclasses import dataclass
from datetime import datetime

from outbound.domain.release import Files
from outbound.domain.source import Problem
from outbound.services import refusals, releases
from outbound.services.plans import plan_file
from outbound.services.plans.outlook import Ahead
from outbound.services.plans.plan_file import PlanFile
from outbound.services.plans.planned import Plan, Progress, make_plan, running_files
from outbound.services.releases import Published
from outbound.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """``release`` is what runs now, None where nothing was published: refused, or a dry run."""

    plan: Plan
    release: Published | None
    problems: tuple[Problem, ...]
    refused: bool


def apply(
    database: Database,
    files: Files,
    *,
    by: str,
    now: datetime,
    kept: PlanFile | None = None,
    include_current: bool = False,
    accept_resend: int = 0,
    dry_run: bool = False,
    ahead: Ahead | None = None,
    progress: Progress = lambda _: None,
) -> Applied:
    """Publish ``files``. ``kept`` is the plan they must be; it says itself what it includes and accepts.

    ``ahead`` looks as far ahead as that plan did. Raises OutboundError ``plan.stale`` where the plan is about another
    release or other files, or its messages moved by more than 5 %, and where another release is published meanwhile.
    """
    if kept is not None:
        plan_file.refuse_stale(kept, files, active=running_files(database)[0], now=now)
        include_current, accept_resend = kept.include_current, kept.accept_resend
    plan = make_plan(
        database,
        files,
        now=now,
        include_current=include_current,
        accept_resend=accept_resend,
        ahead=ahead,
        progress=progress,
    )
    if kept is not None:
        plan_file.refuse_moved(kept, plan)
    if plan.errors:
        if not dry_run:
            refusals.record(database, plan.problems, by=by, now=now)
        return Applied(plan=plan, release=None, problems=plan.problems, refused=True)
    if dry_run:
        return Applied(plan=plan, release=None, problems=plan.problems, refused=False)
    answer = releases.publish(database, files, by=by, now=now, include_current=include_current, instead_of=plan.active)
    if isinstance(answer, Published):
        return Applied(plan=plan, release=answer, problems=answer.warnings, refused=False)
    return Applied(plan=plan, release=None, problems=answer, refused=True)
