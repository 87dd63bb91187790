"""Injects the faults of a schedule into the answers of one call's attempts.

It stands between mitmproxy's HTTP client and the machine, which receives the broken answer like
one from the provider.
"""

import time
from collections.abc import Sequence

from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http._events import (
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from wiremend.engine.actions import Head
from wiremend.engine.call import Call
from wiremend.faults.broken_answer import BrokenAnswer
from wiremend.faults.changes import Sent
from wiremend.faults.schedule import CallFaults, ChosenFault, FaultSchedule
from wiremend.secrets import without_quoted_bytes


class InjectedFaults:
    """The faults of one call; at most one attempt is broken at any time."""

    received: http.Response | None = None
    """The head that the provider sent for the current attempt."""
    is_reset = False
    """Whether the last broken attempt was ended by an injected reset."""

    def __init__(self, schedule: FaultSchedule, call: Call) -> None:
        self._faults: CallFaults = schedule.start_call()
        self._call = call
        self._chosen: ChosenFault | None = None
        self._answer: BrokenAnswer | None = None
        self._wakeup: commands.RequestWakeup | None = None
        self._is_noted = False
        self._is_started = False

    @property
    def answer(self) -> BrokenAnswer | None:
        """The answer of the current attempt; None if it is not broken."""
        return self._answer

    def start_attempt(self, target: int) -> bool:
        """Choose the fault of the attempt that starts.

        Returns whether the whole answer is made here: then nothing is to be sent, and `wakeup`
        starts it.
        """
        self.received = None
        self.is_reset = self._is_noted = self._is_started = False
        request = self._call.request_for(target)
        document = request.document
        model = self._call.targets[target].model
        self._chosen = self._faults.next_attempt(request.host, model, document.path)
        if self._chosen is None:
            self._answer = None
            return False
        self._answer = BrokenAnswer(
            self._chosen.fault,
            document.protocol,
            streams=self._call.may_stream,
            in_array=self._call.context.array,
        )
        return not self._answer.needs_provider

    def end_attempt(self) -> str:
        """Send nothing more; return a line for the log if the fault had no effect."""
        answer, chosen = self._answer, self._chosen
        self._answer = self._wakeup = None
        if answer is None or chosen is None or answer.is_applied:
            return ""
        self._faults.had_no_effect(chosen)
        return f"{chosen} was not injected: {answer.missing}"

    def take_wakeup(self, event: events.Event) -> bool:
        """Take the event if it is the wake-up for the broken answer; return whether it is."""
        is_wakeup = isinstance(event, events.Wakeup) and event.command is self._wakeup
        if is_wakeup:
            self._wakeup = None
        return is_wakeup

    def breaks(self, event: events.Event, attempt_id: int | None) -> bool:
        """Return whether the event is a part of the answer that is broken."""
        return (
            self._answer is not None
            and isinstance(event, _ANSWER)
            and event.stream_id == attempt_id
        )

    def sent_for(self, event: events.Event) -> Sequence[Sent]:
        """Return what the broken provider sends when this event of the real answer arrives."""
        answer, now = self._answer, time.monotonic()
        assert answer is not None
        match event:
            case ResponseHeaders(response=response):
                self.received = response
                return answer.head(now, Head(response.status_code, response.headers.fields))
            case ResponseData(data=data):
                return answer.body(now, data)
            case ResponseEndOfMessage():
                return answer.end(now)
            case ResponseProtocolError(message=message):
                return answer.lost(now, without_quoted_bytes(message))
        return answer.wake(now)

    def starts_here(self) -> bool:
        """Return whether the answer is made here and was not started."""
        return self._answer is not None and not self._answer.needs_provider and not self._is_started

    def first_sent(self) -> Sequence[Sent]:
        """Return the beginning of an answer that is made here."""
        assert self._answer is not None
        self._is_started = True
        return self._answer.start(time.monotonic())

    def wakeup(self, delay_seconds: float = 0.0) -> commands.RequestWakeup:
        """Return the command that leads to the next wake-up."""
        self._wakeup = commands.RequestWakeup(delay_seconds)
        return self._wakeup

    def next_wakeup(self) -> commands.RequestWakeup | None:
        """Return the command for what is due later; None: nothing waits, or it was returned."""
        due = self._answer.due if self._answer is not None and self._wakeup is None else None
        return None if due is None else self.wakeup(max(0.0, due - time.monotonic()))

    def take_news(self) -> str:
        """Return a description of the fault, once: after it was injected."""
        answer, chosen = self._answer, self._chosen
        if self._is_noted or answer is None or chosen is None or not answer.is_applied:
            return ""
        self._is_noted = True
        return str(chosen)


_ANSWER = (ResponseHeaders, ResponseData, ResponseEndOfMessage, ResponseProtocolError)


def response_of(head: Head, upstream: http.Response | None) -> http.Response:
    """Return mitmproxy's response for the head that a broken provider sends."""
    response = http.Response.make(head.status, b"")
    if upstream is not None:
        response.http_version = upstream.http_version
        response.timestamp_start = upstream.timestamp_start
        if upstream.status_code == head.status:
            response.reason = upstream.reason
    response.headers = http.Headers(head.fields)
    response.data.content = None
    return response
