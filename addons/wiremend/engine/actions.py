"""The actions that a machine returns for the seam to perform, and the response heads it reads."""

from collections.abc import Sequence
from dataclasses import dataclass

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """A response head: status and header fields, in the order and spelling of the wire."""

    status: int
    fields: Fields = ()

    def get(self, name: bytes) -> str:
        """Return the first value of a header, or an empty string; `name` is in lower case."""
        for key, value in self.fields:
            if key.lower() == name:
                return value.decode("latin-1").strip()
        return ""

    def without(self, names: Sequence[bytes]) -> "Head":
        """Return the head without the headers of these lower-case names."""
        kept = tuple(field for field in self.fields if field[0].lower() not in names)
        return Head(self.status, kept)


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Connect and send the request."""

    number: int
    fresh: bool
    """Whether a new connection is required; a kept-alive one must not be used."""
    target: int = 0
    """Index of the target: 0 is the first choice, the others are fallbacks."""


@dataclass(frozen=True, slots=True)
class AbandonAttempt:
    """Abort the attempt: close its connection, or reset its HTTP/2 stream."""


@dataclass(frozen=True, slots=True)
class ReleaseAttempt:
    """The attempt has ended; its connection can be reused unless it was lost."""


@dataclass(frozen=True, slots=True)
class ShowHead:
    """Send the client the head of a response; the body follows in `ShowBody` actions."""

    head: Head


@dataclass(frozen=True, slots=True)
class ShowBody:
    """Send the client these bytes now."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FinishResponse:
    """End the response body normally."""

    with_trailers: bool = False
    """Also send the provider's trailers, if it sent any."""


@dataclass(frozen=True, slots=True)
class CutResponse:
    """Abort the response to the client, so that it is not taken for a complete one."""

    reason: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Send the client a whole response."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call `wake` at this time, in monotonic seconds."""

    when: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """Write one line to the log."""

    text: str
    warning: bool = True


Action = (
    StartAttempt
    | AbandonAttempt
    | ReleaseAttempt
    | ShowHead
    | ShowBody
    | FinishResponse
    | CutResponse
    | Respond
    | WakeAt
    | LogLine
)
