"""One call in mitmproxy's HTTP stack: passes events to a machine and executes its actions."""

import random
import time
from collections.abc import Callable
from functools import partial
from logging import INFO, WARNING
from typing import Any
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnectionCompleted,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)

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
from wiremend.engine.error_responses import too_much_held_response
from wiremend.engine.plan import make_machine, plan_acknowledgement, plan_call, plan_passing
from wiremend.engine.unrepaired.report_plan import plan_reporting
from wiremend.held_memory import Part
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.rules.containment import Fault, contain, fault_of
from wiremend.seam.call_options import CallOptions, WiremendCallHook
from wiremend.seam.client_side import ClientSide
from wiremend.seam.connection_handler import is_behind
from wiremend.seam.connections import Commands, ReadOver, ResponseRead
from wiremend.seam.contained_stream import ContainedStream
from wiremend.seam.flow_record import FlowRecord
from wiremend.seam.flows import (
    content_of,
    outgoing_of,
    server_name,
)
from wiremend.seam.request_stream import TOO_MUCH_HELD
from wiremend.seam.resent import missing_key_refusal, missing_keys
from wiremend.seam.shown.growing_response import GrowingResponse
from wiremend.seam.upstream_side import UpstreamSide
from wiremend.secrets import without_quoted_bytes

_BEFORE_A_CALL = (events.Start, RequestHeaders, RequestData, RequestTrailers)
"""Events after which a stream may still become a call."""
_TOWARD_CLIENT = (ShowHead, ShowBody, FinishResponse, Respond, CutResponse)


