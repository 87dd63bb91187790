"""Subclasses of mitmproxy's HTTP clients that do not lose calls which can still be answered."""

from collections.abc import Iterable
from logging import WARNING

import h11
from h2.config import H2Configuration
from h2.connection import ConnectionState
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import InvalidBodyLengthError
from hyperframe.frame import DataFrame, Frame, GoAwayFrame
from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

from wiremend.rules.containment import fault_of
from wiremend.seam.connections import (
    Commands,
    LastRequestSent,
    ResponseRead,
    WholeRequest,
    connections_of,
    in_one_write,
)
from wiremend.seam.head_limits import (
    DECODED_BLOCK_LIMIT_BYTES,
    BoundedFrameBuffer,
    HeadBuffer,
    HeadTooLarge,
    check_head,
    size_of_fields,
)
from wiremend.seam.http1_trailers import WITHOUT_BODY, TrailersReader, WithTrailers
from wiremend.text.patterns import text_pattern

_INTERIM_HEAD = text_pattern(rb"HTTP/1\.[01] 1(?!01)\d\d\b")

_START_BYTES = len("HTTP/1.1 100 ")
_SHORT_BODY_BYTES = 16 * 1024
"""A longer body is not copied to join it with its head."""


class CallHttp1Client(WithTrailers, Http1Client):
    """Skips interim responses (100, 102, 103: RFC 9110, 15.2) before the final response.

    A response with status 1xx, 204 or 304 has no body (RFC 9112, 6.3). If its head announces one,
    the server may still send it, and mitmproxy would read it as the next response. Such a
    connection is therefore closed after the response.
    """

    ReceiveTrailers = ResponseTrailers
    buf: HeadBuffer
    joins_reads = False
    """Whether the stream of an attempt receives one event for each network read."""
    _reports_at_once = False
    """Whether all that is read now is reported in one event. Calls have negative ids."""
    _head: http.Response | None = None
    """A head that was read and is reported together with what follows it."""
    _may_send_more = False
    _is_broken = False

    def _handle_event(self, event: events.Event) -> Commands:
        """Do as `Http1Client` does; an exception ends this connection and fails its call."""
        if self._is_broken:
            return
        stream_id = event.stream_id if isinstance(event, HttpEvent) else self.stream_id
        is_call = self.joins_reads and stream_id is not None and stream_id < 0
        self._reports_at_once = is_call and isinstance(event, events.DataReceived)
        try:
            if type(event) is WholeRequest:
                yield from self._send_whole(event)
            elif (
                isinstance(event, events.DataReceived)
                and self._reports_at_once
                and self.state != self.passthrough
            ):
                self.buf._data += event.data
                yield from self.state(event)
            else:
                yield from super()._handle_event(event)
        except Exception as exception:
            self._is_broken = True
            stream_ids = [] if stream_id is None else [stream_id]
            yield from _break_connection(self.conn, stream_ids, exception)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.buf = HeadBuffer()

    def _send_whole(self, event: WholeRequest) -> Commands:
        """Send a request; a short one is one write, and one TLS record."""
        request = event.request
        content = request.raw_content or b""
        is_short = len(content) <= _SHORT_BODY_BYTES
        if self.stream_id is None and self.response is None and _has_usual_form(request):
            self.stream_id, self.request = event.stream_id, request
            head = http1.assemble_request_head(request)
            yield commands.SendData(self.conn, head + content if is_short else head)
            if not is_short:
                yield commands.SendData(self.conn, content)
            yield from self.mark_done(request=True)
            return
        sent = (command for part in event.parts() for command in self.send(part))
        yield from in_one_write(sent) if is_short else sent

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """Skip interim heads, then do as `Http1Client` does. Refuse a head that is too large."""
        try:
            self._skip_interim_heads()
            if self._reports_at_once:
                yield from self._read_head_at_once(event)
            else:
                yield from super().read_headers(event)
        except HeadTooLarge as reason:
            self.buf = HeadBuffer()
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            if self.stream_id is not None:
                yield ReceiveHttp(_too_large(self.stream_id, reason))

    def _read_head_at_once(self, event: events.ConnectionEvent) -> Commands:
        """Do as `Http1Client` does, but report the head together with what follows it."""
        for command in super().read_headers(event):
            part = command.event if type(command) is ReceiveHttp else None
            if type(part) is ResponseHeaders:
                self._head = part.response
            else:
                yield command
        if self._head is not None:  # nothing follows yet
            head, self._head = self._head, None
            assert self.stream_id is not None
            yield ReceiveHttp(ResponseRead(self.stream_id, head))

    def read_body(self, event: events.Event) -> Commands:
        """Do as `Http1Connection` does, but report what was read to a call in one event."""
        if not self._reports_at_once:
            yield from super().read_body(event)
            return
        reader, buffer, chunks = self.take_reader(), self.buf, list[bytes]()
        stream_id, error, is_end, may_follow = self.stream_id, "", False, True
        assert stream_id is not None
        if isinstance(reader, TrailersReader):  # most reads end between two chunks
            chunks.append(reader.take_chunks(buffer))
            is_end = reader.take_end(buffer)
            may_follow = not is_end and bool(buffer._data)
        try:
            while may_follow and (item := reader(buffer)) is not None:
                if isinstance(item, h11.EndOfMessage):
                    is_end = True
                    break
                chunks.append(bytes(item.data))
        except h11.ProtocolError as reason:
            error = f"HTTP/1 protocol error: {reason}"
        trailers = reader.take_trailers() if is_end and isinstance(reader, TrailersReader) else None
        head, self._head = self._head, None
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if head is not None or data or is_end:
            yield ReceiveHttp(ResponseRead(stream_id, head, data, trailers, is_end))
        if error:
            yield commands.CloseConnection(self.conn)
            code = ResponseProtocolError.code
            yield ReceiveHttp(ResponseProtocolError(stream_id, error, code=code))
        elif is_end:
            yield from self.mark_done(response=True)

    def _skip_interim_heads(self) -> None:
        while self.request and _INTERIM_HEAD.match(bytes(self.buf._data[:_START_BYTES])):
            before = len(self.buf)
            lines = self.buf.maybe_extract_lines()
            if lines is None:
                return
            self.buf.interim_bytes += before - len(self.buf)
            fields = [bytes(line).partition(b":")[::2] for line in lines[1:]]
            self._may_send_more |= _announces_body(fields)

    def mark_done(self, *, request: bool = False, response: bool = False) -> Commands:
        """Also close a connection whose response may be followed by an unexpected body."""
        head = self.response
        if response:
            self.buf.interim_bytes = 0
        if response and head is not None and head.status_code in WITHOUT_BODY:
            self._may_send_more |= _announces_body(head.headers.fields)
        yield from super().mark_done(request=request, response=response)
        if self._may_send_more and self.request is None and self.conn.connected:
            self.state = self.done
            yield commands.CloseConnection(self.conn)


