"""An answer in the middle form: a sequence of events.

    Start  (PartStart PartDelta* PartEnd | UsageCounts | OwnEvent)*  Stop  UsageCounts*  End
    or at any point: Failure

Parts may overlap; each has its own number. Every part is started before its deltas and
ended before `Stop`. `Failure` or `End` is the last event. A reader may rely on the repairer, which
runs before it: streams follow the grammar of the provider's protocol.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from wiremend.protocols.base.middle.content import Citation, Own, Part
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.usage import Usage
from wiremend.value_class import value_class


@value_class
class Start:
    """The first event."""

    id: str = ""
    """The provider's id of the answer."""
    model: str = ""
    """The provider's name of the model."""
    own: Own | None = None


@value_class
class PartStart:
    """A part begins. What its deltas contain is empty in it; all else is final.

    Media, results of server tools and opaque content are complete at their start.
    """

    number: int
    """Unique in the answer. Numbers grow in the order of the starts."""
    part: Part


@value_class
class PartDelta:
    """More text of a part: its text, its reasoning, or the arguments of a call."""

    number: int
    text: str


@value_class
class PartState:
    """The state of a part; the last one counts. It may come at any time before the part ends."""

    number: int
    state: State


@value_class
class PartCitation:
    """A source of a text part."""

    number: int
    citation: Citation


@value_class
class PartEnd:
    """A part is complete."""

    number: int
    own: Own | None = None
    """Members that came with the end of the part."""


@value_class
class UsageCounts:
    """The counts so far; they replace those of earlier events, except where they are None."""

    usage: Usage
    own: Own | None = None
    """All counts as the provider wrote them."""


class StopReason(StrEnum):
    """Why the answer ended."""

    END = "end"
    CALLS = "calls"
    LIMIT = "limit"
    """The limit of output tokens."""
    WINDOW = "window"
    """The context window is full."""
    STOP_STRING = "stop string"
    REFUSED = "refused"
    """The model refused, or a filter removed the answer."""
    PAUSED = "paused"
    """The provider's own tools were interrupted; the client continues with the same content."""


CUT_REASONS = frozenset({StopReason.LIMIT, StopReason.WINDOW, StopReason.REFUSED})
"""Reasons with which the last part may end anywhere, also inside the arguments of a call."""


@value_class
class Stop:
    """The answer is complete, except for counts that may follow."""

    reason: StopReason
    word: str = ""
    """The provider's word for it."""
    stop_string: str | None = None
    """The string that ended it; None if unknown."""
    own: Own | None = None


@value_class
class OwnEvent:
    """An event that only one protocol has. Other protocols do not write it."""

    protocol: WireProtocol
    type: str
    data: Mapping[str, Any] = field(hash=False)


@value_class
class Failure:
    """The answer ends in an error."""

    error: ProviderError


@value_class
class End:
    """The answer is complete."""


type AnswerEvent = (
    Start
    | PartStart
    | PartDelta
    | PartState
    | PartCitation
    | PartEnd
    | UsageCounts
    | Stop
    | OwnEvent
    | Failure
    | End
)


def reason_to_write(reason: StopReason, has_calls: bool) -> StopReason:
    """Return the reason that fits what was written.

    An answer with calls ends in calls, unless it was cut; one without calls never does.
    """
    if has_calls and reason in (StopReason.END, StopReason.STOP_STRING, StopReason.PAUSED):
        return StopReason.CALLS
    if not has_calls and reason is StopReason.CALLS:
        return StopReason.END
    return reason