class CallStream(ContainedStream):
    """An HttpStream whose calls are carried by a machine."""

    carried: WeakSet["CallStream"]
    """The streams that carry calls; set in the subclass that is installed."""
    is_stopping = False
    """Whether the proxy ends: the next wake-up ends the call."""
    _depth = 0
    """How many events are being handled: a command may lead to further events."""
    _refusal: Respond | None = None
    """The response to a call that cannot be held beside others, or lacks its key."""
    _refusal_reason = TOO_MUCH_HELD
    _wakeup: commands.RequestWakeup | None = None
    """The wake-up that was requested last."""
    _is_reading = False
    """Whether parts of one network read are taken: the next wake-up is requested after the last."""
    _due: float | None = None
    """When the machine asked to be woken meanwhile."""

    def __init__(self, context: Any, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._call: Call | AcknowledgedCall | None = None

    def __repr__(self) -> str:
        return super().__repr__() if self.machine is None else f"CallStream({self.machine})"  # type: ignore[no-untyped-call]

    # The start of a call

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        """Ask the addons whether a machine carries this request; else do as `HttpStream` does."""
        if self.flow.request.stream:
            return (yield from super().make_server_connection())
        self._options = options = CallOptions(self.flow)
        self._record = FlowRecord(self.flow)
        self._upstream = UpstreamSide(self)
        self._client = ClientSide(self, self._record, self._memory, self.note_sent)
        yield from self._contained("planning a call", self._start_call(options))
        if self._record.fault is not None:
            yield from self._log_contained()
        if self._refusal is not None:
            refusal = self._refuse(self._refusal, self._refusal_reason, options)
            yield from self._contained("refusing a call", refusal)
            self._has_ended = True
        if isinstance(self._call, Call) and self._call.refusal is not None:
            refusal = self._refuse(self._call.refusal, self._call.refusal_reason, options)
            yield from self._contained("refusing a call", refusal)
            self._has_ended = True
        if self.machine is not None or self._has_ended:
            return False
        return (yield from super().make_server_connection())

    def _start_call(self, options: CallOptions) -> Commands:
        """Plan the call and start its machine, if any feature applies to the request."""
        request = self.flow.request
        self._recognise(request)
        self._is_call = self._protocol is not None
        options.protocol = self._protocol
        before = request.raw_content
        content = options.content = content_of(request) if self._protocol is not None else None
        yield WiremendCallHook(options)
        options.content = None
        if request.raw_content is not before:  # another addon has changed it
            content = None
        if options.fault is not None:
            raise options.fault
        received = None
        raw_bytes = len(request.raw_content or b"")
        tls_name = contain("naming a server", self._upstream.nameless, self._upstream.tls_name)
        host = server_name(request, tls_name)
        features = options.features
        call: Call | AcknowledgedCall | None = None
        # mitmproxy ends a replay with its response: nothing goes on in the background.
        if not (options.is_off or options.settings.reports_only or self.flow.is_replay):
            call = plan_acknowledgement(
                request.method, request.path, host, features, options.settings
            )
        if call is None and self._protocol is not None:
            received = outgoing_of(request, self._protocol, tls_name=tls_name, content=content)
            kept, written = raw_bytes + 2 * len(received.body), len(received.body)
            if not self._may_hold_request(kept, written):
                self._refusal = too_much_held_response(
                    self._protocol, kept + written, self._memory.limit_bytes
                )
                return
            knowledge = options.knowledge(self.account)
            if options.is_off:
                call = plan_passing(received, options.settings)
            elif options.settings.reports_only:
                call = plan_reporting(received, features, options.settings, knowledge)
            else:
                call = plan_call(received, features, options.settings, knowledge)
        if self.flow.is_replay and (names := missing_keys(request, call)):
            self._refusal, self._refusal_reason = missing_key_refusal(self._protocol, names)
            return
        if call is None:
            return
        self._is_call = True
        self._call = call
        self._record.plan(call, self._protocol, options.mask)
        if options.traffic is not None:
            self._record.keep_traffic(options.traffic, request)
        if isinstance(call, Call) and call.refusal is not None:
            return
        if isinstance(call, Call):
            self._memory.hold(Part.REQUEST, raw_bytes + call.held_bytes)
        self.machine = make_machine(
            call, random=random.random, wall_clock=time.time, memory=self._memory
        )
        self.carried.add(self)
        if options.follow is not None:
            options.follow(GrowingResponse(self.flow, self._client, options.mask))
        yield from self._ask(partial(self._start_machine, received, options))

    def _start_machine(
        self, received: OutgoingRequest | None, options: CallOptions, now: float
    ) -> list[Action]:
        """Start the machine and take the request, which is shown as the first attempt sends it."""
        assert self.machine is not None
        actions, first = self.machine.start(now), None
        for action in actions:
            if isinstance(action, StartAttempt) and isinstance(self._call, Call):
                first = self._call.request_for(action.target)
        self._upstream.connect_to = options.connect_to
        self._upstream.take_request(received, first, options.conceal, options.upstream_headers)
        return actions

    def _may_hold_request(self, kept: int, written: int) -> bool:
        """Hold a request: as received, parsed and adapted, and the copy that is written."""
        return self._memory.hold(Part.REQUEST, kept) and self._memory.hold(Part.WRITTEN, written)

    def _refuse(self, refusal: Respond, reason: str, options: CallOptions) -> Commands:
        """Answer a call that must not go upstream."""
        self._record.end(Outcome(CallState.REFUSED, reason))
        if options.report_refusal is not None:
            options.report_refusal(self.flow, reason)
        yield from self._log_contained()
        yield from self._answer(refusal)

    # From mitmproxy to the machine

    def _handle_event(self, event: events.Event) -> Commands:
        if self._has_ended:
            return
        try:
            if (
                self.machine is not None
                and isinstance(event, ResponseData)
                and event.stream_id == self._upstream.attempt_id
                and self._upstream.add_to_read(event.data)
            ):
                return  # most events of a stream: quick, and without a command
            is_carried = self.machine is not None
            source = self._call_event(event) if is_carried else self._uncarried(event)
        except Exception as exception:
            yield from self._break_off(fault_of("carrying a call", exception))
            return
        self._depth += 1
        reply: Any = None
        while True:
            try:
                command = source.send(reply)
                if is_carried and self._has_ended:
                    break  # the call ended while this was suspended at the previous command
                if isinstance(command, SendHttp):
                    if command.connection is self.context.client:
                        self.note_sent(command.event)
                elif isinstance(command, commands.StartHook) and (
                    yield from self.run_hook(command)
                ):
                    reply = None
                    continue
            except StopIteration:
                break
            except Exception as exception:
                fault = fault_of("carrying a call", exception)
                if not is_carried:
                    yield from self._break_off(fault)
                    break
                source, reply, is_carried = self._end_in_fault(fault), None, False
                continue
            reply = yield command
        self._depth -= 1
        not_released = contain("releasing memory", _returned, self._release_memory, event)
        if not_released is not None:
            yield from self._log(not_released, "it is released later")

    def _release_memory(self, event: events.Event) -> None:
        """Release what a request that is no call, or a call that has ended, does not need."""
        if self.machine is None:
            is_call = isinstance(event, _BEFORE_A_CALL) and not self._has_ended
        else:
            is_call = not self.machine.answered and not self._has_ended
        if not is_call:
            self._memory.release()
            is_over = self._has_ended or self.machine is not None
            upstream = getattr(self, "_upstream", None)  # None: it ended before it was planned
            if is_over and not self._depth and upstream is not None and upstream.is_over:
                self._let_go()

    def _new_wakeup(self, when: float) -> commands.RequestWakeup:
        """Return the command for a wake-up, which replaces the one that was requested last."""
        self._cancel_wakeup()
        self._wakeup = commands.RequestWakeup(max(0.0, when - time.monotonic()))
        return self._wakeup

    def _cancel_wakeup(self) -> None:
        """Cancel the wake-up that was requested last: there is an earlier one, or none is needed.

        The machine requests another one at each wake-up.
        """
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            self.forget_wakeup(wakeup)

    def forget_wakeup(self, wakeup: commands.RequestWakeup) -> None:
        """Cancel a wake-up, if possible.

        mitmproxy has no command for that. Without `fast/calls.py` it has no effect when it happens.
        """

    def _let_go(self) -> None:
        """Drop the bodies of a call that has ended.

        Cycles keep this stream until they are collected, and a wake-up that cannot be cancelled.
        """
        self._has_ended = True
        self._cancel_wakeup()
        self.machine = self._call = self._options = None
        del self._upstream, self._client, self._record, self.flow

    def run_hook(self, hook: commands.StartHook) -> layer.CommandGenerator[bool]:
        """Call the addons' functions for a hook here, if possible; return whether that is done.

        It is done by mitmproxy unless `fast/hooks.py` replaces this.
        """
        yield from ()
        return False

    def _call_event(self, event: events.Event) -> Commands:
        assert self.machine is not None
        if isinstance(event, events.Wakeup) and self.is_stopping:
            yield from self._ask(self.machine.proxy_stops)
        elif isinstance(event, events.Wakeup):
            yield from self._ask(self.machine.wake, is_client_behind=is_behind(self.context.client))
        elif isinstance(event, ResponseRead):
            yield from self._read_arrived(event)
        elif isinstance(event, ReadOver):
            yield from self._process_read()
        elif isinstance(event, GetHttpConnectionCompleted):
            yield from self._connection_ready(event)
        elif isinstance(event, RequestProtocolError):
            yield from self._client_gone()
        elif getattr(event, "stream_id", None) != self._upstream.attempt_id:
            pass  # of an abandoned attempt
        elif isinstance(event, ResponseHeaders):
            yield from self._head_arrived(event.response)
        elif isinstance(event, ResponseData):
            if not self._upstream.start_read(event.data):
                if self._record.keeps_traffic:
                    self._record.keep_upstream_data(event.data)
                yield from self._ask(self.machine.body, event.data)
        elif isinstance(event, ResponseTrailers):
            self._upstream.trailers = event.trailers
        elif isinstance(event, ResponseEndOfMessage):
            yield from self._process_read()
            yield from self._ask(self.machine.body_end)
        elif isinstance(event, ResponseProtocolError):
            yield from self._process_read()
            is_too_large = event.code is ErrorCode.RESPONSE_TOO_LARGE
            message = without_quoted_bytes(event.message)
            yield from self._ask(self.machine.attempt_failed, message, is_too_large=is_too_large)

    def _read_arrived(self, event: ResponseRead) -> Commands:
        """Take all that one network read contains, as long as the attempt lasts."""
        if event.stream_id != self._upstream.attempt_id:
            return
        self._is_reading = True
        try:
            yield from self._parts_arrived(event)
        finally:
            self._is_reading = False
        due, self._due = self._due, None
        if due is not None and self.machine is not None and not self.machine.over:
            yield self._new_wakeup(due)

    def _parts_arrived(self, event: ResponseRead) -> Commands:
        assert self.machine is not None
        upstream, number = self._upstream, event.stream_id
        if event.response is not None:
            yield from self._head_arrived(event.response)
        if event.data and number == upstream.attempt_id:
            if self._record.keeps_traffic:
                self._record.keep_upstream_data(event.data)
            yield from self._ask(self.machine.body, event.data)
        if number != upstream.attempt_id:
            return
        if event.trailers is not None:
            upstream.trailers = event.trailers
        if event.is_end:
            yield from self._ask(self.machine.body_end)

    def _process_read(self) -> Commands:
        """Pass the chunks of one network read to the machine, all at once."""
        assert self.machine is not None
        if data := self._upstream.take_read():
            if self._record.keeps_traffic:
                self._record.keep_upstream_data(data)
            yield from self._ask(self.machine.body, data)

    def _head_arrived(self, response: http.Response) -> Commands:
        assert self.machine is not None
        try:
            self._upstream.take_head(response)
        except ValueError as reason:
            yield from self._abandon_attempt()
            message = without_quoted_bytes(f"invalid response: {reason}")
            yield from self._ask(self.machine.attempt_failed, message)
            return
        self._memory.hold(Part.WRITTEN, 0)
        if self._record.keeps_traffic:
            self._record.keep_upstream_head(response)
        head = Head(response.status_code, response.headers.fields)
        yield from self._ask(self.machine.head, head)

    def _connection_ready(self, event: GetHttpConnectionCompleted) -> Commands:
        assert self.machine is not None
        if not self._upstream.is_connecting(event):
            return  # the attempt was abandoned while it connected
        reused, error = self._upstream.take_connection(event)
        if error is not None:
            yield from self._ask(self.machine.attempt_failed, error)
            return
        self._memory.hold(Part.WRITTEN, len(self.flow.request.raw_content or b""))
        yield from self._ask(self.machine.connected, reused=reused)
        if self._record.keeps_traffic and self._upstream.attempt_id is not None:
            self._record.keep_sent(self._upstream.request)
        yield from self._upstream.send_request()

    def _client_gone(self) -> Commands:
        assert self.machine is not None
        answered = self.machine.answered
        yield from self._ask(self.machine.client_gone)
        if not answered and not self._client.is_finished:
            yield from self._client.cancel()
            if self._record.fault is not None:
                yield from self._log_contained()
            self._upstream.forget()
            yield DropStream(self.stream_id)

    def _ask(self, method: Callable[..., list[Action]], *args: Any, **kwargs: Any) -> Commands:
        """Call a method of the machine and execute the actions that it returns."""
        machine, call = self.machine, self._call
        assert machine is not None
        assert call is not None
        actions = method(time.monotonic(), *args, **kwargs)
        self._record.renew(call, machine)
        if machine.faults or self._upstream.faults or self._record.fault is not None:
            yield from self._log_contained()
        for action in actions:
            if not (self._client.is_killed and isinstance(action, _TOWARD_CLIENT)):
                yield from self._execute(action)
            elif not self._client.is_finished:
                yield from self._end_killed()

    # From the machine to mitmproxy

    def _execute(self, action: Action) -> Commands:
        match action:
            case ShowBody(data):
                yield from self._client.show_body(data)
            case ShowHead(head):
                if not (yield from self._client.show_head(head, self._upstream.response)):
                    yield from self._end_killed()
            case WakeAt(when):
                if self._is_reading:
                    self._due = when
                else:
                    yield self._new_wakeup(when)
            case StartAttempt(_, fresh, target):
                if isinstance(self._call, Call):
                    self._upstream.address(self._call.request_for(target))
                if self._record.keeps_traffic:
                    self._record.keep_attempt()
                yield from self._upstream.start(fresh=fresh)
            case AbandonAttempt():
                yield from self._abandon_attempt()
            case ReleaseAttempt():
                self._upstream.forget()
                yield from self._drop_if_over()
            case FinishResponse(with_trailers):
                trailers = self._upstream.trailers if with_trailers else None
                if trailers is not None and self.flow.response is not None:
                    self.flow.response.trailers = trailers
                yield from self._client.complete_flow()
                yield from self._end_message(trailers)
            case Respond(head, body):
                if (yield from self._client.respond(head, body, self._upstream.response)):
                    yield from self._end_message()
                else:
                    yield from self._end_killed()
            case CutResponse(reason):
                yield from self._client.cut(reason)
            case LogLine(text, warning):
                yield commands.Log(f"wiremend: {text}", WARNING if warning else INFO)

    def _abandon_attempt(self) -> Commands:
        yield from self._upstream.close()
        yield from self._drop_if_over()

    def _drop_if_over(self) -> Commands:
        """Drop this stream if neither side needs it any more."""
        if self.machine is not None and self.machine.over and self._client.is_finished:
            self._upstream.leave_background()
            yield DropStream(self.stream_id)

    def _end_message(self, trailers: http.Headers | None = None) -> Commands:
        assert self.machine is not None
        self.flow.live = False
        self._upstream.drain(self.machine)
        yield from self._client.end_message(trailers)
        if self._record.fault is not None:
            yield from self._log_contained()

    def _end_killed(self) -> Commands:
        """End a call whose flow was killed, by a user of mitmweb or by an addon."""
        assert self.machine is not None
        self._client.is_finished = True
        yield from self._ask(self.machine.client_gone)
        self._record.end(Outcome(CallState.CANCELLED, "killed"))
        yield from self._client.end_killed()


def _returned(fault: Fault) -> Fault:
    return fault
