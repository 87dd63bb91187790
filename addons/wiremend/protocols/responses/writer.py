"""Writing further events of a Responses stream, numbering all, and finding repeated ones."""

from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import Run, StreamContext
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.json_value import JsonObject, is_integer

_P = ("responses",)

SEQUENCE_NUMBER = Rule(
    code="S301",
    name="sequence-number",
    detects="An event's `sequence_number` is missing, not an integer, or not larger than the "
    "previous one.",
    impact="OpenCode and Grok CLI reject the event; others drop it as a duplicate.",
    action="Sets the next number. Valid numbers are kept, gaps included.",
    protocols=_P,
    seen=("diegosouzapw/OmniRoute#14330",),
    before='{"type":"response.in_progress","response":{…}}',
    after='{"type":"response.in_progress","response":{…},"sequence_number":1}',
)
EVENT_REPEATED = Rule(
    code="S327",
    name="event-repeated",
    detects="An event is sent a second time with its old sequence number.",
    impact="Clients that ignore the number show the text twice.",
    action="Drops it. Numbers that providers use for several events are not evidence.",
    protocols=_P,
    before='{"type":"response.output_text.delta","sequence_number":4,"delta":"Hi", …}, '
    '{"type":"response.output_text.delta","sequence_number":4,"delta":"Hi", …}',
    after='{"type":"response.output_text.delta","sequence_number":4,"delta":"Hi", …}',
)

_WINDOW = 1024
"""How many of the last events are remembered."""


class SourceNumbers:
    """The sequence numbers of the provider's events."""

    def __init__(self) -> None:
        self._events: dict[int, tuple[Any, ...]] = {}
        """What identifies an event, by its number; the oldest first."""
        self._is_ambiguous = False
        """One number was used for two events."""
        self.highest = -1
        """The largest number so far."""

    def take(self, data: JsonObject, kind: str) -> bool:
        """Take an event; return whether it repeats one."""
        number = data.get("sequence_number")
        if not is_integer(number):
            return False
        identity = _identity(data, kind)
        earlier = self._events.get(number)
        if earlier is not None:
            self._is_ambiguous = self._is_ambiguous or earlier != identity
            return not self._is_ambiguous and len(self._events) > 1
        self._remember(number, identity)
        return False

    def take_run(self, like: JsonObject, kind: str, run: Run) -> None:
        """Take events with the next numbers that differ from `like` only in their deltas."""
        common = _identity(like, kind)[:-1]
        for number, text in enumerate(run.texts, self.highest + 1):
            self._remember(number, (*common, WrittenText(text)))

    def _remember(self, number: int, identity: tuple[Any, ...]) -> None:
        self._events[number] = identity
        if number > self.highest:
            self.highest = number
        if len(self._events) > _WINDOW:
            del self._events[next(iter(self._events))]


def _identity(data: JsonObject, kind: str) -> tuple[Any, ...]:
    inner = data.get("item")
    identity = data.get("item_id") or (inner.get("id") if isinstance(inner, dict) else None)
    get = data.get
    indices = str(get("output_index")), str(get("content_index")), str(get("summary_index"))
    return kind, str(identity), *indices, str(get("delta"))


class WrittenText:
    """Text as it was written in JSON; equal to the text itself."""

    __slots__ = ("_inside",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, inside: bytes) -> None:
        self._inside = inside

    def __eq__(self, other: object) -> bool:
        return self.text == other

    @property
    def text(self) -> str:
        """The text."""
        text: str = json_value.read(b'"%b"' % self._inside)
        return text


class Writer:
    """Numbers the events of one stream."""

    def __init__(self, draft: Draft, context: StreamContext) -> None:
        self._draft = draft
        self._needs_numbers = not context.accepts(Deviation.UNNUMBERED)
        self.source = SourceNumbers()
        self._source_number = -1
        """The last valid sequence number of the provider."""
        self.number = -1
        """The last sequence number that was sent to the client."""
        self.gaps = 0
        """How many times numbers were left out: events may be lost there."""

    def write(self, data: JsonObject) -> None:
        """Write an event that the provider did not send."""
        self.number += 1
        text = json_value.write({**data, "sequence_number": self.number})
        self._draft.out.append(sse.encode(text, data["type"]))

    def gaps_before(self, data: JsonObject) -> int:
        """Return the number of gaps up to the event that is to be sent next."""
        raw = data.get("sequence_number")
        is_valid = is_integer(raw) and raw > max(self._source_number, self.number + 1)
        return self.gaps + (is_valid and self.number >= 0)

    def is_next(self, number: Any) -> bool:
        """Return whether a number follows those of all earlier events, and needs no other one."""
        is_new = is_integer(number) and number == self.number + 1 == self._source_number + 1
        return is_new and number == self.source.highest + 1

    def take_next(self, data: JsonObject, kind: str) -> None:
        """Take an event with the next number."""
        self.source.take(data, kind)
        self.number = self._source_number = self.source.highest

    def take_run(self, like: JsonObject, kind: str, run: Run) -> None:
        """Take events with the next numbers that differ from `like` only in their deltas."""
        self.source.take_run(like, kind, run)
        self.number = self._source_number = self.source.highest

    def number_event(self, data: JsonObject) -> None:
        """Number the next event to send, unless its number is larger than the last one."""
        if "sequence_number" not in data and not self._needs_numbers:
            return
        raw = data.get("sequence_number")
        number: int | None = None
        if is_integer(raw) and raw > self._source_number:
            number = self._source_number = raw
        elif not self._draft.change(
            SEQUENCE_NUMBER,
            f"sequence_number {raw!r}",
            "numbered",
            once="missing" if raw is None else "wrong",
        ):
            return
        if number is not None and 0 <= self.number < number - 1:
            self.gaps += 1
        if number is None or number <= self.number:
            # Also if the provider's number is valid, but events were added before it.
            number = data["sequence_number"] = self.number + 1
            self._draft.changed = True
        self.number = number
