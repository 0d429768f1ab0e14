"""What a daemon does beside sending: marks, mail, news that waited, and what killed commands began."""

import time
from datetime import UTC, datetime

import structlog

from outbound.app import App
from outbound.runtime.failures import Failures
from outbound.services import pauses, receipts, releases, snapshots, uncertain
from outbound.services.inbox import Inbox, mailbox
from outbound.storage import mark_file

log = structlog.get_logger("outbound.daemon")

_MARK_SECONDS = 10
"""An idle daemon notes so often how far it is; one that works does at every tick."""


class Household:
    """Every method waits for the database: call them in a thread. ``worked`` is set by whoever moves a message."""

    def __init__(self, app: App, inbox: Inbox, failures: Failures) -> None:
        self._app = app
        self._inbox = inbox
        self._failures = failures
        self._marked = 0.0
        self.mailbox = app.mailbox()
        self.worked = False

    def mark_is_due(self) -> bool:
        """Whether ``mark`` should be called."""
        return self.worked or time.monotonic() - self._marked >= _MARK_SECONDS

    def mark(self) -> None:
        """Note how far we are inside and outside of the database; a database that is behind is paused (F13)."""
        self.worked, self._marked = False, time.monotonic()
        path = self._app.settings.root / mark_file.NAME
        made = snapshots.make(self._app.database, path, now=datetime.now(UTC))
        with self._failures.logged("mark"):
            snapshots.keep(path, made)
        if made.behind is not None:
            remedy = 'docs/operations.md, "Restoring an old copy", then `outbound resume all`'
            log.critical("restored snapshot: everything is paused", reason=made.behind.reason, remedy=remedy)

    def keep_up(self, *, thorough: bool = False) -> None:
        """Close what nobody will find out any more, and finish what a killed command began."""
        now, database = datetime.now(UTC), self._app.database
        if closed := uncertain.close_old(database, now=now):
            log.warning("closed as unknown", messages=closed)
        active = releases.active(database)
        ruleset = active.ruleset if active else None
        if woken := pauses.go_on_waking(database, ruleset, now=now, thorough=thorough):
            log.info("resumed what a killed command had left asleep", messages=woken)

    def move_on(self) -> None:
        """Go to the next channel where no receipt came."""
        active = releases.active(self._app.database)
        if active is not None:
            channels = self._app.reporting_channels()
            moved = receipts.move_on(self._app.database, active.ruleset.policy, channels, now=datetime.now(UTC))
            if moved:
                log.info("no receipt: next channel", messages=moved)

    def fetch_mail(self) -> int:
        """Take what waits in the mailbox; how many mails."""
        return mailbox.take(self._app.database, self.mailbox, now=datetime.now(UTC)).mails if self.mailbox else 0

    def sweep_inbox(self) -> None:
        """Match news that came before what it is about."""
        swept = self._inbox.sweep(now=datetime.now(UTC))
        if swept.matched or swept.proved:
            log.info("news matched", news=swept.matched, settled=swept.proved)
