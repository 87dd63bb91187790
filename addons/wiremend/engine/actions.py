"""The actions that a machine returns for the seam to perform, and the response heads it reads."""

from collections.abc import Sequence

from wiremend.value_class import value_class

Fields = tuple[tuple[bytes, bytes], ...]


@value_class
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


@value_class
class StartAttempt:
    """Connect and send the request."""

    number: int
    fresh: bool
    """Whether a new connection is required; a kept-alive one must not be used."""
    target: int = 0
    """Index of the target: 0 is the first choice, the others are fallbacks."""


@value_class
class AbandonAttempt:
    """Abort the attempt: close its connection, or reset its HTTP/2 stream."""


@value_class
class ReleaseAttempt:
    """The attempt has ended; its connection can be reused unless it was lost."""


@value_class
class ShowHead:
    """Send the client the head of a response; the body follows in `ShowBody` actions."""

    head: Head


@value_class
class ShowBody:
    """Send the client these bytes now."""

    data: bytes


@value_class
class FinishResponse:
    """End the response body normally."""

    with_trailers: bool = False
    """Also send the provider's trailers, if it sent any."""


@value_class
class CutResponse:
    """Abort the response to the client, so that it is not taken for a complete one."""

    reason: str


@value_class
class Respond:
    """Send the client a whole response."""

    head: Head
    body: bytes


@value_class
class WakeAt:
    """Call `wake` at this time, in monotonic seconds."""

    when: float


@value_class
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
