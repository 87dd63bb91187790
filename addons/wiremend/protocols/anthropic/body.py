"""The repair of a whole Anthropic message, the response to a call that does not stream."""

from typing import Any

from wiremend.protocols.anthropic.errors import error_status
from wiremend.protocols.anthropic.grammar import (
    WHOLE_REASONS,
    is_called_by_code,
    stop_reason_of,
)
from wiremend.protocols.anthropic.misplaced import missing_fields, move_fields
from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.cut_content import CUT_ARGUMENTS, ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_in_envelope,
    read_error,
)
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.rules.rule import BodyPlace, Rule
from wiremend.text import json_value
from wiremend.text.json_envelope import is_envelope, unwrapped
from wiremend.text.json_value import JsonObject, dicts_in, objects

_P = ("anthropic-messages",)

CONTENT_NULL = Rule(
    code="S151",
    name="content-null",
    detects="A message's `content` is null or missing.",
    impact="SDKs iterate over it: TypeError.",
    action="Fills in an empty list.",
    protocols=_P,
    before='{"type":"message","content":null}',
    after='{"type":"message","content":[]}',
)
TOOL_INPUT_NOT_AN_OBJECT = Rule(
    code="S152",
    name="tool-input-not-an-object",
    detects="A tool call's `input` is JSON text or null instead of an object.",
    impact="The tool is called with a string, or schema validation fails.",
    action="Parses text that contains an object; replaces null with `{}`, unless the output limit "
    "cut the call before its input.",
    protocols=_P,
    before='{"type":"tool_use","id":"t1","name":"f","input":"{\\"p\\":1}"}',
    after='{"type":"tool_use","id":"t1","name":"f","input":{"p":1}}',
)
BODY_STOP_REASON = Rule(
    code="S153",
    name="body-stop-reason",
    detects="The stop reason is `end_turn` or missing although a tool is called, `tool_use` "
    "although none is, or another protocol's name (`tool_calls`, `stop`, `length`).",
    impact="The agent stops silently, or waits for a call that does not exist.",
    action="Sets the stop reason that matches the content. `max_tokens`, `refusal` and others are "
    "never changed, nor is that of a message in which only the provider's own code made calls. A "
    "reason that reports a failure (`abort`, `network_error`) becomes an HTTP error.",
    protocols=_P,
    seen=("anomalyco/opencode#20719",),
    before='{"content":[{"type":"tool_use",…}],"stop_reason":"end_turn"}',
    after='{"content":[{"type":"tool_use",…}],"stop_reason":"tool_use"}',
)
BODY_TOOL_INPUT_BROKEN = Rule(
    code="S154",
    name="body-tool-input-broken",
    detects="A tool call's `input` is malformed or truncated JSON text, and the stop reason does "
    "not explain it.",
    impact="The tool is called with a fragment of text.",
    action="Content is lost: responds with an HTTP error.",
    protocols=_P,
    before='{"content":[{"type":"tool_use","name":"f","input":"{\\"p\\":"}],"stop_reason":"tool_use"}',
    after='{"type":"error","error":{"type":"api_error",'
    '"message":"The provider\'s tool call ended …"}}',
)


BODY_VALUE_MISPLACED = Rule(
    code="S155",
    name="body-value-misplaced",
    detects="A value is in the wrong place: the text of a message is its `content`, the stop "
    "reason is `finish_reason`, the input of a call is `arguments`, or the type of the message is "
    "missing.",
    impact="SDKs iterate over the characters of the text, and find no stop reason.",
    action="Moves it; fills in the type.",
    protocols=_P,
    before='{"type":"message","role":"assistant","content":"Hi","finish_reason":"end_turn"}',
    after='{"type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],'
    '"stop_reason":"end_turn"}',
)
BODY_ENVELOPE = Rule(
    code="S156",
    name="body-envelope",
    detects="The message is inside an envelope of the gateway, such as `{success, data}`.",
    impact="SDKs read a message without content.",
    action="Removes the envelope; one without a message becomes an HTTP error.",
    protocols=_P,
    before='{"success":true,"data":{"type":"message","content":[…]}}',
    after='{"type":"message","content":[…]}',
)


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _error_in(value: Any) -> ProviderError | None:
    is_message = isinstance(value, dict) and value.get("type") == "message"
    if is_message and not value.get("error"):
        return None
    if _is_message(value):
        return read_error(value)
    inner = unwrapped(value, _is_reply)
    return read_error(inner if inner is not None else value) or error_in_envelope(value)


def _is_message(value: Any) -> bool:
    """Return whether this is a message; its type may be missing."""
    if not isinstance(value, dict) or value.get("type", "message") != "message":
        return False
    return "type" in value or (value.get("role") == "assistant" and "content" in value)


def _is_reply(value: Any) -> bool:
    """Return whether this is a message, or an error with its type."""
    return _is_message(value) or (isinstance(value, dict) and value.get("type") == "error")


