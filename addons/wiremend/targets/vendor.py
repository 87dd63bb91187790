"""The types of the facts about a vendor.

Each vendor has one file with one `Vendor`. A fact is recorded when it was observed or reported for
this vendor, not because the vendor resembles another one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.middle.target import ThinkingSwitch
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import CallIdLimit, MessageTraits, TargetTraits
from wiremend.targets.wordings import Wording

MESSAGES = frozenset({WireProtocol.ANTHROPIC_MESSAGES})
CHAT = frozenset({WireProtocol.CHAT_COMPLETIONS})
RESPONSES = frozenset({WireProtocol.RESPONSES})
GEMINI = frozenset({WireProtocol.GEMINI})
EVERY_PROTOCOL = frozenset(WireProtocol)

CALLS_AND_RESULTS = ("Q001", "Q002", "Q003")
"""Every tool call has its result in the next message, every result has its call, and results are
at the start of their message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a vendor requires of requests in some protocols, and the evidence.

    All requirements that match a call apply. If two of them set the same limit, the later one is
    used, so the more specific ones follow the general ones in a vendor's file.
    """

    protocols: frozenset[WireProtocol]
    reason: str
    """The provider's error message, or an explanation."""
    seen: tuple[str, ...] = ()
    """Reports, as `owner/repository#number`."""

    hosts: tuple[str, ...] | None = None
    """Globs of the hosts that it applies to; None means all hosts of the vendor."""
    models: tuple[str, ...] = ("*",)
    """Globs of the models at these hosts that it applies to, ignoring case."""
    at_gateways: tuple[str, ...] | None = None
    """Globs of the models at gateways that it applies to; None means all models of the vendor."""

    dialect: str | None = None
    """The dialect of tool schemas: a name in `schema_dialects.DIALECTS`."""
    names: NameLimit | None = None
    """The allowed tool names."""
    unique_names: bool = False
    """No two tools may have the same name."""
    strip_custom_type: bool = False
    """Tools must not contain `"type":"custom"`."""
    refused_betas: tuple[str, ...] = ()
    """Globs of values of the `anthropic-beta` header that must not be sent."""
    json_schema_key: bool = False
    """Tools may have full JSON Schema as `parametersJsonSchema`, instead of `parameters`."""
    rules: tuple[str, ...] = ()
    """Codes of the rules on messages and parameters that requests must satisfy."""
    call_ids: CallIdLimit | None = None
    """The allowed ids of tool calls."""
    token_limit_name: str | None = None
    """The name of the parameter that limits the output."""
    thinking_type: str | None = None
    """The only type of thinking that is accepted: `adaptive` or `enabled`."""
    refused_efforts: tuple[str, ...] = ()
    """The reasoning efforts that are refused."""


def combined(requirements: Sequence[Requirement]) -> TargetTraits:
    """Return the traits of a target with these requirements."""
    messages: dict[str, Any] = {}
    tools: dict[str, Any] = {}
    rules: list[str] = []
    for requirement in requirements:
        rules += requirement.rules
        for values, names in ((messages, _LIMITS_OF_MESSAGES), (tools, _LIMITS_OF_TOOLS)):
            for name in names:
                value = getattr(requirement, name)
                if value:
                    values[name] = value
        for values, name in ((messages, "refused_efforts"), (tools, "refused_betas")):
            more = getattr(requirement, name)
            if more:
                values[name] = values.get(name, ()) + more
    if not rules and not messages:
        return TargetTraits(**tools)
    return TargetTraits(**tools, messages=MessageTraits(frozenset(rules), **messages))


