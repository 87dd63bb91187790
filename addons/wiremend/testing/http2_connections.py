"""HTTP/2 connections of a scripted provider, and those that negotiate the version."""

import asyncio
from typing import cast, override

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from wiremend.testing.connections import Connection, Provider, RunningExchange
from wiremend.testing.exchange import Framing, Headers, PeerGone, Received
from wiremend.testing.http1_connections import Http1Connection


class Http2Connection(Connection):
    """An HTTP/2 connection; its exchanges run side by side."""

    def __init__(self, provider: Provider, number: int) -> None:
        super().__init__(provider, number)
        config = h2.config.H2Configuration(
            client_side=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            header_encoding=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.streams: dict[int, Http2Exchange] = {}
        self._requests: dict[int, tuple[list[tuple[bytes, bytes]], bytearray]] = {}
        self._trailers: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self.window_opened = asyncio.Event()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.h2.initiate_connection()
        if self.provider.streams_at_once:
            limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            self.h2.update_settings({limit: self.provider.streams_at_once})
        self.flush()

    @override
    def exchanges(self) -> "list[RunningExchange]":
        return list(self.streams.values())

    def flush(self) -> None:
        """Write the pending bytes of h2."""
        data = self.h2.data_to_send()
        if data and not self.leaving:
            self.transport.write(data)

    @override
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
        exchange = Http2Exchange(self, received, stream_id)
        self.streams[stream_id] = exchange
        reply = self.provider.reply_to(received)
        self.provider.start(self.provider.play(exchange, reply))


class Http2Exchange(RunningExchange):
    """A request on a stream of an HTTP/2 connection, and its reply."""

    connection: Http2Connection

    def __init__(self, connection: Http2Connection, received: Received, stream_id: int) -> None:
        super().__init__(connection, received)
        self.stream = stream_id

    async def _flush(self) -> None:
        if self.gone.is_set():
            raise PeerGone
        data = self.connection.h2.data_to_send()
        if data:
            await self.connection.write(data)

    @override
    async def informational(self, status: int, headers: Headers) -> None:
        await self._send_head(status, headers, False)

    @override
    async def head(self, status: int, headers: Headers, framing: Framing) -> None:
        await self._send_head(status, headers, framing is Framing.NONE)

    async def _send_head(self, status: int, headers: Headers, end: bool) -> None:
        if self.gone.is_set():
            raise PeerGone
        fields = [(":status", str(status)), *headers]
        self.connection.h2.send_headers(self.stream, fields, end_stream=end)
        await self._flush()

    @override
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

    @override
    async def end(self) -> None:
        if self.gone.is_set():
            raise PeerGone
        self.connection.h2.end_stream(self.stream)
        await self._flush()

    @override
    async def end_with_trailers(self, trailers: Headers) -> None:
        if self.gone.is_set():
            raise PeerGone
        self.connection.h2.send_headers(self.stream, trailers, end_stream=True)
        await self._flush()

    @override
    async def reset_stream(self, code: int) -> None:
        if self.gone.is_set():
            raise PeerGone
        self.connection.h2.reset_stream(self.stream, code)
        await self._flush()

    @override
    async def go_away(self, code: int, last_stream: int | None) -> None:
        self.connection.h2.close_connection(code, last_stream_id=last_stream)
        await self._flush()
        await self.connection.finish()

    @override
    async def go_away_gracefully(self, *, processed: bool) -> None:
        last = self.stream if processed else self.stream - 2
        # After a GOAWAY of its own, h2 would refuse to send more.
        await self.connection.write(GoAwayFrame(0, last_stream_id=last).serialize())

    @override
    def over(self) -> None:
        self.connection.streams.pop(self.stream, None)


class NegotiatedConnection(Connection):
    """Hands the transport over to a connection of the negotiated HTTP version."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        chosen = Http2Connection if tls.selected_alpn_protocol() == "h2" else Http1Connection
        connection = chosen(self.provider, self.number)
        cast(asyncio.Transport, transport).set_protocol(connection)
        connection.connection_made(transport)

    @override
    def exchanges(self) -> "list[RunningExchange]":
        return []
