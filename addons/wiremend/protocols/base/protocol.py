"""The interface of a protocol: one frozen value, created in the package of the protocol."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from typing import Protocol as Interface

from wiremend.protocols.base.middle.interface import Translation
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import RepairedBody, Repairer, Shows, StreamContext
from wiremend.protocols.base.tools import (
    ChoiceOfMode,
    ChoiceOfOne,
    ClientTool,
    Mention,
    SchemaForm,
)
from wiremend.protocols.base.traits import MessageTraits
from wiremend.protocols.base.usage import UsageFormat
from wiremend.rules.rule import Notes, Rule
from wiremend.text import sse
from wiremend.text.json_edits import Edits
from wiremend.text.patterns import TextPattern
from wiremend.value_class import value_class

type HistoryPass = Callable[[dict[str, Any], Edits, MessageTraits, Notes], None]
"""Adapts a parsed request to a target with these traits: adds edits and records the findings."""


class HistoryStep(NamedTuple):
    """A pass over the messages or the parameters of requests."""

    rule: Rule
    """The rule that it implements."""
    adapt: HistoryPass
    words: frozenset[str]
    """It does not change a request that contains none of them: see `message_rules.words`."""


def step(rule: Rule, adapt: HistoryPass, *words: str) -> HistoryStep:
    """Create a step for requests that contain one of these words."""
    return HistoryStep(rule, adapt, frozenset(words))


@value_class
class RequestFacts:
    """The facts of a request that the rest of the program needs."""

    model: str = ""
    streaming: bool = False
    tool_names: tuple[str, ...] = ()
    array: bool = False
    """Gemini without `alt=sse`: the stream is one JSON array."""
    forced_tool: bool = False
    """Chat Completions: the request forces the call of a tool by its name."""
    compacts: bool = False
    """Responses: a compaction may follow the answer."""
    is_compaction: bool = False
    """Responses: the request asks for a shorter history instead of an answer."""
    numeric_enums: bool = False
    """Gemini with `enum-encoding=int`: the client reads enumerations as numbers."""
    in_wrapper: bool | None = None
    """Gemini: whether the client reads each response inside Code Assist's `{"response": …}`."""
    valid: bool = True
    """Whether the body is a JSON object."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The paths of a protocol, as patterns to search in a path without its query."""

    call: TextPattern[str]
    unversioned: TextPattern[str]
    """The part of a call's path that follows the base URL of any provider."""
    count: TextPattern[str] | None = None
    """The endpoint that counts tokens; None: the protocol has none."""


@dataclass(frozen=True, slots=True)
class KeyHeader:
    """The request header that contains the API key."""

    name: str
    form: str = "{}"

    def value(self, key: str) -> str:
        """Return the value of the header for this key."""
        return self.form.format(key)


class ModelInPath(Interface):
    """Access to a model name that is in the URL rather than in the body."""

    def read(self, path: str) -> str | None:
        """Return the model in this path (with its query), or None."""
        ...

    def write(self, path: str, model: str) -> str:
        """Return the path with `model`; the same string if it contains that model already."""
        ...


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How tokens are counted before a call."""

    answer: Callable[[int], Mapping[str, int | str]]
    """Return the body of the response for a number of tokens."""
    inner_request: str | None = None
    """The member that contains the request to count, which has its own model."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """The format of a list of models."""

    list_key: str
    id_key: str
    is_last_page: Callable[[Mapping[str, Any]], bool]
    """Return whether a response with these keys is such a list, and its last page."""
    entry: Callable[[str], dict[str, Any]]
    """Return the entry of a model with this name."""
    listed_as: Callable[[str], str] = str
    """Return the id of a model with this name."""


@dataclass(frozen=True, slots=True)
class ThinkingBinding:
    """How a protocol binds the model's thinking to what precedes it in the request."""

    prefix: tuple[str, ...]
    """The members that may not change between two turns."""
    start: Callable[[Mapping[str, Any]], Any]
    """Return what is the same in all requests of one conversation, and differs from others."""
    is_bound: Callable[[Mapping[str, Any]], bool]
    """Return whether the history contains signed thinking."""
    words: frozenset[str]
    """A request that contains none of them contains no such thinking: see `message_rules.words`."""


@dataclass(frozen=True, slots=True)
class AnswerText:
    """What an event, or a whole response, means for the text of the answer."""

    text: str = ""
    """The text that it adds."""
    is_other: bool = False
    """Whether it contains other content before `text`, so that earlier text does not end the
    answer."""
    is_beyond: bool = False
    """Whether calls in text are not looked for behind it: it has a call, or several answers."""
    ends: bool | None = None
    """Whether the answer ended as the model meant it to; None: it has not ended."""
    is_last: bool = False
    """Whether no content can follow."""
    answer_id: str = ""
    """The id of the response, if it contains that."""