_LIMITS_OF_MESSAGES = ("call_ids", "token_limit_name", "thinking_type")
_LIMITS_OF_TOOLS = ("dialect", "names", "unique_names", "strip_custom_type", "json_schema_key")
"""Fields of a requirement of which the last one that is set applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakedCalls:
    """How a vendor's models write tool calls into the text of responses, and the evidence."""

    formats: tuple[str, ...]
    """Names in `wiremend.text.call_formats.FORMATS`."""
    seen: tuple[str, ...]
    """Reports, as `owner/repository#number`."""
    protocols: frozenset[WireProtocol] = EVERY_PROTOCOL
    hosts: tuple[str, ...] | None = None
    """Globs of the hosts that do so; None means all hosts of the vendor."""
    models: tuple[str, ...] = ("*",)
    """Globs of the models at these hosts that do so, ignoring case."""
    at_gateways: tuple[str, ...] | None = None
    """Globs of the models at gateways that do so; None means all models of the vendor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationFact:
    """What a vendor takes of requests that are translated for it.

    All facts that match a call apply, and a later one replaces members of an earlier one.
    """

    traits: Mapping[str, Any]
    """Members of `TranslationTraits`."""
    reason: str
    """The documentation or the behaviour of the provider."""
    is_measured: bool = False
    """Whether it was observed in traffic, or read from what a client was seen to use. Otherwise it
    is from documentation and reports: no call could be made to the provider."""
    protocols: frozenset[WireProtocol] = CHAT
    hosts: tuple[str, ...] | None = None
    """Globs of the hosts that it applies to; None means all hosts of the vendor."""
    models: tuple[str, ...] = ("*",)
    """Globs of the models at these hosts that it applies to, ignoring case."""
    at_gateways: tuple[str, ...] | None = None
    """Globs of the models at gateways that it applies to; None means all models of the vendor."""


def of_models(
    models: tuple[str, ...],
    reason: str,
    *,
    protocols: frozenset[WireProtocol] = CHAT,
    at_gateways: bool = True,
    is_measured: bool = False,
    **traits: Any,
) -> TranslationFact:
    """Return a fact about these models, at the vendor's own hosts and at gateways."""
    return TranslationFact(
        traits=MappingProxyType(traits),
        reason=reason,
        is_measured=is_measured,
        protocols=protocols,
        models=models,
        at_gateways=models if at_gateways else (),
    )


THINKING_BY_TYPE = ThinkingSwitch(
    on={"thinking": {"type": "enabled"}}, off={"thinking": {"type": "disabled"}}
)
"""The switch that several vendors took over from Anthropic's protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """An API of a vendor, as a configuration can name it: its address, protocols and key."""

    name: str
    base_url: str
    protocols: Mapping[str, str]
    """The protocol of each model, by glob, as in `[providers.NAME] protocol`. The first glob that
    matches counts."""
    key_variable: str
    """The environment variable in which the vendor's users keep their key."""
    aliases: tuple[str, ...] = ()
    """Other names of it."""
    is_measured: bool = False
    """Whether address and protocols were observed; see `TranslationFact.is_measured`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """All known facts about one vendor."""

    name: str
    hosts: tuple[str, ...]
    """Globs of its API hosts."""
    intercepted: bool = True
    """False: its hosts serve much besides models, so only `[intercept] hosts` opens them."""
    models: tuple[str, ...] = ()
    """Globs of its models at gateways, ignoring case, without a prefix such as `anthropic/`."""
    is_gateway: bool = False
    """Its hosts forward calls to the model's vendor, so requirements are selected by model. Its own
    facts are about all models at its hosts."""
    requirements: tuple[Requirement, ...] = ()
    leaked_calls: tuple[LeakedCalls, ...] = ()
    translation: tuple[TranslationFact, ...] = ()
    presets: tuple[Preset, ...] = ()
    name_limits: Mapping[str, NameLimit] = field(default_factory=lambda: MappingProxyType({}))
    """The allowed tool names, by dialect of tool schemas."""
    rejections: tuple[Wording, ...] = ()
    """The wordings of rejections that teach a lesson. For one tool and kind of lesson, the first
    one that matches is used."""
    session_header: str = ""
    """The header in which its hosts require an id of the session, the same in each turn."""
    too_many_tools: str = ""
    """A pattern that matches its error message for too many tools; empty if unknown."""
    deviations: Mapping[WireProtocol, frozenset[Deviation]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """How its everyday responses depart from a protocol's grammar. The clients that call its hosts
    accept it."""
    status_by_code: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """The HTTP status for each of its error numbers."""
    status_by_finish_reason: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The HTTP status for each of its finish reasons that reports a failure."""
