"""A call in report mode: it passes unchanged, and what the rules find in its response is recorded.

A copy of the response is read by a second machine, which carries out the call as it would be
repaired. Only its findings are used. No time passes for it, so keep-alives and timeouts have no
effect. A fault in it ends the reading and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from wiremend.engine.actions import Action, Head, ShowBody
from wiremend.engine.call import Call, PassingCall
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.unrepaired.passing import PassingMachine
from wiremend.held_memory import CallMemory
from wiremend.protocols.base.usage import Usage
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import AttemptPlace, CallPlace, Finding

CHUNK_BYTES = 64 * 1024
"""How much is read at once."""
SINGLE_EVENTS = 1000
"""How many events at the beginning of a response are read one by one."""
_BLANK_LINES = (b"\n\n", b"\r\n\r\n")


def as_reported(finding: Finding) -> Finding:
    """Return a finding about which nothing was done; it contains what else would have been.

    What would follow a failed attempt is not known, since there is only one.
    """
    done = "not changed: rules only report"
    if not isinstance(finding.place, AttemptPlace):
        done += f" (otherwise: {finding.done})"
    return replace(finding, done=done)


def on_response(finding: Finding) -> Finding:
    """Return a finding on the only attempt as one on the response."""
    if isinstance(finding.place, AttemptPlace):
        return replace(finding, place=CallPlace.RESPONSE)
    return finding


class ResponseObserver:
    """Reads one response without changing anything, to find what is wrong with it.

    Until a client would be shown something, events are read one by one. So whether content precedes
    an error does not depend on the chunks in which the response arrives.
    """

    def __init__(self, call: Call, memory: CallMemory | None = None) -> None:
        # Whether a response is repaired must not depend on what was done to its request.
        call = replace(call, adapted=None)
        self.machine = CallMachine(call, random=lambda: 0.0, wall_clock=lambda: 0.0, memory=memory)
        self._is_shown = False
        self._singles = 0

    def start(self) -> list[Action]:
        """The request is complete."""
        return self.machine.start(0.0)

    def connected(self) -> list[Action]:
        """The request goes out."""
        return self.machine.connected(0.0, reused=False)

    def head(self, head: Head) -> list[Action]:
        """The head of the response arrived."""
        return self.machine.head(0.0, head)

    def body(self, data: bytes) -> Iterator[list[Action]]:
        """Read bytes of the body, with their content coding; yield what would be done."""
        start = 0
        while start < len(data) and not self.machine.over:
            end = start + CHUNK_BYTES if self._reads_ahead else _end_of_event(data, start)
            self._singles += not self._reads_ahead
            actions = self.machine.body(0.0, data[start:end])
            self._is_shown |= any(isinstance(action, ShowBody) for action in actions)
            start = end
            yield actions

    @property
    def _reads_ahead(self) -> bool:
        return self._is_shown or self._singles >= SINGLE_EVENTS

    def end(self) -> list[Action]:
        """The response ended completely."""
        return self.machine.body_end(0.0)

    def failed(self, reason: str, *, is_too_large: bool = False) -> list[Action]:
        """Connecting failed, the connection was lost, or the head of the response is too large."""
        return self.machine.attempt_failed(0.0, reason, is_too_large=is_too_large)

    def left(self) -> list[Action]:
        """The client is gone."""
        return self.machine.client_gone(0.0)


class ReportingMachine(PassingMachine):
    """Passes a call as it is, and records what the rules find in the response."""

    def __init__(self, call: PassingCall, memory: CallMemory | None = None) -> None:
        super().__init__(call)
        self._reported = 0
        self._observer = contain("observing a call", self._blind, _observer_of, call, memory)

    @property
    def usage(self) -> Usage | None:
        """The token counts of the response."""
        if self._observer is None:
            return None
        usage = self._observer.machine.usage
        self._take_faults(self._observer)
        return usage

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        self._observe(lambda observer: observer.start())
        return super().start(now)

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The connection is established and the request goes out."""
        self._observe(lambda observer: observer.connected())
        return super().connected(now, reused=reused)

    def head(self, now: float, head: Head) -> list[Action]:
        """The head of the response arrived."""
        self._observe(lambda observer: observer.head(head))
        return super().head(now, head)

    def body(self, now: float, data: bytes) -> list[Action]:
        """Bytes of the response body arrived, with their content coding."""
        self._observe(lambda observer: [*observer.body(data)])
        return super().body(now, data)

    def body_end(self, now: float) -> list[Action]:
        """The response ended completely, according to its framing."""
        self._observe(lambda observer: observer.end())
        return super().body_end(now)

    def attempt_failed(
        self, now: float, reason: str, *, is_too_large: bool = False
    ) -> list[Action]:
        """Connecting failed, or the connection was reset or closed too early."""
        actions = super().attempt_failed(now, reason, is_too_large=is_too_large)
        if self.over:  # else a connection that was kept open is replaced
            self._observe(lambda observer: observer.failed(reason, is_too_large=is_too_large))
        return actions

    def client_gone(self, now: float) -> list[Action]:
        """The client closed its connection or reset its stream."""
        self._observe(lambda observer: observer.left())
        return super().client_gone(now)

    def _observe(self, step: Callable[[ResponseObserver], object]) -> None:
        """Read on, and record what is found."""
        if self._observer is not None:
            contain("observing a call", self._blind, self._read, self._observer, step)

    def _read(self, observer: ResponseObserver, step: Callable[[ResponseObserver], object]) -> None:
        step(observer)
        self._take_faults(observer)
        new = observer.machine.findings[self._reported :]
        if new:
            self._reported += len(new)
            self.findings += [on_response(as_reported(finding)) for finding in new]

    def _take_faults(self, observer: ResponseObserver) -> None:
        if observer.machine.faults:
            self.faults += observer.machine.faults
            observer.machine.faults.clear()

    def _blind(self, fault: Fault) -> None:
        """After a fault in the reading, the rest of the response passes unread."""
        self.faults.append(fault)
        self._observer = None


def _observer_of(call: PassingCall, memory: CallMemory | None) -> ResponseObserver | None:
    return ResponseObserver(call.observed, memory) if call.observed is not None else None


def _end_of_event(data: bytes, start: int) -> int:
    """Return the offset behind the next blank line, or behind as much as is read at once.

    A blank line may be split between two reads: its rest is at the start of `data`.
    """
    end = start + CHUNK_BYTES
    if start == 0 and data[:1] in (b"\r", b"\n"):
        first = data[:end]
        return len(first) - len(first.lstrip(b"\r\n"))
    for mark in _BLANK_LINES:
        found = data.find(mark, start, end)
        end = found + len(mark) if found >= 0 else end
    return end
