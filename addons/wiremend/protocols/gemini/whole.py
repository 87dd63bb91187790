"""A response as a stream, and a stream as a response."""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.text import json_value, sse
from wiremend.text.json_value import dicts_in

_TEXT = frozenset({"text", "thought"})


def unfold(response: Mapping[str, Any]) -> list[bytes]:
    """Return the response as the only event of a stream."""
    return [sse.encode(json_value.write(response))]


def fold(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the response in the events of a valid stream; None if there is none."""
    if events and all(isinstance(event.get("response"), dict) for event in events):
        inner = fold([event["response"] for event in events])  # the envelope of Code Assist
        return {**events[-1], "response": inner}
    response: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for event in events:
        response |= event
        for part in dicts_in(event.get("candidates")):
            index = part.get("index") or 0
            candidate = candidates.setdefault(index, {"content": {"role": "model", "parts": []}})
            content = part.get("content")
            if isinstance(content, dict):
                _add_parts(candidate["content"]["parts"], content.get("parts"))
            candidate |= {name: part[name] for name in part if name != "content"}
    if candidates:
        response["candidates"] = [one for _, one in sorted(candidates.items())]
    return response or None


def _add_parts(parts: list[dict[str, Any]], added: Any) -> None:
    """Append parts; text that follows text of the same kind continues it."""
    for part in dicts_in(added):
        last = parts[-1] if parts else {}
        is_text = _TEXT.issuperset(part) and _TEXT.issuperset(last) and "text" in last
        if (
            is_text
            and isinstance(part.get("text"), str)
            and part.get("thought") == last.get("thought")
        ):
            last["text"] += part["text"]
        else:
            parts.append(dict(part))
