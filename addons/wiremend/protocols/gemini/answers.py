"""What an event or a response shows, and calls in its text."""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.protocols.base.protocol import (
    AnswerText,
    CallsInText,
    CannotRewrite,
    HeldEvent,
    RecoveredCall,
    Rewritten,
)
from wiremend.protocols.base.repairer import Shows, has_text
from wiremend.protocols.gemini.request import client_tools, request_path
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


_NORMAL_ENDS = ("STOP", 1)
_NO_END = (None, "", "FINISH_REASON_UNSPECIFIED", 0)
_SCHEMAS = ("parametersJsonSchema", "parameters_json_schema", "parameters")


def _functions(request: dict[str, Any]) -> dict[str, Any]:
    inner = request
    for step in request_path(request):
        inner = inner[step]
    if inner.get("cachedContent") or inner.get("cached_content"):
        return {}
    schemas = {
        str(tool.fields.get("name")): next(filter(None, map(tool.fields.get, _SCHEMAS)), None)
        for tool in client_tools(request)
    }
    for config in ("toolConfig", "tool_config"):
        for calling in ("functionCallingConfig", "function_calling_config"):
            mode = inner.get(config)
            mode = mode.get(calling) if isinstance(mode, dict) else None
            if isinstance(mode, dict) and str(mode.get("mode")).upper() == "NONE":
                return {}
    return schemas


def _response_in(value: Any) -> dict[str, Any]:
    """Return a response without the envelope of Code Assist."""
    if not isinstance(value, dict):
        return {}
    inner = value.get("response")
    return inner if isinstance(inner, dict) and "candidates" not in value else value


def _parts_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    candidates = dicts_in(response.get("candidates"))
    content = candidates[0].get("content") if candidates else None
    return dicts_in(content.get("parts")) if isinstance(content, dict) else []


def _is_text(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("text"), str) and not part.get("thought")


def _read(value: Any) -> AnswerText:
    response = _response_in(value)
    candidates = dicts_in(response.get("candidates"))
    parts = _parts_of(response)
    if not candidates:
        return AnswerText(ends=False if response.get("error") else None)
    others = [number for number, part in enumerate(parts) if not _is_plain(part)]
    behind = parts[others[-1] + 1 :] if others else parts
    reason = candidates[0].get("finishReason")
    return AnswerText(
        text="".join(part["text"] for part in behind if _is_text(part)),
        is_other=bool(others),
        is_beyond=len(candidates) > 1
        or candidates[0].get("index") not in (None, 0)
        or any("functionCall" in part or "function_call" in part for part in parts),
        ends=None if reason in _NO_END else reason in _NORMAL_ENDS,
        answer_id=str(response.get("responseId") or ""),
    )


def _is_plain(part: Mapping[str, Any]) -> bool:
    """Return whether a part contains nothing but text of the answer, or a signature."""
    return _shown_by_part(part) is Shows.NOTHING or (_is_text(part) and len(part) <= 2)


def _write(held: Sequence[HeldEvent], _: str, calls: Sequence[RecoveredCall]) -> list[Rewritten]:
    written: list[Rewritten] = []
    for item in held:
        meaning = _read(item.value)
        if item.kept is not None:
            _keep_text(_parts_of(_response_in(item.value)), meaning.text, item.kept)
        if meaning.ends:
            _add_calls(_response_in(item.value), calls)
        is_changed = item.kept is not None or meaning.ends
        written.append((item.event, item.value if is_changed else None))
    return written


def _keep_text(parts: list[dict[str, Any]], text: str, kept: str) -> None:
    """Remove the end of the text from its parts."""
    surplus = len(text) - len(kept)
    for part in reversed(parts):
        if surplus and _is_text(part):
            removed = min(surplus, len(part["text"]))
            part["text"] = part["text"][: len(part["text"]) - removed]
            surplus -= removed


def _add_calls(response: dict[str, Any], calls: Sequence[RecoveredCall]) -> None:
    candidate = dicts_in(response.get("candidates"))[0]
    content = candidate.setdefault("content", {})
    if not isinstance(content, dict) or not isinstance(content.get("parts", []), list):
        raise CannotRewrite
    content.setdefault("role", "model")
    content["parts"] = [
        *content.get("parts", []),
        *({"functionCall": {"name": call.name, "args": call.arguments}} for call in calls),
    ]


def _write_body(body: Any, text: str, calls: Sequence[RecoveredCall]) -> None:
    response = _response_in(body)
    whole = _read(body).text
    parts = _parts_of(response)
    _keep_text(parts, whole, whole.removesuffix(text))
    content = dicts_in(response["candidates"])[0]["content"]
    content["parts"] = [part for part in parts if part.get("text") != ""]
    _add_calls(response, calls)


CALLS_IN_TEXT = CallsInText(
    functions=_functions,
    read=_read,
    write=_write,
    read_body=_read,
    write_body=_write_body,
    parsed=(b"unction",),  # every event contains the id of the response
)
