"""Publishing rules and templates together as one immutable release, and reading the one that runs.

A release is named by its content. What does not pass the check is refused and the last good one goes on.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

from outbound.domain.errors import OutboundError
from outbound.domain.ids import content_hash
from outbound.domain.release import Files, Ruleset
from outbound.domain.rule import Schema
from outbound.domain.source import Problem, Severity, Span
from outbound.engine import rulefiles
from outbound.engine.rendering import Templates, compile_templates
from outbound.engine.rendering.clients import Support
from outbound.services import refusals
from outbound.services.baselines import index_attributes, take_baselines
from outbound.services.experiment_freeze import frozen_problems
from outbound.services.retyped import stored_misfits
from outbound.storage import hooks, sent_news
from outbound.storage import releases as store
from outbound.storage.database import Database

_CACHED = 16
_ASSET_RELEASES = 20
_SCHEMA_FILE = "rules/schema.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What ``check`` found. ``ruleset`` and ``templates`` are None when a problem is an error."""

    ruleset: Ruleset | None
    templates: Templates | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse a release."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A set that passed. ``changed`` is False when the same content was active already."""

    id: str
    changed: bool
    rules: int
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Active:
    """A release compiled and ready to run.

    ``since`` says for each rule from when on it may fire: the start of the latest unbroken line of active
    releases that contain it. A rule fires for no slot and no event older than that.
    """

    id: str
    ruleset: Ruleset
    templates: Templates
    since: Mapping[str, datetime] = field(default_factory=dict)
    activated_at: datetime | None = None


def check(files: Files, *, support: Support | None = None) -> Checked:
    """Parse, type-check and compile everything, and report every problem found. The same files are compiled once.

    With ``support`` it also warns of what many mail programs lack.
    """
    if support is not None:
        return _check(files, support)
    name = name_of(files)
    return _checked.get(name) or _checked.keep(name, _check(files))


def _check(files: Files, support: Support | None = None) -> Checked:
    loaded = rulefiles.load(files)
    read = loaded.readable
    if read is None:
        return Checked(ruleset=None, templates=None, problems=loaded.problems)
    templates, problems = compile_templates(
        files, policy=read.policy, schema=read.schema, rules=read.rules, support=support
    )
    found = (*loaded.problems, *problems)
    if templates is None or any(p.severity is Severity.ERROR for p in found):
        return Checked(ruleset=None, templates=None, problems=found)
    return Checked(ruleset=read, templates=templates, problems=found)


def publish(
    database: Database,
    files: Files,
    *,
    by: str,
    now: datetime,
    include_current: bool = False,
    instead_of: str | None = None,
) -> Published | tuple[Problem, ...]:
    """Make ``files`` the running release, or answer the problems that refuse it.

    The same content again changes nothing. A content that ran before becomes active again. Refused is also a
    set that retypes an attribute whose stored values are not of the new type. ``include_current``: new rules on
    changes and on entering a segment fire once for the values and members of today too.

    ``instead_of``: only while this release runs ("": while none does). Raises OutboundError ``plan.stale`` otherwise.
    A refusal stands in `outbound status` and in /ready until a good set follows; what ran before goes on.
    """
    answer = _publish(database, files, by=by, now=now, include_current=include_current, instead_of=instead_of)
    if not isinstance(answer, Published):
        refusals.record(database, answer, by=by, now=now)
    return answer


def name_of(files: Files) -> str:
    """The id that ``files`` have as a release."""
    return content_hash(store.pack(files))


def objections(database: Database, checked: Checked, files: Files) -> tuple[Problem, ...]:
    """What of the stored data would refuse ``files``, which passed the check. Reads only, and waits for nobody."""
    if checked.ruleset is None:
        return ()
    misfits = _retyped(database, checked.ruleset.schema, _running_schema(database), files)
    with database.read() as connection:
        return (*misfits, *frozen_problems(connection, checked.ruleset, files, to_publish=False))


def _publish(
    database: Database, files: Files, *, by: str, now: datetime, include_current: bool, instead_of: str | None
) -> Published | tuple[Problem, ...]:
    checked = check(files)
    if checked.ruleset is None or checked.templates is None:
        return checked.problems
    misfits = _retyped(database, checked.ruleset.schema, _running_schema(database), files)
    if misfits:
        return (*checked.problems, *misfits)
    content = store.pack(files)
    versions = {rule.id: rule.version for rule in checked.ruleset.rules.values() if not rule.draft}
    with database.write() as connection:
        frozen = frozen_problems(connection, checked.ruleset, files)
        if frozen:
            return (*checked.problems, *frozen)
        release_id = store.store(connection, content, versions=versions, by=by, now=now)
        newest = store.newest(connection)
        runs = newest[1] if newest else ""
        if instead_of is not None and instead_of != runs:
            raise OutboundError("plan.stale", "another release was published meanwhile", "plan again")
        changed = runs != release_id
        if changed:
            history = store.activations(connection)
            before = history[0].versions if history else {}
            take_baselines(connection, checked.ruleset, before=before, include_current=include_current, now=now)
            store.activate(connection, release_id, by=by, now=now)
        index_attributes(connection, checked.ruleset.schema)
        sent_news.listen(connection, heard=_hears_sent(files))
        refusals.forget(connection)
    compiled = Active(id=release_id, ruleset=checked.ruleset, templates=checked.templates)
    _cache.keep((str(database.url), release_id, 0), compiled)
    warnings = tuple(p for p in checked.problems if p.severity is Severity.WARNING)
    return Published(id=release_id, changed=changed, rules=len(checked.ruleset.rules), warnings=warnings)


