"""The repair of a whole Responses object, the response to a call that does not stream."""

from typing import Any

from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.provider_error import ProviderError, error_from, make_error, read_error
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.protocols.responses.grammar import CALL_TEXT, ITEM_FIELDS, WITH_STATUS
from wiremend.protocols.responses.items import new_id
from wiremend.protocols.responses.usage import repaired_usage
from wiremend.rules.rule import BodyPlace, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject, objects, parses

_P = ("responses",)

BODY_OUTPUT_NULL = Rule(
    code="S351",
    name="body-output-null",
    detects="A response's `output`, a message's `content` or a reasoning item's `summary` is null "
    "or missing.",
    impact="SDKs iterate over it: TypeError.",
    action="Fills in an empty list.",
    protocols=_P,
    before='{"object":"response","output":null}',
    after='{"object":"response","output":[]}',
)
BODY_ARGUMENTS = Rule(
    code="S352",
    name="body-arguments",
    detects="A call's arguments are an object, null or empty instead of JSON text.",
    impact="SDKs expect a string and parse it.",
    action="Replaces an object with its JSON text, and missing arguments with `{}`.",
    protocols=_P,
    before='{"type":"function_call","arguments":{"path":"a.txt"}}',
    after='{"type":"function_call","arguments":"{\\"path\\":\\"a.txt\\"}"}',
)
BODY_ARGUMENTS_BROKEN = Rule(
    code="S353",
    name="body-arguments-broken",
    detects="The arguments of a call in a completed response are malformed or truncated JSON.",
    impact="The tool runs with truncated arguments, or the agent stops.",
    action="Content is lost: responds with an HTTP error.",
    protocols=_P,
    before='{"type":"function_call","arguments":"{\\"pa"}',
)
BODY_ITEM_INCOMPLETE = Rule(
    code="S354",
    name="body-item-incomplete",
    detects="An item lacks its id, call id, role or status.",
    impact="The Vercel AI SDK rejects the whole response; a call without id cannot be answered.",
    action="Fills them in. A call's name is filled in only if the request offers exactly one tool.",
    protocols=_P,
    before='{"type":"function_call","call_id":"call_1","name":"read","arguments":"{}"}',
    after='{"type":"function_call","call_id":"call_1","name":"read","arguments":"{}",'
    '"id":"fc_1_0","status":"completed"}',
)
BODY_USAGE = Rule(
    code="S355",
    name="body-usage",
    detects="`usage` lacks its input, output or total count.",
    impact="SDKs and agents add the counts up: TypeError.",
    action="Computes missing counts from the others, or sets them to 0.",
    protocols=_P,
    before='{"usage":{"input_tokens":10,"output_tokens":2}}',
    after='{"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}',
)


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _error_in(value: Any) -> ProviderError | None:
    if not _is_response(value):
        return read_error(value)
    error, status = value.get("error"), value.get("status")
    if status == "failed":
        return error_from(error) if isinstance(error, dict) else make_error()
    return read_error(value) if error and status not in ("completed", "incomplete") else None


def _is_response(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("object") == "response" or ("object" not in value and "output" in value)


def _repair(response: Any, context: StreamContext, draft: Draft) -> Any:
    """Repair a response in place and return it; None for any other body."""
    if not _is_response(response):
        return None
    if response.get("output") is None and draft.note_at(
        BODY_OUTPUT_NULL, BodyPlace(("output",)), "null", "[]"
    ):
        response["output"] = []
    is_cut = response.get("status") == "incomplete"
    for path, item in objects(response.get("output"), ("output",)):
        if isinstance(item.get("type"), str):
            identity = new_id(item["type"], str(response.get("id")), int(path[-1]))
            _fill(item, path, identity, context.tool_names, draft)
            _repair_call(item, path, draft, is_cut=is_cut)
    usage = repaired_usage(response.get("usage"))
    if usage not in (None, response.get("usage")) and draft.note_at(
        BODY_USAGE, BodyPlace(("usage",)), "counts missing", "filled in"
    ):
        response["usage"] = usage
    return response


_GRAMMAR = BodyGrammar(
    error_type="server_error",
    error_in=_error_in,
    repair=_repair,
    model_path=lambda _: ("model",),
)


def _fill(
    item: JsonObject, path: Path, identity: str, tool_names: tuple[str, ...], draft: Draft
) -> None:
    """Fill in the missing fields of an item, except the text of a call."""
    for key, type in ITEM_FIELDS.get(item["type"], {}).items():
        if key == CALL_TEXT.get(item["type"]) or (
            isinstance(item.get(key), type) and (item[key] or type is list)
        ):
            continue
        value = [] if type is list else _value_of(key, item, identity, tool_names)
        rule = BODY_OUTPUT_NULL if type is list else BODY_ITEM_INCOMPLETE
        place = BodyPlace((*path, key))
        if value is not None and draft.note_at(rule, place, "nothing", repr(value)):
            item[key] = value
    if (
        item["type"] in WITH_STATUS
        and not item.get("status")
        and draft.note_at(
            BODY_ITEM_INCOMPLETE, BodyPlace((*path, "status")), "nothing", "completed"
        )
    ):
        item["status"] = "completed"


def _value_of(key: str, item: JsonObject, identity: str, tool_names: tuple[str, ...]) -> Any:
    """Return the value of a missing field; None for an unknown name."""
    if key == "name":
        return tool_names[0] if len(tool_names) == 1 else None
    if key == "call_id":
        return str(item.get("id") or identity)
    return "assistant" if key == "role" else identity


def _repair_call(item: JsonObject, path: Path, draft: Draft, *, is_cut: bool) -> None:
    """Write the arguments or input of a call as text. Raises ContentLost if it cannot be used."""
    key = CALL_TEXT.get(item["type"])
    if key is None:
        return
    message = "The provider's tool call has no name, or broken JSON arguments."
    if not item.get("name") and draft.is_on(BODY_ITEM_INCOMPLETE):
        raise ContentLost(message)
    raw = item.get(key)
    place = BodyPlace((*path, key))
    if not isinstance(raw, str) or (not raw and key == "arguments"):
        nothing = "{}" if key == "arguments" else ""
        text = json_value.write(raw).decode() if raw else nothing
        if draft.note_at(BODY_ARGUMENTS, place, type(raw).__name__, "JSON text"):
            item[key] = text
        return
    if key == "input" or is_cut or item.get("status") == "incomplete" or parses(raw):
        return
    if draft.note_at(BODY_ARGUMENTS_BROKEN, place, raw[-60:], "an error"):
        raise ContentLost(message)