@dataclass(frozen=True, slots=True)
class RecoveredCall:
    """A tool call that was found in the text of a response."""

    name: str
    arguments: dict[str, Any]
    key: str
    """What tells it from all other calls of the conversation, for its id."""


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An event of the end of a response, which was held back."""

    event: sse.Event
    value: Any
    """Its parsed data, which may be modified; None if it has none."""
    kept: str | None = None
    """The part of its text that is no call; None if it contains no text."""


type Rewritten = tuple[sse.Event | None, Any]
"""An event and its data. The event is None for a new one, the data for one that is unchanged."""


class CannotRewrite(Exception):
    """The end of a response does not have the form in which a call can be written into it."""


@dataclass(frozen=True, slots=True)
class CallsInText:
    """Finding tool calls in the text of a response, and writing them as calls."""

    functions: Callable[[dict[str, Any]], dict[str, Any]]
    """Return the schemas by name of the functions that the response may call; empty if it may call
    none, or if the provider stores messages that the request does not contain."""
    read: Callable[[Any], AnswerText]
    """Return what the parsed data of an event means."""
    write: Callable[[Sequence[HeldEvent], str, Sequence[RecoveredCall]], list[Rewritten]]
    """Return the events with the calls in place of this text, at whose end they were found. Raises
    CannotRewrite."""
    read_body: Callable[[Any], AnswerText]
    """Return what a parsed body means."""
    write_body: Callable[[Any, str, Sequence[RecoveredCall]], None]
    """Put the calls in place of this text at the end of a parsed body. Raises CannotRewrite."""
    parsed: tuple[bytes, ...]
    """Parts of the data of events that have to be read although no text in them can be a call."""


class Grammar(Interface):
    """Reports the violations in a stream; shares only tables with the repairer."""

    def feed(self, event: sse.Event) -> list[str]:
        """Return the violations in this event."""
        ...

    def end(self) -> list[str]:
        """Return the violations at the end of the stream."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Protocol:
    """A wire protocol between agents and providers."""

    name: WireProtocol

    # Endpoints and credentials
    endpoints: Endpoints
    key_header: KeyHeader
    token_count: TokenCount | None
    model_list: ModelList
    model_in_path: ModelInPath | None

    # Requests
    read_request: Callable[[str, Mapping[str, Any] | None], RequestFacts]
    """Return the facts of a request: its path with the query, its parsed body (None if invalid)."""
    request_wrappers: tuple[str, ...]
    """Members of a body that may contain the actual request."""
    client_tools: Callable[[dict[str, Any]], Iterator[ClientTool]]
    """Yield the tools of a parsed request that the client runs, in order."""
    server_tool_names: Callable[[dict[str, Any]], list[str]]
    """Return the names of the tools that the provider runs, if the request contains them."""
    tool_mentions: Callable[[Mapping[str, Any]], Iterator[Mention]]
    """Yield every tool name in a parsed request, except in the list of tools."""
    mention_words: frozenset[str]
    """A request that contains none of them mentions no tool: see `message_rules.words`."""
    tool_choice: ChoiceOfOne | ChoiceOfMode
    schema_form: SchemaForm
    history_passes: tuple[HistoryStep, ...]
    """The passes over messages and parameters, in order, each with its rule."""
    thinking_binding: ThinkingBinding | None
    """None: the protocol's thinking is not bound to what precedes it."""

    # Responses
    make_repairer: Callable[[StreamContext], Repairer]
    """Create a repairer for the event stream of one attempt."""
    is_terminal: Callable[[sse.Event], bool]
    """Return whether a stream is complete after this event. Used only where repairing failed, so
    it shares no code with the repairer."""
    repair_body: Callable[[bytes, StreamContext], RepairedBody]
    """Repair a buffered 2xx body."""
    usage_format: UsageFormat
    """The format of token counts in responses."""
    shows: Callable[[Mapping[str, Any]], Shows]
    """Return what a parsed event or body shows."""
    fold: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any] | None]
    """Return the body with the content of a stream, given the data of its repaired events."""
    unfold: Callable[[Mapping[str, Any]], list[bytes]]
    """Return server-sent events with the content of a body, for the repairer to complete."""
    calls_in_text: CallsInText
    """Calls that a model wrote as text."""
    make_grammar: Callable[[StreamContext], Grammar]
    """Create a grammar for one event stream."""
    error_body: Callable[[ProviderError], bytes]
    """Return the body of an HTTP error, in the envelope of the protocol."""

    # Translation
    translation: Translation | None = None
    """The readers and writers of the middle form; None: the protocol cannot be translated."""

    def __repr__(self) -> str:
        return str(self.name)
