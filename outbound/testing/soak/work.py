"""The work of a soak: triggers, imports and revocations, and a diary of what each was answered."""

import contextlib
import io
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from outbound.domain.consent import Evidence
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.interfaces import cli
from outbound.services.links import LinkMaker
from outbound.services.preferences import withdraw
from outbound.testing.promises import Occurrence, Revocation
from outbound.testing.soak import shop
from outbound.testing.soak.world import World

_NEW_CUSTOMERS = 15
_HTTP_SECONDS = 15
_TOPICS = ("newsletter", "digest")


@dataclass(slots=True)
class Diary:
    """What the service said: promised, refused, revoked. ``doubtful`` calls failed and may or may not have happened."""

    acknowledged: list[Occurrence] = field(default_factory=list)
    refused: list[Occurrence] = field(default_factory=list)
    revoked: list[Revocation] = field(default_factory=list)
    customers: int = 0
    doubtful: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)


class Work:
    """Does one thing after the other, as the dice fall."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.diary = Diary()
        self._world, self._dice = world, dice
        self._number = 0
        self._retry: list[list[str]] = []
        self._links = LinkMaker(keyring=Keyring.parse(f"k1:{shop.SECRET}"), public_url="")
        self._kinds = {
            self._event: 8,
            self._send: 4,
            self._import_orders: 3,
            self._import_customers: 2,
            self._unsubscribe: 3,
            self._withdraw: 3,
            self._bad_event: 1,
            self._bad_send: 1,
            self._repeat: 2,
        }

    def first(self) -> None:
        """The installation and its first customers. Raises RuntimeError when a step fails."""
        for words in (["migrate"], ["apply"]):
            status, said = self._run(*words)
            if status:
                raise RuntimeError(f"outbound {words[0]}: {said}")
        for _ in range(4):
            self._import_customers()

    def step(self) -> None:
        """One piece of work."""
        [work] = self._dice.choices(list(self._kinds), list(self._kinds.values()))
        self.diary.counts[work.__name__.strip("_")] += 1
        work()

    def _event(self) -> None:
        name, rule, field_ = self._dice.choice(
            [("order.placed", "receipt", "order_id"), ("login.asked", "code", "code")]
        )
        who, once = self._somebody(), self._new("e")
        words = ["event", name, who, "--data", f"{field_}={once}", "--id", once]
        self._promised(words, [Occurrence(rule=rule, once=once, customer_id=who)])

    def _send(self) -> None:
        rule, key = self._dice.choice(["notice", "text", "letter"]), self._new("k")
        who = {self._somebody() for _ in range(self._dice.choice([1, 5, 30]))}
        words = ["send", rule, "--key", key, *(word for one in sorted(who) for word in ("--customer", one))]
        words += ["--data", f"what={key}"] if rule != "letter" else []
        self._promised(words, [Occurrence(rule=rule, once=key, customer_id=one) for one in who])

    def _import_orders(self) -> None:
        orders = [(self._somebody(), self._new("i")) for _ in range(self._dice.choice([5, 40]))]
        now = datetime.now(UTC).isoformat()
        lines = [json.dumps({"customer": who, "order_id": once, "at": now}) for who, once in orders]
        file = self._world.folder / "orders.jsonl"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        words = ["import", "events", str(file), "--mapping", str(self._world.workspace / "orders.yaml"), "--fire"]
        said = [Occurrence(rule="receipt", once=once, customer_id=who) for who, once in orders]
        self._promised(words, said, again=False)

    def _import_customers(self) -> None:
        first = self.diary.customers + 1
        numbers = range(first, first + _NEW_CUSTOMERS)
        file = self._world.folder / "customers.csv"
        file.write_text(shop.customers_csv(numbers, now=datetime.now(UTC)), encoding="utf-8")
        mapping = self._world.workspace / "customers.yaml"
        status, _ = self._run("import", "customers", str(file), "--mapping", str(mapping))
        if status == 0:
            self.diary.customers += _NEW_CUSTOMERS
        else:
            self.diary.doubtful += 1

    def _unsubscribe(self) -> None:
        """The one click of RFC 8058, to a daemon that may be frozen, cut off or dead."""
        daemon = self._dice.choice([daemon for daemon in self._world.daemons if daemon.serves])
        who, topic = self._somebody(), self._dice.choice(_TOPICS)
        path = self._links.unsubscribe(
            customer_id=who, topic=topic, channel="email", message_id=new_id(datetime.now(UTC))
        )
        if not daemon.url or daemon.frozen:
            return
        with contextlib.suppress(OSError):
            connection = HTTPConnection(urlsplit(daemon.url).netloc, timeout=_HTTP_SECONDS)
            with contextlib.closing(connection):
                connection.request("POST", path, b"List-Unsubscribe=One-Click")
                if connection.getresponse().status == 200:  # noqa: PLR2004 - it is done
                    self._heard(who, topic)
                    return
        self.diary.doubtful += 1

    def _withdraw(self) -> None:
        who, topic = self._somebody(), self._dice.choice(_TOPICS)
        try:
            with self._world.database() as database:
                proof = Evidence(source="the soak", wording="No more.", actor="customer")
                withdraw(database, customer_id=who, topic=topic, channel=None, evidence=proof, now=datetime.now(UTC))
        except SQLAlchemyError:
            self.diary.doubtful += 1
        else:
            self._heard(who, topic)

    def _bad_event(self) -> None:
        """An event without the field its schema asks for."""
        who, once = self._somebody(), self._new("b")
        self._refused(["event", "order.placed", who, "--data", f"colour={once}", "--id", once], "receipt", once, who)

    def _bad_send(self) -> None:
        """A call without the argument its rule asks for."""
        who, key = self._somebody(), self._new("b")
        self._refused(["send", "notice", "--key", key, "--customer", who], "notice", key, who)

    def _repeat(self) -> None:
        """A call whose answer was lost, once more: the same id must not do it twice (F06, F39)."""
        if self._retry:
            self._run(*self._retry.pop(self._dice.randrange(len(self._retry))))

    def _promised(self, words: list[str], said: list[Occurrence], *, again: bool = True) -> None:
        status, _ = self._run(*words)
        if status == 0:
            self.diary.acknowledged += said
            return
        self.diary.doubtful += 1
        if again:
            self._retry = [*self._retry[-50:], words]

    def _refused(self, words: list[str], rule: str, once: str, who: str) -> None:
        status, _ = self._run(*words)
        if status == 0:
            self.diary.alarms.append(f"accepted although wrong: outbound {words[0]} ({once})")
        self.diary.refused.append(Occurrence(rule=rule, once=once, customer_id=who))

    def _heard(self, who: str, topic: str) -> None:
        self.diary.revoked.append(Revocation(customer_id=who, topic=topic, heard_at=datetime.now(UTC)))

    def _somebody(self) -> str:
        return shop.customer_id(self._dice.randint(1, max(1, self.diary.customers)))

    def _new(self, letter: str) -> str:
        self._number += 1
        return f"{letter}{self._number:06}"

    def _run(self, *words: str) -> tuple[int, str]:
        """A command in this process, and what it said."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.execute(["-w", str(self._world.workspace), *words])
        return status, out.getvalue() + err.getvalue()
