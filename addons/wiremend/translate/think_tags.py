"""Reasoning that a provider writes into the text of its answer, between `<think>` and `</think>`.

MiniMax does so in Chat Completions unless `reasoning_split` is set.
"""

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum, auto

from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
)
from wiremend.protocols.base.middle.content import Text, Thinking
from wiremend.protocols.base.middle.state import Origin, State

_OPEN, _CLOSE = "<think>", "</think>"
_MOST_BLANK = 32
"""The maximum length of white space before a tag."""


class _Place(Enum):
    """Where the text that is read is."""

    HEAD = auto()
    """Before what decides whether it begins with reasoning."""
    INSIDE = auto()
    """In the reasoning."""
    BEHIND = auto()
    """In the white space behind the reasoning."""
    TEXT = auto()


class ThinkTags:
    """Divides the first text of an answer into reasoning and text, if it begins with `<think>`.

    Tags elsewhere are text: a model may write about them. The numbers of parts are doubled, so that
    there is one for the reasoning before each text.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._start: PartStart | None = None
        """The text that is divided."""
        self._is_over = False
        """Whether the first text has begun."""
        self._place = _Place.HEAD
        self._held = ""
        """What may be a part of a tag."""

    def feed(self, event: AnswerEvent) -> list[AnswerEvent]:
        """Return the event, or what replaces it."""
        match event:
            case PartStart(part=Text()) if not self._is_over:
                self._is_over = True
                self._start = replace(event, number=2 * event.number)
                return []
            case PartStart() | PartDelta() | PartState() | PartCitation() | PartEnd():
                event = replace(event, number=2 * event.number)
                start = self._start
                if start is None or event.number != start.number:
                    return [event]
                return list(self._of_text(event, start))
            case _:
                return [event]

    def _of_text(
        self, event: PartStart | PartDelta | PartState | PartCitation | PartEnd, start: PartStart
    ) -> Iterator[AnswerEvent]:
        if isinstance(event, PartDelta):
            yield from self._divided(event.text, start)
            return
        if self._place is _Place.HEAD:
            yield from self._begin_text(self._held, start)
        if isinstance(event, PartEnd) and self._place is _Place.INSIDE:
            yield from self._end_reasoning(self._held, start)
        elif self._place is _Place.TEXT:
            yield replace(event, number=start.number + 1)

    def _divided(self, text: str, start: PartStart) -> Iterator[AnswerEvent]:
        if self._place is _Place.TEXT:
            yield PartDelta(start.number + 1, text)
            return
        text, self._held = self._held + text, ""
        if self._place is _Place.HEAD:
            head = text.lstrip()
            may_be_tag = len(text) - len(head) <= _MOST_BLANK
            if may_be_tag and len(head) < len(_OPEN) and _OPEN.startswith(head):
                self._held = text
                return
            if not (may_be_tag and head.startswith(_OPEN)):
                yield from self._begin_text(text, start)
                return
            self._place = _Place.INSIDE
            yield PartStart(start.number, Thinking())
            text = head.removeprefix(_OPEN)
        if self._place is _Place.INSIDE:
            before, tag, behind = text.partition(_CLOSE)
            if not tag:
                kept = _start_of_tag(text)
                self._held = text[len(text) - kept :]
                if before := text[: len(text) - kept]:
                    yield PartDelta(start.number, before)
                return
            yield from self._end_reasoning(before, start)
            text = behind
        if text := text.lstrip():
            yield from self._begin_text(text, start)

    def _end_reasoning(self, text: str, start: PartStart) -> Iterator[AnswerEvent]:
        self._place = _Place.BEHIND
        if text:
            yield PartDelta(start.number, text)
        yield PartState(start.number, State(self._origin, {"field": ""}))
        yield PartEnd(start.number)

    def _begin_text(self, text: str, start: PartStart) -> Iterator[AnswerEvent]:
        self._place = _Place.TEXT
        self._held = ""
        yield replace(start, number=start.number + 1)
        if text:
            yield PartDelta(start.number + 1, text)


def _start_of_tag(text: str) -> int:
    """Return the length of the longest end of the text with which `</think>` may begin."""
    sizes = range(min(len(text), len(_CLOSE) - 1), 0, -1)
    return next((size for size in sizes if _CLOSE.startswith(text[-size:])), 0)
