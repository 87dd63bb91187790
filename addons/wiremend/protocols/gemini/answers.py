"""What an event or a response shows."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.repairer import Shows, has_text
from wiremend.text.json_value import dicts_in

_USUAL_REASONS = (None, "", "STOP", 1, "FINISH_REASON_UNSPECIFIED", 0)
_NO_CONTENT = frozenset({"text", "thought", "thoughtSignature", "thought_signature"})


def shows(value: Mapping[str, Any]) -> Shows:
    """Return what a parsed event or response shows."""
    response = value.get("response")  # the envelope of Code Assist
    if isinstance(response, dict):
        value = response
    feedback = value.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return Shows.ANSWER
    found = Shows.NOTHING
    for candidate in dicts_in(value.get("candidates")):
        if candidate.get("finishReason") not in _USUAL_REASONS:
            return Shows.ANSWER
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        found = max([found, *map(_shown_by_part, dicts_in(parts))])
    return found


def _shown_by_part(part: Mapping[str, Any]) -> Shows:
    if not _NO_CONTENT.issuperset(part):
        return Shows.ANSWER
    if not has_text(part.get("text")):
        return Shows.NOTHING
    return Shows.REASONING if part.get("thought") else Shows.ANSWER
