"""What an event or a message shows."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.repairer import Shows, has_text
from wiremend.text.json_value import dicts_in

_USUAL_REASONS = (None, "", "end_turn", "stop_sequence", "tool_use")


def shows(value: Mapping[str, Any]) -> Shows:
    """Return what a parsed event or message shows."""
    found = Shows.NOTHING
    for holder in (value, value.get("message"), value.get("delta")):
        if isinstance(holder, dict):
            reason = holder.get("stop_reason")
            # A response that begins with one of the request's stop sequences is empty.
            met = reason == "stop_sequence" and has_text(holder.get("stop_sequence"))
            if met or reason not in _USUAL_REASONS:
                return Shows.ANSWER
            found = max([found, *map(_shown_by_block, dicts_in(holder.get("content")))])
    for name in ("content_block", "delta"):
        if isinstance(value.get(name), dict):
            found = max(found, _shown_by_block(value[name]))
    return found


def _shown_by_block(block: Mapping[str, Any]) -> Shows:
    kind = block.get("type")
    if kind in ("text", "text_delta"):
        return Shows.ANSWER if has_text(block.get("text")) else Shows.NOTHING
    if kind in ("thinking", "thinking_delta"):
        return Shows.REASONING if has_text(block.get("thinking")) else Shows.NOTHING
    if kind in ("redacted_thinking", "signature_delta"):
        return Shows.NOTHING
    return Shows.ANSWER if isinstance(kind, str) else Shows.NOTHING
