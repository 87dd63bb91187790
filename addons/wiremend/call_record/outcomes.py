"""The states of a call and of its attempts, as used by the engine and stored in records."""

from dataclasses import dataclass
from enum import StrEnum


class CallState(StrEnum):
    """The state of a call. The first two states are followed by another one."""

    PLANNED = "planned"
    """No attempt has been started."""
    RUNNING = "running"
    """An attempt is running or the next one is scheduled; the response is incomplete."""
    ANSWERED = "answered"
    """The client has a complete response without an error; findings report repairs."""
    FAILED = "failed"
    """The client received an HTTP error, an error event, or an incomplete response."""
    CANCELLED = "cancelled"
    """The client disconnected, or the flow was killed, before the response was complete."""
    REFUSED = "refused"
    """The proxy answered with an error and sent nothing upstream."""
    ACKNOWLEDGED = "acknowledged"
    """Fire-and-forget: the client has a 204. The detail, a finding and the attempt contain a later
    failure upstream."""
    INTERNAL_FAULT = "internal-fault"
    """An internal fault of wiremend ended the call."""
    PASSED = "passed"
    """Not a call, such as a token count or a list of models: mitmproxy forwarded the request, and
    there are findings."""

    @property
    def is_final(self) -> bool:
        """Return whether the call has ended."""
        return self not in (CallState.PLANNED, CallState.RUNNING)


class AttemptOutcome(StrEnum):
    """The state of an attempt."""

    RUNNING = "running"
    """It has not ended."""
    ANSWERED = "answered"
    """The client has the response of this attempt."""
    FAILED = "failed"
    """The connection failed, a limit was exceeded, or the response was an error or incomplete."""
    REJECTED = "rejected"
    """The provider rejected the request, which was changed and sent again."""
    STALE = "stale"
    """A reused connection was closed before the response; the request was sent on a new one."""
    CANCELLED = "cancelled"
    """The client disconnected."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a call, and a short description for users."""

    state: CallState
    detail: str = ""
    """For example "ok", "error 502", "error 529 in the stream", "wiremend ended the stream with
    error 502", "cut", "cancelled by client"."""


IN_THE_STREAM = "in the stream"
"""The end of the detail if a stream ends in an error that the provider reported."""
OWN_END = "wiremend ended the stream with error"
"""The beginning of the detail if the provider reported none."""

PLANNED = Outcome(CallState.PLANNED)
RUNNING = Outcome(CallState.RUNNING)
ANSWERED = Outcome(CallState.ANSWERED, "ok")
CUT = Outcome(CallState.FAILED, "cut")
INTERNAL_FAULT = Outcome(CallState.INTERNAL_FAULT, "internal fault")
CANCELLED = Outcome(CallState.CANCELLED, "cancelled by client")


def http_error(status: int) -> Outcome:
    """Return the outcome of a call whose response is an error with this status."""
    return Outcome(CallState.FAILED, f"error {status}")


def stream_error(status: int, *, is_own: bool) -> Outcome:
    """Return the outcome of a call whose stream ends in an error equivalent to this status.

    `is_own`: the provider reported no error; wiremend ended the stream.
    """
    text = f"{OWN_END} {status}" if is_own else f"error {status} {IN_THE_STREAM}"
    return Outcome(CallState.FAILED, text)
