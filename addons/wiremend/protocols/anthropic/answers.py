"""What an event or a message shows, and calls in its text."""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.protocols.anthropic.request import client_tools
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
from wiremend.text import json_value
from wiremend.text.json_value import dicts_in, is_integer

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


_NORMAL_ENDS = ("end_turn", "tool_use", "stop", "tool_calls")


def _functions(request: dict[str, Any]) -> dict[str, Any]:
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "none":
        return {}
    return {
        str(tool.fields.get("name")): tool.fields.get("input_schema")
        for tool in client_tools(request)
    }


def _read(value: Any) -> AnswerText:
    if not isinstance(value, dict):
        return AnswerText()
    match value.get("type"):
        case "message_start":
            message = value.get("message")
            message = message if isinstance(message, dict) else {}
            has_content = bool(message.get("content"))
            return AnswerText(is_beyond=has_content, answer_id=str(message.get("id") or ""))
        case "content_block_start":
            return _meaning_of_block(value.get("content_block"))
        case "content_block_delta":
            delta = value.get("delta")
            is_text = isinstance(delta, dict) and delta.get("type") == "text_delta"
            text = delta.get("text") if isinstance(delta, dict) and is_text else None
            return AnswerText(text if isinstance(text, str) else "", is_other=not is_text)
        case "message_delta":
            delta = value.get("delta")
            reason = delta.get("stop_reason") if isinstance(delta, dict) else None
            return AnswerText(ends=reason in _NORMAL_ENDS if reason else None)
        case "error":
            return AnswerText(ends=False)
    return AnswerText()


def _meaning_of_block(block: Any) -> AnswerText:
    block = block if isinstance(block, dict) else {}
    text = block.get("text")
    return AnswerText(
        text=text if block.get("type") == "text" and isinstance(text, str) else "",
        is_other=True,
        is_beyond=block.get("type") == "tool_use",
    )


def _write(held: Sequence[HeldEvent], _: str, calls: Sequence[RecoveredCall]) -> list[Rewritten]:
    index = next(item.value for item in held if item.kept is not None).get("index")
    if not is_integer(index):
        raise CannotRewrite
    written: list[Rewritten] = []
    is_open = True
    for item in held:
        kind = item.value.get("type") if isinstance(item.value, dict) else None
        if item.kept is not None:
            holder = item.value["content_block" if kind == "content_block_start" else "delta"]
            holder["text"] = item.kept
            if item.kept or kind == "content_block_start":
                written.append((item.event, item.value))
        elif kind == "message_delta" and _read(item.value).ends:
            if is_open:
                written.append((None, {"type": "content_block_stop", "index": index}))
                is_open = False
            written += ((None, event) for event in _events_of(calls, index + 1))
            item.value["delta"]["stop_reason"] = "tool_use"
            written.append((item.event, item.value))
        else:
            is_open = is_open and kind != "content_block_stop"
            written.append((item.event, None))
    return written


def _blocks_of(calls: Sequence[RecoveredCall]) -> list[dict[str, Any]]:
    return [
        {
            "type": "tool_use",
            "id": generated_id("toolu", call.key, number),
            "name": call.name,
            "input": call.arguments,
        }
        for number, call in enumerate(calls)
    ]


def _events_of(calls: Sequence[RecoveredCall], first: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for index, block in enumerate(_blocks_of(calls), first):
        delta = {
            "type": "input_json_delta",
            "partial_json": json_value.write(block["input"]).decode(),
        }
        start = {**block, "input": {}}
        events += (
            {"type": "content_block_start", "index": index, "content_block": start},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        )
    return events


def _read_body(body: Any) -> AnswerText:
    blocks = dicts_in(body.get("content")) if isinstance(body, dict) else []
    if not blocks:
        return AnswerText()
    last = _meaning_of_block(blocks[-1])
    reason = body.get("stop_reason")
    return AnswerText(
        text=last.text,
        is_beyond=any(block.get("type") == "tool_use" for block in blocks),
        ends=reason in _NORMAL_ENDS if reason else None,
        answer_id=str(body.get("id") or ""),
    )


def _write_body(body: Any, text: str, calls: Sequence[RecoveredCall]) -> None:
    blocks = body["content"]
    if not isinstance(blocks[-1], dict) or not str(blocks[-1].get("text")).endswith(text):
        raise CannotRewrite
    kept = blocks[-1]["text"].removesuffix(text)
    if kept.strip():
        blocks[-1]["text"] = kept
    else:
        del blocks[-1]
    blocks += _blocks_of(calls)
    body["stop_reason"] = "tool_use"


CALLS_IN_TEXT = CallsInText(
    functions=_functions,
    read=_read,
    write=_write,
    read_body=_read_body,
    write_body=_write_body,
    parsed=(b"message_start", b"tool_use"),
)
