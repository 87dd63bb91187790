"""HTTP/1.1 connections of a scripted provider.

Responses are serialised here, since HTTP libraries refuse to write invalid ones.
"""

from typing import override

import h11

from wiremend.testing.connections import Connection, Provider, RunningExchange
from wiremend.testing.exchange import Framing, Headers, Received


class Http1Connection(Connection):
    """An HTTP/1.1 connection; it has one exchange at a time."""

    def __init__(self, provider: Provider, number: int) -> None:
        super().__init__(provider, number)
        self._reader = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self.exchange: Http1Exchange | None = None

    @override
    def exchanges(self) -> "list[RunningExchange]":
        return [self.exchange] if self.exchange else []

    @override
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
        self.exchange = Http1Exchange(self, received)
        reply = self.provider.reply_to(received)
        self.provider.start(self.provider.play(self.exchange, reply))


class Http1Exchange(RunningExchange):
    """A request on an HTTP/1.1 connection, and its reply."""

    connection: Http1Connection

    def __init__(self, connection: Http1Connection, received: Received) -> None:
        super().__init__(connection, received)
        self._framing = Framing.NONE

    @override
    async def informational(self, status: int, headers: Headers) -> None:
        await self.connection.write(_http1_head(status, headers))

    @override
    async def head(self, status: int, headers: Headers, framing: Framing) -> None:
        self._framing = framing
        if framing is Framing.CHUNKED:
            headers = (*headers, ("transfer-encoding", "chunked"))
        elif framing is Framing.CLOSE:
            headers = (*headers, ("connection", "close"))
        await self.connection.write(_http1_head(status, headers))

    @override
    async def body(self, data: bytes) -> None:
        if self._framing is Framing.CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        await self.connection.write(data)

    @override
    async def end(self) -> None:
        if self._framing is Framing.CHUNKED:
            await self.connection.write(b"0\r\n\r\n")
        elif self._framing is Framing.CLOSE:
            await self.connection.finish()

    @override
    async def end_with_trailers(self, trailers: Headers) -> None:
        assert self._framing is Framing.CHUNKED
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        await self.connection.write(f"0\r\n{lines}\r\n".encode())

    @override
    async def reset_stream(self, code: int) -> None:
        raise NotImplementedError("HTTP/1.1 has no streams to reset")

    @override
    async def go_away(self, code: int, last_stream: int | None) -> None:
        raise NotImplementedError("HTTP/1.1 has no GOAWAY")

    @override
    async def go_away_gracefully(self, *, processed: bool) -> None:
        raise NotImplementedError("HTTP/1.1 has no GOAWAY")

    @override
    def over(self) -> None:
        self.connection.exchange = None
        self.connection.read()


def _http1_head(status: int, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode()


_REASONS = {200: "OK", 204: "No Content", 429: "Too Many Requests", 503: "Service Unavailable"}
