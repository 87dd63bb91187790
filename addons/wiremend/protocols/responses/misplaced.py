"""Values in the wrong place of a Responses event: they are moved before anything is made up."""

from collections.abc import Iterable
from typing import Any

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_in_envelope,
    read_error,
)
from wiremend.protocols.responses.grammar import (
    CALL_TEXT,
    COMPLETE,
    FAILED,
    ITEM_ADDED,
    ITEM_DONE,
    ITEM_EVENTS,
    LIFECYCLE,
    ItemEvent,
)
from wiremend.rules.rule import Rule
from wiremend.text.json_envelope import is_envelope, unwrapped
from wiremend.text.json_value import JsonObject

_P = ("responses",)

MISPLACED = Rule(
    code="S331",
    name="value-misplaced",
    detects="A value is in the wrong place: the fields of a response or an item in the event "
    "itself, the text of a delta or of a done event under another name.",
    impact="Clients do not find it: the text is lost, or they fail on the missing field.",
    action="Moves it.",
    protocols=_P,
    before='{"type":"response.output_text.delta","text":"Hi", …}',
    after='{"type":"response.output_text.delta","delta":"Hi", …}',
)
ENVELOPE = Rule(
    code="S332",
    name="event-in-envelope",
    detects="An event is inside an envelope of the gateway, such as `{success, data}`.",
    impact="Clients read the envelope as an unknown event; the turn is empty.",
    action="Removes the envelope.",
    protocols=_P,
    before='{"success":true,"data":{"type":"response.completed","response":{…}}}',
    after='{"type":"response.completed","response":{…}}',
)

_RESPONSE_FIELDS = (
    *("id", "object", "created_at", "model", "status", "output", "usage", "error"),
    *("incomplete_details", "instructions", "metadata", "parallel_tool_calls", "tools"),
)
_EVIDENCE = frozenset({"id", "status", "output", "usage", "model"})
"""Fields that show that those of a response are in the event itself."""
_ITEM_FIELDS = (
    *("id", "status", "role", "content", "summary", "encrypted_content", "phase"),
    *("name", "call_id", "arguments", "input", "namespace"),
)
_ITEM_NAMES = ("output_item", "message", "data")
_TEXT_NAMES = (
    *("delta", "text", "content", "value", "output_text", "refusal", "arguments", "input"),
    *("code", "partial_json", "reasoning", "reasoning_content", "data"),
)
"""Names under which gateways have the text of an event."""


def is_event(value: Any) -> bool:
    """Return whether this is the data of an event of this protocol."""
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and (kind.startswith("response.") or kind == "error")


def unwrap(value: Any, line: str, draft: Draft) -> Any:
    """Return the data of an event without an envelope; `line` is the type on its `event:` line."""
    if not isinstance(value, dict) or is_event(value):
        return value
    inner = unwrapped(value, is_event)
    if inner is None and line.startswith("response.") and is_envelope(value):
        inner = next(
            (value[key] for key in ("data", "payload") if isinstance(value.get(key), dict)), None
        )
    if inner is None or not draft.note(ENVELOPE, ", ".join(map(str, value))[:60], "removed"):
        return value
    draft.changed = True
    return inner


def error_inside(value: Any) -> ProviderError | None:
    """Return the error in an envelope that contains no event, or None."""
    inner = unwrapped(value, _has_error) if is_envelope(value) else None
    return error_in_envelope(value) if inner is None else read_error(inner)


def _has_error(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("error"), dict)


def move_values(data: Any, kind: str, draft: Draft) -> None:
    """Move the values of an event of this type that are in the wrong place."""
    if not isinstance(data, dict):
        return
    if kind in LIFECYCLE or kind in COMPLETE or kind == FAILED:
        _move_response(data, draft)
    elif kind in (ITEM_ADDED, ITEM_DONE):
        _move_item(data, draft)
    elif (belongs := ITEM_EVENTS.get(kind)) is not None and belongs.text:
        _move_text(data, belongs, draft)


def _move_response(data: JsonObject, draft: Draft) -> None:
    response = data.get("response")
    known = response if isinstance(response, dict) else {}
    if response is not None and response != known:
        return
    moved = [key for key in _RESPONSE_FIELDS if data.get(key) is not None and key not in known]
    if _EVIDENCE.isdisjoint(moved) or not draft.change(
        MISPLACED, f"{', '.join(moved)} in the event", "moved"
    ):
        return
    data["response"] = {**known, **{key: data.pop(key) for key in moved}}


def _move_item(data: JsonObject, draft: Draft) -> None:
    if data.get("item") is not None:
        return
    for name in _ITEM_NAMES:
        inner = data.get(name)
        if isinstance(inner, dict) and isinstance(inner.get("type"), str):
            if draft.change(MISPLACED, f"the item under {name!r}", "moved"):
                data["item"] = data.pop(name)
            return
    moved = [key for key in _ITEM_FIELDS if data.get(key) is not None]
    type = _item_type(moved)
    if not type or not draft.change(MISPLACED, f"{', '.join(moved)} in the event", "moved"):
        return
    item = {key: data.pop(key) for key in moved}
    if "item_id" in data:
        item.setdefault("id", data["item_id"])
    data["item"] = {"type": type, **item}


def _item_type(keys: Iterable[str]) -> str:
    """Return the type of an item with these fields; empty if they show none."""
    known = set(keys)
    if "summary" in known or "encrypted_content" in known:
        return "reasoning"
    if "name" in known:
        return "custom_tool_call" if "input" in known else "function_call"
    return "message" if known >= {"role", "content"} else ""


def _move_text(data: JsonObject, belongs: ItemEvent, draft: Draft) -> None:
    raw = data.get(belongs.text)
    if isinstance(raw, str):
        return
    holds_json = belongs.items[0] in CALL_TEXT or belongs.items[0] == "mcp_call"
    if isinstance(raw, dict) and not (holds_json and "type" not in raw):
        text = _text_in(raw, belongs.text)
        if text is not None and draft.change(
            MISPLACED, f"the text in an object {raw!r}"[:80], "moved"
        ):
            data[belongs.text] = text
    elif raw is None:
        for name in _TEXT_NAMES:
            inner = data.get(name)
            text = inner if isinstance(inner, str) else None
            if text is None and isinstance(inner, dict) and name != "part":
                text = _text_in(inner, belongs.text)
            if text is None:
                continue
            if draft.change(MISPLACED, f"the text under {name!r}", "moved"):
                del data[name]
                data[belongs.text] = text
            return


def _text_in(fields: JsonObject, name: str) -> str | None:
    """Return the only text in the object of a delta."""
    found = [fields[key] for key in dict.fromkeys((name, *_TEXT_NAMES)) if key in fields]
    texts = [text for text in found if isinstance(text, str)]
    return texts[0] if len(texts) == 1 else None
