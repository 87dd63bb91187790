"""The configuration in force, in the form that the engine uses.

All times are in seconds. The values are frozen: a reload replaces them, and a running call keeps
those with which it was planned. What they mean for a target is looked up once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from wiremend.adapt.lessons import LessonBook, PlacedLesson
from wiremend.adapt.rejection_recovery import AmendmentLimits
from wiremend.adapt.sessions import Sessions
from wiremend.engine.health import HealthLimits, ProviderHealth
from wiremend.engine.retry import RetryPolicy
from wiremend.held_memory import HELD_LIMIT_BYTES, HeldMemory
from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.middle.target import TranslationTraits
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.routing.fire_and_forget import FireAndForget
from wiremend.routing.limits import LimitChanges
from wiremend.routing.match import Route
from wiremend.routing.provider_keys import ProviderKeys
from wiremend.routing.providers import ProviderAddress
from wiremend.routing.translation import translation_traits_of
from wiremend.rules.containment import FaultLog
from wiremend.targets.registry import deviations_at, leaked_formats, traits_of
from wiremend.value_class import value_class

_KNOWN_TARGETS = 256
"""How many targets a configuration's table holds. More are looked up for each call."""
_LONGEST_NAME = 200
"""Characters. The client chooses the names of models and hosts; longer ones are not kept."""


