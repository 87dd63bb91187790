"""Logs an event loop that is stuck, with what it is doing: all calls wait meanwhile.

A thread compares the clock with a heartbeat of the loop. If the heartbeat is late, the thread logs
the innermost function of wiremend on the loop's stack, and the call that it works on. A function
in C that keeps the interpreter's lock delays the thread too; the line then follows at its end.
"""

import asyncio
import logging
import selectors
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from mitmproxy import http

STUCK_SECONDS = 1.0
"""How late a heartbeat may be."""
BEAT_SECONDS = 0.25
"""The time between two heartbeats, and between two looks at them."""
_LIBRARY = str(Path(__file__).resolve().parents[2])

logger = logging.getLogger("wiremend")


class LoopWatchdog:
    """Watches one event loop. It starts with `start`, in that loop, and ends with `stop`."""

    def __init__(self, stuck_seconds: float = STUCK_SECONDS) -> None:
        self._stuck_seconds = stuck_seconds
        self._last_beat = 0.0
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start watching the loop of the thread that calls this."""
        self._loop = asyncio.get_running_loop()
        self._beat()
        # A daemon: it never keeps the process alive.
        threading.Thread(
            target=self._watch, args=(threading.get_ident(),), name="loop watchdog", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._last_beat = time.monotonic()
        if self._loop is not None and not self._loop.is_closed():
            self._timer = self._loop.call_later(BEAT_SECONDS, self._beat)

    def _watch(self, loop_thread: int) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            beat = self._last_beat
            if time.monotonic() - beat > self._stuck_seconds + BEAT_SECONDS:
                self._report(beat, sys._current_frames().get(loop_thread))

    def _report(self, beat: float, frame: FrameType | None) -> None:
        """Log one line now, and one at the end with the seconds.

        A loop that waits for events is not stuck: the machine gave the process no time.
        """
        if waits_for_events(frame):
            self._wait_for_beat(beat)
            return
        logger.warning(
            "wiremend: the event loop has been stuck for %.1f s, and all calls with it: %s",
            time.monotonic() - beat,
            describe(frame),
        )
        self._wait_for_beat(beat)
        if self._last_beat != beat:
            logger.warning("wiremend: the event loop was stuck for %.1f s", self._last_beat - beat)

    def _wait_for_beat(self, last: float) -> None:
        while self._last_beat == last and not self._stopped.wait(BEAT_SECONDS):
            pass


def waits_for_events(frame: FrameType | None) -> bool:
    """Return whether the innermost function is the one in which an event loop waits for events."""
    return frame is not None and frame.f_code.co_filename == selectors.__file__


def describe(frame: FrameType | None) -> str:
    """Return the place of the innermost function of wiremend on a stack, and its call.

    If there is none, the place is that of the innermost function of any code.
    """
    frames = list(_outward(frame))
    if not frames:
        return "it has no frame"
    own = (one for one in frames if one.f_code.co_filename.startswith(_LIBRARY))
    place = _place(next(own, frames[0]))
    flow = next((flow for one in frames if (flow := _flow_of(one)) is not None), None)
    return place if flow is None else f"{place}, for {_named(flow)}"


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType) -> str:
    code = frame.f_code
    path = Path(code.co_filename)
    return f"{code.co_qualname} ({path.parent.name}/{path.name}:{frame.f_lineno})"


def _flow_of(frame: FrameType) -> http.HTTPFlow | None:
    """Return the flow that a function works on: its local `flow`, or that of its `self`."""
    names = frame.f_locals
    # Only what is stored: a property, as that of mitmweb's handlers, would be run in this thread.
    of_self = getattr(names.get("self"), "__dict__", {}).get("flow")
    for found in (names.get("flow"), of_self):
        if isinstance(found, http.HTTPFlow):
            return found
    return None


def _named(flow: http.HTTPFlow) -> str:
    """Return method, host and path of a flow. They are escaped, since the client chose them."""
    request = flow.request
    path = request.path.partition("?")[0][:200]
    return ascii(f"{request.method} {request.pretty_host}{path}")
