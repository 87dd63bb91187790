"""A recording as a provider on loopback, to which the proxy connects instead of the network."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wiremend.engine.error_responses import not_recorded_response
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.registry import recognise
from wiremend.recording.cassette import TICKET
from wiremend.recording.recorded_calls import RecordedAnswer, RecordedCall
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider
from wiremend.testing.recorded_replies import reading_on, reply_of


@dataclass(slots=True)
class _Served:
    """A call that is being replayed."""

    call: RecordedCall
    next_answer: int = 0

    def take(self) -> RecordedAnswer:
        """Return the next answer; the last one is repeated."""
        answer = self.call.answers[min(self.next_answer, len(self.call.answers) - 1)]
        self.next_answer += 1
        return answer


class Origin:
    """Serves recorded answers at `address`, on loopback, with TLS for any name.

    A request is answered by its ticket alone: it was matched when the client sent it. `directory`
    is for certificates. `loop` is the event loop of the proxy. `speed` is the factor by which
    recorded times are divided; None: nothing is waited for. `report` is called on that loop with a
    call that cannot be served, and the reason.
    """

    def __init__(
        self,
        directory: Path,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[RecordedCall, str], object],
        *,
        speed: float | None = None,
    ) -> None:
        self._provider = ScriptedProvider(Authority(directory).leaf("localhost"), directory)
        self._provider.script([self._reply])
        self._loop = loop
        self._report = report
        self._speed = speed
        self._served: dict[str, _Served] = {}
        self._lock = threading.Lock()

    @property
    def address(self) -> tuple[str, int]:
        """The host and port on which it listens."""
        return "127.0.0.1", self._provider.port

    def start(self) -> None:
        """Listen."""
        self._provider.__enter__()

    def stop(self) -> None:
        """Close all connections, and listen no more."""
        self._provider.__exit__(None, None, None)

    def issue(self, call: RecordedCall) -> str:
        """Return a ticket for a call. No other process can guess it."""
        ticket = secrets.token_hex(8)
        with self._lock:
            self._served[ticket] = _Served(call)
        return ticket

    def revoke(self, ticket: str) -> None:
        """Forget a call that has ended."""
        with self._lock:
            self._served.pop(ticket, None)

    def _reply(self, received: Received) -> Reply:
        self._provider.received.clear()  # requests are not looked at again
        with self._lock:
            served = self._served.get(received.header(TICKET))
            if served is None:
                return steps.whole(b"This request is not part of the replay.\n", status=404)
            asked = recognise(received.method, received.path, "")
            problem = _problem_with(served, asked)
            if not problem:
                answer = served.take()
        if problem:
            self._loop.call_soon_threadsafe(self._report, served.call, problem)
            return _refusal(asked, problem)
        return reply_of(answer, reading_on(self._loop), speed=self._speed)


def _problem_with(served: _Served, asked: Protocol | None) -> str:
    """Return why the next answer does not fit the request that the proxy sends for the call."""
    if not served.call.answers:
        return "nothing was sent to a provider when it was recorded"
    answers = served.call.answers
    answer = answers[min(served.next_answer, len(answers) - 1)]
    if asked is None or answer.protocol in (None, asked.name):
        return ""
    return (
        f"it was recorded in the protocol {answer.protocol}, and the configuration now sends it in "
        f"{asked.name}"
    )


def _refusal(protocol: Protocol | None, problem: str) -> Reply:
    if protocol is None:
        return steps.whole(problem.encode(), status=400)
    return steps.whole(not_recorded_response(protocol, problem).body, status=400)
