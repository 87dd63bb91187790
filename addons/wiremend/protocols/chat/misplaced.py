"""Values in the wrong place of a chunk or body: they are moved before anything is made up."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.chat.grammar import CONTENT_KEYS, is_answer
from wiremend.text import json_value
from wiremend.text.json_envelope import unwrapped
from wiremend.text.json_value import JsonObject, dicts_in

_TEXT_NAMES = ("text", "output_text", "response", "value", "message")
"""Other names under which gateways have the text of a delta."""
_MESSAGE_KEYS = ("role", "tool_calls", "function_call", *CONTENT_KEYS)
"""The members of a delta or message."""
_REASON_NAMES = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")
_USUAL_IN_CHOICE = frozenset(
    {"index", "delta", "message", "finish_reason", "native_finish_reason", "logprobs"}
    | {"content_filter_results"}
)
_USUAL_IN_CONTENT = frozenset({"role", "tool_calls", *CONTENT_KEYS})
_OUTSIDE = frozenset({"delta", "message", "text", "output_text", *_MESSAGE_KEYS})
_CALL_NAMES: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "tool_name"),
    "arguments": ("arguments", "input", "args", "parameters"),
}
"""Names of the members of a function that gateways have in the call itself."""


def without_envelope(value: Any) -> JsonObject | None:
    """Return the answer inside a gateway's envelope; None if the value is not such an envelope."""
    if not isinstance(value, dict) or "choices" in value or value.get("error"):
        return None
    inner = unwrapped(value, is_answer)
    return inner if isinstance(inner, dict) else None


