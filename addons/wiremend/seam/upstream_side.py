"""The upstream side of one call: addresses, starts, abandons and releases its attempts."""

from collections.abc import Callable

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.net.http import validate
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import (
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    HttpStream,
    SendHttp,
    is_h3_alpn,
)
from mitmproxy.proxy.layers.http._events import ErrorCode, RequestProtocolError

from wiremend.engine.machine import Machine
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.rules.containment import Fault, contain
from wiremend.seam.connections import (
    Commands,
    GetAttemptConnection,
    WholeRequest,
    connections_of,
    http_layer_of,
)
from wiremend.seam.flows import addressed_copy, copy_of, drop_content


class UpstreamSide:
    """The attempts of one call, one at a time.

    An attempt connects (`start`, `take_connection`), sends the request (`send_request`) and ends
    in `close` or `forget`. At most one attempt exists at any time.
    """

    response: http.Response | None = None
    """The current attempt's response, once its head has arrived."""
    trailers: http.Headers | None = None
    """The trailers of that response, once they have arrived."""
    attempt_id: int | None = None
    """The stream id of the attempt that has a connection."""
    sends_whole = False
    """Whether an HTTP/1.1 connection is given a request in one event."""
    connect_to: tuple[str, int] | None = None
    """Host and port of all connections; None: those of the request, through the upstream proxy."""

    def __init__(self, stream: HttpStream) -> None:
        self.faults: list[Fault] = []
        """The faults in concealing since the caller emptied this list."""
        self._stream = stream
        self._connecting: GetAttemptConnection | None = None
        self._connection: Connection | None = None
        self._via: ServerSpec | None = None
        self._original: http.Request | None = None
        self._request: http.Request | None = None
        self._sent_to: OutgoingRequest | None = None
        self._conceal: Callable[[http.HTTPFlow], None] | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._read: list[bytes] = []

    @property
    def _http_layer(self) -> HttpLayer:
        return http_layer_of(self._stream)

    @property
    def request(self) -> http.Request:
        """What attempts send, with its secrets. Requires `take_request`."""
        assert self._request is not None
        return self._request

    @property
    def is_over(self) -> bool:
        """Whether no more events can arrive, neither from the client nor from upstream."""
        streams = self._http_layer.streams
        return self._stream.stream_id not in streams and self.attempt_id not in streams

    # The request

    def take_request(
        self,
        received: OutgoingRequest | None,
        first: OutgoingRequest | None,
        conceal: Callable[[http.HTTPFlow], None] | None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Keep the flow's request, from which each target's request is made.

        `received` is the same request as the call was planned with; None if it has no targets.
        `first` is the one that the first attempt sends; None if that is the received one, or if
        there is none. `conceal` removes the secrets from what the flow shows. `headers` are added
        to what is sent.
        """
        flow = self._stream.flow
        self._original = self._request = flow.request
        self._sent_to = received
        self._conceal = conceal
        self._headers = headers
        if headers:
            self._request = copy_of(flow.request)
            self._add_headers()
        self._via = flow.server_conn.via
        if first is None or not self._address(first):
            self._show_request()

    def address(self, outgoing: OutgoingRequest) -> None:
        """Use `outgoing` for the attempts that follow, and show it in the flow."""
        self._address(outgoing)

    def _address(self, outgoing: OutgoingRequest) -> bool:
        """Do as `address` does; return whether that is another request than before."""
        assert self._original is not None
        before, self._sent_to = self._sent_to, outgoing
        if before is not None and outgoing.sends_same(before):
            return False
        self._request = addressed_copy(self._original, outgoing)
        if self._headers:
            self._add_headers()
        self._show_request()
        return True

    def _add_headers(self) -> None:
        assert self._request is not None
        for name, value in self._headers:
            self._request.headers[name] = value

    def _show_request(self) -> None:
        """Show the request that goes upstream in the flow, without its secrets."""
        assert self._request is not None
        self._stream.flow.request = copy_of(self._request)
        if self._conceal is not None:
            contain("concealing", self._drop_shown, self._conceal, self._stream.flow)

    def _drop_shown(self, fault: Fault) -> None:
        self.faults.append(fault)
        drop_content(self._stream.flow)

    def tls_name(self) -> str:
        """Return the server name that TLS to the request's address verifies, if not its host.

        Inside a tunnel that is the name in the client's hello: contract 22 in `seam/__init__.py`.
        """
        request, context = self._stream.flow.request, self._stream.context
        is_tunnelled = self._stream.mode is HTTPMode.transparent
        address = (request.host, request.port)
        if request.scheme != "https" or not is_tunnelled or context.server.address != address:
            return ""
        name = context.server.sni or context.client.sni or ""
        return "" if name.lower() == request.host.lower() else name

    def nameless(self, fault: Fault) -> str:
        """Return the server name after this fault in finding it: that of the host."""
        self.faults.append(fault)
        return ""

    # An attempt

    def start(self, *, fresh: bool) -> Commands:
        """Request a connection. `fresh` excludes the one that the attempt before used."""
        request, server = self._request, self._stream.flow.server_conn
        assert request is not None
        self.forget()  # an attempt whose connection was lost
        command = GetAttemptConnection(
            self.connect_to or (request.host, request.port),
            request.scheme == "https",
            # The flow's connection may have bypassed the upstream proxy.
            self._via if self.connect_to is None else None,
            server.transport_protocol,
            instead_of=server if fresh else None,
        )
        # The stream still receives events while it connects: contract 4 in `seam/__init__.py`.
        command.blocking = self._stream  # type: ignore[assignment]
        self._connecting = command
        self.response = self.trailers = None
        yield command

    def is_connecting(self, event: GetHttpConnectionCompleted) -> bool:
        """Whether the event is the reply to the current attempt, not to an abandoned one."""
        return event.command is self._connecting

    def take_connection(self, event: GetHttpConnectionCompleted) -> tuple[bool, str | None]:
        """Give the attempt its connection and a stream id.

        Returns whether the connection was used before, and the error if there is no connection.
        """
        self._connecting = None
        connection, error = event.reply
        if connection is None:
            return False, error or "unknown error"
        stream, connections = self._stream, connections_of(self._http_layer)
        stream.context.server = stream.flow.server_conn = connection  # type: ignore[assignment]
        self._connection = connection
        reused = connection.id in connections.used
        connections.used.add(connection.id)
        self.attempt_id = connections.next_attempt_id
        connections.next_attempt_id -= 1
        self._http_layer.streams[self.attempt_id] = stream
        return reused, None

    def send_request(self) -> Commands:
        """Send the whole request, unless the attempt has ended in the meantime."""
        attempt_id, connection, request = self.attempt_id, self._connection, self._request
        assert request is not None
        if attempt_id is None or connection is None:
            return
        whole = WholeRequest(attempt_id, request)
        if self.sends_whole and not (connection.alpn == b"h2" or is_h3_alpn(connection.alpn)):
            yield SendHttp(whole, connection)
            return
        for part in whole.parts():
            yield SendHttp(part, connection)

    def take_head(self, response: http.Response) -> None:
        """Store the response.

        Raises ValueError if mitmproxy's option requires valid headers, and for status 101: a call
        stays HTTP.
        """
        if response.status_code == 101:
            raise ValueError("status 101")
        options = self._stream.context.options
        if options.validate_inbound_headers and response.status_code != 204:
            validate.validate_headers(response)
        self.response = response

    def start_read(self, data: bytes) -> bool:
        """Keep a chunk until its network read is over; False if there is no read to wait for."""
        reading = connections_of(self._http_layer).reading
        if reading is None:
            return False
        reading.append(self._stream)
        self._read.append(data)
        return True

    def add_to_read(self, data: bytes) -> bool:
        """Keep a chunk with the earlier ones of its network read; False if there are none."""
        if not self._read:
            return False
        self._read.append(data)
        return True

    def take_read(self) -> bytes:
        """Return the chunks of the network read that is over, joined; each of them once."""
        data = b"".join(self._read)
        self._read.clear()
        return data

    # The end of an attempt

    def close(self) -> Commands:
        """End the attempt, connected or not; its connection is closed or its stream is reset."""
        if self._connecting is not None:
            waiting = self._http_layer.waiting_for_establishment
            pending = [c for c, queue in waiting.items() if queue == [self._connecting]]
            self._connecting = None
            for connection in pending:
                yield commands.CloseConnection(connection)
        if self.attempt_id is not None and self._connection is not None:
            error = RequestProtocolError(self.attempt_id, "given up", ErrorCode.CANCEL)
            connection = self._connection
            self.forget()
            yield SendHttp(error, connection)

    def forget(self) -> None:
        """Stop receiving events for the attempt; its connection can be used by other calls."""
        self._read.clear()
        if self.attempt_id is not None:
            self._http_layer.streams.pop(self.attempt_id, None)
            self.attempt_id = None
        if self._connection is not None:
            connections_of(self._http_layer).draining.pop(self._connection, None)
            self._connection = None

    def drain(self, machine: Machine) -> None:
        """Register a call whose client has its response, but whose attempt has not ended."""
        connections = connections_of(self._http_layer)
        if machine.in_background:
            connections.draining = {c: s for c, s in connections.draining.items() if s is not self}
            connections.background.add(self)
        elif self._connection is not None and self.attempt_id is not None and not machine.over:
            connections.draining[self._connection] = self

    def leave_background(self) -> None:
        """Stop keeping the client's connection open for this call."""
        connections_of(self._http_layer).background.discard(self)

    def stop_draining(self) -> Commands:
        """End the attempt because another request wants its connection."""
        if self.attempt_id is not None and self._connection is not None:
            error = RequestProtocolError(self.attempt_id, "no longer needed", ErrorCode.CANCEL)
            connection = self._connection
            self.forget()
            handler = self._http_layer.connections[connection]
            yield from self._http_layer.event_to_child(handler, error)
