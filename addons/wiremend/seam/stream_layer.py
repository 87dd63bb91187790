"""One call in mitmproxy's HTTP stack: its events go to a machine, whose actions go to it."""

import random
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

from mitmproxy import flow as mitmproxy_flow
from mitmproxy import hooks, http
from mitmproxy.connection import Connection
from mitmproxy.net.http import status_codes
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    HttpStream,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import (
    HttpErrorHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)

from wiremend.adapt.lessons import LessonBook
from wiremend.call_record.outcomes import CallState, Outcome
from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    FinishResponse,
    Head,
    LogLine,
    ReleaseAttempt,
    Respond,
    ShowBody,
    ShowHead,
    StartAttempt,
    WakeAt,
)
from wiremend.engine.call import AcknowledgedCall, Call
from wiremend.engine.error_responses import fault_response
from wiremend.engine.health import ProviderHealth
from wiremend.engine.machine import Machine
from wiremend.engine.plan import make_machine, plan_acknowledgement, plan_call
from wiremend.engine.settings import Feature, Knowledge, Settings
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.registry import recognise
from wiremend.seam.connections import Commands, GetAttemptConnection, ReadOver, connections_of
from wiremend.seam.flow_record import FlowRecord, Mask
from wiremend.seam.flows import (
    address_request,
    is_direct,
    mark_direct,
    outgoing_of,
    response_on_the_wire,
)

SHOWN_LIMIT_BYTES = 64 * 1024 * 1024
"""A response longer than this is not kept for mitmweb."""

# A reload of this module defines the hook anew; without this mitmproxy warns of a conflict.
hooks.all_hooks.pop("wiremend_call", None)


@dataclass
class CallOptions:
    """What the loaded addons ask for, for one request that is about to go upstream."""

    flow: http.HTTPFlow
    features: set[Feature] = field(default_factory=set)
    settings: Settings = field(default_factory=Settings)
    health: ProviderHealth = field(default_factory=ProviderHealth)
    lessons: LessonBook = field(default_factory=LessonBook)
    conceal: Callable[[http.HTTPFlow], None] | None = None
    """Takes the secrets out of the flow; what goes upstream keeps them."""
    mask: Mask | None = None
    """Takes the secrets out of what is recorded of the call."""
    report_refusal: Callable[[http.HTTPFlow, str], None] | None = None
    """Reports a call that is answered with an error instead of going upstream; gets the reason."""
    fault: Exception | None = None
    """What an addon raised; see `noting_faults`."""


@dataclass
class WiremendCallHook(commands.StartHook):
    """`wiremend_call(options)`: each addon adds what it asks for. The order does not matter."""

    options: CallOptions


def noting_faults(step: Callable[[CallOptions], None]) -> Callable[[CallOptions], None]:
    """Wrap an addon's `wiremend_call` so that a fault in it ends the call.

    mitmproxy logs what an addon raises and goes on, here without a feature: a routed call would go
    where its client sent it.
    """

    @wraps(step)
    def wiremend_call(options: CallOptions) -> None:
        try:
            step(options)
        except Exception as fault:
            options.fault = options.fault or fault

    return wiremend_call


