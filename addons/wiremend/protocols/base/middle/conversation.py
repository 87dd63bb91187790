"""A request in the middle form."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from wiremend.protocols.base.middle.content import Call, Own, Part, Placed, Text
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_edits import Path
from wiremend.value_class import value_class


class Role(StrEnum):
    """Who a turn is from. Tool results are in user turns."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"


AUTHORITIES = frozenset({Role.SYSTEM, Role.DEVELOPER})


@value_class
class Turn(Placed):
    """A message, in its place.

    A reader makes one turn of each message, item or content. Adjacent turns of one role are legal;
    a writer merges them where its protocol requires that.
    """

    role: Role
    parts: tuple[Part, ...]
    is_plain: bool = False
    """Whether the content was one string rather than a list of parts."""


class ToolKind(StrEnum):
    """Who defines a tool, and who runs it."""

    FUNCTION = "function"
    """Defined by a schema, run by the client."""
    CUSTOM = "custom"
    """Takes free text, perhaps in a grammar; run by the client."""
    TYPED = "typed"
    """Defined by the vendor, run by the client: `bash_20250124`, `local_shell` …"""
    SERVER = "server"
    """Run by the provider: web search …"""


@value_class
class Tool(Placed):
    """A tool that the model may call. `own` contains the other members of its definition."""

    name: str
    """For tools that the provider runs, the common name: `web_search`, `code_execution` …"""
    kind: ToolKind = ToolKind.FUNCTION
    description: str = ""
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of the arguments; None if there is none."""
    strict: bool | None = None
    type: str = ""
    """The vendor's type of a typed or server tool, such as `web_search_20250305`."""
    grammar: str = ""
    """The definition of the grammar of a custom tool."""
    grammar_syntax: str = ""
    """`lark` or `regex`."""
    namespace: str = ""
    is_in_history: bool = False
    """Whether an item of the history defines it (`additional_tools` of Responses). The item is also
    there as opaque content, so the same protocol does not list the tool again."""


@value_class
class Namespace(Placed):
    """A namespace of tools, in Responses."""

    name: str
    description: str = ""


class ChoiceMode(StrEnum):
    """Whether the model calls tools."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


@value_class
class ToolName:
    """The name of a tool in a choice."""

    name: str
    namespace: str = ""
    kind: ToolKind = ToolKind.FUNCTION


@value_class
class ToolChoice(Placed):
    """Which tools the model may or must call."""

    mode: ChoiceMode = ChoiceMode.AUTO
    forced: ToolName | None = None
    """The one tool that it must call; `mode` is then REQUIRED."""
    allowed: tuple[ToolName, ...] | None = None
    """The tools that it may choose from; None: all."""


class FormatKind(StrEnum):
    """The format of the answer's text."""

    TEXT = "text"
    JSON = "json_object"
    SCHEMA = "json_schema"


@value_class
class OutputFormat(Placed):
    """Structured output."""

    kind: FormatKind
    schema: Mapping[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class ThinkingMode(StrEnum):
    """Whether the model reasons before it answers."""

    OFF = "off"
    ON = "on"
    """With a budget, or as much as the model wants."""
    ADAPTIVE = "adaptive"
    """The model decides for each turn."""


@value_class
class Reasoning(Placed):
    """What the request says about reasoning."""

    mode: ThinkingMode | None = None
    """None: the request does not say it; the default of the target applies."""
    effort: str = ""
    """`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`, or an unknown word; empty: not
    given."""
    budget_tokens: int | None = None
    is_shown: bool | None = None
    """Whether the client wants to read the reasoning or its summary; None: not given."""


@value_class(kw_only=True)
class Parameters:
    """Numbers and limits. None: not given."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    stops: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    parallel_calls: bool | None = None
    """Whether the model may call several tools in one turn."""


@value_class
class Need:
    """A member of a request without which it means something else.

    A target of another protocol that cannot provide it refuses the request.
    """

    what: str
    """The name of the member: `previous_response_id`, `n` …"""
    reason: str
    """Why it cannot be left out, as the end of a sentence for the client."""
    path: Path = ()


@value_class
class Conversation:
    """A request, independent of its protocol."""

    source: WireProtocol
    """The protocol that it was read from."""
    model: str = ""
    system: tuple[Text, ...] = ()
    """System text outside of the messages: `system`, `instructions`, `systemInstruction`. System
    messages of Chat Completions and Responses are turns."""
    is_system_plain: bool = False
    """Whether the system text was one string."""
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    choice: ToolChoice | None = None
    format: OutputFormat | None = None
    reasoning: Reasoning = field(default_factory=Reasoning)
    parameters: Parameters = field(default_factory=Parameters)
    session: str = ""
    """What identifies the session, for caches of prompts; never an account or a device."""
    stream: bool = False
    """Whether the client asked for a stream."""
    needs: tuple[Need, ...] = ()
    own: Own | None = None
    """Top-level members without a place here, and those whose value the reader did not
    understand. Empty lists and texts that mean the same as nothing are here too."""


def whole_name(name: str, namespace: str) -> str:
    """Return the name of a tool for protocols without namespaces."""
    return f"{namespace}__{name}" if namespace else name


def calls_in(turns: tuple[Turn, ...]) -> Iterator[Call]:
    """Yield the calls of the history, in order."""
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, Call):
                yield part


def names_by_call(turns: tuple[Turn, ...]) -> dict[str, str]:
    """Return the name of the tool of each call in the history, by the id of the call."""
    return {call.id: call.name for call in calls_in(turns)}
