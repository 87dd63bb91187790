"""The schema of a call's record; the docstring of the package has the overview."""

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
"""Where a flow's metadata contains its record."""
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
    """Counts from 1."""

    def place(self) -> Place:
        """Return the place as rules have it."""
        return EventPlace(self.number)


class StoredBodyPath(Stored):
    """A value in a JSON body."""

    kind: Literal["body"]
    path: list[int | str]
    """Keys of objects and indices of arrays, from the outside to the inside; empty: the body."""

    def place(self) -> Place:
        """Return the place as rules have it."""
        return BodyPlace(tuple(self.path))


class StoredAttemptNumber(Stored):
    """One attempt of the call."""

    kind: Literal["attempt"]
    number: int
    """The number of an attempt in `attempts`."""

    def place(self) -> Place:
        """Return the place as rules have it."""
        return AttemptPlace(self.number)


class StoredHeader(Stored):
    """A header field of the request."""

    kind: Literal["header"]
    name: str

    def place(self) -> Place:
        """Return the place as rules have it."""
        return HeaderPlace(self.name)


class StoredPart(Stored):
    """A part of the call as a whole."""

    kind: Literal["part"]
    part: CallPlace

    def place(self) -> Place:
        """Return the place as rules have it."""
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
    """Where it applied, as data; None if another version of wiremend wrote it in its own way."""
    where: str = ""
    """The same as text, such as `event 12` or `tools[3].input_schema`."""
    found: str = ""
    """What was found, quoted or described."""
    done: str = ""
    """What was done about it."""

    def finding(self) -> Finding:
        """Return the finding as rules have it."""
        place = self.place.place() if self.place is not None else StoredPlace(self.where)
        return Finding(self.code, place, self.found, self.done)


class KeptBody(Stored):
    """The bytes of a body, without transfer coding, with content coding as on the wire."""

    data: bytes
    """The bytes, or as many of them as were kept."""
    size: int
    """How many bytes there were; more than `data` has if a limit was reached."""
    chunks: list[tuple[float, int]] = []
    """For each chunk as it passed: seconds since the start of the call, and the end of the chunk in
    `data`. Empty where times were not kept."""


class KeptRequest(Stored):
    """A request."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    """Names and values in the order of the wire, decoded as Latin-1."""
    body: KeptBody | None = None


class KeptResponse(Stored):
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    """Names and values in the order of the wire, decoded as Latin-1."""
    body: KeptBody | None = None


class StoredAttempt(Stored):
    """One attempt to get a response from a provider. Times are seconds since the call's start."""

    number: int
    """Counts from 1; the replacement of a stale connection has the same number."""
    provider: str = ""
    """The name of a configured provider, else the host that the client addressed."""
    model: str = ""
    """The model that the provider was asked for."""
    outcome: AttemptOutcome | None = None
    """None: a state that this version does not have."""
    detail: str = ""
    """The error's message; `ok` for a complete response."""
    start_seconds: float = 0.0
    """When a connection was requested."""
    end_seconds: float | None = None
    """When the outcome was known; None: not yet."""
    wait_seconds: float | None = None
    """Time between this attempt and the next one; None: no other one has been started."""
    request: KeptRequest | None = None
    """What went upstream. None unless traffic is kept."""
    response: KeptResponse | None = None
    """What came from upstream. None unless traffic is kept."""


class Usage(Stored):
    """The tokens of the response that the client got; None where they were not counted."""

    input_tokens: int | None = None
    """The whole prompt, tokens from and for the provider's cache included."""
    output_tokens: int | None = None
    """Everything that was generated, reasoning included."""
    cached_tokens: int | None = None
    """The part of the prompt that was read from the provider's cache."""
    cache_write_tokens: int | None = None
    """The part of the prompt that was written to the provider's cache."""
    reasoning_tokens: int | None = None
    """The part of the output that was reasoning."""

    def counts(self) -> UsageCounts:
        """Return the counts as protocols have them."""
        return UsageCounts(**self.model_dump())


class CallRecord(Stored):
    """What was done with one call: the value of `flow.metadata["wiremend"]`."""

    version: int = SCHEMA_VERSION
    """Of this schema. It grows when a field changes its meaning or goes away; new fields with a
    default come without."""
    protocol: str = ""
    """The client's protocol, such as `anthropic-messages`; empty: none was recognised."""
    client: str = ""
    """The family of clients, such as `claude-code`; empty: unknown."""
    model_asked: str = ""
    """The model that the client asked for."""
    model_used: str = ""
    """The model that the last provider was asked for; differs after routing or a fallback."""
    provider: str = ""
    """The last provider that was asked; of an answered call, the one that answered. The name of a
    configured provider, else the host that the client addressed."""
    host: str = ""
    """The host of that provider."""
    outcome: CallState | None = None
    """None: a state that this version does not have."""
    detail: str = ""
    """The outcome in more words: `ok`, `error 502 in the stream`, the reason of a refusal."""
    started_at: float | None = None
    """When the call was planned or refused, in seconds since the epoch."""
    head_seconds: float | None = None
    """When the client was first sent anything, in seconds since the start; None: not yet."""
    end_seconds: float | None = None
    """When the outcome was known, in seconds since the start; None: not yet."""
    request_findings: list[StoredFinding] = []
    """What rules found in the request, in order."""
    response_findings: list[StoredFinding] = []
    """What rules found in responses and attempts, in order."""
    attempts: list[StoredAttempt] = []
    """Every attempt, in order."""
    usage: Usage | None = None
    """None: the response has no token counts, or is not over."""
    client_request: KeptRequest | None = None
    """What the client sent. None unless traffic is kept."""
    client_response: KeptResponse | None = None
    """What the client got. None unless traffic is kept."""

    @property
    def findings(self) -> list[Finding]:
        """Everything that rules found, request first."""
        return [one.finding() for one in (*self.request_findings, *self.response_findings)]
