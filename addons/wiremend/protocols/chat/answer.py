"""What one choice has said: an answer, or reasoning alone, which is no answer."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.chat.grammar import ANSWER_KEYS, REASONING_KEYS
from wiremend.text.json_value import dicts_in

_NO_ANSWER = frozenset({"role", "tool_calls", "name", "index", *ANSWER_KEYS, *REASONING_KEYS})
"""Members of a delta that are no answer, or are looked at on their own."""
_OPEN, _CLOSE = "<think>", "</think>"


class Answer:
    """Reads the deltas of one choice, or a whole message."""

    def __init__(self) -> None:
        self.has_any = False
        """Whether there is an answer, calls apart."""
        self._start = ""
        """The beginning of the text while it may become `<think>`."""
        self._tail: str | None = None
        """The end of reasoning in tags; None outside of it."""

    def feed(self, delta: Mapping[str, Any]) -> None:
        """Read one delta."""
        if self.has_any:
            return
        if any(self._says(delta.get(key)) for key in ANSWER_KEYS) or any(
            _is_output(key, delta[key]) for key in delta.keys() - _NO_ANSWER
        ):
            self.has_any = True

    def _says(self, value: Any) -> bool:
        """Return whether text, or a list of parts, has more than white space and reasoning."""
        if isinstance(value, list):
            return any(
                part.get("type") not in ("thinking", "reasoning") and any(_texts(part))
                for part in dicts_in(value)
            )
        if not isinstance(value, str):
            return bool(value)
        if self._tail is None:
            self._start = (self._start + value).lstrip()
            if _OPEN.startswith(self._start):
                return False
            if not self._start.startswith(_OPEN):
                return True
            self._tail, value = "", self._start[len(_OPEN) :]
        _, tag, text = (self._tail + value).rpartition(_CLOSE)
        self._tail = text[1 - len(_CLOSE) :]
        if not tag:
            return False
        self._start, self._tail = "", None
        return self._says(text)


def _texts(part: Mapping[str, Any]) -> list[Any]:
    return [value for key, value in part.items() if key != "type"]


def _is_output(key: str, value: Any) -> bool:
    """Return whether another member of a delta is output: `audio`, `images`, `annotations` …"""
    is_reasoning = any(name in key for name in ("reasoning", "thinking", "thought"))
    return not is_reasoning and value not in (None, "", [], {})
