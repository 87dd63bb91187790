"""Mends a whole Anthropic message: the answer to a call that does not stream."""

from typing import Any

from wiremend.protocols.anthropic.grammar import WHOLE_REASONS, stop_reason_of
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import make_error, read_error
from wiremend.protocols.base.repairer import MendedBody, StreamContext
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value

_P = ("anthropic-messages",)

CONTENT_NULL = Rule(
    "S151",
    "content-null",
    "A message's `content` is null or missing.",
    "SDKs iterate over it: TypeError.",
    "An empty list is filled in.",
    _P,
    (),
    '{"type":"message","content":null}',
    '{"type":"message","content":[]}',
)
TOOL_INPUT_NOT_AN_OBJECT = Rule(
    "S152",
    "tool-input-not-an-object",
    "A tool call's `input` is JSON text or null instead of an object.",
    "The tool is called with a string, or schema validation fails.",
    "Text that holds an object becomes it, null becomes {}.",
    _P,
    (),
    '{"type":"tool_use","id":"t1","name":"f","input":"{\\"p\\":1}"}',
    '{"type":"tool_use","id":"t1","name":"f","input":{"p":1}}',
)
BODY_STOP_REASON = Rule(
    "S153",
    "body-stop-reason",
    "`end_turn` or nothing although a tool is called, `tool_use` although none is, or another "
    "protocol's name (`tool_calls`, `stop`, `length`).",
    "The agent stops silently, or waits for a call that is not there.",
    "The reason follows the content; `max_tokens`, `refusal` and others are never touched.",
    _P,
    ("anomalyco/opencode#20719",),
    '{"content":[{"type":"tool_use",…}],"stop_reason":"end_turn"}',
    '{"content":[{"type":"tool_use",…}],"stop_reason":"tool_use"}',
)
BODY_TOOL_INPUT_BROKEN = Rule(
    "S154",
    "body-tool-input-broken",
    "A tool call's `input` is JSON text that is broken or ends early although the stop reason says "
    "that all is well.",
    "The tool is called with a piece of text.",
    "Content is lost: an HTTP error.",
    _P,
    (),
    '{"content":[{"type":"tool_use","name":"f","input":"{\\"p\\":"}],"stop_reason":"tool_use"}',
    '{"type":"error","error":{"type":"api_error","message":"The provider\'s tool call ended …"}}',
)
RULES = (CONTENT_NULL, TOOL_INPUT_NOT_AN_OBJECT, BODY_STOP_REASON, BODY_TOOL_INPUT_BROKEN)


def mend_body(body: bytes, context: StreamContext) -> MendedBody:
    """What a 2xx body becomes; `error` is set when it is one, or is no message at all."""
    try:
        message = json_value.read(body)
    except ValueError:
        what = "an empty body" if not body.strip() else "a body that is not JSON"
        return MendedBody(
            body,
            error=make_error(status=502, type="api_error", message=f"The provider sent {what}."),
        )
    is_message = isinstance(message, dict) and message.get("type") == "message"
    error = None if is_message and not message.get("error") else read_error(message)
    if error is not None:
        return MendedBody(body, error=error)
    if not isinstance(message, dict) or not is_message:
        return MendedBody(body)
    notes = Notes(context.disabled)
    content = message.get("content")
    if not isinstance(content, list):
        if content is None and notes.note(CONTENT_NULL, BodyPlace(("content",)), "null", "[]"):
            message["content"] = content = []
        else:
            return MendedBody(body)
    for number, block in enumerate(content):
        if isinstance(block, dict) and block.get("type") == "tool_use":
            given = block.get("input")
            better = _as_object(given)
            if better is not given and notes.note(
                TOOL_INPUT_NOT_AN_OBJECT,
                BodyPlace(("content", number, "input")),
                type(given).__name__,
                "object",
            ):
                block["input"] = better
    _mend_stop_reason(message, content, notes)
    for number, block in enumerate(content):
        if _is_cut(block, message.get("stop_reason")) and notes.note(
            BODY_TOOL_INPUT_BROKEN,
            BodyPlace(("content", number, "input")),
            block["input"][-60:],
            "an error",
        ):
            text = "The provider's tool call ended inside its JSON arguments."
            error = make_error(status=502, type="api_error", message=text)
            return MendedBody(body, notes.findings, error)
    mended = json_value.write(message) if notes.findings else body
    return MendedBody(with_model(mended, ("model",), context.shown_model), notes.findings)


def _mend_stop_reason(message: dict[str, Any], content: list[Any], notes: Notes) -> None:
    kinds = [block.get("type") for block in content if isinstance(block, dict)]
    reason = message.get("stop_reason")
    better = stop_reason_of(reason) if isinstance(reason, str) else reason
    if "tool_use" in kinds and better in (None, "", "end_turn"):
        better = "tool_use"
    elif better == "tool_use" and not any("tool_use" in str(kind) for kind in kinds):
        better = "end_turn"
    if better != reason and notes.note(
        BODY_STOP_REASON, BodyPlace(("stop_reason",)), repr(reason), repr(better)
    ):
        message["stop_reason"] = better


def _is_cut(block: Any, reason: Any) -> bool:
    """Whether a tool's input is text that holds no object, though all is said to be well."""
    if not isinstance(reason, str) or reason not in WHOLE_REASONS or not isinstance(block, dict):
        return False
    return block.get("type") == "tool_use" and isinstance(block.get("input"), str)


def _as_object(value: Any) -> Any:
    """The object that stands for a tool's input; the same object when nothing is to be done."""
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            parsed = json_value.read(value if value.strip() else "{}")
        except ValueError:
            return value
        return parsed if isinstance(parsed, dict) else value
    return value
