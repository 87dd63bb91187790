"""A scripted provider on loopback: TLS and plain HTTP, HTTP/1.1 and HTTP/2.

It runs on an event loop in its own thread and serialises HTTP/1.1 responses itself, since HTTP
libraries refuse to write invalid ones. It waits for the test or the peer, not for time.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from wiremend.testing.certificates import Leaf, LeafPerName
from wiremend.testing.connections import RESET_ON_CLOSE, Connection, RunningExchange
from wiremend.testing.exchange import (
    ConnectionFault,
    Exchange,
    Framing,
    PeerGone,
    Received,
    Reply,
    Script,
)
from wiremend.testing.http1_connections import Http1Connection
from wiremend.testing.http2_connections import NegotiatedConnection
from wiremend.testing.plays import Play, reply_from

_TLS_HANDSHAKE = b"\x16"
"""The type of the first TLS record of a client: RFC 8446, 5.1."""
_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
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
        self.connected: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.released = asyncio.Event()
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
        self._loop.call_soon_threadsafe(self.released.set)

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
        return len(self.connected)

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
        self.released.set()
        self.released = asyncio.Event()
        for connection in list(self.connected):
            connection.drop()
        for task in list(self._tasks):
            task.cancel()
        while self._tasks or self.connected:
            await asyncio.sleep(0)

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.start(self._welcome(client))

    def start(self, what: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connections; it is cancelled at the end."""
        task = self._loop.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _welcome(self, client: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._numbers += 1
            fault = self._connection_fault()
        if fault is ConnectionFault.RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
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
                lambda: (NegotiatedConnection if is_tls else Http1Connection)(self, number),
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

    async def play(self, exchange: RunningExchange, reply: Reply) -> None:
        """Play a reply to its end, or until the peer is gone."""
        try:
            await reply.play(exchange)
        except PeerGone:
            if not exchange.connection.leaving:
                exchange.peer_left()
        finally:
            exchange.received.finished.set()
            exchange.over()
