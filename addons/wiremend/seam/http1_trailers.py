"""Trailers in HTTP/1.1, on both sides of the proxy: mitmproxy raises NotImplementedError for them.

A chunked message may end in trailer fields (RFC 9112, 7.1.2). They are passed on as mitmproxy does
with those of HTTP/2, and written after a chunked body. A message that is not chunked cannot have
any, so they are dropped there, as RFC 9110, 6.5.1 allows.
"""

import h11
from h11._readers import ChunkedReader, ContentLengthReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.http import Headers
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestTrailers,
    ResponseEndOfMessage,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http1 import Http1Connection, Http1Server, TBodyReader

from wiremend.seam.connections import Commands
from wiremend.secrets import is_secret_header

_NO_TRAILERS = frozenset(
    {
        *(b"transfer-encoding", b"content-length", b"host", b"connection", b"keep-alive"),
        *(b"te", b"trailer", b"upgrade", b"proxy-connection", b"expect"),
        *(b"content-encoding", b"content-type", b"content-range"),
    }
)
"""Fields about framing, routing and how to read the body: RFC 9110, 6.5.1 forbids them here."""
WITHOUT_BODY = (204, 304)
"""Statuses of final responses that have no body, whatever their heads announce."""
_LAST_CHUNK = b"0\r\n\r\n"


_HEX_DIGITS = b"0123456789abcdefABCDEF"
_SIZE_DIGITS = 15
"""The longest size of a chunk that `_take_chunks` reads."""


class TrailersReader(ChunkedReader):
    """Stores the trailers instead of reporting them in its last event.

    All whole chunks of one network read are one event. mitmproxy passes each event through all of
    its layers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trailers: list[tuple[bytes, bytes]] = []

    @property
    def has_trailers(self) -> bool:
        """Whether trailers were read and not taken yet."""
        return bool(self._trailers)

    def __call__(self, buffer: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """Return the next event. The event of the message's end has no headers."""
        if data := self.take_chunks(buffer):
            return h11.Data(data)
        event: h11.Data | h11.EndOfMessage | None = super().__call__(buffer)
        if isinstance(event, h11.EndOfMessage) and event.headers:
            self._trailers = [(name, value) for name, value in event.headers if _may_pass(name)]
            return h11.EndOfMessage()
        return event

    def take_chunks(self, buffer: ReceiveBuffer) -> bytes:
        """Remove the chunks at the start of the buffer that are whole; return their data."""
        return _take_chunks(buffer) if self._is_between_chunks else b""

    def take_end(self, buffer: ReceiveBuffer) -> bool:
        """Remove the end of the body, if that is all in the buffer and has no trailers."""
        is_end = self._is_between_chunks and buffer._data == _LAST_CHUNK
        if is_end:
            buffer._extract(len(_LAST_CHUNK))
        return is_end

    @property
    def _is_between_chunks(self) -> bool:
        return not (self._bytes_in_chunk or self._bytes_to_discard or self._reading_trailer)

    def take_trailers(self) -> Headers | None:
        """Return the trailers that may be passed on, once. Their names are in lower case."""
        trailers, self._trailers = self._trailers, []
        return Headers(trailers) if trailers else None


def _take_chunks(buffer: ReceiveBuffer) -> bytes:
    """Remove the chunks at the start of the buffer, as long as they are whole; return their data.

    The last chunk, and every byte that is not as expected, is left to the general reader.
    """
    received = buffer._data
    parts, at = [], 0
    while (line_end := received.find(b"\r\n", at, at + _SIZE_DIGITS + 2)) > at:
        digits = received[at:line_end]
        if digits.strip(_HEX_DIGITS):
            break  # an extension, or an error
        start = line_end + 2
        end = start + int(digits, 16)
        if end == start or received[end : end + 2] != b"\r\n":
            break
        parts.append(received[start:end])
        at = end + 2
    if at:
        buffer._extract(at)
    return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)


def _may_pass(name: bytes) -> bool:
    return name not in _NO_TRAILERS and not is_secret_header(name.decode("ascii"))


class WithTrailers(Http1Connection):
    """An HTTP/1.1 connection that reads trailers and writes them."""

    ReceiveTrailers: type[RequestTrailers | ResponseTrailers]
    _unsent: Headers | None = None

    def take_reader(self) -> TBodyReader:
        """Return the reader of the body; one of chunks also reads trailers."""
        if type(self.body_reader) is ChunkedReader:  # it has read nothing yet
            self.body_reader = TrailersReader()
        return self.body_reader

    def read_body(self, event: events.Event) -> Commands:
        """Also report trailers, in a separate event before the end of the message."""
        reader = self.take_reader()
        for command in super().read_body(event):
            if (
                isinstance(reader, TrailersReader)
                and reader.has_trailers
                and isinstance(command, ReceiveHttp)
                and isinstance(command.event, self.ReceiveEndOfMessage)
                and (trailers := reader.take_trailers()) is not None
            ):
                yield ReceiveHttp(self.ReceiveTrailers(command.event.stream_id, trailers))
            yield command

    def send(self, event: HttpEvent) -> Commands:
        """Also write trailers with the last chunk, if the message is chunked."""
        if isinstance(event, RequestTrailers | ResponseTrailers):
            self._unsent = event.trailers
            return
        trailers: Headers | None = None
        if isinstance(event, RequestEndOfMessage | ResponseEndOfMessage):
            trailers, self._unsent = self._unsent, None
        for command in super().send(event):
            if trailers and isinstance(command, commands.SendData) and command.data == _LAST_CHUNK:
                command.data = b"0\r\n" + bytes(trailers) + b"\r\n"
                trailers = None
            yield command


class CallHttp1Server(WithTrailers, Http1Server):
    """Reads requests with trailers, and writes responses with them.

    A response with status 204 or 304 has no body (RFC 9112, 6.3), even if its head has a
    `transfer-encoding`. Clients would read what mitmproxy writes after it, the end of the chunks
    or what an HTTP/2 server sent, as the beginning of the next response.
    """

    ReceiveTrailers = RequestTrailers

    def _handle_event(self, event: events.Event) -> Commands:
        """Pass on a part of a body whose length is known as it was received, without copies."""
        if (
            isinstance(event, events.DataReceived)
            and self.state == self.read_body
            and not self.buf
            and type(self.body_reader) is ContentLengthReader
            and len(event.data) < self.body_reader._remaining
        ):
            self.body_reader._remaining -= len(event.data)
            yield ReceiveHttp(RequestData(self.stream_id, event.data))
        else:
            yield from super()._handle_event(event)

    def send(self, event: HttpEvent) -> Commands:
        """Write nothing after the head of a response without a body."""
        is_over = self.response is not None and self.response.status_code in WITHOUT_BODY
        for command in super().send(event):
            if not (is_over and isinstance(command, commands.SendData)):
                yield command
