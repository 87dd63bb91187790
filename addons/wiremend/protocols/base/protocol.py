"""What a protocol provides: one frozen value per protocol, made in the protocol's package."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import RepairedBody, Repairer, StreamContext
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

type HistoryPass = Callable[[dict[str, Any], Edits, MessageTraits, Notes], None]
"""Looks at a parsed request for a target with these traits; adds edits, and notes each of them."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request's body and path contain that others need."""

    model: str = ""
    streaming: bool = False
    tool_names: tuple[str, ...] = ()
    array: bool = False
    """Gemini without `alt=sse`: the stream is one JSON array."""
    valid: bool = True
    """False: the body is not a JSON object."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The paths of a protocol, as patterns that are searched in a path without its query."""

    call: re.Pattern[str]
    unversioned: re.Pattern[str]
    """The end of a call's path, from where it is the same behind any provider's base URL."""
    count: re.Pattern[str] | None = None
    """Counting tokens; None: the protocol has no such endpoint."""


@dataclass(frozen=True, slots=True)
class KeyHeader:
    """The request header that carries a provider's key."""

    name: str
    form: str = "{}"

    def value(self, key: str) -> str:
        """The header's value for this key."""
        return self.form.format(key)


class ModelInPath(Interface):
    """A model that is named in the URL rather than in the body."""

    def read(self, path: str) -> str | None:
        """The model that this path (with its query) names; None if it names none."""
        ...

    def write(self, path: str, model: str) -> str:
        """The path, naming `model`; the very same string if it already does."""
        ...


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How tokens are counted before a call."""

    answer: Callable[[int], Mapping[str, int | str]]
    """The response's body for a number of tokens."""
    inner_request: str | None = None
    """The member that contains the whole request to count, with a model of its own."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """How a list of models is written."""

    list_key: str
    id_key: str
    is_last_page: Callable[[Mapping[str, Any]], bool]
    """Whether an answer with these keys is such a list, and no further page follows."""
    entry: Callable[[str], dict[str, Any]]
    """The entry for a model of this name."""
    listed_as: Callable[[str], str] = str
    """The id of a model of this name."""


class Grammar(Interface):
    """Reports what is illegal in a stream; shares only vocabulary with the repairer."""

    def feed(self, event: sse.Event) -> list[str]:
        """The violations that this event completes."""
        ...

    def end(self) -> list[str]:
        """The violations that the stream's end completes."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Protocol:
    """A wire protocol between agents and providers. Every field is one fact about it."""

    name: WireProtocol

    # Endpoints and credentials
    endpoints: Endpoints
    key_header: KeyHeader
    token_count: TokenCount | None
    model_list: ModelList
    model_in_path: ModelInPath | None

    # Requests
    read_request: Callable[[str, Mapping[str, Any] | None], RequestFacts]
    """The facts of a request: its path with the query, and its parsed body, None if invalid."""
    request_wrappers: tuple[str, ...]
    """Members that may contain the request proper."""
    client_tools: Callable[[dict[str, Any]], Iterator[ClientTool]]
    """The tools of a parsed request that the client runs, in order."""
    server_tool_names: Callable[[dict[str, Any]], list[str]]
    """The names of the tools that the provider runs, where the request contains them."""
    tool_mentions: Callable[[Mapping[str, Any]], Iterator[Mention]]
    """Every place of a parsed request that names a tool, without the offers themselves."""
    tool_choice: ChoiceOfOne | ChoiceOfMode
    schema_form: SchemaForm
    history_passes: tuple[tuple[Rule, HistoryPass], ...]
    """The passes over messages and parameters, in order, each with the rule that enables it."""

    # Responses
    make_repairer: Callable[[StreamContext], Repairer]
    """A fresh repairer for one attempt's event stream."""
    repair_body: Callable[[bytes, StreamContext], RepairedBody]
    """What a buffered 2xx body becomes."""
    usage_format: UsageFormat
    """How token counts are written."""
    make_grammar: Callable[[StreamContext], Grammar]
    """A fresh grammar for one event stream."""
    error_body: Callable[[ProviderError], bytes]
    """The body of an HTTP error, in the protocol's own envelope."""

    def __repr__(self) -> str:
        return self.name
