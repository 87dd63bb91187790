"""The schema of a call's record; the docstring of the package has the overview."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.protocols.base.usage import Usage as UsageCounts
from wiremend.rules.rule import (
    AttemptPlace,
    BodyPlace,
    CallPlace,
    EventPlace,
    Finding,
    HeaderPlace,
    Place,
    StoredPlace,
)

METADATA_KEY = "wiremend"
"""The key of the record in a flow's metadata."""
SCHEMA_VERSION = 1


class Stored(BaseModel):
    """A part of a record. Fields of later versions are ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


class StoredEvent(Stored):
    """An event of a response stream."""

    kind: Literal["event"]
    number: int
    """The first one is 1."""

    def place(self) -> Place:
        """Convert to the type that rules use."""
        return EventPlace(self.number)


class StoredBodyPath(Stored):
    """A value in a JSON body."""

    kind: Literal["body"]
    path: list[int | str]
    """Keys of objects and indices of arrays, outermost first; empty for the whole body."""

    def place(self) -> Place:
        """Convert to the type that rules use."""
        return BodyPlace(tuple(self.path))


class StoredAttemptNumber(Stored):
    """One attempt of the call."""

    kind: Literal["attempt"]
    number: int
    """The `number` of an entry of `attempts`."""

    def place(self) -> Place:
        """Convert to the type that rules use."""
        return AttemptPlace(self.number)


class StoredHeader(Stored):
    """A header field of the request."""

    kind: Literal["header"]
    name: str

    def place(self) -> Place:
        """Convert to the type that rules use."""
        return HeaderPlace(self.name)


class StoredPart(Stored):
    """A part of the call as a whole."""

    kind: Literal["part"]
    part: CallPlace

    def place(self) -> Place:
        """Convert to the type that rules use."""
        return self.part


StoredPlaces = Annotated[
    StoredEvent | StoredBodyPath | StoredAttemptNumber | StoredHeader | StoredPart,
    Field(discriminator="kind"),
]


class StoredFinding(Stored):
    """One place where a rule applied."""

    code: str
    """The rule's code, such as `S105`."""
    place: StoredPlaces | None = None
    """Where it applied, as data; None if another version of wiremend wrote it in another form."""
    where: str = ""
    """The same as text, such as `event 12` or `tools[3].input_schema`."""
    found: str = ""
    """What was found, quoted or described."""
    done: str = ""
    """What wiremend did."""

    def finding(self) -> Finding:
        """Convert to the type that rules use."""
        place = self.place.place() if self.place is not None else StoredPlace(self.where)
        return Finding(self.code, place, self.found, self.done)


class KeptBody(Stored):
    """The bytes of a body, without transfer coding, with content coding as on the wire."""

    data: bytes
    """The bytes, up to the limit."""
    size: int
    """Number of bytes of the body; more than in `data` if the limit was exceeded."""
    chunks: list[tuple[float, int]] = []
    """For each chunk: seconds since the start of the call, and the end of the chunk in `data`.
    Empty if times were not kept."""
    same_as: str = ""
    """The message with the same body, such as `client_request` or `attempts[0].response`; `data` is
    then empty in the file. `load.load_record` fills it in."""


class KeptRequest(Stored):
    """A request."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    """Names and values in their order on the wire, decoded as Latin-1."""
    body: KeptBody | None = None


class KeptResponse(Stored):
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    """Names and values in their order on the wire, decoded as Latin-1."""
    body: KeptBody | None = None


class StoredAttempt(Stored):
    """One attempt to get a response from a provider. Times are seconds since the call's start."""

    number: int
    """The first one is 1. The attempt that replaces a stale one has the same number."""
    provider: str = ""
    """The name of a configured provider, else the host that the client addressed."""
    model: str = ""
    """The model requested from the provider."""
    outcome: AttemptOutcome | None = None
    """None: an outcome that this version does not define."""
    detail: str = ""
    """The error's message; `ok` for a complete response."""
    start_seconds: float = 0.0
    """When a connection was requested."""
    end_seconds: float | None = None
    """When the attempt ended; None: not yet."""
    wait_seconds: float | None = None
    """Time from the end of this attempt to the start of the next; None: no further attempt."""
    injected: str = ""
    """The fault that wiremend injected on purpose, such as `fault 1, reset before-head`. What the
    attempt received is then not what the provider sent. Empty: none."""
    request: KeptRequest | None = None
    """What was sent upstream. None unless traffic is kept."""
    response: KeptResponse | None = None
    """What upstream sent. None unless traffic is kept."""


class Usage(Stored):
    """The token counts of the response that the client received; None: not reported."""

    input_tokens: int | None = None
    """The whole prompt, including tokens read from and written to the provider's cache."""
    output_tokens: int | None = None
    """All generated tokens, including reasoning."""
    cached_tokens: int | None = None
    """The part of the prompt that was read from the provider's cache."""
    cache_write_tokens: int | None = None
    """The part of the prompt that was written to the provider's cache."""
    reasoning_tokens: int | None = None
    """The part of the output that was reasoning."""

    def counts(self) -> UsageCounts:
        """Convert to the type that protocols use."""
        return UsageCounts(**dict(self))


class CallRecord(Stored):
    """The record of one call: the value of `flow.metadata["wiremend"]`."""

    version: int = SCHEMA_VERSION
    """The version of the schema. It increases when a field changes its meaning or is removed. A
    new field with a default does not change it."""
    protocol: str = ""
    """The client's protocol, such as `anthropic-messages`; empty if none was recognised."""
    client: str = ""
    """The family of clients, such as `claude-code`; empty if unknown."""
    model_asked: str = ""
    """The model that the client requested."""
    model_used: str = ""
    """The model requested from the last provider; differs after routing or a fallback."""
    provider: str = ""
    """The last provider that was used; for an answered call, the one that answered. The name of a
    configured provider, else the host that the client addressed."""
    host: str = ""
    """The host of that provider."""
    outcome: CallState | None = None
    """None: an outcome that this version does not define."""
    detail: str = ""
    """A description of the outcome: `ok`, `error 529 in the stream` (from the provider), `wiremend
    ended the stream with error 502` (the provider reported none), the reason of a refusal."""
    started_at: float | None = None
    """When the call was planned or refused, in seconds since the epoch."""
    head_seconds: float | None = None
    """When the first byte was sent to the client, in seconds since the start; None: not yet."""
    end_seconds: float | None = None
    """When the call ended, in seconds since the start; None: not yet."""
    request_findings: list[StoredFinding] = []
    """Findings in the request, in order."""
    response_findings: list[StoredFinding] = []
    """Findings in responses and attempts, in order."""
    reports_only: bool = False
    """Whether the call passed unchanged and findings were only reported (`[rules] mode`)."""
    attempts: list[StoredAttempt] = []
    """Every attempt, in order."""
    usage: Usage | None = None
    """None: the response contains no token counts, or has not ended."""
    client_request: KeptRequest | None = None
    """What the client sent. None unless traffic is kept."""
    client_response: KeptResponse | None = None
    """What the client received. None unless traffic is kept."""
    not_kept: str = ""
    """Why traffic that was to be kept is missing or cut; empty if nothing is."""

    @cached_property
    def findings(self) -> list[Finding]:
        """All findings, those in the request first."""
        return [stored.finding() for stored in (*self.request_findings, *self.response_findings)]
