"""What a chunk or a completion shows."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.repairer import Shows, has_text
from wiremend.text.json_value import dicts_in

_USUAL_REASONS = (None, "", "stop", "tool_calls", "function_call")
_ANSWERS = ("content", "refusal", "tool_calls", "function_call", "audio", "images")
_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "reasoning_text")


def shows(value: Mapping[str, Any]) -> Shows:
    """Return what a parsed chunk or completion shows."""
    found = Shows.NOTHING
    for choice in dicts_in(value.get("choices")):
        if choice.get("finish_reason") not in _USUAL_REASONS:
            return Shows.ANSWER
        for holder in (choice.get("delta"), choice.get("message")):
            if isinstance(holder, dict):
                if any(has_text(holder.get(name)) for name in _ANSWERS):
                    return Shows.ANSWER
                if any(has_text(holder.get(name)) for name in _REASONING):
                    found = Shows.REASONING
    return found
