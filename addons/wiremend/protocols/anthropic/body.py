"""The repair of a whole Anthropic message, the response to a call that does not stream."""

from typing import Any

from wiremend.protocols.anthropic.grammar import WHOLE_REASONS, stop_reason_of
from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.draft import CUT_ARGUMENTS, ContentLost, Draft
from wiremend.protocols.base.provider_error import ProviderError, read_error
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.rules.rule import BodyPlace, Rule
from wiremend.text import json_value
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
    action="Parses text that contains an object; replaces null with `{}`.",
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
    "never changed.",
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


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _error_in(value: Any) -> ProviderError | None:
    is_message = isinstance(value, dict) and value.get("type") == "message"
    return None if is_message and not value.get("error") else read_error(value)


def _repair(message: Any, _: StreamContext, draft: Draft) -> Any:
    """Repair a message in place and return it; None for any other body."""
    if not isinstance(message, dict) or message.get("type") != "message":
        return None
    content = message.get("content")
    if not isinstance(content, list):
        if content is not None or not draft.note_at(
            CONTENT_NULL, BodyPlace(("content",)), "null", "[]"
        ):
            return None
        message["content"] = content = []
    for path, block in objects(content, ("content",)):
        if block.get("type") == "tool_use":
            _repair_input(block, BodyPlace((*path, "input")), draft)
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


def _repair_input(block: JsonObject, place: BodyPlace, draft: Draft) -> None:
    raw = block.get("input")
    value = _as_object(raw)
    if value is not raw and draft.note_at(
        TOOL_INPUT_NOT_AN_OBJECT, place, type(raw).__name__, "object"
    ):
        block["input"] = value


def _repair_stop_reason(message: JsonObject, content: list[Any], draft: Draft) -> None:
    kinds = [block.get("type") for block in dicts_in(content)]
    reason = message.get("stop_reason")
    replacement = stop_reason_of(reason) if isinstance(reason, str) else reason
    if "tool_use" in kinds and replacement in (None, "", "end_turn"):
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
