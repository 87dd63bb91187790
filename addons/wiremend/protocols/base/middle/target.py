"""What a writer of requests must know of the target: who it is, and what it takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.traits import CallIdLimit
from wiremend.value_class import value_class

FUNCTION_NAMES = NameLimit("a-zA-Z0-9_-", "a-zA-Z0-9_-", 64)
"""The names of functions that every provider of Chat Completions and Responses takes."""
CALL_IDS = CallIdLimit()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingSwitch:
    """The members with which a target's reasoning is switched, each a JSON object to merge in."""

    on: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    off: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    always: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What is sent whether or not reasoning is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationTraits:
    """What a target takes. The defaults suit a provider of which nothing is known.

    Facts about vendors are in `wiremend.targets`; a writer uses the members that concern it.
    """

    call_ids: CallIdLimit = CALL_IDS
    names: NameLimit = FUNCTION_NAMES
    media: frozenset[MediaKind] = frozenset({MediaKind.IMAGE})
    """The media that it takes in user messages."""
    media_urls: bool = True
    """Whether it fetches media by their address."""
    max_output_tokens: int | None = None
    """Its limit; larger ones are lowered to it, and it is sent where a limit is required."""
    efforts: tuple[str, ...] = ()
    """The words of effort that it takes, from the weakest to the strongest; empty: it takes none.
    """
    effort_path: tuple[str, ...] = ("reasoning_effort",)
    """Chat Completions: the members that lead to the effort."""
    thinking: ThinkingSwitch = ThinkingSwitch()
    """How its reasoning is switched on and off; empty: it is not."""
    is_adaptive: bool = True
    """Anthropic: whether it takes adaptive thinking with an effort, rather than a budget."""
    forced_choice_with_thinking: bool = True
    """Whether it takes a forced choice of tools while it reasons."""
    strict_tools: bool = True
    """Whether it takes `strict` in the definitions of tools."""
    system_in_place: bool = True
    """Whether it takes system messages after the first message; otherwise their text is sent as a
    user's, in `<system-reminder>`."""
    developer_role: bool = False
    """OpenAI: system text is sent as `developer`."""
    limit_field: str = "max_tokens"
    """Chat Completions: the member with the limit of output tokens."""
    returned_reasoning: str = ""
    """Chat Completions: the member of an assistant message in which it wants its reasoning back,
    such as `reasoning_content`; empty: it does not."""
    reasoning_placeholder: str | None = None
    """Chat Completions: what it accepts as reasoning of a message with calls whose own is lost;
    None: it does not require any."""
    unsigned_call: str | None = None
    """Gemini: what it accepts as signature of the first call of a turn whose own is lost; None: it
    does not require any. Rule Q107 signs only the current turn, so a call would lose it later."""
    think_tags: bool = False
    """Chat Completions: whether its answers begin with their reasoning, between `<think>` and
    `</think>`."""
    schema_formats: bool = True
    """Whether it takes a JSON Schema as format of the output."""
    parallel_calls_field: bool = True
    """Whether it takes `parallel_tool_calls`."""
    usage_in_stream: bool = True
    """Chat Completions: whether it takes `stream_options`."""
    prompt_cache_key: bool = False
    """Whether it takes `prompt_cache_key`."""
    null_content: bool = True
    """Chat Completions: an assistant message without text has `null` as content, else `""`."""
    server_tools: frozenset[str] = frozenset()
    """The common names of the tools that it runs itself and that requests of other protocols may
    use."""
    cache_marks: int = 0
    """Anthropic and Chat Completions: the number of own `cache_control` marks that are set."""


@value_class(kw_only=True)
class Target:
    """Where a translated request is sent."""

    origin: Origin
    """Its protocol, host and model; reasoning state of this origin is restored."""
    traits: TranslationTraits = TranslationTraits()

    @property
    def model(self) -> str:
        """The model that is written into the request."""
        return self.origin.model