def _has_usual_form(request: http.Request) -> bool:
    """Return whether a request is written as it is, with the length of its body in the head."""
    is_whole = request.trailers is None and "transfer-encoding" not in request.headers
    return is_whole and request.data.http_version == b"HTTP/1.1"


def _announces_body(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(
        name.lower() == b"transfer-encoding"
        or (name.lower() == b"content-length" and value.strip() != b"0")
        for name, value in fields
    )


class CallHttp2Client(Http2Client):
    """Reports the failure of queued requests, and lets running ones finish after a GOAWAY.

    A head that is too large fails its own call only. The connection gets no more requests.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.h2_conn = _GracefulConnection(self.h2_conf)
        self.h2_conn.local_settings.enable_push = 0
        self.h2_conn.local_settings.acknowledge()
        self._depth = 0
        self._interim_bytes: dict[int, int] = {}
        """The size of the interim heads of each stream that has received any."""
        self._leaving = False
        self._unsent: list[tuple[int, str]] = []
        self._is_broken = False

    def _handle_event(self, event: events.Event) -> Commands:
        """Handle an event; an exception ends this connection and fails its calls."""
        if self._is_broken:
            return
        own = [event.stream_id] if isinstance(event, HttpEvent) else []
        try:
            yield from self._handle_soundly(event)
        except Exception as exception:
            self._is_broken = True
            running = [self.their_stream_id[number] for number in self.streams]
            stream_ids = list(dict.fromkeys([*running, *self.stream_queue, *own]))
            self.streams.clear()
            self.stream_queue.clear()
            yield from _break_connection(self.conn, stream_ids, exception)

    def _handle_soundly(self, event: events.Event) -> Commands:
        if isinstance(event, RequestProtocolError) and event.stream_id in self.stream_queue:
            # It was abandoned in the queue; mitmproxy would send it and then reset it.
            del self.stream_queue[event.stream_id]
            return
        self._depth += 1
        if isinstance(event, LastRequestSent):
            self._leaving = True
        else:
            yield from super()._handle_event(event)
        self._depth -= 1
        if not self._depth:  # handling an event may call this method again
            yield from self._settle()

    def _settle(self) -> Commands:
        if self._leaving and not self.h2_conn.open_outbound_streams:
            self._leaving = False
            self.streams.clear()
            yield from self.close_connection("no longer needed")
        unsent, self._unsent = self._unsent, []
        for stream_id, reason in unsent:
            yield ReceiveHttp(_failed(stream_id, reason))

    def handle_h2_event(self, event: Event) -> CommandGenerator[bool]:
        """Do as `Http2Client` does, except for a GOAWAY with NO_ERROR and for large heads."""
        if isinstance(event, ConnectionTerminated) and event.error_code == ErrorCodes.NO_ERROR:
            yield from self._let_streams_finish(event.last_stream_id or 0)
            return False
        if isinstance(event, ResponseReceived | InformationalResponseReceived | TrailersReceived):
            try:
                self._check_head(event)
            except HeadTooLarge as reason:
                yield from self._refuse_head(event.stream_id, reason)
                return False
        return (yield from super().handle_h2_event(event))

    def _check_head(
        self, event: ResponseReceived | InformationalResponseReceived | TrailersReceived
    ) -> None:
        """Raise HeadTooLarge if the stream's interim heads and this one exceed a limit."""
        fields = list(event.headers or ())
        size = self._interim_bytes.pop(event.stream_id, 0) + size_of_fields(fields)
        check_head(size, len(fields))
        if isinstance(event, InformationalResponseReceived):
            kept = {k: v for k, v in self._interim_bytes.items() if k in self.streams}
            self._interim_bytes = {**kept, event.stream_id: size}

    def _refuse_head(self, stream_id: int, reason: HeadTooLarge) -> Commands:
        """Reset one stream, and close the connection when its other streams have ended."""
        self._leave("the connection is closed")
        if self.streams.pop(stream_id, None) is not None:
            if not self.is_closed(stream_id):
                self.h2_conn.reset_stream(stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
            yield ReceiveHttp(_too_large(stream_id, reason))

    def _leave(self, reason: str) -> None:
        """Send no more requests; close the connection when the running ones have ended."""
        self._leaving = True
        http_layer = next(n for n in reversed(self.context.layers) if isinstance(n, HttpLayer))
        connections_of(http_layer).leaving.add(self.conn)
        self._take_queue(reason)

    def _let_streams_finish(self, last_stream_id: int) -> Commands:
        """Handle a graceful shutdown (RFC 9113, 6.8): fail the streams that it does not include."""
        reason = "the server closes the connection and did not process this request"
        self._leave(reason)
        for stream_id in [number for number in self.streams if number > last_stream_id]:
            del self.streams[stream_id]
            if not self.is_closed(stream_id):
                self.h2_conn.reset_stream(stream_id, ErrorCodes.CANCEL)
            yield ReceiveHttp(_failed(stream_id, reason))

    def close_connection(self, msg: str) -> Commands:
        """Also report the failure of requests that wait for a free stream."""
        self._take_queue(msg)
        yield from super().close_connection(msg)

    def _take_queue(self, reason: str) -> None:
        self._unsent += [(stream_id, reason) for stream_id in self.stream_queue]
        self.stream_queue.clear()


def _break_connection(
    connection: Connection, stream_ids: Iterable[int], exception: Exception
) -> Commands:
    """Close a connection after an exception in the code that reads and writes it."""
    fault = fault_of("talking to a server", exception)
    yield commands.Log(f"wiremend: internal fault ({fault}) while {fault.step}", WARNING)
    yield commands.CloseConnection(connection)
    for stream_id in stream_ids:
        yield ReceiveHttp(_failed(stream_id, f"internal fault ({fault})"))


def _failed(stream_id: int, reason: str) -> ResponseProtocolError:
    return ResponseProtocolError(stream_id, reason, ErrorCode.GENERIC_SERVER_ERROR)


def _too_large(stream_id: int, reason: HeadTooLarge) -> ResponseProtocolError:
    return ResponseProtocolError(stream_id, str(reason), ErrorCode.RESPONSE_TOO_LARGE)


class _GracefulConnection(BufferedH2Connection):
    """Keeps the connection open where h2 would end it although only some streams are affected."""

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.decoder.max_header_list_size = DECODED_BLOCK_LIMIT_BYTES
        frame_limit = self.incoming_buffer.max_frame_size
        self.incoming_buffer = BoundedFrameBuffer(server=False)
        self.incoming_buffer.max_frame_size = frame_limit

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Keep the connection usable after a GOAWAY with NO_ERROR."""
        state, outgoing = self.state_machine.state, self._data_to_send
        received = super()._receive_goaway_frame(frame)
        if frame.error_code == ErrorCodes.NO_ERROR and state is ConnectionState.CLIENT_OPEN:
            self.state_machine.state, self._data_to_send = state, outgoing
        return received

    def _receive_data_frame(self, frame: DataFrame) -> tuple[list[Frame], list[Event]]:
        """Treat a body of the wrong length as an error of its stream only (RFC 9113, 8.1.1).

        The data is reported before the error: it may be complete, and the announced length wrong.
        """
        try:
            return super()._receive_data_frame(frame)
        except InvalidBodyLengthError:
            self.reset_stream(frame.stream_id, ErrorCodes.PROTOCOL_ERROR)
            return [], [
                DataReceived(
                    stream_id=frame.stream_id,
                    data=frame.data,
                    flow_controlled_length=frame.flow_controlled_length,
                ),
                StreamReset(
                    stream_id=frame.stream_id,
                    error_code=ErrorCodes.PROTOCOL_ERROR,
                    remote_reset=False,
                ),
            ]
