"""Requests to the scripted provider, and the replies to them.

A `Reply` is a list of steps; a step is an async function of an `Exchange`, which has one
implementation per HTTP version (provider.py). The catalogue of replies is faults.py.
"""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Headers = tuple[tuple[str, str], ...]


@dataclass(eq=False)
class Received:
    """A request as it reached the provider."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    connection: int
    """The number of its connection, from 1."""
    http_version: str
    """`HTTP/1.1` or `HTTP/2`."""
    closed: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    def header(self, name: str) -> str:
        """The value of a header, or an empty string."""
        wanted = name.lower().encode()
        return next((v.decode() for n, v in self.headers if n.lower() == wanted), "")

    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)

    def wait_until_closed(self, timeout_seconds: float = 5.0) -> bool:
        """Return whether the peer closes or resets the stream or connection in time."""
        return self.closed.wait(timeout_seconds)

    def wait_until_finished(self, timeout_seconds: float = 5.0) -> bool:
        """Return whether the reply of the provider ends, in any way, in time."""
        return self.finished.wait(timeout_seconds)


class PeerGone(Exception):
    """The peer left while the reply was being written."""


class Framing(Enum):
    """How the end of a body is marked in HTTP/1.1; ignored in HTTP/2, except `NONE`."""

    CHUNKED = "transfer-encoding: chunked"
    LENGTH = "content-length, among the headers"
    CLOSE = "the end of the connection"
    NONE = "there is no body"


class Exchange(ABC):
    """The provider's side of one request. Every method raises PeerGone if the peer has left."""

    received: Received
    stream = 0
    """The number of the HTTP/2 stream."""

    @abstractmethod
    async def informational(self, status: int, headers: Headers) -> None:
        """Send a 1xx head."""

    @abstractmethod
    async def head(self, status: int, headers: Headers, framing: Framing) -> None:
        """Send the response's head."""

    @abstractmethod
    async def body(self, data: bytes) -> None:
        """Send bytes of the body, and wait until the kernel of the peer has received them."""

    @abstractmethod
    async def end(self) -> None:
        """End the body properly."""

    @abstractmethod
    async def end_with_trailers(self, trailers: Headers) -> None:
        """End the body properly, with trailers; in HTTP/1.1 it must be chunked."""

    @abstractmethod
    async def raw(self, data: bytes) -> None:
        """Send bytes as they are, outside any HTTP framing."""

    @abstractmethod
    async def hold(self) -> None:
        """Do nothing until the peer leaves (PeerGone) or the test calls `release`."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connection: TLS close_notify and FIN."""

    @abstractmethod
    async def cut(self) -> None:
        """Close the connection with a FIN, without a TLS close_notify."""

    @abstractmethod
    async def reset(self) -> None:
        """Reset the connection: a TCP RST."""

    @abstractmethod
    async def reset_stream(self, code: int) -> None:
        """HTTP/2 only: RST_STREAM with this error code."""

    @abstractmethod
    async def go_away(self, code: int, last_stream: int | None) -> None:
        """HTTP/2 only: GOAWAY with this error code, then the end of the connection."""

    @abstractmethod
    async def go_away_gracefully(self, *, processed: bool) -> None:
        """HTTP/2 only: GOAWAY; earlier requests may finish, and this one if `processed`."""


Step = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True)
class Reply:
    """The provider's reply to one request."""

    name: str
    steps: tuple[Step, ...]

    async def play(self, exchange: Exchange) -> None:
        """Run the steps in order."""
        for step in self.steps:
            await step(exchange)

    def __str__(self) -> str:
        return self.name


class ConnectionFault(Enum):
    """A failure of one connection attempt, before there is a request."""

    REFUSE = "connection refused"
    """A real ECONNREFUSED (needs the proxy to run with answer_from_loopback.py)."""
    TLS_FAILURE = "TLS handshake failure"
    """The connection is accepted; the reply to the ClientHello is a handshake_failure alert."""
    RESET = "reset on accept"
    """The connection is accepted and reset before any byte."""


Script = Reply | ConnectionFault | Callable[[Received], Reply]
