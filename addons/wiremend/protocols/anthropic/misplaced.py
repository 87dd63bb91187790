"""Values in the wrong place of an event: they are moved before anything is made up for them."""

from collections.abc import Iterable, Mapping
from typing import Any

from wiremend.protocols.anthropic.grammar import (
    BLOCK_BY_DELTA,
    DELTAS_BY_BLOCK,
    STREAM_EVENTS,
    TEXT_BY_DELTA,
)
from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule, start_of
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject

_P = ("anthropic-messages",)

MISPLACED = Rule(
    code="S132",
    name="value-misplaced",
    detects="A value is in the wrong place: the fields of a message, block or delta in the event "
    "itself, a delta's text under another name, the usage or the stop reason one level off.",
    impact="Clients do not find it: the text is lost, or they fail on the missing field.",
    action="Moves it. A delta whose text cannot be found ends the stream in the protocol's error "
    "event.",
    protocols=_P,
    before='{"type":"content_block_delta","index":0,"text":"Hi"}',
    after='{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}',
)
ENVELOPE = Rule(
    code="S133",
    name="event-in-envelope",
    detects="An event is inside an envelope of the gateway, such as `{success, data}`.",
    impact="Clients read the envelope as an unknown event; the turn is empty.",
    action="Removes the envelope.",
    protocols=_P,
    before='{"success":true,"data":{"type":"message_stop"}}',
    after='{"type":"message_stop"}',
)

_MESSAGE_KEYS = ("id", "role", "model", "content", "stop_reason", "stop_sequence", "usage")
_TEXT_NAMES = (
    "text",
    "content",
    "value",
    "delta",
    "thinking",
    "reasoning",
    "reasoning_content",
    "reasoning_text",
    "partial_json",
    "json",
    "input",
    "arguments",
    "signature",
    "output_text",
    "message",
    "data",
)
"""Names under which gateways have the text of a delta."""
_NO_TEXT = frozenset(
    {"type", "index", "id", "role", "model", "object", "name", "citations", "annotations"}
    | {"logprobs", "cache_control", "caller", "created", "usage"}
)
"""Members that are not the text of a delta."""
_DELTA_BY_KEY: Mapping[str, str] = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "partial_json": "input_json_delta",
    "signature": "signature_delta",
    "citation": "citations_delta",
}
_DELTA_BY_NAME: Mapping[str, str] = {
    "text": "text_delta",
    "output_text_delta": "text_delta",
    "thinking": "thinking_delta",
    "reasoning_delta": "thinking_delta",
    "signature": "signature_delta",
    "input_json": "input_json_delta",
    "json_delta": "input_json_delta",
    "tool_use": "input_json_delta",
    "tool_use_delta": "input_json_delta",
}
"""Other names of the types of deltas."""
_CALL_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("tool_use_id", "tool_call_id", "call_id"),
    "name": ("name", "tool_name"),
    "input": ("arguments", "args", "parameters", "partial_json"),
}
"""Other names of the fields of a call."""
_DELTA_BY_BLOCK: Mapping[str, str] = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "tool_use": "input_json_delta",
}


def is_stream_event(value: Any) -> bool:
    """Return whether this is the data of a known event."""
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind in STREAM_EVENTS


def move_message(data: JsonObject, draft: Draft) -> bool:
    """Move the fields of a `message_start` into its message; return whether it changed."""
    message = data.get("message")
    known = message if isinstance(message, dict) else {}
    moved = [key for key in _MESSAGE_KEYS if data.get(key) is not None and known.get(key) is None]
    if not moved or not draft.note(MISPLACED, f"{', '.join(moved)} in the event", "moved"):
        return False
    data["message"] = {**known, **{key: data.pop(key) for key in moved}}
    return True


def missing_fields(block: JsonObject) -> JsonObject:
    """Return the missing fields of a block of a known type, from where gateways have them."""
    kind = block.get("type")
    if kind == "tool_use":
        return _call_fields(block)
    if kind not in ("text", "thinking") or isinstance(block.get(kind), str):
        return {}
    others = {key: block[key] for key in _TEXT_NAMES if key in block and key != "signature"}
    text = _text_in(others, kind)
    return {} if text is None else {kind: text}


