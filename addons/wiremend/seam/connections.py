"""What the calls of one client connection share: their connections upstream."""

from dataclasses import dataclass, field
from typing import Protocol

from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HttpStream

Commands = layer.CommandGenerator[None]


class Draining(Protocol):
    """A call whose client has its response, but whose upstream has not come to its end."""

    def stop_draining(self) -> Commands:
        """Another request wants the connection."""
        ...


@dataclass
class GetAttemptConnection(GetHttpConnection):
    """A connection for one attempt."""

    instead_of: Connection | None = None
    """The one that the attempt before failed on: neither this call nor a new one is to meet it."""

    # Two calls that want the same are still two; mitmproxy compares them by what they want.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclass
class LastRequestSent(events.Event):
    """An HTTP/2 connection gets no more requests: it is to close when what runs there is over."""


@dataclass
class ReadOver(events.Event):
    """Everything that one network read brought has been handed out."""


@dataclass
class Connections:
    """What one HttpLayer's calls do with its upstream connections."""

    used: set[str] = field(default_factory=set)
    """Ids of connections that carried an attempt: the next one there is a reuse."""
    draining: dict[Connection, Draining] = field(default_factory=dict)
    """Connections whose response the client already has, but whose end has not come."""
    background: set[Draining] = field(default_factory=set)
    """Answered calls that go on upstream: the client's leaving must not end them."""
    close_when_done: commands.CloseConnection | None = None
    next_attempt_id: int = -1
    leaving: set[Connection] = field(default_factory=set)
    """Connections that get no more requests, but whose running ones may finish."""
    reading: list[HttpStream] | None = None
    """While one network read is looked at: the streams that got bytes of it."""


def connections_of(http_layer: HttpLayer) -> Connections:
    """What the calls of this layer's client share; made at the first question."""
    connections: Connections = http_layer.__dict__.setdefault("wiremend", Connections())
    return connections
