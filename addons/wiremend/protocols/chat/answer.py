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
        self._thought = ""
        """Text that begins with `<think>`, or may, while it has no answer."""

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
        if not self._thought and not value.strip():
            return False
        self._thought += value
        text = self._thought.lstrip()
        if not (text.startswith(_OPEN) or _OPEN.startswith(text)):
            return True
        return bool(text.rpartition(_CLOSE)[2].strip()) if _CLOSE in text else False


def _texts(part: Mapping[str, Any]) -> list[Any]:
    return [value for key, value in part.items() if key != "type"]


def _is_output(key: str, value: Any) -> bool:
    """Return whether another member of a delta is output: `audio`, `images`, `annotations` …"""
    is_reasoning = any(name in key for name in ("reasoning", "thinking", "thought"))
    return not is_reasoning and value not in (None, "", [], {})
