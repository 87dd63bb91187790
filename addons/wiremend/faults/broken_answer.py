"""One attempt's answer as a broken provider would have sent it.

The answer consists of what is due now, and of a queue of what is due later. A pause delays all
that follows it.
"""

from collections import deque
from collections.abc import Iterable

from wiremend.engine.actions import Head
from wiremend.faults.changes import (
    FOREVER,
    AnswerData,
    AnswerEnd,
    AnswerReset,
    Change,
    Item,
    Pause,
    Sent,
    change_for,
    local_answer,
)
from wiremend.faults.fault import ProviderFault
from wiremend.protocols.base.protocol import Protocol

QUEUE_LIMIT_BYTES = 16 * 1024 * 1024
"""Once more than this waits in the queue, further pauses are left out."""


class BrokenAnswer:
    """Takes the provider's answer with times in seconds of one clock; returns what is sent.

    Each method returns what is due at that time, in order. `due` is when there is more.
    """

    def __init__(
        self, fault: ProviderFault, protocol: Protocol, *, streams: bool, in_array: bool = False
    ) -> None:
        """`streams`: the client asked for a stream; `in_array`: as one JSON array (Gemini)."""
        local = local_answer(fault, protocol, streams=streams, in_array=in_array)
        self.needs_provider = local is None
        """Whether the request has to be sent: False if the whole answer is made here."""
        self._local = local
        self._change: Change | None = change_for(fault, protocol) if local is None else None
        self._queue: deque[tuple[float, Sent]] = deque()
        self._queued_bytes = 0
        self._due = 0.0
        """When the last item of the queue is due."""
        self.is_over = False
        """Whether the answer has ended, or nothing more will be sent."""

    @property
    def is_applied(self) -> bool:
        """Whether the answer differs from the provider's so far."""
        return self._change is None or self._change.is_applied

    @property
    def missing(self) -> str:
        """Why the fault had no effect; only of use if it had none."""
        return "" if self._change is None else self._change.missing

    @property
    def due(self) -> float | None:
        """When `wake` returns more; None: nothing waits."""
        return self._queue[0][0] if self._queue else None

    def start(self, now: float) -> list[Sent]:
        """The attempt starts: return the beginning of an answer that is made here."""
        return self._add(now, self._local or ())

    def head(self, now: float, head: Head) -> list[Sent]:
        """The head of the provider's answer arrived."""
        return self._add(now, self._change.head(head) if self._change else ())

    def body(self, now: float, data: bytes) -> list[Sent]:
        """Bytes of its body arrived."""
        return self._add(now, self._change.body(data) if self._change else ())

    def end(self, now: float) -> list[Sent]:
        """Its body ended properly."""
        return self._add(now, self._change.end() if self._change else ())

    def lost(self, now: float, reason: str) -> list[Sent]:
        """The provider's connection was really lost; what was received before is sent first."""
        return self._add(now, [AnswerReset(reason)])

    def wake(self, now: float) -> list[Sent]:
        """Time has passed."""
        ready: list[Sent] = []
        while self._queue and self._queue[0][0] <= now:
            _, sent = self._queue.popleft()
            self._queued_bytes -= _size(sent)
            ready.append(sent)
        return ready

    def _add(self, now: float, items: Iterable[Item]) -> list[Sent]:
        for item in items:
            if self.is_over:
                break  # what follows is dropped at once: it could be a whole answer
            if isinstance(item, Pause):
                if item.seconds == FOREVER:
                    self.is_over = True
                elif self._queued_bytes <= QUEUE_LIMIT_BYTES:
                    self._due = max(self._due, now) + item.seconds
                continue
            self._queue.append((max(self._due, now), item))
            self._queued_bytes += _size(item)
            self.is_over = isinstance(item, AnswerEnd | AnswerReset)
        return self.wake(now)


def _size(sent: Sent) -> int:
    return len(sent.data) if isinstance(sent, AnswerData) else 0