def move_fields(block: JsonObject, fields: JsonObject) -> None:
    """Move what `missing_fields` found."""
    for key, value in fields.items():
        for name in ("function", *_CALL_NAMES.get(key, ())):
            if name != key:
                block.pop(name, None)
        if key in ("text", "thinking"):
            for name in _TEXT_NAMES:
                if name in block and _as_text(block[name], key) == value:
                    del block[name]
    block |= fields


def move_block(data: JsonObject, draft: Draft) -> bool:
    """Move the fields of a block into `content_block`; return whether anything changed."""
    block = data.get("content_block")
    if isinstance(block, dict) and isinstance(block.get("type"), str):
        fields = missing_fields(block)
        if not fields or not draft.note(MISPLACED, f"{', '.join(fields)} of the block", "moved"):
            return False
        move_fields(block, fields)
        return True
    fields = {
        key: value
        for key, value in (block if isinstance(block, dict) else data).items()
        if key not in ("type", "index", "content_block")
    }
    key = next((key for key, value in fields.items() if _is_block(value)), None)
    if key is not None and not isinstance(block, dict):
        if not draft.note(MISPLACED, f"the block under {key!r}", "moved"):
            return False
        data["content_block"] = data.pop(key)
        return True
    kind = _block_kind(fields)
    if kind is None or not draft.note(MISPLACED, f"a {kind} block without a type", "moved"):
        return False
    if not isinstance(block, dict):
        for key in fields:
            del data[key]
    data["content_block"] = {**fields, "type": kind}
    return True


def is_whole_delta(delta: Any) -> bool:
    """Return whether a delta has its type and, if that is known, its text."""
    kind = delta.get("type") if isinstance(delta, dict) else None
    if not isinstance(kind, str) or kind in _DELTA_BY_NAME:
        return False
    key = TEXT_BY_DELTA.get(kind)
    return key is None or isinstance(delta.get(key), str) or _is_input(key, delta)


def move_delta(data: JsonObject, open_kind: str | None, draft: Draft) -> bool:
    """Give a delta its type and its text; return whether anything changed.

    `open_kind` is the type of its block, if known. Raises ContentLost for text that is not found.
    """
    delta = data.get("delta")
    if not draft.is_on(MISPLACED):
        return False
    found = _delta_in(data, open_kind)
    if found is None:
        if _leftovers(data, ("delta",)) or _leftovers(delta if isinstance(delta, dict) else {}):
            _lose(data, draft)
        return False
    key = TEXT_BY_DELTA.get(found["type"])
    if key is not None and not isinstance(found.get(key), str) and not _is_input(key, found):
        text = _text_in(found, key) or _text_in(data, key)
        if text is None:
            if _leftovers(found):
                _lose(data, draft)
            if isinstance(delta, dict) and delta.get("type") == found["type"]:
                return False  # without any text
            text = ""
        for name in _TEXT_NAMES:
            found.pop(name, None)
        found[key] = text
    draft.note(MISPLACED, f"the text of a {found['type']}", "moved")
    for name in _TEXT_NAMES + tuple(_DELTA_BY_KEY):
        data.pop(name, None)
    if "index" not in data and "index" in found:
        data["index"] = found.pop("index")
    data["delta"] = found
    return True


def move_final(data: JsonObject, draft: Draft) -> bool:
    """Move stop reason and usage of a `message_delta` to their places; return whether it changed.

    Also for `message_stop`, whose stop reason and usage are moved into a `delta` and a `usage`.
    """
    delta = data.get("delta")
    message = data.get("message")
    delta = delta if isinstance(delta, dict) else {}
    moved: JsonObject = {}
    if not delta.get("stop_reason"):
        others = [holder for holder in (data, message) if isinstance(holder, dict)]
        for holder in (*others, delta):
            for key in ("stop_reason", "finish_reason", "stopReason"):
                reason = holder.get(key)
                if isinstance(reason, str) and reason:
                    moved.setdefault("stop_reason", reason)
    usage = None
    if not isinstance(data.get("usage"), dict):
        usage = _usage_in(delta) or _usage_in(message)
    if not moved and usage is None:
        return False
    what = ", ".join([*moved, *(["usage"] if usage is not None else [])])
    if not draft.note(MISPLACED, what, "moved"):
        return False
    for key in ("stop_reason", "stop_sequence", "finish_reason", "stopReason"):
        value = data.pop(key, None)
        if value is not None and key == "stop_sequence":
            moved[key] = value
    data["delta"] = {
        **{key: value for key, value in delta.items() if key not in ("usage", "finish_reason")},
        **moved,
    }
    if usage is not None:
        data["usage"] = usage
    return True


