"""One stream of a client: its request before it is known whether it is a call."""

from typing import Any

from mitmproxy import http
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.layers.http import HTTPMode, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
)

from wiremend.engine.error_responses import too_much_held_response
from wiremend.held_memory import HeldMemory, Part
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.registry import recognise
from wiremend.seam.connections import Commands
from wiremend.seam.flow_record import record_refusal
from wiremend.seam.flows import answer, is_direct, mark_direct, response_on_the_wire

_UNASKED_SWITCH = "the server switched to another protocol (status 101)"
TOO_MUCH_HELD = "All calls together hold as much memory as they may."


class RequestStream(HttpStream):
    """An HttpStream that recognises calls, and refuses those that cannot be held beside others."""

    account: HeldMemory
    """What all calls hold; set in the subclass that is installed."""
    _is_too_large = False

    def __init__(self, context: Any, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._protocol: Protocol | None = None
        self._recognised: tuple[object, ...] | None = None
        """The head of the request with this protocol."""
        self._memory = self.account.share()

    def __del__(self) -> None:
        """Release the memory of a stream that is lost in a crash, when it is collected."""
        if memory := self.__dict__.get("_memory"):
            memory.release()

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
        self._recognise(request)
        yield from super().state_wait_for_request_headers(event)

    def _recognise(self, request: http.Request) -> None:
        """Set the protocol of a request, which addons may have changed since the last time."""
        data = request.data
        head = data.method, data.path, data.headers.fields
        if head == self._recognised:
            return
        self._recognised = head
        content_type = request.headers.get("content-type", "")
        self._protocol = recognise(request.method, request.path, content_type)

    def state_consume_request_body(self, event: events.Event) -> Commands:
        """Discard the body of a request that is refused.

        These are direct requests, and calls that are too large to be held beside other calls.
        """
        if isinstance(event, RequestData):
            if self._discards_body:
                return
            size = len(self.request_body_buf) + len(event.data)
            if self._protocol is not None and not self._memory.hold(Part.REQUEST, size):
                self._discard_body(self._protocol, size)
                return
        yield from super().state_consume_request_body(event)

    @property
    def _discards_body(self) -> bool:
        return self._is_too_large or (
            is_direct(self.flow.request) and self.flow.response is not None
        )

    def _discard_body(self, protocol: Protocol, size: int) -> None:
        """Drop what was received of a request's body, and answer at its end."""
        self._is_too_large = True
        self.request_body_buf.clear()
        self._memory.hold(Part.REQUEST, 0)
        answer(self.flow, too_much_held_response(protocol, size, self._memory.limit_bytes))
        record_refusal(self.flow, protocol, TOO_MUCH_HELD)

    def _uncarried(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Do as `HttpStream` does with an event of a request that is no call, or is none yet."""
        if isinstance(event, ResponseHeaders) and self._switches_unasked(event.response):
            cancel = RequestProtocolError(event.stream_id, _UNASKED_SWITCH, ErrorCode.CANCEL)
            yield SendHttp(cancel, self.context.server)
            code = ErrorCode.GENERIC_SERVER_ERROR
            failed = ResponseProtocolError(event.stream_id, _UNASKED_SWITCH, code)
            yield from super()._handle_event(failed)
        elif not isinstance(event, events.Wakeup):
            yield from super()._handle_event(event)

    def _switches_unasked(self, response: http.Response) -> bool:
        """Whether the server changes to another protocol although the client did not ask for it.

        mitmproxy would connect both as if they spoke TCP, and leave an HTTP/2 client without a
        response.
        """
        return response.status_code == 101 and "upgrade" not in self.flow.request.headers

    def send_response(self, already_streamed: bool = False) -> Commands:
        """Do as `HttpStream` does, but send the client the response with its secrets."""
        original = super().send_response(already_streamed)
        reply: Any = None
        while True:
            try:
                command = original.send(reply)
            except StopIteration:
                return
            if isinstance(command, SendHttp):
                self._restore_secrets(command.event)
            reply = yield command

    def _restore_secrets(self, event: Any) -> None:
        assert self.flow.response is not None
        if isinstance(event, ResponseHeaders):
            event.response = response_on_the_wire(self.flow.response)
        elif isinstance(event, ResponseData):
            event.data = response_on_the_wire(self.flow.response).raw_content or b""
