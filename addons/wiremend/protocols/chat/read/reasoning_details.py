"""OpenRouter's `reasoning_details` of a stream, joined into the list that it wants back.

https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from collections.abc import Sequence
from typing import Any

from wiremend.text.json_value import dicts_in

_JOINED = ("text", "summary", "data")
"""The members whose pieces are joined; a signature and all others are whole."""


class ReasoningDetails:
    """Joins the pieces of each detail, which have its index. Linear in the number of pieces."""

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._pieces: list[dict[str, list[str]]] = []
        self._by_index: dict[Any, int] = {}

    def add(self, details: Sequence[Any]) -> None:
        """Add the details of one delta."""
        for detail in dicts_in(details):
            index = detail.get("index")
            key = (detail.get("type"), index) if isinstance(index, int) else None
            at = self._by_index.get(key) if key is not None else None
            if at is None:
                at = len(self._items)
                self._items.append({})
                self._pieces.append({})
                if key is not None:
                    self._by_index[key] = at
            for name, value in detail.items():
                if name in _JOINED and isinstance(value, str):
                    self._pieces[at].setdefault(name, []).append(value)
                elif value is not None or name not in self._items[at]:
                    self._items[at][name] = value

    def taken(self) -> list[dict[str, Any]]:
        """Return the details, and start again."""
        details = [
            {**item, **{name: "".join(texts) for name, texts in pieces.items()}}
            for item, pieces in zip(self._items, self._pieces, strict=True)
        ]
        self._items, self._pieces, self._by_index = [], [], {}
        return details


def text_of(details: Sequence[Any]) -> str:
    """Return the readable text in details."""
    texts = [detail.get("text") or detail.get("summary") for detail in dicts_in(details)]
    return "".join(text for text in texts if isinstance(text, str))
