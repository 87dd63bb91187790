"""The faults of a provider, as values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from wiremend.text.counted import counted


class FaultKind(StrEnum):
    """What goes wrong."""

    RESET = "reset"
    """The connection is reset."""
    STALL = "stall"
    """Nothing more is sent, for some time or for ever."""
    WRAPPED_ERROR = "wrapped-error"
    """An error inside a response with status 200."""
    HTTP_ERROR = "http-error"
    """A response with an error status."""
    HTML_PAGE = "html-page"
    """The page of a server in between, instead of JSON."""
    WRONG_INDEX = "wrong-index"
    """Blocks, items or fragments of calls with an index that is one too high."""
    CUT_TOOL_JSON = "cut-tool-json"
    """The arguments of the first tool call end in the middle; the rest of the answer is sent."""
    SLOW_DRIP = "slow-drip"
    """The body arrives in small pieces, with a pause before each."""
    TRAILERS = "trailers"
    """Trailer fields after the body."""
    BAD_LABEL = "bad-label"
    """A wrong content type, or wrong names of events."""


class Moment(StrEnum):
    """When a reset or a stall happens."""

    BEFORE_HEAD = "before-head"
    AFTER_HEAD = "after-head"
    IN_EVENT = "in-event"
    """In the middle of an event, or of a body that has no events."""


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """One fault. A parameter has no effect on kinds that do not use it."""

    kind: FaultKind
    at: Moment = Moment.BEFORE_HEAD
    after_events: int = 1
    """The number of whole events before the fault."""
    seconds: float = 0.0
    """The length of a stall (0: for ever), or of the pause before each piece."""
    status: int = 500
    retry_after: float | None = None
    """The seconds in the header `retry-after`; None: there is none."""
    message: str = "The provider failed (injected fault)."
    piece_bytes: int = 16
    content_type: str | None = None
    """None: it is kept; empty: it is removed."""
    event_names: Literal["keep", "drop", "wrong"] = "keep"

    def __str__(self) -> str:
        """Describe the fault in a few words, such as `reset in-event after 3 events`."""
        parts = [self.kind.value]
        if self.kind in (FaultKind.RESET, FaultKind.STALL):
            parts.append(self.at.value)
        if self.kind in (FaultKind.HTTP_ERROR, FaultKind.HTML_PAGE, FaultKind.WRAPPED_ERROR):
            parts.append(str(self.status))
        if self._is_after_events:
            parts.append(f"after {counted(self.after_events, 'event')}")
        if self.kind is FaultKind.STALL and self.seconds:
            parts.append(f"for {self.seconds:g} s")
        return " ".join(parts)

    @property
    def _is_after_events(self) -> bool:
        if self.kind in (FaultKind.RESET, FaultKind.STALL):
            return self.at is Moment.IN_EVENT
        return self.kind is FaultKind.WRAPPED_ERROR and self.after_events > 0
