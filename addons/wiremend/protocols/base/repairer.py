"""The interface between the engine and a protocol's repairer.

A repairer applies one protocol's grammar to one attempt's event stream: `feed` takes each event
as it came, and returns the bytes that replace it and what it means to the call; `end` is called
when upstream closed cleanly; `fail` returns the bytes that end the stream in the protocol's own
error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from wiremend.protocols.base.client_traits import UNKNOWN_CLIENT, ClientTraits
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.rules.rule import Finding
from wiremend.text.sse import Event


class EventKind(Enum):
    """What an event means to the life of a call."""

    IDLE = "idle"
    """Pings, comments, blank lines, empty and metadata frames: no progress, may be held."""
    PREAMBLE = "preamble"
    """Handshake events from an allow-list: may be held."""
    CONTENT = "content"
    """Everything else: progress; once forwarded, the call can no longer be retried."""
    TERMINAL = "terminal"
    """The stream is complete with these bytes; whatever follows is ignored."""
    ERROR = "error"
    """The provider reports an error, or the stream cannot be proven complete."""


@dataclass(slots=True)
class Repaired:
    """What one event became."""

    data: bytes
    """The bytes to forward: the event's own, repaired ones, several events, or nothing."""
    kind: EventKind
    findings: list[Finding] = field(default_factory=list)
    error: ProviderError | None = None
    """Set exactly when `kind` is ERROR. `data` then ends a stream whose content was shown."""


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What a repairer may know of the call besides its stream."""

    client: ClientTraits = UNKNOWN_CLIENT
    """What is known about the client; see `wiremend.clients`."""
    shown_model: str | None = None
    """The model name that the response must contain; None leaves it unchanged."""
    model: str = ""
    """The requested model, for events that have to be written from nothing."""
    tool_names: tuple[str, ...] = ()
    """The names of the tools that the request offers."""
    disabled: frozenset[str] = frozenset()
    """Codes of rules that are switched off."""
    tool_names_by_sent: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The client's name of each tool that was sent under another name."""
    array: bool = False
    """Gemini without `alt=sse`: the stream is one JSON array."""


class Decoder(Protocol):
    """Bytes to events; see `wiremend.text.sse.Decoder`."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises `sse.EventTooLarge`."""
        ...

    def end(self) -> list[Event]:
        """What was left unfinished when the stream ended."""
        ...


class Repairer(Protocol):
    """One protocol's grammar at work on one event stream."""

    def decoder(self) -> Decoder:
        """A fresh decoder for the stream's framing."""
        ...

    @property
    def complete(self) -> bool:
        """The answer is whole: its stop reason came, and only the stream's end may be missing."""
        ...

    def feed(self, event: Event) -> Repaired:
        """What a complete event becomes. Never raises on any event."""
        ...

    def end(self) -> Repaired:
        """Upstream closed after a whole event: TERMINAL with what was missing, or ERROR."""
        ...

    def fail(self, error: ProviderError) -> bytes:
        """The bytes that end the stream in this error, given what was fed. Allowed after `end`."""
        ...


@dataclass(slots=True)
class RepairedBody:
    """What a buffered 2xx JSON body became."""

    data: bytes
    findings: list[Finding] = field(default_factory=list)
    error: ProviderError | None = None
    """The body reports an error, or cannot be used: the call failed."""
