"""Fault files: what `--faults FILE.toml` contains, and reading it.

The docstrings are user documentation: `config.fault_page` renders them as addons/FAULTS.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from wiremend.config.load import ConfigError, describe, dotted, read_document
from wiremend.config.section import Section
from wiremend.config.values import HostGlob, InWords, ModelGlob, Seconds, did_you_mean, refuse
from wiremend.faults.fault import FaultKind, Moment, ProviderFault
from wiremend.faults.schedule import FaultSchedule, PlannedFault

KindName = Literal[
    "reset",
    "stall",
    "wrapped-error",
    "http-error",
    "html-page",
    "wrong-index",
    "cut-tool-json",
    "slow-drip",
    "trailers",
    "bad-label",
]
EXAMPLE = """\
seed = 7                       # decides `probability`

[[faults]]                     # the second call to Anthropic breaks in its fourth event
kind = "reset"
at = "in-event"
after_events = 3
host = "api.anthropic.com"
call = 2

[[faults]]                     # every third call to a Claude model is refused twice
kind = "http-error"
status = 529
retry_after = 1
model = "claude-*"
every = 3
attempts = 2

[[faults]]                     # a tenth of all other calls
kind = "slow-drip"
piece_bytes = 16
seconds = 0.05
probability = 0.1
"""
"""The example of the documentation and of --help."""

_FIRST_ERROR_STATUS = 400
_DEFAULT_STATUS: Mapping[str, int] = {"http-error": 503, "html-page": 524, "wrapped-error": 500}
_KINDS_BY_KEY: Mapping[str, tuple[str, ...]] = {
    "at": ("reset", "stall"),
    "after_events": ("reset", "stall", "wrapped-error"),
    "seconds": ("stall", "slow-drip"),
    "status": ("http-error", "html-page", "wrapped-error"),
    "retry_after": ("http-error",),
    "message": ("http-error", "wrapped-error"),
    "piece_bytes": ("slow-drip",),
    "content_type": ("bad-label",),
    "event_names": ("bad-label",),
}
"""The kinds that use a key; all other keys belong to every kind."""


def _a_path_glob(text: str) -> str:
    if not text.startswith(("/", "*")) or "?" in text:
        raise ValueError(
            f"expected a path such as '/v1/messages' or '*', without query, got {text!r}"
        )
    return text


AnyPathGlob = Annotated[str, AfterValidator(_a_path_glob), InWords("path glob")]
Number = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class FaultEntry(Section):
    """One fault, and the calls that it is injected into.

    Without `host`, `model` and `path` that is every call, and without `call`, `first`, `last`,
    `every` and `probability` every one of those that match. If several entries apply to an
    attempt, the first one is injected. Calls are counted for each entry, matching ones only.
    """

    kind: KindName
    """What goes wrong; see the table above."""
    at: Literal["before-head", "after-head", "in-event"] = "before-head"
    """When a reset or a stall happens: before or after the head of the response, or in the middle
    of an event."""
    after_events: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = None
    """How many whole events precede the fault, for a reset or stall `in-event` (1 if unset), or a
    wrapped error (0 if unset). A body without events is cut in its first part."""
    seconds: Seconds | None = None
    """How long a stall lasts (unset: until the client or a timeout ends the call), or the pause
    before each piece of a slow drip (0.05 if unset)."""
    status: Annotated[int, Field(strict=True, ge=200, le=599)] | None = None
    """The status of an HTTP error (503 if unset) or of a page (524 if unset); for a wrapped error,
    the status whose error it is (500 if unset)."""
    retry_after: Seconds | None = None
    """The `retry-after` header of an HTTP error; unset: there is none."""
    message: str = "The provider failed (injected fault)."
    """The message of an error."""
    piece_bytes: Annotated[int, Field(strict=True, ge=1, le=65536)] = 16
    """The size of the pieces of a slow drip."""
    content_type: str | None = None
    """The content type of a bad label, empty for none. `text/plain` if neither this nor
    `event_names` is set."""
    event_names: Literal["keep", "drop", "wrong"] = "keep"
    """What a bad label does to the `event:` lines of a stream."""
    host: Annotated[HostGlob | None, Field(examples=["api.anthropic.com"])] = None
    """Only calls to these hosts. For a routed call, that is the provider that the attempt goes
    to."""
    model: Annotated[ModelGlob | None, Field(examples=["claude-*"])] = None
    """Only calls to these models."""
    path: Annotated[AnyPathGlob | None, Field(examples=["*/messages"])] = None
    """Only calls to these paths."""
    call: Number | None = None
    """Only this call; the first one is 1."""
    first: Number = 1
    """No earlier calls than this one."""
    last: Number | None = None
    """No later calls than this one."""
    every: Number = 1
    """From `first` on, every so many calls: 3 means the first, fourth, seventh …"""
    probability: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0
    """The share of these calls that fail. `seed` decides which ones."""
    attempts: Annotated[int, Field(strict=True, ge=0, le=100)] = 1
    """How many attempts of such a call fail, from the first one on; 0 means all. With `--plain`
    each call has one attempt; what the client repeats is another call."""

    @model_validator(mode="after")
    def _keys_belong_together(self) -> "FaultEntry":
        refuse(*self._problems())
        return self

    def _problems(self) -> list[tuple[tuple[str], str]]:
        given = self.model_fields_set
        problems = [
            ((key,), f"kind {self.kind!r} does not use it; {' and '.join(kinds)} do")
            for key, kinds in _KINDS_BY_KEY.items()
            if key in given and self.kind not in kinds
        ]
        if self.call is not None and (others := given & {"first", "last", "every"}):
            problems.append((("call",), f"cannot be set together with {sorted(others)[0]}"))
        if self.last is not None and self.last < self.first:
            problems.append((("last",), f"expected first ({self.first}) or more, got {self.last}"))
        is_error = self.kind in ("http-error", "wrapped-error")
        if is_error and self.status is not None and self.status < _FIRST_ERROR_STATUS:
            problems.append((("status",), f"expected 400 or more, got {self.status}"))
        if "after_events" in given and self.kind != "wrapped-error" and self.at != "in-event":
            problems.append((("after_events",), "needs at = 'in-event'"))
        return problems

    def planned(self) -> PlannedFault:
        """Return the fault as the schedule uses it."""
        is_single = self.call is not None
        return PlannedFault(
            self._fault(),
            hosts=() if self.host is None else (self.host.lower(),),
            models=() if self.model is None else (self.model.lower(),),
            paths=() if self.path is None else (self.path,),
            first=self.call or self.first,
            last=self.call if is_single else self.last,
            every=self.every,
            probability=self.probability,
            attempts=self.attempts,
        )

    def _fault(self) -> ProviderFault:
        default_seconds = 0.05 if self.kind == "slow-drip" else 0.0
        default_events = 0 if self.kind == "wrapped-error" else 1
        return ProviderFault(
            FaultKind(self.kind),
            at=Moment(self.at),
            after_events=default_events if self.after_events is None else self.after_events,
            seconds=default_seconds if self.seconds is None else self.seconds,
            status=_DEFAULT_STATUS.get(self.kind, 500) if self.status is None else self.status,
            retry_after=self.retry_after,
            message=self.message,
            piece_bytes=self.piece_bytes,
            content_type=self.content_type,
            event_names=self.event_names,
        )


class FaultFile(Section):
    """A fault file."""

    seed: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)] = 0
    """Decides which calls `probability` chooses; the same seed chooses the same calls."""
    faults: Annotated[tuple[FaultEntry, ...], Field(min_length=1), InWords("tables")]
    """The faults; the first one that applies to an attempt is injected."""


def load_faults(path: Path) -> FaultSchedule:
    """Return the schedule in a fault file. Raises ConfigError with a line for each problem."""
    document = read_document(path)
    values = dict(document.values)
    if "faults" not in values:
        hint = did_you_mean(next(iter(values), ""), ["faults"])
        text = f"contains no [[faults]]{hint}; for example:\n\n[[faults]]\nkind = 'reset'\ncall = 1"
        raise ConfigError(path.name, [text])
    try:
        file = FaultFile.model_validate(values)
    except ValidationError as invalid:
        problems = [
            f"{dotted(error['loc'])}: {describe(error, _nearest)}" for error in invalid.errors()
        ]
        raise ConfigError(path.name, problems) from None
    return FaultSchedule([entry.planned() for entry in file.faults], file.seed)


def _nearest(place: tuple[str | int, ...]) -> str:
    """Return a hint for an unknown key."""
    model = FaultEntry if len(place) > 1 else FaultFile
    keys = list(model.model_fields)
    return did_you_mean(str(place[-1]), keys) or f"; the keys here are {', '.join(keys)}"
