"""Makes the calls of a schedule at a constant rate, and counts how they end."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from .callers import NUMBER, Callers, Result
from .scenarios import Call

FAILURES_KEPT = 200
"""How many calls with a wrong end are described."""
_ALPN = (("h2",), ("http/1.1",))
"""The HTTP versions that the provider offers, in turns."""


class Replies:
    """The provider's side: replies to each request as the scenario of its call requires."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._attempts: Counter[int] = Counter()
        self._received: dict[int, Received] = {}

    def expect(self, call: Call) -> None:
        """A call is about to be made."""
        self._calls[call.number] = call

    def forget(self, call: Call) -> None:
        """A call has ended."""
        for kept in (self._calls, self._attempts, self._received):
            kept.pop(call.number, None)

    def received_for(self, number: int) -> Received | None:
        """Return the last request of a call."""
        return self._received.get(number)

    def reply(self, received: Received) -> Reply:
        """Return the reply to a request."""
        number = int(received.header(NUMBER))
        call = self._calls.get(number)
        if call is None:
            return Reply("late", ())  # the client has left
        replies = call.scenario.replies(call)
        attempt = min(self._attempts[number], len(replies) - 1)
        self._attempts[number] += 1
        self._received[number] = received
        return replies[attempt]


@dataclass
class Minute:
    """The calls that ended within one minute of the run."""

    ends: Counter[str] = field(default_factory=Counter)
    clean_seconds: list[float] = field(default_factory=list)
    """How long the calls without any fault took."""
    failed: int = 0
    """Calls that did not end as they must."""
    late: int = 0
    """Calls that were made after their time, because too many were running."""


@dataclass
class Load:
    """Calls at a constant rate. `minutes` has what happened so far."""

    call_at: Callable[[int], Call]
    """Returns the call with a number, from 0."""
    callers: Callers
    replies: Replies
    provider: ScriptedProvider
    per_second: float
    at_once: int
    minutes: list[Minute] = field(default_factory=list)
    failures: deque[Result] = field(default_factory=lambda: deque(maxlen=FAILURES_KEPT))
    failed: int = 0
    made: int = 0
    running: int = 0
    by_scenario: dict[str, Counter[str]] = field(default_factory=dict)

    async def run(self, seconds: float) -> None:
        """Make calls for so long, and wait for the last one to end."""
        slots = asyncio.Semaphore(self.at_once)
        started = time.monotonic()
        self._started = started
        async with asyncio.TaskGroup() as group:
            while (due := started + self.made / self.per_second) < started + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if slots.locked():
                    self._minute().late += 1
                await slots.acquire()
                self.provider.alpn = _ALPN[self.made // 10 % len(_ALPN)]
                group.create_task(self._make(self.call_at(self.made), slots))
                self.made += 1

    async def _make(self, call: Call, slots: asyncio.Semaphore) -> None:
        self.running += 1
        self.replies.expect(call)
        try:
            result = await self.callers.make(call)
        finally:
            self.replies.forget(call)
            self.running -= 1
            slots.release()
        self._count(result)
        self.provider.received.clear()  # only `replies` looks at them

    def _count(self, result: Result) -> None:
        minute, name = self._minute(), result.call.scenario.name
        minute.ends[result.end] += 1
        self.by_scenario.setdefault(name, Counter())[result.end] += 1
        if name == "clean":
            minute.clean_seconds.append(result.seconds)
        if not result.is_right:
            minute.failed += 1
            self.failed += 1
            self.failures.append(result)

    def _minute(self) -> Minute:
        number = int((time.monotonic() - self._started) // 60)
        while len(self.minutes) <= number:
            self.minutes.append(Minute())
        return self.minutes[number]
