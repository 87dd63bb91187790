"""Removing a Markdown code fence around an answer that must be JSON.

Models that are asked for JSON in words often put it between lines of three backticks.
"""

from dataclasses import replace

from wiremend.protocols.base.middle.answer import AnswerEvent, PartDelta, PartEnd, PartStart
from wiremend.protocols.base.middle.content import Text

FENCE = "```"
_LONGEST_HEAD = 40
"""The maximum length of the first line of a fence, with the name of the language."""
_AT_THE_END = "` \t\r\n"


class WithoutFence:
    """Removes the fence around each text. Text that begins otherwise is not held back."""

    def __init__(self) -> None:
        self._texts: dict[int, _FencedText] = {}

    def feed(self, event: AnswerEvent) -> list[AnswerEvent]:
        """Return the event, or what replaces it."""
        match event:
            case PartStart(part=Text()):
                self._texts[event.number] = _FencedText()
            case PartDelta() if event.number in self._texts:
                text = self._texts[event.number].feed(event.text)
                return [replace(event, text=text)] if text else []
            case PartEnd() if event.number in self._texts:
                text = self._texts.pop(event.number).end()
                return [PartDelta(event.number, text), event] if text else [event]
        return [event]


class _FencedText:
    """A text that may begin with a fence."""

    def __init__(self) -> None:
        self._head: str | None = ""
        """What may be the first line of a fence; None once that is known."""
        self._is_fenced = False
        self._held: list[str] = []
        """What may be the end of the fence, and of the text."""

    def feed(self, text: str) -> str:
        if self._head is not None:
            self._head += text
            if self._may_be_a_fence(self._head):
                return ""
            text, self._head = self._head, None
            start, line_end, rest = text.lstrip().partition("\n")
            self._is_fenced = bool(line_end) and start.startswith(FENCE)
            text = rest if self._is_fenced else text
        return self._without_end(text) if self._is_fenced else text

    def end(self) -> str:
        rest = self._head or "".join(self._held)
        return "" if self._is_fenced and rest.strip() == FENCE else rest

    def _may_be_a_fence(self, head: str) -> bool:
        start = head.lstrip()
        return len(head) <= _LONGEST_HEAD and "\n" not in start and FENCE.startswith(start[:3])

    def _without_end(self, text: str) -> str:
        """Return the text that is known not to belong to the closing fence."""
        kept = text.rstrip(_AT_THE_END)
        if not kept:
            self._held.append(text)
            return ""
        before, self._held = "".join(self._held), [text[len(kept) :]]
        return before + kept
