"""A scripted provider on loopback: TLS and plain HTTP, HTTP/1.1 and HTTP/2.

It runs on an event loop in its own thread and serialises HTTP/1.1 responses itself, since HTTP
libraries refuse to write invalid ones. It waits for the test or the peer, not for time.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import h11
from hyperframe.frame import GoAwayFrame

from wiremend.testing.certificates import Leaf, LeafPerName
from wiremend.testing.exchange import (
    ConnectionFault,
    Exchange,
    Framing,
    Headers,
    PeerGone,
    Received,
    Reply,
    Script,
)
from wiremend.testing.plays import Play, reply_from

_TLS_HANDSHAKE = b"\x16"
"""The type of the first TLS record of a client: RFC 8446, 5.1."""
_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_UNLIMITED = 1_000_000


async def _unscripted(exchange: Exchange) -> None:
    body = b'{"error": {"type": "not_scripted", "message": "the test has no script for this"}}'
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    await exchange.head(501, headers, Framing.LENGTH)
    await exchange.body(body)
    await exchange.end()


UNSCRIPTED = Reply("unscripted", (_unscripted,))


class ScriptedProvider:
    """Use as a context manager; `port` is where it listens.

    `script` sets the replies to later requests, `received` lists the requests so far. `alpn` lists
    the HTTP versions offered to new connections: ("http/1.1",), ("h2",), or both.
    """

    def __init__(
        self, leaf: Leaf | LeafPerName, directory: Path, alpn: Sequence[str] = ("http/1.1",)
    ) -> None:
        self.alpn = tuple(alpn)
        self.streams_at_once = 0
        """MAX_CONCURRENT_STREAMS of new HTTP/2 connections; 0 for the default of h2."""
        self.certificate = leaf.der if isinstance(leaf, Leaf) else b""
        """In DER; empty if each host name has its own."""
        self.received: list[Received] = []
        self.connections = 0
        """The number of connections accepted since the last `clear`."""
        self.refusals_file = directory / f"refusals-{id(self)}"
        """Read and updated by answer_from_loopback.py."""
        self._leaf = leaf
        self._lock = threading.RLock()
        self._arrival = threading.Condition(self._lock)
        self._script: deque[Script] = deque()
        self._by_request: list[tuple[Callable[[Received], bool], deque[Script]]] = []
        self._armed_refusals = 0
        self._refused = 0
        self._numbers = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="provider", daemon=True)
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._refuser = socket.socket()  # bound to reserve the port; never listens
        self._refuser.bind(("127.0.0.1", 0))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()
        self._refuser.close()
        self.refusals_file.unlink(missing_ok=True)

    # Commands for tests.

    def script(
        self, replies: Iterable[Script | Play], when: Callable[[Received], bool] | None = None
    ) -> None:
        """Set the replies to later requests, in order; the last one is repeated.

        A reply may be a table (`plays.Play`). Raises ValueError for a table with a wrong key or
        value.

        With `when`, only for requests that it accepts; such scripts take precedence.
        Connection faults apply to connections, replies to requests; a request on an open
        connection skips the connection faults before its reply.
        """
        items = deque(
            reply_from(reply) if isinstance(reply, Mapping) else reply for reply in replies
        )
        with self._lock:
            if when is not None:
                self._by_request.append((when, items))
            else:
                self._script = items
                self._arm()

    def release(self) -> None:
        """Let every held reply continue with its next step."""
        self._loop.call_soon_threadsafe(self._released.set)

    def clear(self) -> None:
        """Remove scripts and requests, and reset every connection."""
        with self._lock:
            self._script = deque()
            self._by_request = []
            self._arm()
            self._refused = 0
        self._in_loop(self._drop_all())
        with self._lock:
            self.received = []
            self.connections = 0

    # Queries for tests.

    @property
    def refused(self) -> int:
        """The number of connections refused since the last `clear`."""
        with self._lock:
            return self._refused + self._armed_refusals - self._left_to_refuse()

    @property
    def refusing_port(self) -> int:
        """A port on which connections are always refused."""
        port: int = self._refuser.getsockname()[1]
        return port

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def wait_for_requests(self, count: int, timeout_seconds: float = 5.0) -> list[Received]:
        """Wait for at least `count` requests; return those received, fewer after the timeout."""
        with self._arrival:
            self._arrival.wait_for(lambda: len(self.received) >= count, timeout_seconds)
            return list(self.received)

    # Internals.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        accepting.cancel()
        self._loop.run_until_complete(asyncio.gather(accepting, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    def _in_loop(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _drop_all(self) -> None:
        self._released.set()
        self._released = asyncio.Event()
        for connection in list(self._open):
            connection.drop()
        for task in list(self._tasks):
            task.cancel()
        while self._tasks or self._open:
            await asyncio.sleep(0)

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._welcome(client))

    def _start(self, what: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _welcome(self, client: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._numbers += 1
            fault = self._connection_fault()
        if fault is ConnectionFault.RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            client.close()
            return
        if fault is ConnectionFault.TLS_FAILURE:
            with client:
                await self._loop.sock_recv(client, 65536)
                await self._loop.sock_sendall(client, _HANDSHAKE_FAILURE)
            return
        number = self._numbers
        try:
            is_tls = await self._begins_with_tls(client)
            await self._loop.connect_accepted_socket(
                lambda: (_NegotiatedConnection if is_tls else _Http1Connection)(self, number),
                client,
                ssl=self._leaf.server_context(self.alpn) if is_tls else None,
            )
        except (OSError, asyncio.CancelledError) as problem:
            client.close()  # the peer left, or does not trust the certificate
            if isinstance(problem, asyncio.CancelledError):
                raise

    async def _begins_with_tls(self, client: socket.socket) -> bool:
        """Wait for the first byte of the peer; return whether it is that of a TLS handshake.

        True if the peer sends none, so that the handshake fails.
        """
        readable = asyncio.Event()
        self._loop.add_reader(client, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(client)
        return client.recv(1, socket.MSG_PEEK) in (_TLS_HANDSHAKE, b"")

    def _connection_fault(self) -> ConnectionFault | None:
        # This connection was not refused, so the refusals before it are used up.
        self._skip(ConnectionFault.REFUSE)
        if not self._script or not isinstance(self._script[0], ConnectionFault):
            return None
        fault = self._script[0]
        if len(self._script) > 1:
            self._script.popleft()
        self._arm()
        return fault

    def _skip(self, *faults: ConnectionFault) -> None:
        while len(self._script) > 1 and self._script[0] in faults:
            self._script.popleft()
        self._arm()

    def reply_to(self, received: Received) -> Reply:
        """Record a request, and take its reply from the script."""
        with self._arrival:
            self.received.append(received)
            self._arrival.notify_all()
            for accepts, items in self._by_request:
                if accepts(received):
                    item = items.popleft() if len(items) > 1 else items[0]
                    break
            else:
                self._skip(*ConnectionFault)
                if not self._script or isinstance(self._script[0], ConnectionFault):
                    return UNSCRIPTED
                item = self._script.popleft() if len(self._script) > 1 else self._script[0]
                self._arm()
        if isinstance(item, Reply):
            return item
        return cast(Callable[[Received], Reply], item)(received)

    def _arm(self) -> None:
        """Write how many of the next connections the resolver sends to the closed port."""
        self._refused += self._armed_refusals - self._left_to_refuse()
        count = 0
        for item in self._script:
            if item is not ConnectionFault.REFUSE:
                break
            count += 1
        if count and count == len(self._script):
            count = _UNLIMITED
        self._armed_refusals = count
        self.refusals_file.write_text(f"{count} {self.refusing_port}")

    def _left_to_refuse(self) -> int:
        try:
            return int(self.refusals_file.read_text().split()[0])
        except (OSError, IndexError):
            return self._armed_refusals

    async def play(self, exchange: "_Exchange", reply: Reply) -> None:
        """Play a reply to its end, or until the peer is gone."""
        try:
            await reply.play(exchange)
        except PeerGone:
            if not exchange.connection.leaving:
                exchange.peer_left()
        finally:
            exchange.received.finished.set()
            exchange.over()


class _Connection(asyncio.Protocol):
    """The part of a connection that both HTTP versions share."""

    def __init__(self, provider: ScriptedProvider, number: int) -> None:
        self.provider = provider
        self.number = number
        self.gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.leaving = False
        """Whether this side ended the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")  # not available from a closed transport
        self.provider._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.provider._open.discard(self)
        self.gone.set()
        self._writable.set()
        for exchange in self.exchanges():
            exchange.gone.set()
            if not self.leaving:
                exchange.peer_left()

    @abstractmethod
    def exchanges(self) -> "list[_Exchange]":
        """Return the running exchanges."""

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        if self.gone.is_set() or self.leaving:
            raise PeerGone
        self.transport.write(data)
        await self.sent()

    async def sent(self) -> None:
        """Wait until the peer has acknowledged every byte; a reset would discard the others."""
        await self._writable.wait()
        while not (self.gone.is_set() or self.transport.is_closing()):
            unsent = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            if not self.transport.get_write_buffer_size() and not struct.unpack("i", unsent)[0]:
                return
            await asyncio.sleep(0.0005)  # there is no event for this
        raise PeerGone

    async def finish(self) -> None:
        """TLS close_notify, then FIN."""
        self.leaving = True
        copy = self._copy_of_socket()
        self.transport.close()
        with copy:  # asyncio waits for the peer's close_notify before it sends a FIN
            self._send_fin(copy)
        await self.gone.wait()

    async def cut(self) -> None:
        """FIN alone."""
        self.leaving = True
        with self._copy_of_socket() as copy:
            self._send_fin(copy)
        await self.gone.wait()

    def _copy_of_socket(self) -> socket.socket:
        if self._socket.fileno() < 0:
            raise PeerGone
        return socket.socket(fileno=os.dup(self._socket.fileno()))

    @staticmethod
    def _send_fin(connected: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the peer closed first
            connected.shutdown(socket.SHUT_WR)

    async def reset(self) -> None:
        """RST."""
        self.drop()
        await self.gone.wait()

    def drop(self) -> None:
        """RST, without waiting."""
        self.leaving = True
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


class _Exchange(Exchange):
    """The part of an exchange that both HTTP versions share."""

    def __init__(self, connection: _Connection, received: Received) -> None:
        self.connection = connection
        self.received = received
        self.gone = asyncio.Event()

    def peer_left(self) -> None:
        """The peer closed the connection or cancelled this request."""
        self.received.closed.set()
        self.gone.set()

    @abstractmethod
    def over(self) -> None:
        """The reply has ended."""

    async def hold(self) -> None:
        released = asyncio.ensure_future(self.connection.provider._released.wait())
        gone = asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait((released, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            released.cancel()
            gone.cancel()
        if self.gone.is_set():
            raise PeerGone

    async def raw(self, data: bytes) -> None:
        await self.connection.write(data)

    async def close(self) -> None:
        await self.connection.finish()

    async def cut(self) -> None:
        await self.connection.cut()

    async def reset(self) -> None:
        await self.connection.reset()


class _Http1Connection(_Connection):
    def __init__(self, provider: ScriptedProvider, number: int) -> None:
        super().__init__(provider, number)
        self._reader = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self.exchange: _Http1Exchange | None = None

    def exchanges(self) -> "list[_Exchange]":
        return [self.exchange] if self.exchange else []

    def data_received(self, data: bytes) -> None:
        self._reader.receive_data(data)
        self.read()

    def read(self) -> None:
        """Read the next request, unless an exchange is running."""
        while self.exchange is None and not self.leaving:
            event = self._reader.next_event()
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._answer(tuple(event.headers.raw_items()))

    def _answer(self, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        assert self._request is not None
        received = Received(
            method=self._request.method.decode(),
            path=self._request.target.decode(),
            headers=tuple(self._request.headers.raw_items()),
            body=bytes(self._body),
            connection=self.number,
            http_version="HTTP/1.1",
            trailers=trailers,
        )
        # A new parser for each request: h11 would require a well-formed response first.
        rest, _ = self._reader.trailing_data
        self._reader = h11.Connection(h11.SERVER)
        if rest:
            self._reader.receive_data(rest)
        self._request = None
        self._body.clear()
        self.exchange = _Http1Exchange(self, received)
        reply = self.provider.reply_to(received)
        self.provider._start(self.provider.play(self.exchange, reply))


class _Http1Exchange(_Exchange):
    connection: _Http1Connection

    def __init__(self, connection: _Http1Connection, received: Received) -> None:
        super().__init__(connection, received)
        self._framing = Framing.NONE

    async def informational(self, status: int, headers: Headers) -> None:
        await self.connection.write(_http1_head(status, headers))

    async def head(self, status: int, headers: Headers, framing: Framing) -> None:
        self._framing = framing
        if framing is Framing.CHUNKED:
            headers = (*headers, ("transfer-encoding", "chunked"))
        elif framing is Framing.CLOSE:
            headers = (*headers, ("connection", "close"))
        await self.connection.write(_http1_head(status, headers))

    async def body(self, data: bytes) -> None:
        if self._framing is Framing.CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        await self.connection.write(data)

    async def end(self) -> None:
        if self._framing is Framing.CHUNKED:
            await self.connection.write(b"0\r\n\r\n")
        elif self._framing is Framing.CLOSE:
            await self.connection.finish()

    async def end_with_trailers(self, trailers: Headers) -> None:
        assert self._framing is Framing.CHUNKED
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        await self.connection.write(f"0\r\n{lines}\r\n".encode())

    async def reset_stream(self, code: int) -> None:
        raise NotImplementedError("HTTP/1.1 has no streams to reset")

    async def go_away(self, code: int, last_stream: int | None) -> None:
        raise NotImplementedError("HTTP/1.1 has no GOAWAY")

    async def go_away_gracefully(self, *, processed: bool) -> None:
        raise NotImplementedError("HTTP/1.1 has no GOAWAY")

    def over(self) -> None:
        self.connection.exchange = None
        self.connection.read()


def _http1_head(status: int, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode()


_REASONS = {200: "OK", 204: "No Content", 429: "Too Many Requests", 503: "Service Unavailable"}


class _Http2Connection(_Connection):
    def __init__(self, provider: ScriptedProvider, number: int) -> None:
        super().__init__(provider, number)
        config = h2.config.H2Configuration(
            client_side=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            header_encoding=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.streams: dict[int, _Http2Exchange] = {}
        self._requests: dict[int, tuple[list[tuple[bytes, bytes]], bytearray]] = {}
        self._trailers: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self.window_opened = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.h2.initiate_connection()
        if self.provider.streams_at_once:
            limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            self.h2.update_settings({limit: self.provider.streams_at_once})
        self.flush()

    def exchanges(self) -> "list[_Exchange]":
        return list(self.streams.values())

    def flush(self) -> None:
        """Write the pending bytes of h2."""
        data = self.h2.data_to_send()
        if data and not self.leaving:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                headers = cast(list[tuple[bytes, bytes]], list(event.headers))
                self._requests[event.stream_id] = (headers, bytearray())
            elif isinstance(event, h2.events.DataReceived):
                self._requests[event.stream_id][1].extend(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                trailers = cast(list[tuple[bytes, bytes]], list(event.headers))
                self._trailers[event.stream_id] = tuple(trailers)
            elif isinstance(event, h2.events.StreamEnded):
                self._answer(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self._requests.pop(event.stream_id, None)
                if exchange := self.streams.get(event.stream_id):
                    exchange.peer_left()
            elif isinstance(event, h2.events.ConnectionTerminated):
                for running in self.exchanges():
                    running.peer_left()
        self.window_opened.set()
        self.flush()

    def _answer(self, stream_id: int) -> None:
        headers, body = self._requests.pop(stream_id)
        pseudo = {name: value for name, value in headers if name.startswith(b":")}
        received = Received(
            method=pseudo[b":method"].decode(),
            path=pseudo[b":path"].decode(),
            headers=(
                (b"host", pseudo.get(b":authority", b"")),
                *((name, value) for name, value in headers if not name.startswith(b":")),
            ),
            body=bytes(body),
            connection=self.number,
            http_version="HTTP/2",
            trailers=self._trailers.pop(stream_id, ()),
        )
        exchange = _Http2Exchange(self, received, stream_id)
        self.streams[stream_id] = exchange
        reply = self.provider.reply_to(received)
        self.provider._start(self.provider.play(exchange, reply))


class _Http2Exchange(_Exchange):
    connection: _Http2Connection

    def __init__(self, connection: _Http2Connection, received: Received, stream_id: int) -> None:
        super().__init__(connection, received)
        self.stream = stream_id

    async def _flush(self) -> None:
        if self.gone.is_set():
            raise PeerGone
        data = self.connection.h2.data_to_send()
        if data:
            await self.connection.write(data)

    async def informational(self, status: int, headers: Headers) -> None:
        await self._send_head(status, headers, False)

    async def head(self, status: int, headers: Headers, framing: Framing) -> None:
        await self._send_head(status, headers, framing is Framing.NONE)

    async def _send_head(self, status: int, headers: Headers, end: bool) -> None:
        if self.gone.is_set():
            raise PeerGone
        fields = [(":status", str(status)), *headers]
        self.connection.h2.send_headers(self.stream, fields, end_stream=end)
        await self._flush()

    async def body(self, data: bytes) -> None:
        connection = self.connection
        while data:
            if self.gone.is_set() or connection.gone.is_set():
                raise PeerGone
            connection.window_opened.clear()
            window = connection.h2.local_flow_control_window(self.stream)
            size = min(len(data), window, connection.h2.max_outbound_frame_size)
            if size <= 0:
                opened = asyncio.ensure_future(connection.window_opened.wait())
                gone = asyncio.ensure_future(self.gone.wait())
                await asyncio.wait((opened, gone), return_when=asyncio.FIRST_COMPLETED)
                opened.cancel()
                gone.cancel()
                continue
            connection.h2.send_data(self.stream, data[:size])
            data = data[size:]
            await self._flush()

    async def end(self) -> None:
        if self.gone.is_set():
            raise PeerGone
        self.connection.h2.end_stream(self.stream)
        await self._flush()

    async def end_with_trailers(self, trailers: Headers) -> None:
        if self.gone.is_set():
            raise PeerGone
        self.connection.h2.send_headers(self.stream, trailers, end_stream=True)
        await self._flush()

    async def reset_stream(self, code: int) -> None:
        if self.gone.is_set():
            raise PeerGone
        self.connection.h2.reset_stream(self.stream, code)
        await self._flush()

    async def go_away(self, code: int, last_stream: int | None) -> None:
        self.connection.h2.close_connection(code, last_stream_id=last_stream)
        await self._flush()
        await self.connection.finish()

    async def go_away_gracefully(self, *, processed: bool) -> None:
        last = self.stream if processed else self.stream - 2
        # After a GOAWAY of its own, h2 would refuse to send more.
        await self.connection.write(GoAwayFrame(0, last_stream_id=last).serialize())

    def over(self) -> None:
        self.connection.streams.pop(self.stream, None)


class _NegotiatedConnection(_Connection):
    """Hands the transport over to a connection of the negotiated HTTP version."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        chosen = _Http2Connection if tls.selected_alpn_protocol() == "h2" else _Http1Connection
        connection = chosen(self.provider, self.number)
        cast(asyncio.Transport, transport).set_protocol(connection)
        connection.connection_made(transport)

    def exchanges(self) -> "list[_Exchange]":
        return []
