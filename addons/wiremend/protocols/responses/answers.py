"""What an event or a response shows."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.repairer import Shows, has_text
from wiremend.text.json_value import dicts_in

_USUAL_STATUS = (None, "", "completed", "in_progress", "queued")


def shows(value: Mapping[str, Any]) -> Shows:
    """Return what a parsed event or response shows."""
    kind = value.get("type")
    if isinstance(kind, str) and kind.startswith("response.reasoning"):
        return Shows.REASONING if has_text(value.get("delta")) else Shows.NOTHING
    if isinstance(kind, str) and kind.endswith(".delta"):
        return Shows.ANSWER if has_text(value.get("delta")) else Shows.NOTHING
    found = Shows.NOTHING
    for holder in (value, value.get("response")):
        if isinstance(holder, dict) and "output" in holder:
            if holder.get("status") not in _USUAL_STATUS:
                return Shows.ANSWER
            found = max([found, *map(_shown_by_item, dicts_in(holder["output"]))])
    item = value.get("item")
    return max(found, _shown_by_item(item)) if isinstance(item, dict) else found


def _shown_by_item(item: Mapping[str, Any]) -> Shows:
    kind = item.get("type")
    if kind == "message":
        parts = dicts_in(item.get("content"))
        shown = (has_text(part.get("text")) or has_text(part.get("refusal")) for part in parts)
        return Shows.ANSWER if any(shown) else Shows.NOTHING
    if kind == "reasoning":
        texts = [*dicts_in(item.get("summary")), *dicts_in(item.get("content"))]
        has_any = any(has_text(part.get("text")) for part in texts)
        return Shows.REASONING if has_any else Shows.NOTHING
    return Shows.ANSWER if isinstance(kind, str) else Shows.NOTHING
