"""The client side of one call: sends a response to the client and shows it in the flow."""

import time
from collections.abc import Callable
from enum import Enum
from functools import cached_property

from mitmproxy import flow as mitmproxy_flow
from mitmproxy import http
from mitmproxy.net.http import status_codes
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers.http import HttpStream, SendHttp
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import (
    HttpErrorHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)

from wiremend.engine.actions import Head
from wiremend.held_memory import COUNTED_AHEAD_BYTES, CallMemory, Part
from wiremend.seam.connection_handler import reset_when_closed
from wiremend.seam.connections import Commands, http_layer_of
from wiremend.seam.flow_record import FlowRecord
from wiremend.seam.flows import copy_of, response_on_the_wire

SHOWN_LIMIT_BYTES = 64 * 1024 * 1024
"""A response longer than this is not kept for mitmweb."""


class Framing(Enum):
    """How the parts of a body are written to an HTTP/1.1 client."""

    AS_IT_IS = "as it is"
    CHUNKS = "chunks"
    NO_BODY = "no body"


class ClientSide:
    """The response of one call, as its client receives it."""

    framing: Framing | None = None
    """That of the response whose head was written without an event; see `fast/calls.py`."""
    is_finished = False
    """Whether the response is complete, was cut, or is no longer wanted."""
    is_followed = False
    """Whether the flow is given a copy of the response while it grows."""

    def __init__(
        self,
        stream: HttpStream,
        record: FlowRecord,
        memory: CallMemory,
        note_sent: Callable[[HttpEvent], None],
    ) -> None:
        """`note_sent` gets each event that is sent to the client without a `SendHttp`."""
        self.note_sent = note_sent
        self._stream = stream
        self._memory = memory
        self._record = record
        self._shown = bytearray()
        self._keep_shown = True
        self._counted_bytes = 0

    @property
    def _flow(self) -> http.HTTPFlow:
        return self._stream.flow

    @cached_property
    def connection(self) -> layer.Layer:
        """The layer that writes to the client."""
        return http_layer_of(self._stream).connections[self._stream.context.client]

    @property
    def is_killed(self) -> bool:
        """Whether a user or an addon has killed the flow."""
        error = self._flow.error
        return error is not None and error.msg == mitmproxy_flow.Error.KILLED_MESSAGE

    # A response that is streamed

    def show_head(self, head: Head, upstream: http.Response | None) -> layer.CommandGenerator[bool]:
        """Send the head of a streamed response. Returns False if an addon killed the flow."""
        response = self._flow.response = response_with_head(head, upstream)
        if self._needs_chunks(response):
            response.headers["transfer-encoding"] = "chunked"
        self._record.head_shown()
        yield HttpResponseHeadersHook(self._flow)
        if self.is_killed:
            return False
        assert self._flow.response is not None
        self._flow.response.stream = True
        if self._record.keeps_traffic:
            self._record.keep_client_head(self._flow.response)
        yield from self._send(ResponseHeaders(self._stream.stream_id, self._flow.response, False))
        return True

    def _needs_chunks(self, response: http.Response) -> bool:
        """Whether an HTTP/1.1 client could not tell the end of the body from a lost connection."""
        return (
            self._flow.request.http_version == "HTTP/1.1"
            and "content-length" not in response.headers
            and response.status_code not in (204, 304)
        )

    def show_body(self, data: bytes) -> Commands:
        """Send a part of the body."""
        if self._keep_shown:
            self._shown += data
            size = len(self._shown)
            if size > self._counted_bytes and not self._may_keep(size):
                self._keep_shown = False
                self._shown.clear()
                if self.is_followed and self._flow.response is not None:
                    self._flow.response.data.content = None
                self._memory.hold(Part.SHOWN, 0)
        if self._record.keeps_traffic:
            self._record.keep_client_data(data)
        yield from self._send(ResponseData(self._stream.stream_id, data))

    def _may_keep(self, size: int) -> bool:
        self._counted_bytes = size + COUNTED_AHEAD_BYTES
        is_short = size <= SHOWN_LIMIT_BYTES
        copies = 2 if self.is_followed else 1
        return is_short and self._memory.hold(Part.SHOWN, copies * self._counted_bytes)

    def received_lines(self) -> bytes:
        """Return what was sent of a streamed body so far, up to the last line feed."""
        return bytes(self._shown[: self._shown.rfind(b"\n") + 1])

    def complete_flow(self) -> Commands:
        """Complete the flow's response with the body that was sent, and call `response` hooks."""
        response = self._flow.response
        assert response is not None
        self.is_finished = True
        response.timestamp_end = time.time()
        self._complete_record()
        yield HttpResponseHook(self._flow)

    def _complete_record(self) -> None:
        """Give the flow and its record all bytes that were sent, before addons save them."""
        response = self._flow.response
        if self._keep_shown and response is not None and response.stream:
            response.data.content = bytes(self._shown)
        self._shown.clear()
        if self._record.keeps_traffic:
            self._record.write_traffic()

    # A response that is sent whole

    def respond(
        self, head: Head, body: bytes, upstream: http.Response | None
    ) -> layer.CommandGenerator[bool]:
        """Send head and body after all hooks. Returns False if an addon killed the flow."""
        self.is_finished = True
        self._flow.response = response_with_head(head, upstream)
        self._flow.response.data.content = body
        self._flow.response.timestamp_end = time.time()
        self._record.head_shown()
        yield HttpResponseHeadersHook(self._flow)
        self.record_whole(self._flow.response)
        yield HttpResponseHook(self._flow)
        if self.is_killed:
            return False
        response = response_on_the_wire(self._flow.response)
        content = response.raw_content
        yield from self._send(ResponseHeaders(self._stream.stream_id, response, not content))
        if content:
            yield from self._send(ResponseData(self._stream.stream_id, content))
        return True

    def record_whole(self, response: http.Response | None) -> None:
        """Record a response that is sent whole, before addons save it."""
        if self._record.keeps_traffic and response is not None:
            self._record.keep_client_head(response)
            self._record.keep_client_data(response.raw_content or b"")
            self._record.write_traffic()

    # The end

    def end_message(self, trailers: http.Headers | None = None) -> Commands:
        """Send the end of a complete response, with these trailers."""
        if trailers is not None:
            yield from self._send(ResponseTrailers(self._stream.stream_id, trailers))
        yield from self._send(ResponseEndOfMessage(self._stream.stream_id))

    def cut(self, reason: str, *, as_reset: bool = False) -> Commands:
        """End a response in the middle: close an HTTP/1 connection, or reset an HTTP/2 stream.

        `as_reset`: also before the head, where mitmproxy would send an error; and an HTTP/1 client
        receives a TCP reset.
        """
        self.is_finished = True
        if as_reset and not self._flow.request.is_http2:
            reset_when_closed(self._stream.context.client)
        self._flow.error = mitmproxy_flow.Error(reason)
        self._complete_record()
        yield HttpErrorHook(self._flow)
        code = ErrorCode.KILL if as_reset else ErrorCode.GENERIC_SERVER_ERROR
        yield from self._break_off(reason, code)

    def end_killed(self) -> Commands:
        """End the response of a killed flow."""
        self._complete_record()
        yield HttpErrorHook(self._flow)
        yield from self._break_off("killed", ErrorCode.KILL)

    def _break_off(self, reason: str, code: ErrorCode) -> Commands:
        yield from self._send(ResponseProtocolError(self._stream.stream_id, reason, code))
        self._flow.live = False

    def cancel(self) -> Commands:
        """Complete the flow of a client that has gone."""
        self.is_finished = True
        self._flow.error = mitmproxy_flow.Error("cancelled by client")
        self._complete_record()
        yield HttpErrorHook(self._flow)
        self._flow.live = False

    def _send(self, event: HttpEvent) -> Commands:
        yield SendHttp(event, self._stream.context.client)


def response_with_head(head: Head, upstream: http.Response | None) -> http.Response:
    """Return mitmproxy's response object for this head, without a body.

    It is a copy of upstream's response if that has the same status.
    """
    if upstream is not None and upstream.status_code == head.status:
        response = copy_of(upstream)
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