def _repair(value: Any, _: StreamContext, draft: Draft) -> Any:
    """Repair a message in place and return it; None for any other body. Raises ContentLost."""
    message = value if _is_message(value) else _unwrapped(value, draft)
    if message is None:
        return None
    _move(message, draft)
    content = message.get("content")
    if not isinstance(content, list):
        if content is not None or not draft.note_at(
            CONTENT_NULL, BodyPlace(("content",)), "null", "[]"
        ):
            return None
        message["content"] = content = []
    _check_answer(message, content)
    for path, block in objects(content, ("content",)):
        if block.get("type") == "tool_use":
            is_cut = _explains_a_cut(message.get("stop_reason"))
            _repair_input(block, BodyPlace((*path, "input")), draft, is_cut=is_cut)
    _repair_stop_reason(message, content, draft)
    for path, block in objects(content, ("content",)):
        if _is_cut(block, message.get("stop_reason")) and draft.note_at(
            BODY_TOOL_INPUT_BROKEN,
            BodyPlace((*path, "input")),
            block["input"][-60:],
            "an error",
        ):
            raise ContentLost(CUT_ARGUMENTS)
    return message


_GRAMMAR = BodyGrammar(
    error_type="api_error",
    error_in=_error_in,
    repair=_repair,
    model_path=lambda _: ("model",),
)


def _unwrapped(value: Any, draft: Draft) -> JsonObject | None:
    """Return the message in an envelope; None for what is neither. Raises ContentLost."""
    message: JsonObject | None = unwrapped(value, _is_message)
    if message is None:
        if is_envelope(value):
            found = ", ".join(value)[:60]
            draft.note_at(BODY_ENVELOPE, BodyPlace(()), found, "an error")
            if draft.is_on(BODY_ENVELOPE):
                raise ContentLost("The provider sent an envelope without a message.")
        return None
    found = ", ".join(value)[:60] if isinstance(value, dict) else type(value).__name__
    return message if draft.note_at(BODY_ENVELOPE, BodyPlace(()), found, "removed") else None


def _move(message: JsonObject, draft: Draft) -> None:
    """Move values of a message that are in the wrong place."""
    text = message.get("content")
    if isinstance(text, str) and draft.note_at(
        BODY_VALUE_MISPLACED, BodyPlace(("content",)), "text", "a text block"
    ):
        message["content"] = [{"type": "text", "text": text}] if text else []
    for key in ("finish_reason", "stopReason"):
        reason = message.get(key)
        if (
            isinstance(reason, str)
            and not message.get("stop_reason")
            and draft.note_at(BODY_VALUE_MISPLACED, BodyPlace((key,)), repr(reason), "moved")
        ):
            message["stop_reason"] = message.pop(key)
    for path, block in objects(message.get("content"), ("content",)):
        fields = missing_fields(block)
        if fields and draft.note_at(
            BODY_VALUE_MISPLACED, BodyPlace(path), ", ".join(fields), "moved"
        ):
            move_fields(block, fields)
    if "type" not in message and draft.note_at(
        BODY_VALUE_MISPLACED, BodyPlace(("type",)), "no type", "'message'"
    ):
        message["type"] = "message"


def _check_answer(message: JsonObject, content: list[Any]) -> None:
    """Raise ContentLost for a failed message, and for thinking alone without a stop reason."""
    reason = message.get("stop_reason")
    if isinstance(reason, str) and (status := error_status(reason)) is not None:
        raise ContentLost(f"The provider gave up: stop reason {reason!r}.", status)
    thoughts = ("thinking", "redacted_thinking")
    if not reason and content and all(block.get("type") in thoughts for block in dicts_in(content)):
        raise ContentLost("The provider sent thinking alone, without a stop reason.")


def _explains_a_cut(reason: Any) -> bool:
    """Return whether this stop reason may end a message inside a call."""
    return isinstance(reason, str) and stop_reason_of(reason) in ("max_tokens",)


def _repair_input(block: JsonObject, place: BodyPlace, draft: Draft, *, is_cut: bool) -> None:
    raw = block.get("input")
    if is_cut and (raw is None or raw == ""):
        return
    value = _as_object(raw)
    if value is not raw and draft.note_at(
        TOOL_INPUT_NOT_AN_OBJECT, place, type(raw).__name__, "object"
    ):
        block["input"] = value


def _repair_stop_reason(message: JsonObject, content: list[Any], draft: Draft) -> None:
    kinds = [block.get("type") for block in dicts_in(content)]
    calls = [block for block in dicts_in(content) if block.get("type") == "tool_use"]
    calls_client = any(not is_called_by_code(block) for block in calls)
    reason = message.get("stop_reason")
    replacement = stop_reason_of(reason) if isinstance(reason, str) else reason
    if calls_client and replacement in (None, "", "end_turn"):
        replacement = "tool_use"
    elif replacement == "tool_use" and not any("tool_use" in str(kind) for kind in kinds):
        replacement = "end_turn"
    if replacement != reason and draft.note_at(
        BODY_STOP_REASON, BodyPlace(("stop_reason",)), repr(reason), repr(replacement)
    ):
        message["stop_reason"] = replacement


def _is_cut(block: JsonObject, reason: Any) -> bool:
    """Return whether a tool's input is incomplete although the stop reason requires it."""
    if not isinstance(reason, str) or reason not in WHOLE_REASONS:
        return False
    return block.get("type") == "tool_use" and isinstance(block.get("input"), str)


def _as_object(value: Any) -> Any:
    """Return a tool's input as an object; the same value if that is impossible."""
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            parsed = json_value.read(value if value.strip() else "{}")
        except ValueError:
            return value
        return parsed if isinstance(parsed, dict) else value
    return value
