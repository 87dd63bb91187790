"""What an event or a response shows, and calls in its text."""

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
from wiremend.protocols.responses.grammar import (
    COMPLETE,
    COMPLETED,
    CONTENT,
    CREATED,
    FAILED,
    ITEM_ADDED,
    ITEM_DONE,
    TEXT_DELTA,
    TEXT_DONE,
)
from wiremend.protocols.responses.request import client_tools
from wiremend.text import json_value
from wiremend.text.json_value import dicts_in, is_integer

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


_CALL_ITEMS = (
    "function_call",
    "custom_tool_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "tool_search_call",
)


def _functions(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("previous_response_id") or request.get("conversation"):
        return {}
    if request.get("tool_choice") == "none":
        return {}
    return {
        str(tool.fields.get("name")): tool.fields.get("parameters")
        for tool in client_tools(request)
        if tool.schema_key is not None and len(tool.entry) == 2  # not inside a namespace
    }


def _read(value: Any) -> AnswerText:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return AnswerText()
    response = value.get("response")
    if kind == TEXT_DELTA:
        delta = value.get("delta")
        return AnswerText(delta if isinstance(delta, str) else "")
    if kind == CREATED and isinstance(response, dict):
        return AnswerText(answer_id=str(response.get("id") or ""))
    if kind in COMPLETE or kind in (FAILED, "error"):
        status = response.get("status") if isinstance(response, dict) else None
        is_whole = kind == COMPLETED and status in (None, "completed")
        return AnswerText(ends=is_whole, is_last=is_whole)
    if kind in (ITEM_ADDED, ITEM_DONE):
        item = value.get("item")
        type = item.get("type") if isinstance(item, dict) else None
        is_other = kind == ITEM_ADDED or type != "message"
        return AnswerText(is_other=is_other, is_beyond=type in _CALL_ITEMS)
    return AnswerText(is_other=kind.endswith((".delta", ".added")))


def _without(text: Any, removed: str) -> str:
    """Return a text without its end. Raises CannotRewrite if it has another end."""
    if not isinstance(text, str) or not text.endswith(removed):
        raise CannotRewrite
    return text[: -len(removed)]


def _shorten_item(item: Any, removed: str) -> None:
    """Remove the end of the last text of a message."""
    parts = dicts_in(item.get("content")) if isinstance(item, dict) else []
    if not parts:
        raise CannotRewrite
    parts[-1]["text"] = _without(parts[-1].get("text"), removed)
    if parts[-1].get("logprobs"):
        parts[-1]["logprobs"] = []


def _write(
    held: Sequence[HeldEvent], removed: str, calls: Sequence[RecoveredCall]
) -> list[Rewritten]:
    first = next(item.value for item in held if item.kept is not None)
    index = first.get("output_index")
    if not is_integer(index):
        raise CannotRewrite
    items = _items_of(calls)
    written: list[Rewritten] = []
    for item in held:
        kind = item.value.get("type") if isinstance(item.value, dict) else None
        if item.kept == "":
            continue
        if kind == COMPLETED:
            written += ((None, event) for event in _events_of(items, index + 1))
            _add_items(item.value.get("response"), removed, items)
        else:
            _shorten(item, kind, removed)
        written.append((item.event, item.value))
    _number(written, first.get("sequence_number"))
    return written


def _shorten(held: HeldEvent, kind: Any, removed: str) -> None:
    """Remove the end of the text from an event that contains it."""
    value = held.value
    if held.kept is not None:
        value["delta"] = held.kept
    elif kind == TEXT_DONE:
        value["text"] = _without(value.get("text"), removed)
    elif kind == CONTENT.done:
        _shorten_item({"content": [value.get("part")]}, removed)
    elif kind == ITEM_DONE:
        _shorten_item(value.get("item"), removed)
    if kind in (TEXT_DELTA, TEXT_DONE) and value.get("logprobs"):
        value["logprobs"] = []


def _add_items(response: Any, removed: str, items: list[dict[str, Any]]) -> None:
    output = response.get("output") if isinstance(response, dict) else None
    if output:  # otherwise it is made of the items that were streamed
        if not isinstance(output, list):
            raise CannotRewrite
        _shorten_item(output[-1], removed)
        output += items


def _number(written: Sequence[Rewritten], first: Any) -> None:
    """Number the events from this number on, if they are numbered."""
    if not is_integer(first):
        return
    number = first
    for event, value in written:
        if isinstance(value, dict) and (event is None or "sequence_number" in value):
            value["sequence_number"] = number
            number += 1


def _items_of(calls: Sequence[RecoveredCall]) -> list[dict[str, Any]]:
    return [
        {
            "id": generated_id("fc", call.key, number),
            "type": "function_call",
            "status": "completed",
            "arguments": json_value.write(call.arguments).decode(),
            "call_id": generated_id("call", call.key, number),
            "name": call.name,
        }
        for number, call in enumerate(calls)
    ]


def _events_of(items: list[dict[str, Any]], first: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for index, item in enumerate(items, first):
        place = {"item_id": item["id"], "output_index": index}
        start = {**item, "status": "in_progress", "arguments": ""}
        text, arguments = item["arguments"], "response.function_call_arguments"
        events += (
            {"type": ITEM_ADDED, "output_index": index, "item": start},
            {"type": f"{arguments}.delta", **place, "delta": text},
            {"type": f"{arguments}.done", **place, "arguments": text, "name": item["name"]},
            {"type": ITEM_DONE, "output_index": index, "item": dict(item)},
        )
    return events


def _read_body(body: Any) -> AnswerText:
    items = dicts_in(body.get("output")) if isinstance(body, dict) else []
    last = items[-1] if items else {}
    parts = dicts_in(last.get("content")) if last.get("type") == "message" else []
    text = parts[-1].get("text") if parts and parts[-1].get("type") == "output_text" else None
    return AnswerText(
        text=text if isinstance(text, str) else "",
        is_beyond=any(item.get("type") in _CALL_ITEMS for item in items),
        ends=isinstance(body, dict) and body.get("status") in (None, "completed"),
        answer_id=str(body.get("id") or "") if isinstance(body, dict) else "",
    )


def _write_body(body: Any, text: str, calls: Sequence[RecoveredCall]) -> None:
    last = body["output"][-1]
    _shorten_item(last, text)
    if len(last["content"]) == 1 and not last["content"][0]["text"].strip():
        del body["output"][-1]
    body["output"] += _items_of(calls)


CALLS_IN_TEXT = CallsInText(
    functions=_functions,
    read=_read,
    write=_write,
    read_body=_read_body,
    write_body=_write_body,
    parsed=(CREATED.encode(), b"_call"),
)
