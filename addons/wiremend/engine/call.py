"""A call: one model request, planned. A frozen value; the machine carries it out."""

from dataclasses import dataclass, field, replace
from typing import Literal

from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.engine.actions import Respond
from wiremend.engine.health import CallHealth
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat, Timeouts
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import StreamContext
from wiremend.rules.rule import Finding


@dataclass(frozen=True, slots=True)
class Target:
    """One provider and model that a call may be sent to."""

    provider: str
    """As errors name it."""
    model: str = ""
    health: CallHealth | None = None
    """Its retry budget and circuit breaker; None: neither."""


@dataclass(frozen=True, slots=True)
class Call:
    """Everything that is decided about a call before its first attempt."""

    protocol: Protocol
    targets: tuple[Target, ...]
    """The first choice, then the fallbacks."""
    streaming: bool
    """Whether the client asked for an event stream."""
    requests: tuple[OutgoingRequest, ...] = ()
    """What goes to each target, before it is adapted."""
    adapted: AdaptedRequests | None = None
    """The requests adapted to their targets, changed again after a rejection; None: unadapted."""
    context: StreamContext = field(default_factory=StreamContext)
    """What repair needs from the request."""
    showing: Literal["live", "guarded", "buffered"] = "live"
    """When content is shown: at once, after its beginning proved good, or when it is complete."""
    raise_errors: bool = True
    """Turn errors inside a 200 into HTTP errors."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    findings: tuple[Finding, ...] = ()
    """What rules found in the request."""
    refusal: Respond | None = None
    """The response to a call that must not go upstream."""
    refusal_reason: str = ""

    def context_at(self, target: int) -> StreamContext:
        """What repair needs from the request to this target, as that request is now."""
        names = self.adapted.at(target).tool_names_by_sent if self.adapted else {}
        return replace(self.context, tool_names_by_sent=names) if names else self.context

    def request_for(self, target: int) -> OutgoingRequest:
        """What goes to this target now."""
        return self.adapted.at(target).request if self.adapted else self.requests[target]


@dataclass(frozen=True, slots=True)
class AcknowledgedCall:
    """A fire-and-forget request: answered with 204, whatever upstream sends later."""

    host: str
    ack_after_seconds: float
    """How long to wait for upstream's own status."""
    limit_seconds: float
    """How long upstream may take; 0: no limit."""
