"""A call: one planned model request, as a frozen value. A machine carries it out."""

from dataclasses import dataclass, field
from typing import Literal

from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.engine.actions import Respond
from wiremend.engine.health import CallHealth
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat, Timeouts
from wiremend.engine.translation.answers import TargetTranslation
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.base.traits import NO_FIELD_CHANGES, FieldChanges
from wiremend.routing.limits import NO_CHANGES, LimitChanges
from wiremend.routing.provider_keys import CallKeys
from wiremend.rules.containment import Fault
from wiremend.rules.rule import Finding
from wiremend.value_class import copier, value_class

_changed = copier(StreamContext)


@value_class
class Target:
    """One provider and model that a call may be sent to."""

    provider: str
    """The name used in error messages."""
    model: str = ""
    health: CallHealth | None = None
    """Its retry budget and circuit breaker; None disables both."""
    leaked_formats: tuple[str, ...] = ()
    """The formats in which it is known to write tool calls as text."""
    translation: TargetTranslation | None = None
    """How its answers are translated; None: they are in the client's protocol."""
    keys: CallKeys | None = None
    """The keys that the call may use there; None: the one in its request."""
    retry: RetryPolicy | None = None
    """Its own policy; None: that of the call."""
    timeouts: Timeouts | None = None
    """Its own limits; None: those of the call."""
    disabled: frozenset[str] = frozenset()
    """Codes of the rules that are disabled for it, besides those of the call."""


@dataclass(frozen=True, slots=True)
class Call:
    """All decisions about a call that are made before its first attempt."""

    protocol: Protocol
    """The client's; a target may have another."""
    targets: tuple[Target, ...]
    """The first choice, then the fallbacks."""
    streaming: bool
    """Whether the client requested an event stream."""
    is_kind_known: bool = True
    """Whether a client that requested no event stream certainly expects JSON."""
    requests: tuple[OutgoingRequest, ...] = ()
    """The request for each target, before it is adapted."""
    changes: FieldChanges = NO_FIELD_CHANGES
    """What the entry of `[[models]]` changes in the request to every target."""
    limits: LimitChanges = NO_CHANGES
    """What the entry of `[[models]]` changes of the limits at every target."""
    disabled: frozenset[str] = frozenset()
    """Codes of the rules that this entry disables."""
    adapted: AdaptedRequests | None = None
    """The requests as adapted to their targets, and changed after rejections; None: unadapted."""
    context: StreamContext = field(default_factory=StreamContext)
    """The parts of the request that repair needs."""
    showing: Literal["live", "guarded", "buffered"] = "live"
    """When content is sent: at once, after 4 KiB or 3 seconds of it, or when it is complete."""
    raise_errors: bool = True
    """Turn errors inside a 200 into HTTP errors."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    wants_answer: bool = False
    """Whether a response without text or call is taken for a mistake. `RetryPolicy.silent_stop`
    decides whether it is asked for again."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    findings: tuple[Finding, ...] = ()
    """What rules found in the request."""
    refusal: Respond | None = None
    """The response to a call that must not go upstream."""
    refusal_reason: str = ""

    @property
    def may_stream(self) -> bool:
        """Whether the client can read an event stream, as far as is known."""
        return self.streaming or not self.is_kind_known

    @property
    def held_bytes(self) -> int:
        """The size of the requests: each distinct body, and one that is parsed."""
        bodies = [request.body for request in self.requests]
        if self.adapted is not None:
            bodies += [self.adapted.at(0).request.body, *bodies[1:]]  # later ones when needed
        distinct = {id(body): len(body) for body in bodies}
        return sum(distinct.values()) + max(distinct.values(), default=0)

    def context_at(self, target: int) -> StreamContext:
        """Return the context of repair for the current request to this target."""
        translation = self.targets[target].translation
        context = self.context if translation is None else translation.context
        if not self.targets[target].disabled <= context.disabled:
            off = context.disabled | self.targets[target].disabled
            context = _changed(context, disabled=off)
        names = self.adapted.at(target).tool_names_by_sent if self.adapted else {}
        if context.tool_names and self.requests:
            document = self.request_for(target).document
            return _changed(
                context,
                tool_names_by_sent=names or context.tool_names_by_sent,
                leaked_formats=self.targets[target].leaked_formats,
                sent_request=lambda: document.fields,  # parsed only if a call is found
            )
        return _changed(context, tool_names_by_sent=names) if names else context

    def request_for(self, target: int) -> OutgoingRequest:
        """Return the current request for this target, with the current key."""
        request = self.adapted.at(target).request if self.adapted else self.requests[target]
        keys = self.targets[target].keys
        return request if keys is None else keys.applied_to(request)

    def retry_at(self, target: int) -> RetryPolicy:
        """Return the policy of retries at this target."""
        return self.targets[target].retry or self.retry

    def timeouts_at(self, target: int) -> Timeouts:
        """Return the time limits at this target."""
        return self.targets[target].timeouts or self.timeouts

    def asks_again_at(self, target: int) -> bool:
        """Return whether a response of this target without an answer is asked for again."""
        return self.wants_answer and self.retry_at(target).silent_stop


@dataclass(frozen=True, slots=True)
class PassingCall(Call):
    """A call that is neither adapted nor repeated: the client receives what the provider sends."""

    observed: Call | None = None
    """The call that would be repaired; what its rules find is recorded. None: nothing is read."""
    faults: tuple[Fault, ...] = ()
    """The faults that were contained in planning."""


@dataclass(frozen=True, slots=True)
class AcknowledgedCall:
    """A fire-and-forget request: the client receives 204, whatever upstream sends later."""

    host: str
    ack_after_seconds: float
    """Seconds to wait for upstream's status before answering."""
    limit_seconds: float
    """Seconds after which the upstream request fails; 0: no limit."""
