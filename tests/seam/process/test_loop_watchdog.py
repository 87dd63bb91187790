"""The watchdog of the event loop, with a real loop that is really stuck."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from wiremend.seam import stream_layer
from wiremend.seam.process.loop_watchdog import LoopWatchdog, describe, waits_for_events

from seam.playbook import Playbook, playing
from seam.test_stream_layer import call, plan_everything

LIMIT_SECONDS = 20.0


class Lines(logging.Handler):
    """Keeps the lines of the log, and reports each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.first = threading.Event()
        self.second = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.texts.append(record.getMessage())
        (self.second if len(self.texts) > 1 else self.first).set()


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logger = logging.getLogger("wiremend")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def book() -> Iterator[Playbook]:
    with playing(plan_everything) as playbook:
        yield playbook


async def watched(work: Callable[[], None], lines: Lines) -> None:
    """Do the work in a loop that is watched, then wait for the line about the end."""
    watchdog = LoopWatchdog(stuck_seconds=0.1)
    watchdog.start()
    work()
    await asyncio.to_thread(lines.second.wait, LIMIT_SECONDS)
    watchdog.stop()


def test_a_stuck_loop_is_logged_once_with_the_call_at_hand(
    book: Playbook, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_stuck(*_: object) -> None:
        assert lines.first.wait(LIMIT_SECONDS)

    monkeypatch.setattr(stream_layer, "plan_call", get_stuck)
    asyncio.run(watched(lambda: book.client_sends(call(b"/v1/messages?key=secret")), lines))
    stuck, over = lines.texts
    assert stuck.startswith("wiremend: the event loop has been stuck for ")
    assert ": CallStream._start_call (seam/stream_layer.py:" in stuck
    assert stuck.endswith(", for 'POST api.example.com/v1/messages'")
    assert over.startswith("wiremend: the event loop was stuck for ")


def test_a_loop_that_is_stuck_elsewhere_is_logged_with_that_place(lines: Lines) -> None:
    def get_stuck() -> None:
        assert lines.first.wait(LIMIT_SECONDS)

    asyncio.run(watched(get_stuck, lines))
    assert "threading.py:" in lines.texts[0]


def test_a_loop_that_is_not_stuck_is_not_logged(lines: Lines) -> None:
    async def work() -> None:
        watchdog = LoopWatchdog(stuck_seconds=30.0)
        watchdog.start()
        await asyncio.sleep(0.6)  # two heartbeats
        watchdog.stop()

    asyncio.run(work())
    assert lines.texts == []


def test_a_loop_that_waits_for_events_is_not_stuck() -> None:
    """A busy machine gives the process no time; the innermost function is then `select`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    identity = thread.ident
    assert identity is not None
    looks = (waits_for_events(sys._current_frames().get(identity)) for _ in range(1_000_000))
    is_waiting = any(looks)  # the thread may have yet to come there
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert is_waiting
    assert not waits_for_events(sys._getframe())
    assert not waits_for_events(None)


def test_the_watchdog_ends_when_it_is_stopped() -> None:
    async def work() -> list[threading.Thread]:
        before = set(threading.enumerate())
        watchdog = LoopWatchdog()
        watchdog.start()
        started = [thread for thread in threading.enumerate() if thread not in before]
        watchdog.stop()
        return started

    [thread] = asyncio.run(work())
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()
    assert thread.daemon


def test_what_clients_chose_is_escaped(book: Playbook) -> None:
    seen: list[str] = []
    book.at_hook["request"] = lambda flow: seen.append(describe(sys._getframe()))
    book.client_sends(call(b"/v1/messages/\x1b[2J"))
    assert seen[0].endswith("for 'POST api.example.com/v1/messages/\\x1b[2J'")


def test_properties_of_what_is_running_are_not_read() -> None:
    class Handler:
        @property
        def flow(self) -> None:
            raise KeyError("flow_id")  # mitmweb's, in a request that is not about a flow

        def get(self) -> str:
            return describe(sys._getframe())

    assert "Handler.get (process/test_loop_watchdog.py:" in Handler().get()


def test_importing_it_starts_no_thread() -> None:
    threads = [one for one in threading.enumerate() if one.name == "loop watchdog"]
    for thread in threads:  # those of other tests may be about to end
        thread.join(LIMIT_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
