"""The interface between the engine and a protocol's repairer.

A repairer applies the grammar of one protocol to the event stream of one attempt. `feed` takes a
received event and returns the bytes that replace it and its kind; `end` is called after upstream
closed cleanly; `fail` returns the bytes that end the stream in the protocol's error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from wiremend.protocols.base.client_traits import UNKNOWN_CLIENT, ClientTraits, Deviation
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.rules.rule import Finding
from wiremend.text import json_value
from wiremend.text.sse import Event
from wiremend.value_class import value_class


class EventKind(Enum):
    """The meaning of an event for the progress of a call."""

    IDLE = "idle"
    """Pings, comments, blank lines, empty and metadata frames: no progress; may be withheld."""
    PREAMBLE = "preamble"
    """Events before the content, from an allow-list: may be withheld."""
    CONTENT = "content"
    """All other events: progress. Once one is forwarded, the call can no longer be retried."""
    TERMINAL = "terminal"
    """The stream is complete with these bytes; later bytes are ignored."""
    ERROR = "error"
    """The provider reports an error, or the stream is not provably complete."""


class Shows(IntEnum):
    """What an event or a body shows to the user or the agent."""

    NOTHING = 0
    """The frame of a response: its begin, its end, empty text."""
    REASONING = 1
    ANSWER = 2
    """Text, a refusal, a call, audio, a block of a server's tool, or a stop reason that explains
    why there is none of them."""


def has_text(value: Any) -> bool:
    """Return whether a value is text that is not empty, or a list or object that is not."""
    return isinstance(value, str | list | dict) and bool(value)


class Run(NamedTuple):
    """Deltas that follow each other and differ only in their texts."""

    before: bytes
    """The bytes of each delta before its text."""
    after: bytes
    """The bytes behind its text."""
    texts: Sequence[bytes]
    """The insides of strings of JSON; none is empty."""
    is_alike: bool = True
    """Whether each delta is its text between `before` and `after`; else more than that differs."""

    @property
    def text(self) -> str:
        """The texts, joined."""
        joined: str = json_value.read(b'"%b"' % b"".join(self.texts))
        return joined


class Repeatable(NamedTuple):
    """A delta that was forwarded unchanged, and what may differ in its repetitions.

    A delta with the same bytes but for this would be forwarded unchanged as well. It would change
    no state but the number of events, and what `keep` does.
    """

    key: str
    """The name of the member with the text."""
    text: str
    """The text; that of a repetition is not empty."""
    keep: Callable[[Run], object] | None = None
    """Takes a run of repetitions, if the repairer keeps anything of them."""
    number: tuple[str, int] | None = None
    """The member with its number, and that number; its repetitions have the next ones."""
    counts: Sequence[tuple[str, int]] = ()
    """Members with numbers that do not matter."""
    padding: Sequence[tuple[str, str]] = ()
    """Members with text that means nothing."""


@dataclass(slots=True)
class Repaired:
    """The result of repairing one event, or a run of deltas that need no repair."""

    data: bytes
    """The bytes to forward: the original ones, repaired ones, several events, or none."""
    kind: EventKind
    findings: list[Finding] = field(default_factory=list)
    error: ProviderError | None = None
    """Set if and only if `kind` is ERROR. `data` then ends the stream for the client."""
    run: Run | None = field(default=None, compare=False)
    """What `data` consists of, if it is a run of deltas that differ only in their texts."""
    value: Any = None
    """What was parsed of the event, if `data` is that event unchanged."""


def _no_request() -> None:
    return None


@value_class
class StreamContext:
    """The facts of the call that a repairer uses."""

    client: ClientTraits = UNKNOWN_CLIENT
    """The traits of the client; see `wiremend.clients`."""
    shown_model: str | None = None
    """The model name that the response must contain; None leaves it unchanged."""
    model: str = ""
    """The requested model, for events that the repairer adds."""
    tool_names: tuple[str, ...] = ()
    """The names of the tools that the request offers."""
    disabled: frozenset[str] = frozenset()
    """Codes of disabled rules."""
    tool_names_by_sent: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The client's name of each renamed tool, by the name in the request that was sent."""
    compacts: bool = False
    """Responses: the request allows a compaction after the answer."""
    is_compaction: bool = False
    """Responses: the response is a shorter history, not an answer."""
    array: bool = False
    """Gemini without `alt=sse`: the stream is one JSON array."""
    host_deviations: frozenset[Deviation] = frozenset()
    """The deviations in the everyday traffic of the host that the client addressed."""
    forced_tool: bool = False
    """Chat Completions: the request forces the call of a tool by its name."""
    numeric_enums: bool = False
    """Gemini with `enum-encoding=int`: the client reads enumerations as numbers."""
    in_wrapper: bool | None = None
    """Gemini: whether the client reads each response inside Code Assist's `{"response": …}`.

    None: not known; responses stay as they are.
    """
    leaked_formats: tuple[str, ...] = ()
    """The formats in which the target is known to write tool calls as text."""
    sent_request: Callable[[], dict[str, Any] | None] = _no_request
    """Return the parsed body of the request that was sent; None if it is not known."""

    def accepts(self, deviation: Deviation) -> bool:
        """Return whether the client reads this departure from the grammar like valid traffic.

        Clients accept the deviations of the hosts that they call, unless they are known to fail.
        """
        client = self.client
        is_usual = deviation in client.accepts or deviation in self.host_deviations
        return is_usual and deviation not in client.refuses


class Decoder(Protocol):
    """Splits bytes into events; see `wiremend.text.sse.Decoder`."""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, and the parts of large ones."""
        ...

    def end(self) -> list[Event]:
        """Return the unfinished event at the end of the stream, if there is one."""
        ...


class Repairer(Protocol):
    """Repairs one event stream."""

    def decoder(self) -> Decoder:
        """Create a decoder for the framing of the stream."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the response is complete, except perhaps for the terminal event."""
        ...

    @property
    def may_break_off(self) -> bool:
        """Whether the response may be complete if the connection breaks here; `end` decides."""
        ...

    @property
    def holds_back(self) -> bool:
        """Whether bytes are held back until the next event, which may change what they mean.

        The engine calls `release` if that event does not come in time.
        """
        ...

    def feed(self, event: Event) -> Repaired:
        """Repair a complete event. Never raises."""
        ...

    @property
    def delta(self) -> Repeatable | None:
        """The delta that was fed last, if it may be repeated; None if that is not certain."""
        ...

    def skip(self, events: int) -> None:
        """Count such deltas, which are not fed."""
        ...

    def release(self) -> Repaired:
        """Write what is held back although no further event came. May end the stream."""
        ...

    def note_fragment(self, fragment: bytes) -> None:
        """Take the bytes of an event that the end of the stream cut, just before `end`."""
        ...

    def end(self) -> Repaired:
        """End the stream after upstream closed: TERMINAL, or ERROR if it is incomplete."""
        ...

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error. May be called after `end`."""
        ...


@dataclass(slots=True)
class RepairedBody:
    """The result of repairing a buffered 2xx JSON body."""

    data: bytes
    findings: list[Finding] = field(default_factory=list)
    error: ProviderError | None = None
    """Set if the body reports an error or cannot be used: the call failed."""
