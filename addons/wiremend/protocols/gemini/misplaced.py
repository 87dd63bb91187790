"""Values in the wrong place of a response: they are moved before anything is taken for missing."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule
from wiremend.text import json_envelope, json_value
from wiremend.text.json_value import JsonObject, dicts_in

_GEMINI = ("gemini",)

MISPLACED = Rule(
    code="S420",
    name="value-misplaced",
    detects="A value is in the wrong place: text instead of `content`, `parts` or a part, the "
    "members of a candidate in the response itself, names in snake case, `arguments` instead of "
    "`args`.",
    impact="Clients do not find it: the response is empty, has no end, or is rejected.",
    action="Moves it to its place.",
    protocols=_GEMINI,
    before='"candidates":[{"content":"Hi","finish_reason":"STOP"}]',
    after='"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},'
    '"finishReason":"STOP"}]',
)
ENVELOPE = Rule(
    code="S421",
    name="response-in-envelope",
    detects="A response is inside an envelope of a gateway, such as `{success, data}`, or inside "
    "Code Assist's `{response}` for a client that does not use Code Assist; or that wrapper is "
    "missing for a client that does.",
    impact="Clients find no candidates: the response is empty.",
    action="Removes the envelope, or adds the wrapper.",
    protocols=_GEMINI,
    before='{"success":true,"data":{"candidates":[…]}}',
    after='{"candidates":[…]}',
)

_RESPONSE_NAMES: Mapping[str, str] = {
    "prompt_feedback": "promptFeedback",
    "usage_metadata": "usageMetadata",
    "model_version": "modelVersion",
    "response_id": "responseId",
}
_FEEDBACK_NAMES: Mapping[str, str] = {
    "block_reason": "blockReason",
    "block_reason_message": "blockReasonMessage",
    "safety_ratings": "safetyRatings",
}
_USAGE_NAMES: Mapping[str, str] = {
    "prompt_token_count": "promptTokenCount",
    "candidates_token_count": "candidatesTokenCount",
    "total_token_count": "totalTokenCount",
    "thoughts_token_count": "thoughtsTokenCount",
    "cached_content_token_count": "cachedContentTokenCount",
    "tool_use_prompt_token_count": "toolUsePromptTokenCount",
}
_CANDIDATE_NAMES: Mapping[str, str] = {
    "finish_reason": "finishReason",
    "finish_message": "finishMessage",
    "safety_ratings": "safetyRatings",
    "grounding_metadata": "groundingMetadata",
    "citation_metadata": "citationMetadata",
    "avg_logprobs": "avgLogprobs",
}
_PART_NAMES: Mapping[str, str] = {
    "function_call": "functionCall",
    "inline_data": "inlineData",
    "file_data": "fileData",
    "executable_code": "executableCode",
    "code_execution_result": "codeExecutionResult",
    "thought_signature": "thoughtSignature",
}
_CALL_NAMES: Mapping[str, str] = {
    "arguments": "args",
    "parameters": "args",
    "input": "args",
    "will_continue": "willContinue",
    "partial_args": "partialArgs",
}
_TEXT_NAMES = ("text", "content", "output_text", "output", "message", "delta", "value")
"""Names under which gateways have the text of a candidate or a part."""
_THOUGHT_NAMES = ("thought", "thinking", "reasoning", "reasoning_content")
"""Names under which gateways have the text of a thought."""
_PART_KEYS = frozenset(
    {"text", "functionCall", "inlineData", "fileData", "functionResponse"}
    | {"executableCode", "codeExecutionResult"}
)
_USUAL_RESPONSE = frozenset(
    {"candidates", "usageMetadata", "modelVersion", "responseId", "createTime", "promptFeedback"}
)
_USUAL_CANDIDATE = frozenset(
    {"content", "finishReason", "index", "safetyRatings", "avgLogprobs", "finishMessage"}
)
_USUAL_CONTENT = frozenset({"parts", "role"})
_USUAL_PART = frozenset({"text", "thought", "thoughtSignature"})
_ANSWER_KEYS = frozenset({"candidates", "promptFeedback", "usageMetadata"})
_LOOSE_KEYS = frozenset({"modelVersion", "usageMetadata", "responseId", "finishReason", "role"})
"""Beside text, one of these shows that an object is a response whose candidate was left out."""


def is_answer(value: Any) -> bool:
    """Return whether this is a response that is not inside of anything."""
    return isinstance(value, dict) and not _ANSWER_KEYS.isdisjoint(value)


def without_envelope(value: Any, *, in_wrapper: bool | None, draft: Draft) -> Any:
    """Return a response in the wrapper that the client reads, and in no other.

    `in_wrapper` is that of `StreamContext`. Anything that contains no response is returned as it
    is.
    """
    if not isinstance(value, dict) or value.get("error"):
        return value
    inner = value.get("response")
    if is_answer(value):
        if not in_wrapper or not draft.change(ENVELOPE, "no `response`", "added"):
            return value
        return {"response": value}
    if isinstance(inner, dict):
        if in_wrapper is False and is_answer(inner):
            return inner if draft.change(ENVELOPE, "`response`", "removed") else value
        return value
    found = json_envelope.unwrapped(value, is_answer)
    if found is None:
        return value
    names = ", ".join(sorted(map(str, value)))[:60]
    if not draft.change(ENVELOPE, f"an envelope with {names}", "removed"):
        return value
    return {"response": found} if in_wrapper else found


def is_misplaced(value: Any) -> bool:
    """Return whether this is a response all of whose members have other names or places."""
    is_renamed = isinstance(value, dict) and not _RESPONSE_NAMES.keys().isdisjoint(value)
    return is_renamed or has_loose_candidate(value)


def has_loose_candidate(value: Any) -> bool:
    """Return whether an object is a response with the members of its candidate in itself."""
    if not isinstance(value, dict) or "candidates" in value or "type" in value:
        return False
    content = value.get("content")
    if isinstance(content, dict) and isinstance(content.get("parts"), list):
        return True
    has_parts = isinstance(value.get("parts"), list)
    reason = value.get("finishReason", value.get("finish_reason"))
    is_named = not _LOOSE_KEYS.isdisjoint(value)
    has_text = any(isinstance(value.get(key), str) for key in ("text", "content"))
    return isinstance(reason, str | int) or (is_named and (has_parts or has_text))


def move_in_response(response: JsonObject, draft: Draft) -> None:
    """Move the values of a response to their places; does nothing if the rule is disabled."""
    if is_text_in_place(response) or not draft.is_on(MISPLACED):
        return
    _rename(response, _RESPONSE_NAMES, draft)
    if has_loose_candidate(response):
        _add_candidate(response, draft)
    for key, names in (("usageMetadata", _USAGE_NAMES), ("promptFeedback", _FEEDBACK_NAMES)):
        _rename(response.get(key), names, draft)
    candidates = response.get("candidates")
    if isinstance(candidates, list) and any(isinstance(one, str) for one in candidates):
        _note(draft, "text as a candidate")
        response["candidates"] = candidates = [
            {"content": one} if isinstance(one, str) else one for one in candidates
        ]
    for candidate in [candidates] if isinstance(candidates, dict) else dicts_in(candidates):
        _move_in_candidate(candidate, response, draft)


def is_text_in_place(response: JsonObject) -> bool:
    """Return whether a response has nothing but text, and all of it in its place.

    This is the usual event, for which nothing else need be looked at.
    """
    candidates = response.get("candidates")
    if not response.keys() <= _USUAL_RESPONSE or type(candidates) is not list:
        return False
    usage = response.get("usageMetadata", {})
    if type(usage) is not dict or not _USAGE_NAMES.keys().isdisjoint(usage):
        return False
    for candidate in candidates:
        if type(candidate) is not dict or not candidate.keys() <= _USUAL_CANDIDATE:
            return False
        content = candidate.get("content")
        if type(content) is not dict or type(content.get("parts")) is not list:
            return False
        if not content.keys() <= _USUAL_CONTENT or not content["parts"]:
            return False
        for part in content["parts"]:
            if type(part) is not dict or not part.keys() <= _USUAL_PART:
                return False
            if type(part.get("text")) is not str or type(part.get("thought", True)) is not bool:
                return False
    return True


def _add_candidate(response: JsonObject, draft: Draft) -> None:
    keys = {"content", "parts", "role", "index", *_TEXT_NAMES, *_CANDIDATE_NAMES}
    keys |= set(_CANDIDATE_NAMES.values())
    moved = [key for key in response if key in keys]
    _note(draft, f"{', '.join(moved)} in the response")
    candidate = {key: response.pop(key) for key in moved}
    role = candidate.pop("role", None)
    if role is not None and "parts" in candidate:
        candidate["content"] = {"parts": candidate.pop("parts"), "role": role}
    response["candidates"] = [candidate]


def _move_in_candidate(candidate: JsonObject, response: JsonObject, draft: Draft) -> None:
    _rename(candidate, _CANDIDATE_NAMES, draft)
    for key in ("usageMetadata", "usage_metadata"):
        if isinstance(candidate.get(key), dict) and not response.get("usageMetadata"):
            _note(draft, f"{key} in a candidate")
            response["usageMetadata"] = candidate.pop(key)
            _rename(response["usageMetadata"], _USAGE_NAMES, draft)
    content = candidate.get("content")
    if content is None:
        content = _content_in(candidate, draft)
    elif isinstance(content, str):
        _note(draft, "text as the content")
        content = {"parts": [{"text": content}], "role": "model"}
    elif isinstance(content, list) and content:
        _note(draft, "a list as the content")
        content = {"parts": content, "role": "model"}
    if not isinstance(content, dict):
        return
    candidate["content"] = content
    for key in ("finishReason", "finish_reason"):
        if key in content and not candidate.get("finishReason"):
            _note(draft, f"{key} in the content")
            candidate["finishReason"] = content.pop(key)
    _move_in_content(content, draft)


def _content_in(candidate: JsonObject, draft: Draft) -> JsonObject | None:
    """Return the content of a candidate without one, from where gateways have it."""
    for key in _TEXT_NAMES:
        inner = candidate.get(key)
        if isinstance(inner, dict) and (key in ("message", "delta") or "parts" in inner):
            _note(draft, f"{key} instead of content")
            found: JsonObject = candidate.pop(key)
            if isinstance(found.get("role"), str):
                found["role"] = "model"
            return found
    if isinstance(candidate.get("parts"), list | str | dict):
        _note(draft, "parts in a candidate")
        return {"parts": candidate.pop("parts"), "role": "model"}
    text = _take_text(candidate)
    if text is None:
        return None
    _note(draft, "text in a candidate")
    return {"parts": [{"text": text}], "role": "model"}


def _move_in_content(content: JsonObject, draft: Draft) -> None:
    parts = content.get("parts")
    if isinstance(parts, str):
        _note(draft, "text as the parts")
        content["parts"] = parts = [{"text": parts}]
    elif parts in (None, []):
        parts = _parts_in(content, draft)
    if isinstance(parts, list) and any(isinstance(part, str) for part in parts):
        _note(draft, "text as a part")
        content["parts"] = parts = [
            {"text": part} if isinstance(part, str) else part for part in parts
        ]
    for part in [parts] if isinstance(parts, dict) else dicts_in(parts):
        _move_in_part(part, draft)


def _parts_in(content: JsonObject, draft: Draft) -> Any:
    """Return the parts of content without any, from where gateways have them."""
    _rename(content, _PART_NAMES, draft)
    keys = [key for key in content if key in _PART_KEYS and key != "text"]
    inner = content.get("content")
    if isinstance(inner, list) and inner:
        _note(draft, "a list as the content")
        content["parts"] = content.pop("content")
    elif keys:
        _note(draft, f"{', '.join(keys)} in the content")
        content["parts"] = [{key: content.pop(key) for key in keys}]
    elif (text := _take_text(content)) is not None:
        _note(draft, "text in the content")
        content["parts"] = [{"text": text}]
    return content.get("parts")


def _move_in_part(part: JsonObject, draft: Draft) -> None:
    _rename(part, _PART_NAMES, draft)
    _move_thought(part, draft)
    text = part.get("text")
    if isinstance(text, dict | list):
        inner = _text_inside(text)
        if inner is not None:
            _note(draft, "text inside of a part's text")
            part["text"] = inner
    elif text is None and _PART_KEYS.isdisjoint(part.keys() - {"text"}):
        _fill_part(part, draft)
    call = part.get("functionCall")
    if isinstance(call, str) and (value := _object_in(call)) is not None:
        _note(draft, "a function call as JSON text")
        part["functionCall"] = call = value
    if not isinstance(call, dict):
        return
    function = call.get("function")
    if isinstance(function, dict) and not call.get("name"):
        _note(draft, "function in a function call")
        del call["function"]
        call |= function
    if "args" not in call and "partialArgs" not in call:
        _rename(call, _CALL_NAMES, draft)


def _move_thought(part: JsonObject, draft: Draft) -> None:
    """Move a thought that is not in the text of its part."""
    if part.get("text"):
        return
    for key in _THOUGHT_NAMES:
        text = part.get(key)
        if isinstance(text, str) and text:
            _note(draft, f"{key} instead of a thought's text")
            del part[key]
            part |= {"text": text, "thought": True}
            return


def _fill_part(part: JsonObject, draft: Draft) -> None:
    """Fill a part that has none of the known members."""
    if isinstance(part.get("name"), str) and any(
        key in part for key in ("args", "arguments", "parameters")
    ):
        _note(draft, "a function call as a part")
        signature = part.pop("thoughtSignature", None)
        call = dict(part)
        part.clear()
        part["functionCall"] = call
        if signature is not None:
            part["thoughtSignature"] = signature
    elif (text := _take_text(part)) is not None:
        _note(draft, "text under another name in a part")
        part["text"] = text


def _take_text(owner: JsonObject) -> str | None:
    """Remove the text that an object has under one of its names, and return it."""
    for key in _TEXT_NAMES:
        text = owner.get(key)
        if isinstance(text, str):
            del owner[key]
            return text
    return None


def _object_in(text: str) -> JsonObject | None:
    """Return the object that a text contains as JSON."""
    with suppress(ValueError):
        value = json_value.read(text)
        return value if isinstance(value, dict) else None
    return None


def _text_inside(value: Any) -> str | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    texts = [value.get(key) for key in _TEXT_NAMES] if isinstance(value, dict) else []
    return next((text for text in texts if isinstance(text, str)), None)


def _rename(owner: Any, names: Mapping[str, str], draft: Draft) -> None:
    """Rename members of an object in place; those whose name is taken keep theirs."""
    if not isinstance(owner, dict):
        return
    if names.keys().isdisjoint(owner):
        return
    renamed = [key for key in owner if key in names and owner.get(names[key]) is None]
    if not renamed:
        return
    _note(draft, f"members named {', '.join(renamed)}"[:80])
    moved = {
        names[key] if key in renamed else key: value
        for key, value in owner.items()
        if key in renamed or key not in {names[one] for one in renamed}
    }
    owner.clear()
    owner |= moved


def _note(draft: Draft, found: str) -> None:
    draft.change(MISPLACED, found, "moved", once=found)
