"""One stream of a client whose internal faults end its call and no other."""

import time
from collections.abc import Sequence
from logging import DEBUG, WARNING
from typing import Any

from mitmproxy import flow as mitmproxy_flow
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import DropStream, SendHttp
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHeadersHook

from wiremend.call_record.outcomes import CallState, Outcome
from wiremend.engine.actions import Respond
from wiremend.engine.error_responses import fault_response
from wiremend.engine.machine import Machine
from wiremend.protocols.base.protocol import Protocol
from wiremend.rules.containment import Fault, FaultLog, contain, fault_of
from wiremend.seam.call_options import CallOptions
from wiremend.seam.client_side import ClientSide, response_with_head
from wiremend.seam.connections import Commands, http_layer_of
from wiremend.seam.flow_record import FlowRecord
from wiremend.seam.flows import name_of
from wiremend.seam.request_stream import RequestStream
from wiremend.seam.upstream_side import UpstreamSide

_LAST_EVENTS = (ResponseEndOfMessage, ResponseProtocolError)


class ContainedStream(RequestStream):
    """A stream that ends its call in an error after an internal fault, and logs the fault."""

    machine: Machine | None = None
    _record: FlowRecord
    _upstream: UpstreamSide
    _client: ClientSide

    def __init__(self, context: Any, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._options: CallOptions | None = None
        self._is_call = True
        """False once it is known that the request is none."""
        self._has_ended = False
        self._is_head_sent = False
        self._is_end_sent = False
        self._is_record_fault_logged = False

    def note_sent(self, event: HttpEvent) -> None:
        """Record that the head or the end of the response is sent to the client."""
        self._is_head_sent |= isinstance(event, ResponseHeaders)
        self._is_end_sent |= isinstance(event, _LAST_EVENTS)

    def _answer(self, respond: Respond) -> Commands:
        """Send a response that was made by the proxy, as `HttpStream` sends an addon's."""
        self.flow.response = response_with_head(respond.head, None)
        self.flow.response.data.content = respond.body
        self._record.head_shown()
        yield HttpResponseHeadersHook(self.flow)
        self._client.record_whole(self.flow.response)
        yield from self._log_contained()
        if not (yield from self.check_killed(True)):
            yield from self.send_response()

    def _contained(self, step: str, source: Commands) -> Commands:
        """Yield these commands of a call. An exception raised by `source` ends the call at once.

        None of the commands may need a reply.
        """
        try:
            for command in source:
                if self._has_ended:
                    return  # the call ended while this was suspended at the previous command
                yield command
        except Exception as exception:
            yield from self._end_in_fault(fault_of(step, exception))

    def _end_in_fault(self, fault: Fault) -> Commands:
        """End the call in its protocol's error, or cut it if that cannot be written."""
        if self.machine is None and not self._is_call:
            yield from self._log(fault, "the request is forwarded unchanged")
            return
        yield from self._log(fault, "the call ends in an error")
        self._has_ended = self._client.is_finished = True
        last = b""
        if self.machine is not None:
            stop = self.machine.stop_after_fault
            last = contain("stopping a machine", lambda _: b"", stop, time.monotonic())
        yield from self._close_upstream()
        text = f"internal fault ({fault})"
        self._record.end(Outcome(CallState.INTERNAL_FAULT, text), self._protocol)
        if self._is_end_sent:
            yield DropStream(self.stream_id)
        elif not self._is_head_sent:
            yield from self._answer(_fault_response(self._protocol, fault))
        else:
            if last:
                yield from self._client.show_body(last)
                yield from self._client.complete_flow()
                yield from self._client.end_message()
            else:
                yield from self._client.cut(text)
            self.flow.live = False
            yield DropStream(self.stream_id)
        yield from self._log_contained()

    def _close_upstream(self) -> Commands:
        """End the attempt, whatever state it is in."""
        upstream = self._upstream
        try:
            yield from upstream.close()
            upstream.leave_background()
        except Exception as exception:
            yield from self._log(fault_of("ending an attempt", exception), "it is abandoned")
            if upstream.attempt_id is not None:
                http_layer_of(self).streams.pop(upstream.attempt_id, None)

    def _break_off(self, fault: Fault) -> Commands:
        """End this stream after a fault for which nothing else is left; keep the connection.

        This uses as little as possible of what may have raised.
        """
        self._has_ended = True
        yield from self._log(fault, "its stream is broken off")
        if self._is_end_sent:
            yield DropStream(self.stream_id)
            return
        reason = "internal fault"
        for event in contain(
            "writing an error", lambda _: (self._cut_off(reason),), self._last_events, fault, reason
        ):
            yield SendHttp(event, self.context.client)
        if (flow := getattr(self, "flow", None)) is not None:
            flow.error = flow.error or mitmproxy_flow.Error(reason)
            flow.live = False
            yield HttpErrorHook(flow)
        yield DropStream(self.stream_id)

    def _last_events(self, fault: Fault, reason: str) -> Sequence[HttpEvent]:
        """Return what ends the response to the client: an error if nothing of it was sent."""
        if self._is_head_sent:
            return (self._cut_off(reason),)
        respond = _fault_response(self._protocol, fault)
        response = response_with_head(respond.head, None)
        return (
            ResponseHeaders(self.stream_id, response, False),
            ResponseData(self.stream_id, respond.body),
            ResponseEndOfMessage(self.stream_id),
        )

    def _cut_off(self, reason: str) -> HttpEvent:
        return ResponseProtocolError(self.stream_id, reason, ErrorCode.GENERIC_SERVER_ERROR)

    def _log(self, fault: Fault, done: str) -> Commands:
        """Log a fault on one line, and its stack at the level of debugging."""
        name = contain("naming a call", lambda _: "a call", lambda: name_of(self.flow))
        log = (self._options and self._options.fault_log) or FaultLog()
        line = log.line(fault, name, done, time.monotonic())
        if line is not None:
            yield commands.Log(line, WARNING)
            yield commands.Log(f"wiremend: {fault}\n{fault.trace}", DEBUG)

    def _log_contained(self) -> Commands:
        """Log the faults that did not end the call."""
        machine = self.machine
        for faults in (machine.faults if machine is not None else [], self._upstream.faults):
            contained = tuple(faults)
            faults.clear()
            for fault in contained:
                yield from self._log(fault, "the call goes on without it")
        if self._record.fault is not None and not self._is_record_fault_logged:
            self._is_record_fault_logged = True
            yield from self._log(self._record.fault, "the call has no record")


def _fault_response(protocol: Protocol | None, fault: Fault) -> Respond:
    """Return the error for a call that a fault has ended, in its protocol if that is possible."""
    step, plain = "writing an error", lambda _: fault_response(None, fault.kind)
    return contain(step, plain, fault_response, protocol, fault.kind)
