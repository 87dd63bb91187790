"""What a chunk or a completion shows, and calls in its text."""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.protocols.base.generated_ids import generated_id
from wiremend.protocols.base.protocol import (
    AnswerText,
    CallsInText,
    CannotRewrite,
    HeldEvent,
    RecoveredCall,
    Rewritten,
)
from wiremend.protocols.base.repairer import Shows, has_text
from wiremend.protocols.chat.request import client_tools
from wiremend.text import json_value
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


_CALLS = ("tool_calls", "function_call")
_NORMAL_ENDS = ("stop", "tool_calls", "function_call")
_NO_TEXT = ("refusal", "audio", "images", *_REASONING)


def _functions(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("tool_choice") == "none" or (request.get("n") or 1) != 1:
        return {}
    return {
        str(tool.fields.get("name")): tool.fields.get("parameters")
        for tool in client_tools(request)
        if tool.schema_key is not None and tool.entry[:1] == ("tools",)
    }


def _read(value: Any) -> AnswerText:
    return _meaning(value, "delta")


def _read_body(value: Any) -> AnswerText:
    return _meaning(value, "message")


def _meaning(value: Any, key: str) -> AnswerText:
    choices = dicts_in(value.get("choices")) if isinstance(value, dict) else []
    if not choices:
        return AnswerText()
    message = choices[0].get(key)
    message = message if isinstance(message, dict) else {}
    content = message.get("content")
    return AnswerText(
        text=content if isinstance(content, str) else "",
        is_other=any(has_text(message.get(name)) for name in _NO_TEXT),
        is_beyond=len(choices) > 1
        or choices[0].get("index") not in (None, 0)
        or not isinstance(content, str | None)
        or any(message.get(name) for name in _CALLS),
        ends=_ends(choices[0].get("finish_reason"), value),
        answer_id=str(value.get("id") or ""),
    )


def _ends(reason: Any, value: Any) -> bool | None:
    if value.get("error"):
        return False
    return reason in _NORMAL_ENDS if reason else None


def _calls_of(calls: Sequence[RecoveredCall]) -> list[dict[str, Any]]:
    return [
        {
            "id": generated_id("call", call.key, number),
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": json_value.write(call.arguments).decode(),
            },
        }
        for number, call in enumerate(calls)
    ]


def _write(held: Sequence[HeldEvent], _: str, calls: Sequence[RecoveredCall]) -> list[Rewritten]:
    added = [{"index": number, **call} for number, call in enumerate(_calls_of(calls))]
    written: list[Rewritten] = []
    for item in held:
        chunk = item.value
        choices = dicts_in(chunk.get("choices")) if isinstance(chunk, dict) else []
        ends = bool(choices) and bool(choices[0].get("finish_reason"))
        if item.kept is not None:
            _keep_text(choices[0], item.kept)
        if not ends:
            if item.kept is None:
                written.append((item.event, None))
            elif choices[0]["delta"] or chunk.get("usage"):
                written.append((item.event, chunk))
            continue
        choices[0]["finish_reason"] = "tool_calls"
        if item.kept is None:
            written.append((None, _chunk_with(chunk, added)))
        else:
            choices[0]["delta"]["tool_calls"] = added
        written.append((item.event, chunk))
    return written


def _keep_text(choice: dict[str, Any], kept: str) -> None:
    """Replace the text in the delta of a choice."""
    if kept:
        choice["delta"]["content"] = kept
    else:
        del choice["delta"]["content"]
    if choice.get("logprobs"):
        choice["logprobs"] = None


def _chunk_with(chunk: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a chunk of the same response with these calls."""
    fields = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
    choice = {"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}
    return {**fields, "choices": [choice]}


def _write_body(body: Any, text: str, calls: Sequence[RecoveredCall]) -> None:
    choice = dicts_in(body["choices"])[0]
    message = choice["message"]
    if not message["content"].endswith(text):
        raise CannotRewrite
    kept = message["content"][: -len(text)]
    message["content"] = kept if kept.strip() else None
    message["tool_calls"] = _calls_of(calls)
    choice["finish_reason"] = "tool_calls"


CALLS_IN_TEXT = CallsInText(
    functions=_functions,
    read=_read,
    write=_write,
    read_body=_read_body,
    write_body=_write_body,
    parsed=(b"_call",),
)
