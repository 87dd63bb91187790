"""Answers inside an envelope of a gateway, such as `{"success": true, "data": {…}}`.

A protocol defines what an answer is: a body, or the data of one event.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wiremend.text import json_value

CONTENT_KEYS = frozenset({"data", "result", "response", "body", "payload", "output"})
"""The members in which envelopes have their content."""
_LEVELS = 2


def unwrapped(value: Any, is_answer: Callable[[Any], bool], levels: int = _LEVELS) -> Any:
    """Return the only answer inside an envelope; None if there is none, or more than one.

    The content of an envelope may be JSON text.
    """
    found = []
    for inner in _members(value):
        if is_answer(inner):
            found.append(inner)
        elif levels > 1 and (deeper := unwrapped(inner, is_answer, levels - 1)) is not None:
            found.append(deeper)
    return found[0] if len(found) == 1 else None


def is_envelope(value: Any) -> bool:
    """Return whether this object has a member that envelopes have for their content."""
    return isinstance(value, dict) and not CONTENT_KEYS.isdisjoint(value)


def _members(value: Any) -> Iterator[Any]:
    if isinstance(value, list) and len(value) == 1:
        yield value[0]
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        if isinstance(inner, dict | list):
            yield inner
        elif key in CONTENT_KEYS and isinstance(inner, str) and inner.lstrip()[:1] in ("{", "["):
            try:
                yield json_value.read(inner)
            except ValueError:
                continue
