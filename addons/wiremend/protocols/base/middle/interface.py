"""What a protocol provides for translation: two readers and two writers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from typing import Protocol as Interface

from wiremend.protocols.base.middle.answer import AnswerEvent
from wiremend.protocols.base.middle.content import CallKind
from wiremend.protocols.base.middle.conversation import Conversation
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.text import sse
from wiremend.value_class import value_class


@dataclass(frozen=True, slots=True)
class SentTool:
    """The client's words for a tool that was sent under another name, or in another form."""

    name: str
    namespace: str = ""
    kind: CallKind = CallKind.FUNCTION
    argument: str = ""
    """The member of the arguments that contains the input of a custom tool; empty: they are
    passed as they are."""


@value_class
class WrittenRequest:
    """A request for a provider."""

    path: str
    """The path and query, without a prefix of the provider: `/v1/chat/completions`."""
    body: bytes
    tools: Mapping[str, SentTool] = field(default_factory=lambda: MappingProxyType({}))
    """The tools whose name or form differs from the client's, by the name that was sent."""


@value_class
class AnswerContext:
    """The facts of a call that the writers and readers of its answer use."""

    origin: Origin
    """The provider's protocol, host and model: who issues the state in the answer."""
    request: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The client's request, parsed. It contains what some protocols repeat in answers, and whether
    the client asked for counts (`stream_options`)."""
    model: str = ""
    """The model exactly as the client named it; Claude Code drops reasoning of another name."""
    answer_id: str = ""
    """Random letters and digits, different for each answer. Ids of the answer and its parts are
    derived from it: clients merge answers with equal ids, and confuse calls with equal ids."""
    created: int = 0
    """The time of the answer, in seconds since 1970."""
    input_tokens: int | None = None
    """An estimate of the tokens of the prompt, for protocols that begin with a count."""
    tools: Mapping[str, SentTool] = field(default_factory=lambda: MappingProxyType({}))
    """`WrittenRequest.tools` of the request that was sent."""
    path: str = ""
    """The path of the client's request. Responses has one that answers with a compaction."""
    think_tags: bool = False
    """`TranslationTraits.think_tags` of the target."""
    asks_in_words: bool = False
    """Whether the request asked for JSON in words, since the target has no format for it. The
    answer may then be in a code fence."""


class StreamReader(Interface):
    """Reads the events of one repaired stream. Incremental; never raises."""

    def feed(self, event: sse.Event) -> list[AnswerEvent]:
        """Return what one event contains. Comments, pings and blank lines contain nothing."""
        ...

    def read(self, data: dict[str, Any]) -> list[AnswerEvent]:
        """Return what an event contains whose data was parsed to this object.

        It is not modified, and parts of it are kept.
        """
        ...

    def takes_alike(self, number: int) -> bool:
        """Return whether more text of this open part is read without any change of state."""
        ...

    def end(self) -> list[AnswerEvent]:
        """Return the rest, after the last event: nothing if the stream had its terminal event, else
        its end, or a failure where it is not complete."""
        ...


class StreamWriter(Interface):
    """Writes one stream. Owns indices, ids, order and the only terminal event."""

    @property
    def failure(self) -> ProviderError | None:
        """The error in which the writer itself ended the stream; None if it did not."""
        ...

    def feed(self, event: AnswerEvent) -> bytes:
        """Return the bytes of the events that this event becomes; often none.

        After `End` or `Failure` nothing is written any more.
        """
        ...

    def frame_of_text(self, number: int) -> tuple[bytes, bytes] | None:
        """Return the bytes around the text in what a delta of a part becomes.

        The text is inside a string of JSON. None if they may differ for a further delta.
        """
        ...

    def skip_text(self, number: int, text: str) -> None:
        """Count the text of such deltas of a part, which are not fed."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Translation:
    """The readers and writers of one protocol."""

    read_request: Callable[[str, Mapping[str, Any]], Conversation]
    """Read a request: its path with the query, and its parsed body, which is not modified."""
    write_request: Callable[[Conversation, Target, Losses], WrittenRequest]
    """Write a request for a target of this protocol. Raises NotCarried."""
    make_reader: Callable[[AnswerContext, Losses], StreamReader]
    """Create a reader for the answer of a provider of this protocol."""
    make_writer: Callable[[AnswerContext, Losses], StreamWriter]
    """Create a writer for a client of this protocol. The stream is in server-sent events also where
    the client reads another framing."""