def _hears_sent(files: Files) -> bool:
    """Whether a rule may listen to what leaves: a name in a remark counts too, and costs a row for each message."""
    return any(hooks.SENT.encode() in text for path, text in files.items() if path.startswith("rules/"))


def _running_schema(database: Database) -> Schema | None:
    """The schema that stored values were read with; None before the first release, or where it cannot be read.

    After an upgrade the running release may not pass this version's check; publishing a new one is the way out.
    """
    try:
        running = active(database)
    except OutboundError as error:
        if error.code != "release.unreadable":
            raise
        return None
    return running.ruleset.schema if running else None


def active(database: Database) -> Active | None:
    """The release that runs now, or None before the first. Compiled once per process and activation."""
    with database.read() as connection:
        newest = store.newest(connection)
        if newest is None:
            return None
        number, release_id = newest
        key = (str(database.url), release_id, number)
        found = _cache.get(key)
        if found is not None:
            return found
        history = store.activations(connection)
    compiled = by_id(database, release_id)
    return _cache.keep(
        key,
        Active(
            id=release_id,
            ruleset=compiled.ruleset,
            templates=compiled.templates,
            since=_since(history),
            activated_at=history[0].activated_at,
        ),
    )


def running(database: Database) -> Active:
    """The release that runs now. Raises OutboundError ``release.none`` before the first `outbound apply`."""
    found = active(database)
    if found is None:
        raise OutboundError("release.none", "no release is active", "run `outbound apply`")
    return found


def at(database: Database, moment: datetime) -> Active | None:
    """The release that ran at ``moment``, as planning saw it then; None before the first."""
    with database.read() as connection:
        history = [entry for entry in store.activations(connection) if entry.activated_at <= moment]
    if not history:
        return None
    then = by_id(database, history[0].release_id)
    return replace(then, since=_since(history), activated_at=history[0].activated_at)


def any_published(database: Database) -> bool:
    """Whether a release ever ran here, readable to this version or not."""
    with database.read() as connection:
        return store.newest(connection) is not None


def by_id(database: Database, release_id: str) -> Active:
    """Any release, also one that no longer runs. Raises OutboundError ``release.unknown`` or ``release.unreadable``."""
    key = (str(database.url), release_id, 0)
    found = _cache.get(key)
    if found is not None:
        return found
    with database.read() as connection:
        content = store.content(connection, release_id)
    if content is None:
        raise OutboundError("release.unknown", f"there is no release {release_id[:12]}", "see `outbound status`")
    checked = check(store.unpack(content))
    if checked.ruleset is None or checked.templates is None:
        remedy = "publish the rules again with this version (`outbound apply`)"
        raise OutboundError(
            "release.unreadable", f"release {release_id[:12]} does not pass this version's check", remedy
        )
    return _cache.keep(key, Active(id=release_id, ruleset=checked.ruleset, templates=checked.templates))


def asset(database: Database, name: str) -> tuple[str, bytes] | None:
    """Media type and content of a brand asset of a recent release: mails in inboxes refer to older ones too."""
    with database.read() as connection:
        ids = list(dict.fromkeys(entry.release_id for entry in store.activations(connection)))[:_ASSET_RELEASES]
    for release_id in ids:
        found = by_id(database, release_id).templates.assets().get(name)
        if found is not None:
            return found
    return None


K = TypeVar("K")
V = TypeVar("V")


class _Cache(Generic[K, V]):
    """Compiled sets of this process, the most recently used ones."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def keep(self, key: K, value: V) -> V:
        with self._lock:
            kept = self._entries.setdefault(key, value)  # two threads may have compiled the same set
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
            return kept


_checked: _Cache[str, Checked] = _Cache(_CACHED)
"""By the name of the content: what is checked before it is published need not be compiled again to run."""
_cache: _Cache[tuple[str, str, int], Active] = _Cache(2 * _ASSET_RELEASES + _CACHED)


def _since(history: Sequence[store.Activation]) -> dict[str, datetime]:
    """For each rule of the newest release, the oldest activation from which on it was never absent."""
    since: dict[str, datetime] = {}
    alive = set(history[0].versions)
    for entry in history:
        alive &= set(entry.versions)
        since.update(dict.fromkeys(alive, entry.activated_at))
    return since


def _retyped(database: Database, new: Schema, old: Schema | None, files: Files) -> tuple[Problem, ...]:
    changed = {
        name: declared
        for name, declared in new.customer.items()
        if old is None or name not in old.customer or old.customer[name] != declared
    }
    if not changed:
        return ()
    with database.read() as connection:
        misfits = stored_misfits(store.stored_attributes(connection), changed)
    problems = []
    for name, misfit in misfits.items():
        message = (
            f"customer.{name} becomes {new.customer[name].type}, but {misfit.count} stored values are not, "
            f"first that of customer {misfit.example}"
        )
        problem = Problem(
            span=_attribute_span(files, name),
            message=message,
            code="schema.retyped",
            suggestion="give the attribute a new name, or import values of the new type first",
        )
        problems.append(problem)
    return tuple(problems)


def _attribute_span(files: Files, name: str) -> Span:
    lines = files.get(_SCHEMA_FILE, b"").decode(errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        found = re.match(rf"\s+{re.escape(name)}\s*:", line)
        if found:
            return Span(_SCHEMA_FILE, number, len(line) - len(line.lstrip()) + 1, len(name))
    return Span(_SCHEMA_FILE, 1, 1)
