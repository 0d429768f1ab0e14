"""Making a plan: the running release against a set of files, over the customers there are now."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.domain.release import Files, Ruleset
from outbound.domain.source import Problem, Severity
from outbound.engine.rulefiles.differences import Change, Difference, Kind, Part, differences
from outbound.services import releases
from outbound.services.planning.buckets import Buckets
from outbound.services.plans.groups import Groups, groups_of
from outbound.services.plans.outlook import Ahead, Outlook, look_ahead
from outbound.services.plans.reach import Reach, audience_of, differ, reach_of
from outbound.services.releases import Active
from outbound.storage import releases as store
from outbound.storage import rule_record
from outbound.storage.database import Database

ONCE_CHANGED = "plan.once-changed"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePlan:
    """A rule that differs, or whose people do because a segment does: then it has no parts.

    ``waiting``: messages of a removed rule that have not left; they are cancelled with it (``rule_withdrawn``).
    """

    rule: str
    change: Change
    parts: tuple[Part, ...] = ()
    draft: bool = False
    reach: Reach
    groups: Groups | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``active`` is the running release ("" before the first), ``release`` the one the files would be.

    ``others`` are segments, policy, schema and templates; ``users`` names the rules that send a changed template.
    """

    active: str
    release: str
    made_at: datetime
    include_current: bool = False
    rules: tuple[RulePlan, ...] = ()
    others: tuple[Difference, ...] = ()
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    outlook: Outlook | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What refuses the release."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)

    @property
    def changes(self) -> bool:
        """Whether publishing would change what runs."""
        return self.active != self.release


def make_plan(
    database: Database,
    files: Files,
    *,
    now: datetime,
    include_current: bool = False,
    accept_resend: int = 0,
    only: str = "",
    ahead: Ahead | None = None,
    progress: Progress = lambda _: None,
) -> Plan:
    """Compare the running release with ``files`` and count people. ``database`` may be opened to read only.

    ``accept_resend``: how many people may get a message again because the ``once`` of a rule changed. ``only`` is the
    rule to look at, "" for all. ``ahead``: also live through the days to come. ``progress`` is told what is being
    counted. Raises OutboundError ``plan.rule`` where neither side has the rule.
    """
    progress("check")
    checked = releases.check(files)
    before, running = running_files(database)
    empty = Plan(active=before, release=releases.name_of(files), made_at=now, include_current=include_current)
    if checked.ruleset is None or checked.templates is None:
        return replace(empty, problems=checked.problems)
    found = differences(running, files)
    old = releases.check(running).ruleset if running else None
    _known(only, old, checked.ruleset)
    new = Active(id=empty.release, ruleset=checked.ruleset, templates=checked.templates)
    compared = _Comparison(database, Buckets(database, new.ruleset.policy), old, new, now)
    rules = []
    for name, difference in compared.names(found).items():
        if not only or name == only:
            progress(name)
            rules.append(compared.rule(name, difference))
    others = tuple(one for one in found if one.kind is not Kind.RULE)
    problems = (
        *checked.problems,
        *releases.objections(database, checked, files),
        *compared.once_problems(accept_resend),
    )
    users = _users(others, new.ruleset)
    plan = replace(empty, rules=tuple(rules), others=others, users=users, problems=problems)
    if ahead is None or plan.errors:
        return plan
    progress("the days ahead")
    return replace(plan, outlook=look_ahead(files, ahead, now=now, include_current=include_current))


def running_files(database: Database) -> tuple[str, Files]:
    """The running release and its files, also where this version cannot run them."""
    with database.read() as connection:
        newest = store.newest(connection)
        content = store.content(connection, newest[1]) if newest else None
    return (newest[1], store.unpack(content)) if newest and content is not None else ("", {})


def _known(only: str, old: Ruleset | None, new: Ruleset) -> None:
    if only and only not in new.rules and (old is None or only not in old.rules):
        raise OutboundError("plan.rule", f"there is no rule {only}", "see `outbound status`, or the files")


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two releases over the same customers at one moment. ``old`` is None where there is none that can be read."""

    database: Database
    buckets: Buckets
    old: Ruleset | None
    new: Active
    now: datetime

    def names(self, found: tuple[Difference, ...]) -> dict[str, Difference | None]:
        """The rules that differ, and those that say the same about other people: a segment changed."""
        rules, old = self.new.ruleset, self.old
        shared = [name for name in rules.rules if old is not None and name in old.rules]
        moved = [name for name in shared if differ(audience_of(old, name), audience_of(rules, name))]
        named: dict[str, Difference | None] = dict.fromkeys(moved)
        named |= {one.name: one for one in found if one.kind is Kind.RULE}
        return dict(sorted(named.items()))

    def rule(self, name: str, difference: Difference | None) -> RulePlan:
        """What becomes of one rule and its people."""
        change = difference.change if difference else Change.CHANGED
        rules = self.new.ruleset.rules
        rule = rules.get(name) or (self.old.rules.get(name) if self.old else None)
        if rule is None:  # only in a release that this version cannot read
            return RulePlan(rule=name, change=change, reach=Reach())
        before, after = audience_of(self.old, name), audience_of(self.new.ruleset, name)
        removed = name not in rules
        return RulePlan(
            rule=name,
            change=change,
            parts=difference.parts if difference else (),
            draft=rule.draft,
            reach=reach_of(self.database, self.buckets, rule, before, after, now=self.now),
            groups=None if removed else groups_of(self.database, self.new, self.buckets, rule, now=self.now),
            waiting=self._asked(rule_record.waiting, name) if removed else 0,
        )

    def once_problems(self, accepted: int) -> Iterator[Problem]:
        """Under another key everybody is new: who had the message may get it again (rules.md 1.9, Dedup)."""
        for name, rule in self.new.ruleset.rules.items():
            before = self.old.rules.get(name) if self.old else None
            if before is None or before.once.text == rule.once.text:
                continue
            told = self._asked(rule_record.told, name)
            if told > accepted:
                message = f"the once of rule '{name}' changes: {told:,} people who had its message may get it again"
                hint = f"write once: {before.once.text!r} again, or say --accept-resend {told}"
                yield Problem(span=rule.span, message=message, code=ONCE_CHANGED, suggestion=hint)

    def _asked(self, question: Callable[[Connection, str], int], name: str) -> int:
        with self.database.read() as connection:
            return question(connection, name)


def _users(others: tuple[Difference, ...], ruleset: Ruleset) -> dict[str, tuple[str, ...]]:
    names = sorted({one.name for one in others if one.kind is Kind.TEMPLATE})
    return {name: tuple(sorted(r.id for r in ruleset.rules.values() if name in r.templates)) for name in names}
