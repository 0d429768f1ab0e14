"""The parts of the runtime alone: the event loop, the log of failures, the port, and a part that dies."""

import asyncio
import importlib.util
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator

import pytest
import structlog
from fastapi import FastAPI
from trial_shop import Shop, get

from outbound.app import build
from outbound.config import read_settings
from outbound.domain.errors import ConfigurationError, OutboundError
from outbound.interfaces.logs import JsonLines, log_to_stderr
from outbound.runtime import loop
from outbound.runtime.daemon import Daemon
from outbound.runtime.failures import Failures
from outbound.runtime.hands import Hand, Signs
from outbound.runtime.serving import Listener


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    yield
    root.setLevel(before[0])
    root.handlers = before[1]
    structlog.reset_defaults()


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not made for this platform")
def test_the_loop_is_uvloop_where_it_installs() -> None:
    async def name() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert loop.run(name()) == "uvloop"


def test_a_failure_that_lasts_is_logged_once_a_minute_and_its_end_once() -> None:
    clock = [0.0]
    failures = Failures(clock=lambda: clock[0])
    with structlog.testing.capture_logs() as lines:
        for second in range(130):
            clock[0] = float(second)
            with failures.logged("plan"):
                raise OutboundError("some.code", "it does not work", "do this")
        for _ in range(3):
            with failures.logged("plan"):
                pass
    assert [(line["event"], line.get("failures")) for line in lines] == [
        ("failed", 1),
        ("failed", 61),
        ("failed", 121),
        ("works again", 130),
    ]
    assert (lines[0]["stage"], lines[0]["code"], lines[0]["remedy"]) == ("plan", "some.code", "do this")


def test_another_failure_is_logged_at_once_and_a_surprise_never_with_its_words() -> None:
    failures = Failures(clock=lambda: 0.0)
    with structlog.testing.capture_logs() as lines:
        for error in (ConfigurationError("no key", "set it"), ValueError("ada@example.org"), KeyError("x")):
            with failures.logged("plan"):
                raise error
    assert [line["error"] for line in lines] == ["no key", "ValueError", "KeyError"]


def test_a_library_warning_is_a_json_line_without_addresses_or_words_of_an_exception() -> None:
    record = logging.LogRecord(
        "lib", logging.WARNING, __file__, 1, "to %s and %s\nsecond line", ("ada@example.org", "+39 340 123 4567"), None
    )
    try:
        raise ValueError("ada@example.org")
    except ValueError as error:
        record.exc_info = (ValueError, error, None)
    line = JsonLines().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["level"], entry["event"], entry["error"]) == ("warning", "to ... and ...", "ValueError")
    assert "example.org" not in line


def test_the_log_outlives_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """``outbound run 2>&1 | head`` must not end the daemon."""
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w", buffering=1)
    monkeypatch.setattr("sys.stderr", stream)
    logging.getLogger().handlers = []
    log_to_stderr()
    structlog.get_logger().info("nobody reads this")
    logging.getLogger("lib").warning("nor this")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_port_is_ours_from_the_moment_it_is_asked_for() -> None:
    listener = Listener(FastAPI(), "127.0.0.1", 0)
    try:
        with pytest.raises(OutboundError, match="is in use") as caught:
            Listener(FastAPI(), "127.0.0.1", listener.port)
        assert caught.value.code == "server.port"
    finally:
        listener.close()
    Listener(FastAPI(), "127.0.0.1", listener.port).close()


def test_a_host_that_is_none_of_ours_is_an_error_of_the_same_kind() -> None:
    with pytest.raises(OutboundError, match="cannot be listened on") as caught:
        Listener(FastAPI(), "192.0.2.1", 0)
    assert caught.value.code == "server.port"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_is_served_as_well() -> None:
    site = FastAPI()

    @site.get("/")
    def hello() -> str:
        return "hello"

    try:
        listener = Listener(site, "::1", 0)
    except OutboundError:
        pytest.skip("no IPv6 loopback on this machine")

    async def serve() -> tuple[int, str]:
        serving = asyncio.create_task(listener.serve())
        try:
            return await asyncio.to_thread(get, f"http://[::1]:{listener.port}/")
        finally:
            listener.stop()
            await serving

    assert loop.run(serve()) == (200, '"hello"')


def test_a_daemon_of_which_a_part_dies_ends_instead_of_living_on_half_dead(shop: Shop) -> None:
    with shop.database() as database:
        listener = Listener(FastAPI(), "127.0.0.1", 0)

        async def main() -> bool:
            daemon = asyncio.create_task(Daemon(build(read_settings(shop.folder), database), listener).run())
            listener.stop()
            return await daemon

        with structlog.testing.capture_logs() as lines:
            before = signal.getsignal(signal.SIGTERM)
            assert loop.run(main()) is False
            signal.signal(signal.SIGTERM, before)
    assert next(line["parts"] for line in lines if line["event"] == "a part of the daemon died") == ["http"]


def test_a_hand_that_sees_the_signal_first_has_not_died(shop: Shop) -> None:
    """It may end in the same turn of the loop in which the signal comes; one that failed then has died all the same."""

    async def main(error: Exception | None) -> bool:
        settings = read_settings(shop.folder)
        with shop.database() as database:
            daemon = Daemon(build(settings, database), None)

            async def hand() -> None:
                if error is not None:
                    raise error

            daemon._signalled()
            ended = asyncio.create_task(hand())
            await asyncio.wait({ended})
            return await daemon._until_stopped([ended])

    assert asyncio.run(main(None)) is True
    assert asyncio.run(main(RuntimeError("broken"))) is False


def test_a_hand_goes_on_when_all_of_a_slice_has_left_and_only_answers_are_waited_for() -> None:
    """A slice whose provider is slow keeps nobody who comes after it; where nothing is due the hand rests."""

    async def story() -> list[str]:
        seen: list[str] = []
        answered = asyncio.Event()

        async def work(signs: Signs) -> int:
            if seen:
                seen.append("nothing due")
                return 0
            seen.append("all left")
            signs.left()
            await answered.wait()
            seen.append("answered")
            return 3

        hand = Hand(work, most=2)
        assert await hand.more()
        assert not await hand.more()
        answered.set()
        await hand.finish()
        return seen

    assert asyncio.run(story()) == ["all left", "nothing due", "answered"]
