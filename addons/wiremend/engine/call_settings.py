"""What a machine must know of its call, and what it may do to it."""

from dataclasses import dataclass, field, replace
from typing import Literal

from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.engine.health import CallHealth
from wiremend.engine.retry import RetryPolicy
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import StreamContext


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


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Keep-alives to a streaming client.

    The first is sent after `after` seconds of silence (0: never), further ones every `interval`
    seconds (0: every `after` seconds).
    """

    after: float = 15.0
    interval: float = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """One provider and model that a call may be sent to."""

    provider: str
    """As errors name it."""
    model: str = ""
    health: CallHealth | None = None
    """Its retry budget and circuit breaker; None: neither."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What a machine must know of its call, and what it may do to it."""

    protocol: Protocol
    targets: tuple[Target, ...]
    """The first choice, then the fallbacks."""
    streaming: bool
    context: StreamContext = field(default_factory=StreamContext)
    fitted: AdaptedRequests | None = None
    """What goes to each target, to be changed when it is rejected; None: it is what it is."""
    showing: Literal["live", "guarded", "buffered"] = "live"
    """When content is shown: at once, after its beginning proved good, or when it is complete."""
    raise_errors: bool = True
    """Turn errors inside a 200 into HTTP errors."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)

    def context_at(self, target: int) -> StreamContext:
        """What a mender may know of the call at this target, as its request is now."""
        names = self.fitted.at(target).tool_names_by_sent if self.fitted else {}
        return replace(self.context, tool_names_by_sent=names) if names else self.context