def _call_fields(block: Mapping[str, Any]) -> JsonObject:
    """Return the missing fields of a call, from where other protocols have them."""
    function = block.get("function")
    holders = [block, function] if isinstance(function, dict) else [block]
    fields: JsonObject = {}
    for key, names in _CALL_NAMES.items():
        if block.get(key):
            continue
        values = (holder.get(name) for holder in holders for name in names)
        value = next((value for value in values if value and isinstance(value, str | dict)), None)
        if value is not None:
            fields[key] = value
    return fields


def _usage_in(holder: Any) -> JsonObject | None:
    usage = holder.get("usage") if isinstance(holder, dict) else None
    return usage if isinstance(usage, dict) else None


def _is_block(value: Any) -> bool:
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind in DELTAS_BY_BLOCK


def _block_kind(fields: Mapping[str, Any]) -> str | None:
    """Return the type of the block with these fields; None if it is not certain."""
    for key in ("block_type", "content_type", "kind"):
        if isinstance(fields.get(key), str) and fields[key] in DELTAS_BY_BLOCK:
            return str(fields[key])
    if isinstance(fields.get("name"), str):
        return "tool_use"
    return next((kind for kind in ("thinking", "text") if isinstance(fields.get(kind), str)), None)


def _is_input(key: str, delta: JsonObject) -> bool:
    """Return whether a tool's input is an object instead of JSON text, which `S123` repairs."""
    return key == "partial_json" and isinstance(delta.get(key), dict | list)


def _delta_in(data: JsonObject, open_kind: str | None) -> JsonObject | None:
    """Return a delta with a type from what the event contains; None if there is none."""
    delta = data.get("delta")
    if isinstance(delta, str):
        kind = _DELTA_BY_BLOCK.get(open_kind or "text")
        return {"type": kind, TEXT_BY_DELTA[kind]: delta} if kind and delta else None
    if isinstance(delta, dict) and delta:
        kind = _delta_type(delta, open_kind)
        return {**delta, "type": kind} if kind else None
    for key, value in data.items():
        if isinstance(value, dict) and str(value.get("type")) in BLOCK_BY_DELTA:
            data.pop(key)
            return dict(value)
    fields = {key: data[key] for key in _TEXT_NAMES if data.get(key)}
    kind = _delta_type(fields, open_kind) if fields else None
    return {**fields, "type": kind} if kind else None


def _delta_type(fields: Mapping[str, Any], open_kind: str | None) -> str | None:
    kind = fields.get("type")
    if isinstance(kind, str):
        return _DELTA_BY_NAME.get(kind, kind)
    for key, name in _DELTA_BY_KEY.items():
        if fields.get(key):
            return name
    has_text = any(fields.get(name) for name in _TEXT_NAMES)
    return _DELTA_BY_BLOCK.get(open_kind or "") if has_text else None


def _text_in(holder: Mapping[str, Any], key: str) -> str | None:
    """Return the text under the first name that has some."""
    for name in (key, *_TEXT_NAMES):
        text = _as_text(holder.get(name), key)
        if text:
            return text
    return None


def _as_text(value: Any, key: str) -> str | None:
    """Return a value as the text of a delta; None if it has none."""
    if isinstance(value, str):
        return value
    if json_value.is_number(value):
        return json_value.write(value).decode()
    if key == "partial_json" and isinstance(value, dict | list):
        return json_value.write(value).decode() if value else None
    if isinstance(value, dict):
        return _text_in(value, key)
    if isinstance(value, list):
        return "".join(_as_text(item, key) or "" for item in value)
    return None


def _leftovers(holder: Mapping[str, Any], known: Iterable[str] = ()) -> bool:
    """Return whether an object has a member that may be the text."""
    return any(
        bool(value) and isinstance(value, str | list | dict)
        for key, value in holder.items()
        if key not in _NO_TEXT and key not in known
    )


def _lose(data: JsonObject, draft: Draft) -> None:
    what = "a delta whose text is not found"
    draft.lose(MISPLACED, start_of(json_value.write(data)), f"The provider sent {what}.")
