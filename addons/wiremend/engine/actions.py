"""What the machines of the engine tell the seam to do, and what they hear of upstream."""

from collections.abc import Sequence
from dataclasses import dataclass

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """A response head: status and header fields as they stand on the wire."""

    status: int
    fields: Fields = ()

    def get(self, name: bytes) -> str:
        """The first value of a header, or an empty string; `name` in lower case."""
        for key, value in self.fields:
            if key.lower() == name:
                return value.decode("latin-1").strip()
        return ""

    def without(self, names: Sequence[bytes]) -> "Head":
        """The same head less the headers of these lower-case names."""
        kept = tuple(field for field in self.fields if field[0].lower() not in names)
        return Head(self.status, kept)


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Connect and send the request."""

    number: int
    fresh: bool
    """Not over a kept-alive connection."""
    target: int = 0
    """Which of the call's targets: 0 is the first choice, others are fallbacks."""


@dataclass(frozen=True, slots=True)
class AbandonAttempt:
    """Give the attempt up: close its connection, or reset its HTTP/2 stream."""


@dataclass(frozen=True, slots=True)
class ReleaseAttempt:
    """The attempt is over and its connection is clean."""


@dataclass(frozen=True, slots=True)
class ShowHead:
    """Send the client the head of a response whose body follows in pieces."""

    head: Head


@dataclass(frozen=True, slots=True)
class ShowBody:
    """Send the client these bytes now."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FinishResponse:
    """The response whose head was shown is complete."""


@dataclass(frozen=True, slots=True)
class CutResponse:
    """The response whose head was shown cannot be completed: break the client's stream."""

    reason: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Send the client a whole response."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call `wake` at this time, in seconds of the machine's clock."""

    when: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line for the log."""

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
