"""What is known about a vendor: the types of the facts in this package.

Each vendor has one file with one `Vendor`. A fact is recorded when a provider was seen to behave
that way, never because the provider resembles another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

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
"""Every tool call has its result in the next message, every result has its call, and the results
come first in their message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a vendor requires of requests in some protocols, and how that is known.

    All requirements that match a call apply together. Where two of them set the same limit, the
    later one wins, so a vendor's file has the more specific ones further down.
    """

    protocols: frozenset[WireProtocol]
    reason: str
    """The provider's own message, or an explanation."""
    seen: tuple[str, ...] = ()
    """Where it was reported: `owner/repository#number`."""

    hosts: tuple[str, ...] | None = None
    """Globs of hosts; None: all of the vendor's."""
    models: tuple[str, ...] = ("*",)
    """Globs of the models at these hosts that it applies to, in any case."""
    at_gateways: tuple[str, ...] | None = None
    """Globs of the models at gateways that it applies to; None: all of the vendor's."""

    dialect: str | None = None
    """The dialect of tools' schemas: a name in `schema_dialects.DIALECTS`."""
    names: NameLimit | None = None
    """The names that tools may have."""
    unique_names: bool = False
    """No two tools may have the same name."""
    strip_custom_type: bool = False
    """Tools must come without `"type":"custom"`."""
    refused_betas: tuple[str, ...] = ()
    """Globs of values of the `anthropic-beta` header that must not be sent."""
    rules: tuple[str, ...] = ()
    """Codes of the rules on messages and parameters that requests must pass."""
    call_ids: CallIdLimit | None = None
    """The ids that tool calls may have."""

    def added_to(self, traits: TargetTraits) -> TargetTraits:
        """Return the traits with this requirement on top of them."""
        messages = MessageTraits(
            traits.messages.rules | frozenset(self.rules),
            self.call_ids or traits.messages.call_ids,
            traits.messages.max_output_tokens,
        )
        return replace(
            traits,
            dialect=self.dialect or traits.dialect,
            names=self.names or traits.names,
            unique_names=self.unique_names or traits.unique_names,
            strip_custom_type=self.strip_custom_type or traits.strip_custom_type,
            refused_betas=traits.refused_betas + self.refused_betas,
            messages=messages,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Everything that is known about one vendor."""

    name: str
    hosts: tuple[str, ...]
    """Globs of the hosts that answer for it. Their TLS is intercepted."""
    models: tuple[str, ...] = ()
    """Globs of its models as gateways name them, in any case, without a prefix such as
    `anthropic/`."""
    is_gateway: bool = False
    """Its hosts pass a call on to the model's own vendor, so the model decides what applies."""
    requirements: tuple[Requirement, ...] = ()
    name_limits: Mapping[str, NameLimit] = field(default_factory=lambda: MappingProxyType({}))
    """The names that tools may have, by the dialect of their schemas."""
    rejections: tuple[Wording, ...] = ()
    """How it words the rejections that teach something; of those that teach the same kind of
    lesson about the same tool, the first counts."""
    too_many_tools: str = ""
    """How it words that a request has too many tools, as a pattern; empty: unknown."""
    status_by_code: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """The HTTP status of each of its own error numbers."""
    status_by_finish_reason: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The HTTP status of each of its finish reasons that report a failure."""
