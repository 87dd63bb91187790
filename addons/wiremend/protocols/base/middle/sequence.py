"""Parts of an answer that overlap, as parts one after the other."""

from collections import deque

from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Stop,
)

type PartEvent = PartStart | PartDelta | PartState | PartCitation | PartEnd


class InSequence:
    """Reorders events so that only one part is open at a time.

    Events of the open part pass at once. Those of a part that was started meanwhile are held back
    until the open part has ended. Parts that are still open at the end of the answer are ended.
    """

    def __init__(self) -> None:
        self._open: int | None = None
        self._waiting: dict[int, deque[PartEvent]] = {}
        """The events of the parts behind the open one, in the order of their starts."""

    @property
    def open_part(self) -> int | None:
        """The number of the open part, whose events pass at once."""
        return self._open

    def feed(self, event: AnswerEvent) -> list[AnswerEvent]:
        """Return the events that are due now."""
        match event:
            case PartStart(number=number) if self._open is None:
                self._open = number
                return [event]
            case PartStart(number=number):
                self._waiting[number] = deque([event])
                return []
            case PartDelta() | PartState() | PartCitation() | PartEnd():
                return self._of_part(event)
            case Stop() | End() | Failure():
                return [*self._rest(is_failed=isinstance(event, Failure)), event]
            case _:
                return [event]

    def _of_part(self, event: PartDelta | PartState | PartCitation | PartEnd) -> list[AnswerEvent]:
        if event.number != self._open:
            if event.number in self._waiting:
                self._waiting[event.number].append(event)
            return []
        if not isinstance(event, PartEnd):
            return [event]
        self._open = None
        return [event, *self._next_parts()]

    def _next_parts(self) -> list[AnswerEvent]:
        """Release the waiting parts up to the first that is not complete, which becomes open."""
        due: list[AnswerEvent] = []
        while self._open is None and self._waiting:
            number = next(iter(self._waiting))
            events = self._waiting.pop(number)
            due += events
            if not isinstance(events[-1], PartEnd):
                self._open = number
        return due

    def _rest(self, *, is_failed: bool) -> list[AnswerEvent]:
        due: list[AnswerEvent] = []
        while self._open is not None and not is_failed:
            due.append(PartEnd(self._open))
            self._open = None
            due += self._next_parts()
        return due
