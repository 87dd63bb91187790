"""The states of a call and of its attempts, as the engine moves them and records contain them."""

from dataclasses import dataclass
from enum import StrEnum


class CallState(StrEnum):
    """What became of a call. The first two states are followed by another one."""

    PLANNED = "planned"
    """It was planned; no attempt has been started."""
    RUNNING = "running"
    """An attempt is under way, or the next one waits; the client has no whole response."""
    ANSWERED = "answered"
    """The client has a whole response without an error. Findings tell whether it was repaired."""
    FAILED = "failed"
    """The client has an error: an HTTP error, an error event, or a response that was cut."""
    CANCELLED = "cancelled"
    """The client left, or someone killed the flow, before the response was whole."""
    REFUSED = "refused"
    """The proxy answered with an error of its own and sent nothing upstream."""
    ACKNOWLEDGED = "acknowledged"
    """Fire-and-forget: the client has a 204. A later failure upstream is in the detail, in a
    finding and in the attempt."""
    INTERNAL_FAULT = "internal-fault"
    """A fault in wiremend ended the call."""
    PASSED = "passed"
    """A request that is no call, such as a token count or a list of models: mitmproxy carried it,
    and wiremend noted findings."""

    @property
    def is_final(self) -> bool:
        """Return whether no other state follows by itself."""
        return self not in (CallState.PLANNED, CallState.RUNNING)


class AttemptOutcome(StrEnum):
    """What became of an attempt."""

    RUNNING = "running"
    """It has not ended."""
    ANSWERED = "answered"
    """The client has the response of this attempt."""
    FAILED = "failed"
    """A connection failure, a limit, an error of the provider, or an incomplete response."""
    REJECTED = "rejected"
    """The provider rejected the request, which was changed and sent again."""
    STALE = "stale"
    """A reused connection was closed before the response; the request was sent on a new one."""
    CANCELLED = "cancelled"
    """The client left."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a call, and what to add to it for people."""

    state: CallState
    detail: str = ""
    """Such as "ok", "error 502", "error 502 in the stream", "cut", "cancelled by client"."""


PLANNED = Outcome(CallState.PLANNED)
RUNNING = Outcome(CallState.RUNNING)
ANSWERED = Outcome(CallState.ANSWERED, "ok")
CUT = Outcome(CallState.FAILED, "cut")
CANCELLED = Outcome(CallState.CANCELLED, "cancelled by client")


def http_error(status: int) -> Outcome:
    """Return the outcome of a call whose response is an error with this status."""
    return Outcome(CallState.FAILED, f"error {status}")


def stream_error(status: int) -> Outcome:
    """Return the outcome of a call whose stream ends in an error that stands for this status."""
    return Outcome(CallState.FAILED, f"error {status} in the stream")
