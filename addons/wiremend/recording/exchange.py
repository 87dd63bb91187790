"""What every reader returns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import Finding

type Headers = tuple[tuple[str, str], ...]
"""Names and values, in order; decoded as Latin-1."""


class UnusableRecording(Exception):
    """A file that is missing, damaged, or contains something else. The text is for the user.

    It has one line, does not contain the name of the file, and quotes nothing from it.
    """


class BodyAlone(UnusableRecording):
    """A file that seems to be the body of a response, whose protocol was not given."""


class Ending(Enum):
    """How a response ended, as far as the recording contains it."""

    COMPLETE = "complete"
    """As its framing announced, or the recording does not contain an error."""
    CUT = "cut"
    """Upstream reset the connection or closed it too early."""
    LEFT = "left"
    """Not upstream's fault: the client left, or the recorder kept only the beginning."""


@dataclass(frozen=True, slots=True)
class LiveFindings:
    """What the proxy found when the call was made."""

    request: tuple[Finding, ...]
    response: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """A response of a provider, before any repair."""

    status: int
    headers: Headers
    body: bytes | None
    """With the content coding that the headers name; None: it was not recorded."""
    has_label: bool = True
    """Whether the recorder stores headers, so that a missing content type is a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request to a provider, and its response."""

    attempt: int = 0
    """The number of the attempt, from 1; 0: the recording has no attempts."""
    protocol: WireProtocol | None = None
    """None: to be recognised by the request."""
    method: str = "POST"
    scheme: str = "https"
    host: str = ""
    port: int = 443
    path: str = ""
    """With its query; empty: not recorded."""
    headers: Headers = ()
    body: bytes | None = None
    """The body of the request; None: not recorded."""
    is_checked: bool = True
    """Whether the request is checked: it is what the client sent, and to this provider."""
    streaming: bool | None = None
    """Whether the call streams; None: its request decides."""
    response: RecordedResponse | None = None
    """None: there was none."""
    ending: Ending = Ending.COMPLETE
    is_sent: bool = True
    """Whether a connection was established."""
    error: str = ""
    """Why the exchange ended, in the words of the recorder."""
    live_findings: LiveFindings | None = None
    """What the proxy found; for a recording that does not contain upstream's bytes."""
    transport_findings: tuple[Finding, ...] = ()
    """What the proxy found about the connection, such as a timeout. Its bytes do not show that."""
    notes: tuple[str, ...] = ()
    """What could not be read exactly."""


@dataclass(frozen=True, slots=True)
class Message:
    """A part of a recorded flow in which secrets are searched for."""

    name: str
    """Such as `request` or `attempt 2 response`."""
    headers: Headers = ()
    path: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class RecordedFlow:
    """One entry of a recording. It need not be a call to a model."""

    number: int
    """Its number in the file, from 1."""
    exchanges: Sequence[Exchange]
    """Usually one; one for each attempt in a recording of wiremend; none for other protocols."""
    messages: Callable[[], Iterable[Message]] = tuple
    """Returns everything in which secrets are searched for."""
    original: Any = field(default=None, repr=False)
    """The flow in the types of the reader, for rewriting the recording."""


type RecordedFlows = Iterator[RecordedFlow]


def encodable(text: str) -> str:
    """Return the text with lone surrogates replaced, which JSON can contain and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def header_value(headers: Headers, name: str) -> str:
    """Return the first value of a header; empty without it. `name` is in lower case."""
    return next((value for key, value in headers if key.lower() == name), "")