def is_usual(answer: JsonObject, holder: str) -> bool:
    """Return whether all that is known to be moved has its usual place in an answer."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return False
    for choice in choices:
        if not is_usual_choice(choice, holder):
            return False
    return bool(choices) or answer.keys().isdisjoint(_OUTSIDE)


def is_usual_choice(choice: Any, holder: str) -> bool:
    """Return whether the content of a choice is a `holder`, and all of it has its usual place."""
    if not isinstance(choice, dict) or not choice.keys() <= _USUAL_IN_CHOICE:
        return False
    content = choice.get(holder)
    if not isinstance(content, dict) or not content.keys() <= _USUAL_IN_CONTENT:
        return False
    if isinstance(content.get("content"), dict):
        return False
    calls = content.get("tool_calls")
    return not calls or _are_usual(calls)


def _are_usual(calls: Any) -> bool:
    return isinstance(calls, list) and all(
        isinstance(call, dict) and "function" in call for call in calls
    )


def move_in_answer(answer: JsonObject, holder: str) -> list[str]:
    """Move values of a chunk or completion to their places; return what was moved.

    `holder` is the member of a choice with its content: `delta` or `message`.
    """
    moved = [*_move_choice(answer, holder)]
    for choice in dicts_in(answer.get("choices")):
        moved += _move_in_choice(choice, holder)
        content = choice.get(holder)
        if isinstance(content, dict):
            moved += _move_text(content)
            moved += _move_calls(content)
    return moved


def _move_choice(answer: JsonObject, holder: str) -> list[str]:
    """Move a choice that is not in a list, or the members of a choice in the answer itself."""
    choices = answer.get("choices")
    if isinstance(choices, dict):
        answer["choices"] = [choices]
        return ["choices that are no list"]
    if choices:
        return []
    names = [key for key in ("delta", "message") if isinstance(answer.get(key), dict)]
    if isinstance(answer.get("delta"), str) and answer["delta"]:
        names.append("delta")
    names += [key for key in (*_MESSAGE_KEYS, "text", "output_text") if answer.get(key)]
    if names in ([], ["role"]):
        return []
    choice: JsonObject = {"index": 0}
    for name in (*names, *_REASON_NAMES):
        if name in answer:
            choice[name] = answer.pop(name)
    if holder == "delta":
        choice.setdefault("finish_reason", None)
    answer["choices"] = [choice]
    return [f"{', '.join(names)} outside of choices"]


def _move_in_choice(choice: JsonObject, holder: str) -> list[str]:
    """Move the members of a delta or message that are in its choice, and the finish reason."""
    moved = []
    content = choice.get(holder)
    other = "message" if holder == "delta" else "delta"
    if not isinstance(content, dict) and isinstance(choice.get(other), dict):
        content = choice[holder] = choice.pop(other)
        moved.append(f"a {other} in place of a {holder}")
    elif isinstance(content, str) and content:
        content = choice[holder] = {"content": content}
        moved.append(f"a {holder} that is text")
    elif isinstance(content, list) and content and len(dicts_in(content)) == len(content) == 1:
        content = choice[holder] = content[0]
        moved.append(f"a {holder} in a list")
    known: JsonObject = content if isinstance(content, dict) else {}
    if isinstance(choice.get(other), str) and choice[other] and not _has_content(known):
        known = {**known, "content": choice.pop(other)}
    names = [key for key in (*_MESSAGE_KEYS, "text") if choice.get(key) and not known.get(key)]
    if "text" in names and _has_content(known):
        names.remove("text")
    for name in names:
        known = {**known, ("content" if name == "text" else name): choice.pop(name)}
    if known is not content and known:
        choice[holder] = known
        moved.append(f"{', '.join(names) or other} in the choice")
    return moved + _move_reason(choice, known)


def _move_reason(choice: JsonObject, content: JsonObject) -> list[str]:
    """Move a finish reason under another name, or from the delta, into `finish_reason`."""
    if choice.get("finish_reason"):
        return []
    places = [(choice, name) for name in _REASON_NAMES if name != "stop_reason"]
    for owner, name in (*places, *((content, name) for name in _REASON_NAMES)):
        reason = owner.get(name)
        if isinstance(reason, str) and reason:
            del owner[name]
            choice["finish_reason"] = reason
            return [f"{name} of the {'choice' if owner is choice else 'delta'}"]
    return []


def _move_text(content: JsonObject) -> list[str]:
    """Move the text of a delta from another name, or out of an object, to `content`."""
    inner = content.get("content")
    is_part = isinstance(inner, dict) and inner.get("type") in ("text", "output_text")
    if isinstance(inner, dict) and is_part and isinstance(inner.get("text"), str):
        content["content"] = inner["text"]
        return ["content that is an object"]
    if content.get("content") or content.get("refusal"):
        return []
    for name in _TEXT_NAMES:
        value = content.get(name)
        if isinstance(value, dict) and not value.keys().isdisjoint((*_MESSAGE_KEYS, "text")):
            del content[name]
            content |= {key: item for key, item in value.items() if item is not None}
            if not _has_content(content) and isinstance(content.get("text"), str):
                content["content"] = content.pop("text")
            return [f"{name} in the delta"]
        if isinstance(value, str) and value:
            del content[name]
            content["content"] = value
            return [f"the text under {name!r}"]
    return []


def _move_calls(content: JsonObject) -> list[str]:
    """Move a call that is not in a list, and the members of a function in the call itself."""
    moved = []
    calls = content.get("tool_calls")
    if isinstance(calls, dict) and calls:
        calls = content["tool_calls"] = [calls]
        moved.append("tool_calls that are no list")
    for call in dicts_in(calls):
        if "function" in call or "custom" in call or call.get("type") == "custom":
            continue
        function: JsonObject = {}
        for key, names in _CALL_NAMES.items():
            name = next((name for name in names if call.get(name) is not None), None)
            if name is not None:
                function[key] = call.pop(name)
        if function:
            if isinstance(function.get("arguments"), dict | list):
                function["arguments"] = json_value.write(function["arguments"]).decode()
            call["function"] = function
            if call.get("type") not in (None, "function"):
                call["type"] = "function"
            moved.append(f"{', '.join(function)} of a call")
    return moved


def _has_content(content: Mapping[str, Any]) -> bool:
    return any(content.get(key) for key in CONTENT_KEYS)