class Feature(StrEnum):
    """One kind of processing of calls. Each addon declares the features that it requests."""

    ROUTE = "route"
    """Send calls to other models and providers, with fallbacks."""
    ADAPT = "adapt"
    """Change requests so that their targets accept them, and learn from rejections."""
    REPAIR = "repair"
    """Repair events and bodies, keep silent streams alive, end stalled ones."""
    RAISE = "raise"
    """Turn errors inside a 200 into HTTP errors."""
    RETRY = "retry"
    """Repeat failed attempts while the client has received nothing."""
    ACKNOWLEDGE = "acknowledge"
    """Answer fire-and-forget requests with 204."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds; 0 means no limit. `total` applies to the call, the others to an attempt.

    `engine.deadlines` lists what each one measures.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    answer: float = 900.0
    idle: float = 120.0
    progress: float = 600.0
    total: float = 0.0


def changed[Limits: (Timeouts, RetryPolicy, HealthLimits)](
    limits: Limits, changes: LimitChanges
) -> Limits:
    """Return the limits with the changes that concern them; the same object without any."""
    new: dict[str, Any] = {item.name: getattr(changes, item.name, None) for item in fields(limits)}
    new = {name: value for name, value in new.items() if value is not None}
    return replace(limits, **new) if new else limits


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Keep-alives to a streaming client.

    The first is sent after `after` seconds of silence (0: never), further ones every `interval`
    seconds (0: every `after` seconds).
    """

    after: float = 15.0
    interval: float = 15.0


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is known and configured about one model of one provider, in one protocol."""

    provider: ProviderAddress | None
    """The configured provider."""
    traits: TargetTraits
    """What requests must satisfy, without what a route changes."""
    leaked_formats: tuple[str, ...]
    """The formats in which it writes calls as text."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of every call while this configuration is in force."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    health: HealthLimits = field(default_factory=HealthLimits)
    routes: tuple[Route, ...] = ()
    """The entries of `[[models]]`; the first one that matches is applied."""
    providers: Mapping[str, ProviderAddress] = field(default_factory=lambda: MappingProxyType({}))
    """The configured providers by name."""
    origins: frozenset[str] = frozenset()
    """Web origins that may use the providers' keys."""
    disabled: frozenset[str] = frozenset()
    """Codes of the disabled rules."""
    reports_only: bool = False
    """Whether rules only report: calls pass unchanged."""
    stream_codes: frozenset[str] = frozenset()
    """Codes of the rules on streams, which are all disabled unless repair is requested."""
    lessons: tuple[PlacedLesson, ...] = ()
    """The configured lessons: what targets refuse."""
    amendments: AmendmentLimits = field(default_factory=AmendmentLimits)
    """How long a request is changed and sent again."""
    fire_and_forget: FireAndForget = field(default_factory=lambda: FireAndForget(()))
    ack_after_seconds: float = 5.0
    held_limit_bytes: int = HELD_LIMIT_BYTES
    """What all calls may hold in memory; 0: no limit."""
    _facts: dict[tuple[WireProtocol, str, str, str], TargetFacts] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _translated: dict[tuple[WireProtocol, str, str], TranslationTraits] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _deviations: dict[tuple[WireProtocol, str], frozenset[Deviation]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def facts_of(self, protocol: WireProtocol, provider: str, host: str, model: str) -> TargetFacts:
        """Return what is known and configured about a target. `provider` may be a host's name."""
        key = protocol, provider, host, model
        facts = self._facts.get(key)
        if facts is None:
            facts = self._find_facts(protocol, provider, host, model)
            if len(self._facts) < _KNOWN_TARGETS and max(map(len, key)) <= _LONGEST_NAME:
                self._facts[key] = facts
        return facts

    def _find_facts(
        self, protocol: WireProtocol, provider: str, host: str, model: str
    ) -> TargetFacts:
        configured = self.provider_at(provider, host)
        at = configured.facts_host if configured else host
        traits = traits_of(
            protocol,
            at,
            model,
            dialect=self.dialect_of(provider, host),
            rules=configured.message_rules if configured else None,
            max_output_tokens=configured.max_output_tokens if configured else None,
        )
        formats = configured.leaked_formats if configured else None
        if formats is None:
            formats = leaked_formats(protocol, at, model)
        return TargetFacts(configured, traits, formats)

    def translation_traits(
        self, protocol: WireProtocol, address: ProviderAddress, model: str
    ) -> TranslationTraits:
        """Return what a configured provider takes of requests that are translated for it."""
        key = protocol, address.name, model
        traits = self._translated.get(key)
        if traits is None:
            traits = translation_traits_of(protocol, address, model)
            if len(self._translated) < _KNOWN_TARGETS and len(model) <= _LONGEST_NAME:
                self._translated[key] = traits
        return traits

    def deviations_at(self, protocol: WireProtocol, host: str) -> frozenset[Deviation]:
        """Return how the everyday responses of this host depart from the protocol's grammar."""
        key = protocol, host
        deviations = self._deviations.get(key)
        if deviations is None:
            deviations = deviations_at(protocol, host)
            if len(self._deviations) < _KNOWN_TARGETS and len(host) <= _LONGEST_NAME:
                self._deviations[key] = deviations
        return deviations

    def provider_at(self, name: str, host: str) -> ProviderAddress | None:
        """Return the configured provider with this name, else the first one at this host."""
        named = self.providers.get(name)
        at_host = (address for address in self.providers.values() if address.host == host)
        return named or next(at_host, None)

    def dialect_of(self, name: str, host: str) -> str | None:
        """Return the schema dialect configured for this provider, or for one at this host."""
        named = self.providers.get(name)
        if named is not None and named.schema_dialect is not None:
            return named.schema_dialect
        at_host = (address for address in self.providers.values() if address.host == host)
        return next((found.schema_dialect for found in at_host if found.schema_dialect), None)


@value_class
class Knowledge:
    """What was learnt from earlier calls. All calls of a proxy share it; a reload keeps it."""

    health: ProviderHealth = field(default_factory=ProviderHealth)
    """Retry budgets and circuit breakers."""
    lessons: LessonBook = field(default_factory=LessonBook)
    """What targets have refused."""
    sessions: Sessions = field(default_factory=Sessions)
    """How running conversations are adapted that must keep their beginning."""
    keys: ProviderKeys = field(default_factory=ProviderKeys)
    """Which keys of providers with several were refused; a reload forgets it."""
    fault_log: FaultLog = field(default_factory=FaultLog)
    """Limits the lines about internal faults."""
    memory: HeldMemory = field(default_factory=HeldMemory)
    """What all calls hold."""