class MendedHttpStream(HttpStream):
    """An HttpStream whose calls are carried by a machine."""

    machine: Machine | None = None
    _record: FlowRecord
    _original: http.Request
    """The request as it was planned: what each target's request is made from."""
    _request: http.Request
    """What goes upstream, once there is a machine; the flow shows it without its secrets."""

    def __init__(self, context: Any, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._connecting: GetAttemptConnection | None = None
        self._attempt_id: int | None = None
        self._connection: Connection | None = None
        self._upstream_response: http.Response | None = None
        self._conceal: Callable[[http.HTTPFlow], None] | None = None
        self._protocol: Protocol | None = None
        self._call: Call | AcknowledgedCall | None = None
        self._sent_to: OutgoingRequest | None = None
        self._via: ServerSpec | None = None
        self._read: list[bytes] = []
        self._shown = bytearray()
        self._keep_shown = True
        self._finished = False
        self._is_head_sent = False
        self._is_end_sent = False
        self._has_ended = False

    def __repr__(self) -> str:
        return super().__repr__() if self.machine is None else f"MendedHttpStream({self.machine})"  # type: ignore[no-untyped-call]

    @property
    def _http_layer(self) -> HttpLayer:
        parent = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(parent, HttpLayer)
        return parent

    # From mitmproxy to the machine

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """Mark a request that is addressed to the forward proxy itself.

        In HTTP/1 it is in origin form. An HTTP/2 request always has an authority; its scheme is
        https only if that authority is the proxy, since clients send the https requests that they
        want forwarded through CONNECT.
        """
        request = event.request
        is_forward_proxy = self.mode in (HTTPMode.regular, HTTPMode.upstream)
        if is_forward_proxy and request.method != "CONNECT" and not event.replay_flow:
            is_multiplexed = request.is_http2 or request.is_http3
            if request.scheme == "https" if is_multiplexed else not request.host:
                mark_direct(request)
        yield from super().state_wait_for_request_headers(event)

    def state_consume_request_body(self, event: events.Event) -> Commands:
        """Discard the body of a direct request that is refused: its size is not bounded."""
        is_refused = is_direct(self.flow.request) and self.flow.response is not None
        if not (is_refused and isinstance(event, RequestData)):
            yield from super().state_consume_request_body(event)

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        """Ask the addons whether a machine carries this request; else go the original way."""
        if self.flow.request.stream or self.flow.is_replay:
            return (yield from super().make_server_connection())
        self._record = FlowRecord(self.flow)
        options = CallOptions(self.flow)
        yield from self._contained(self._start_call(options))
        if isinstance(self._call, Call) and self._call.refusal is not None:
            yield from self._refuse(self._call.refusal, self._call.refusal_reason, options)
        if self.machine is not None or self._has_ended:
            return False
        return (yield from super().make_server_connection())

    def _start_call(self, options: CallOptions) -> Commands:
        """Plan the call and start its machine, unless nothing is to be done with it."""
        request = self.flow.request
        content_type = request.headers.get("content-type", "")
        self._protocol = recognise(request.method, request.path, content_type)
        yield WiremendCallHook(options)
        if options.fault is not None:
            raise options.fault
        received = None
        call: Call | AcknowledgedCall | None = plan_acknowledgement(
            request.method, request.path, request.pretty_host, options.features, options.settings
        )
        if call is None and self._protocol is not None:
            received = outgoing_of(request, self._protocol, request.pretty_host, "")
            knowledge = Knowledge(options.health, options.lessons)
            call = plan_call(received, options.features, options.settings, knowledge)
        if call is None:
            return
        self._call = call
        self._conceal = options.conceal
        self._record.plan(call, self._protocol, options.mask)
        if isinstance(call, Call) and call.refusal is not None:
            return
        self.machine = make_machine(call, random=random.random, wall_clock=time.time)
        self._original = self._request = request.copy()
        self._sent_to = received
        self._via = self.flow.server_conn.via
        self._show_request()
        yield from self._ask(self.machine.start)

    def _refuse(self, refusal: Respond, reason: str, options: CallOptions) -> Commands:
        """Answer a call that must not go upstream."""
        self._has_ended = True
        self._record.end(Outcome(CallState.REFUSED, reason))
        if options.report_refusal is not None:
            options.report_refusal(self.flow, reason)
        yield from self._answer(refusal)

    def _answer(self, respond: Respond) -> Commands:
        """Send a response of our own in mitmproxy's default way."""
        self._upstream_response = None
        self.flow.response = self._response(respond.head)
        self.flow.response.data.content = respond.body
        self._record.head_shown()
        yield HttpResponseHeadersHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from self.send_response()

    def _contained(self, source: Commands) -> Commands:
        """Carry out these commands of a call; a fault in them ends it at once.

        None of them may need a reply.
        """
        try:
            for command in source:
                if self._has_ended:
                    return  # while this was suspended at the command before
                if isinstance(command, SendHttp) and command.connection is self.context.client:
                    self._is_head_sent |= isinstance(command.event, ResponseHeaders)
                    self._is_end_sent |= isinstance(
                        command.event, ResponseEndOfMessage | ResponseProtocolError
                    )
                yield command
        except Exception as fault:
            yield from self._end_in_fault(fault)

    def _end_in_fault(self, fault: Exception) -> Commands:
        """End the call in its protocol's error, or cut it when a part of it was sent."""
        text = f"internal fault ({described(fault)})"
        if self.machine is None and self._protocol is None:
            yield commands.Log(f"wiremend: {text}; the request passes as it is", WARNING)
            return
        yield commands.Log(f"wiremend: {text}; the call ends in an error", WARNING)
        self._has_ended = self._finished = True
        yield from self._close_attempt()
        connections_of(self._http_layer).background.discard(self)
        self._record.end(Outcome(CallState.INTERNAL_FAULT, text), self._protocol)
        if self._is_end_sent:
            yield DropStream(self.stream_id)
        elif self._is_head_sent:
            self.flow.error = mitmproxy_flow.Error(text)
            yield HttpErrorHook(self.flow)
            code = ErrorCode.GENERIC_SERVER_ERROR
            error = ResponseProtocolError(self.stream_id, text, code)
            yield SendHttp(error, self.context.client)
            self.flow.live = False
            yield DropStream(self.stream_id)
        else:
            yield from self._answer(fault_response(self._protocol, type(fault).__name__))

    def send_response(self, already_streamed: bool = False) -> Commands:
        """The original way, but for what the flow shall not show and the client shall get."""
        original = super().send_response(already_streamed)
        reply: Any = None
        while True:
            try:
                command = original.send(reply)
            except StopIteration:
                return
            if isinstance(command, SendHttp):
                self._put_back(command.event)
            reply = yield command

    def _put_back(self, event: Any) -> None:
        assert self.flow.response is not None
        if isinstance(event, ResponseHeaders):
            event.response = response_on_the_wire(self.flow.response)
        elif isinstance(event, ResponseData):
            event.data = response_on_the_wire(self.flow.response).raw_content or b""

    def _handle_event(self, event: events.Event) -> Commands:
        if self._has_ended:
            return
        if self.machine is not None:
            yield from self._contained(self._call_event(event))
        elif not isinstance(event, events.Wakeup):
            yield from super()._handle_event(event)

    def _call_event(self, event: events.Event) -> Commands:
        assert self.machine is not None
        if isinstance(event, events.Wakeup):
            yield from self._ask(self.machine.wake)
        elif isinstance(event, ReadOver):
            yield from self._look_at_read()
        elif isinstance(event, GetHttpConnectionCompleted):
            yield from self._connection_ready(event)
        elif isinstance(event, RequestProtocolError):
            yield from self._client_gone()
        elif getattr(event, "stream_id", None) != self._attempt_id:
            pass  # of an attempt that was given up
        elif isinstance(event, ResponseHeaders):
            yield from self._head_arrived(event.response)
        elif isinstance(event, ResponseData):
            yield from self._body_arrived(event.data)
        elif isinstance(event, ResponseEndOfMessage):
            yield from self._look_at_read()
            yield from self._ask(self.machine.body_end)
        elif isinstance(event, ResponseProtocolError):
            yield from self._look_at_read()
            yield from self._ask(self.machine.attempt_failed, event.message)

    def _body_arrived(self, data: bytes) -> Commands:
        """One of the chunks of a network read: all are looked at together, at its end."""
        assert self.machine is not None
        reading = connections_of(self._http_layer).reading
        if reading is None:
            yield from self._ask(self.machine.body, data)
            return
        if not self._read:
            reading.append(self)
        self._read.append(data)

    def _look_at_read(self) -> Commands:
        assert self.machine is not None
        if self._read:
            data = b"".join(self._read)
            self._read.clear()
            yield from self._ask(self.machine.body, data)

    def _head_arrived(self, response: http.Response) -> Commands:
        assert self.machine is not None
        if self.context.options.validate_inbound_headers and response.status_code != 204:
            try:
                validate_headers(response)
            except ValueError as reason:
                yield from self._abandon_attempt()
                yield from self._ask(self.machine.attempt_failed, f"invalid response: {reason}")
                return
        self._upstream_response = response
        head = Head(response.status_code, response.headers.fields)
        yield from self._ask(self.machine.head, head)

    def _connection_ready(self, event: GetHttpConnectionCompleted) -> Commands:
        assert self.machine is not None
        if event.command is not self._connecting:
            return  # of an attempt that was given up while it connected
        self._connecting = None
        connection, error = event.reply
        if connection is None:
            yield from self._ask(self.machine.attempt_failed, error or "unknown error")
            return
        self.context.server = self.flow.server_conn = connection  # type: ignore[assignment]
        self._connection = connection
        connections = connections_of(self._http_layer)
        reused = connection.id in connections.used
        connections.used.add(connection.id)
        self._attempt_id = connections.next_attempt_id
        connections.next_attempt_id -= 1
        self._http_layer.streams[self._attempt_id] = self
        yield from self._ask(self.machine.connected, reused=reused)
        yield from self._send_request(self._attempt_id, connection)

    def _send_request(self, attempt_id: int, connection: Connection) -> Commands:
        request = self._request
        content = request.raw_content
        ends_with_head = not (content or request.trailers)
        yield SendHttp(RequestHeaders(attempt_id, request, ends_with_head), connection)
        if content:
            yield SendHttp(RequestData(attempt_id, content), connection)
        if request.trailers:
            yield SendHttp(RequestTrailers(attempt_id, request.trailers), connection)
        yield SendHttp(RequestEndOfMessage(attempt_id), connection)

    def _client_gone(self) -> Commands:
        assert self.machine is not None
        answered = self.machine.answered
        yield from self._ask(self.machine.client_gone)
        if not answered and not self._finished:
            self._finished = True
            self.flow.error = mitmproxy_flow.Error("cancelled by client")
            yield HttpErrorHook(self.flow)
            self.flow.live = False
            yield DropStream(self.stream_id)

    def _ask(self, question: Callable[..., list[Action]], *args: Any, **kwargs: Any) -> Commands:
        """Put a question to the machine and carry its actions out.

        After a fault in reading a response, the rest of it passes as it comes.
        """
        machine, call = self.machine, self._call
        assert machine is not None
        assert call is not None
        try:
            actions = question(time.monotonic(), *args, **kwargs)
        except Exception as fault:
            data = args[0] if args and isinstance(args[0], bytes) else b""
            is_reading = question in (machine.head, machine.body)
            actions = machine.stop_mending(time.monotonic(), data) if is_reading else []
            if not actions:
                raise
            text = f"internal fault ({described(fault)})"
            yield commands.Log(f"wiremend: {text}; this response passes as it comes", WARNING)
        self._record.renew(call, machine)
        for action in actions:
            if self._killed() and isinstance(action, _TOWARD_CLIENT):
                continue
            yield from self._carry_out(action)

    # From the machine to mitmproxy

    def _carry_out(self, action: Action) -> Commands:
        match action:
            case ShowBody(data):
                yield from self._show_body(data)
            case ShowHead(head):
                yield from self._show_head(head)
            case WakeAt(when):
                yield commands.RequestWakeup(max(0.0, when - time.monotonic()))
            case StartAttempt(_, fresh, target):
                self._address(target)
                yield from self._start_attempt(fresh=fresh)
            case AbandonAttempt():
                yield from self._abandon_attempt()
            case ReleaseAttempt():
                yield from self._release_attempt()
            case FinishResponse():
                yield from self._finish_response()
            case Respond(head, body):
                yield from self._respond(head, body)
            case CutResponse(reason):
                yield from self._cut_response(reason)
            case LogLine(text, warning):
                yield commands.Log(f"wiremend: {text}", WARNING if warning else INFO)

    def _address(self, target: int) -> None:
        """Make the request the one that goes to this target, and show it in the flow."""
        if not isinstance(self._call, Call):
            return
        outgoing = self._call.request_for(target)
        if outgoing is self._sent_to:
            return
        self._sent_to = outgoing
        self._request = self._original.copy()
        address_request(self._request, outgoing)
        self._show_request()

    def _show_request(self) -> None:
        """Let the flow hold the request as it goes upstream, less its secrets."""
        self.flow.request = self._request.copy()
        if self._conceal is not None:
            self._conceal(self.flow)

    def _start_attempt(self, *, fresh: bool) -> Commands:
        request = self._request
        command = GetAttemptConnection(
            (request.host, request.port),
            request.scheme == "https",
            self._via,  # the flow's connection may have gone past the upstream proxy
            self.flow.server_conn.transport_protocol,
            instead_of=self.flow.server_conn if fresh else None,
        )
        command.blocking = self  # type: ignore[assignment] # point 4 above
        self._connecting = command
        self._upstream_response = None
        yield command

    def _abandon_attempt(self) -> Commands:
        yield from self._close_attempt()
        yield from self._leave()

    def _close_attempt(self) -> Commands:
        if self._connecting is not None:
            waiting = self._http_layer.waiting_for_establishment
            pending = [c for c, queue in waiting.items() if queue == [self._connecting]]
            self._connecting = None
            for connection in pending:
                yield commands.CloseConnection(connection)
        if self._attempt_id is not None and self._connection is not None:
            error = RequestProtocolError(self._attempt_id, "given up", ErrorCode.CANCEL)
            connection = self._connection
            self._forget_attempt()
            yield SendHttp(error, connection)

    def _release_attempt(self) -> Commands:
        self._forget_attempt()
        yield from self._leave()

    def _forget_attempt(self) -> None:
        self._read.clear()
        if self._attempt_id is not None:
            self._http_layer.streams.pop(self._attempt_id, None)
            self._attempt_id = None
        if self._connection is not None:
            connections_of(self._http_layer).draining.pop(self._connection, None)
            self._connection = None

    def _leave(self) -> Commands:
        """After the last of upstream: nothing refers to this stream any more."""
        if self.machine is not None and self.machine.over and self._finished:
            connections_of(self._http_layer).background.discard(self)
            yield DropStream(self.stream_id)

    def stop_draining(self) -> Commands:
        """Another request wants this stream's connection: give up waiting for its end."""
        if self._attempt_id is not None and self._connection is not None:
            error = RequestProtocolError(self._attempt_id, "no longer needed", ErrorCode.CANCEL)
            connection = self._connection
            self._forget_attempt()
            handler = self._http_layer.connections[connection]
            yield from self._http_layer.event_to_child(handler, error)

    def _show_head(self, head: Head) -> Commands:
        self.flow.response = self._response(head)
        if self._needs_chunks(self.flow.response):
            self.flow.response.headers["transfer-encoding"] = "chunked"
        self._record.head_shown()
        yield HttpResponseHeadersHook(self.flow)
        if self._killed():
            yield from self._end_killed()
            return
        self.flow.response.stream = True
        yield SendHttp(
            ResponseHeaders(self.stream_id, self.flow.response, False), self.context.client
        )

    def _show_body(self, data: bytes) -> Commands:
        if self._keep_shown:
            self._shown += data
            if len(self._shown) > SHOWN_LIMIT_BYTES:
                self._keep_shown = False
                self._shown.clear()
        yield SendHttp(ResponseData(self.stream_id, data), self.context.client)

    def _finish_response(self) -> Commands:
        assert self.flow.response is not None
        self._finished = True
        self.flow.response.timestamp_end = time.time()
        if self._keep_shown:
            self.flow.response.data.content = bytes(self._shown)
        self._shown.clear()
        yield HttpResponseHook(self.flow)
        yield from self._end_of_message()

    def _respond(self, head: Head, body: bytes) -> Commands:
        self._finished = True
        self.flow.response = self._response(head)
        self.flow.response.data.content = body
        self.flow.response.timestamp_end = time.time()
        self._record.head_shown()
        yield HttpResponseHeadersHook(self.flow)
        yield HttpResponseHook(self.flow)
        if self._killed():
            yield from self._end_killed()
            return
        response = response_on_the_wire(self.flow.response)
        content = response.raw_content
        yield SendHttp(ResponseHeaders(self.stream_id, response, not content), self.context.client)
        if content:
            yield SendHttp(ResponseData(self.stream_id, content), self.context.client)
        yield from self._end_of_message()

    def _cut_response(self, reason: str) -> Commands:
        self._finished = True
        self.flow.error = mitmproxy_flow.Error(reason)
        yield HttpErrorHook(self.flow)
        yield SendHttp(
            ResponseProtocolError(self.stream_id, reason, ErrorCode.GENERIC_SERVER_ERROR),
            self.context.client,
        )
        self.flow.live = False

    def _killed(self) -> bool:
        error = self.flow.error
        return error is not None and error.msg == mitmproxy_flow.Error.KILLED_MESSAGE

    def _end_killed(self) -> Commands:
        """Somebody killed the flow in mitmweb, or an addon did."""
        assert self.machine is not None
        self._finished = True
        yield from self._ask(self.machine.client_gone)
        self._record.end(Outcome(CallState.CANCELLED, "killed"))
        yield HttpErrorHook(self.flow)
        yield SendHttp(
            ResponseProtocolError(self.stream_id, "killed", ErrorCode.KILL), self.context.client
        )
        self.flow.live = False

    def _end_of_message(self) -> Commands:
        assert self.machine is not None
        self.flow.live = False
        connections = connections_of(self._http_layer)
        if self._connection is not None and self._attempt_id is not None and not self.machine.over:
            connections.draining[self._connection] = self
        if self.machine.in_background:
            connections.draining = {c: s for c, s in connections.draining.items() if s is not self}
            connections.background.add(self)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def _response(self, head: Head) -> http.Response:
        """mitmproxy's response object for this head: upstream's own where it is the same."""
        response = self._upstream_response
        if response is not None and response.status_code == head.status:
            response = response.copy()
            response.headers = http.Headers(head.fields)
            if not response.is_http2:
                response.http_version = "HTTP/1.1"
            return response
        return http.Response(
            http_version=b"HTTP/1.1",
            status_code=head.status,
            reason=status_codes.RESPONSES.get(head.status, "").encode(),
            headers=http.Headers(head.fields),
            content=None,
            trailers=None,
            timestamp_start=time.time(),
            timestamp_end=None,
        )

    def _needs_chunks(self, response: http.Response) -> bool:
        """Without a length, only chunks tell an HTTP/1.1 client a whole body from a cut one."""
        return (
            self.flow.request.http_version == "HTTP/1.1"
            and "content-length" not in response.headers
            and response.status_code not in (204, 304)
        )


_TOWARD_CLIENT = (ShowHead, ShowBody, FinishResponse, Respond, CutResponse)


def described(fault: Exception) -> str:
    """Return the type of an exception and its place, but not its text: that may hold secrets."""
    frames = traceback.extract_tb(fault.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(fault).__name__ + place
