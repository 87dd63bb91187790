"""The repair of a whole Responses object, the response to a call that does not stream."""

from typing import Any

from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.provider_error import ProviderError, read_error
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.protocols.responses.grammar import CALL_TEXT, ITEM_FIELDS, WITH_STATUS
from wiremend.protocols.responses.items import new_id
from wiremend.protocols.responses.misplaced import error_inside
from wiremend.protocols.responses.terminal import failure_in, is_incomplete
from wiremend.protocols.responses.usage import repaired_usage
from wiremend.rules.rule import BodyPlace, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_envelope import unwrapped
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
    action="Replaces an object with its JSON text, and missing arguments with `{}`, unless the "
    "output limit cut the call before them.",
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
BODY_ENVELOPE = Rule(
    code="S356",
    name="body-envelope",
    detects="The response is inside an envelope of the gateway, such as `{success, data}`, or in "
    "the terminal event of a stream.",
    impact="SDKs read a response without output.",
    action="Removes the envelope; one without a response becomes an HTTP error.",
    protocols=_P,
    before='{"success":true,"data":{"object":"response","output":[…]}}',
    after='{"object":"response","output":[…]}',
)
BODY_END_CONTRADICTED = Rule(
    code="S357",
    name="body-end-contradicted",
    detects="A response has the status `completed` and a reason why it is incomplete.",
    impact="Clients take a cut answer for a complete one.",
    action="Sets the status `incomplete`.",
    protocols=_P,
    before='{"status":"completed","incomplete_details":{"reason":"max_output_tokens"}}',
    after='{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}',
)


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _error_in(value: Any) -> ProviderError | None:
    if not _is_response(value):
        inner = unwrapped(value, _is_response)
        if inner is not None:
            return _error_in(inner)
        return read_error(value) or error_inside(value)
    error, status = value.get("error"), value.get("status")
    failure = failure_in("", value)
    if failure is not None:
        return failure
    return read_error(value) if error and status not in ("completed", "incomplete") else None


def _unwrapped(value: Any, draft: Draft) -> JsonObject | None:
    """Return the response in an envelope; None for what is neither. Raises ContentLost."""
    found = ", ".join(map(str, value))[:60] if isinstance(value, dict) else type(value).__name__
    response: JsonObject | None = unwrapped(value, _is_response)
    if response is not None:
        return response if draft.note_at(BODY_ENVELOPE, BodyPlace(()), found, "removed") else None
    is_empty = isinstance(value, dict) and {"success", "data"} <= value.keys()
    if is_empty and draft.note_at(BODY_ENVELOPE, BodyPlace(()), found, "an error"):
        raise ContentLost("The provider sent an envelope without a response.")
    return None


def _is_response(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("object") == "response" or ("object" not in value and "output" in value)


def _repair(value: Any, context: StreamContext, draft: Draft) -> Any:
    """Repair a response in place and return it; None for any other body. Raises ContentLost."""
    response = value if _is_response(value) else _unwrapped(value, draft)
    if response is None:
        return None
    if response.get("output") is None and draft.note_at(
        BODY_OUTPUT_NULL, BodyPlace(("output",)), "null", "[]"
    ):
        response["output"] = []
    is_cut = is_incomplete(response)
    if (
        response.get("status") == "completed"
        and is_cut
        and draft.note_at(BODY_END_CONTRADICTED, BodyPlace(("status",)), "completed", "incomplete")
    ):
        response["status"] = "incomplete"
    for path, item in objects(response.get("output"), ("output",)):
        if isinstance(item.get("type"), str):
            identity = new_id(item["type"], str(response.get("id")), int(path[-1]))
            _fill(item, path, identity, context, draft)
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
    item: JsonObject, path: Path, identity: str, context: StreamContext, draft: Draft
) -> None:
    """Fill in the missing fields of an item, except the text of a call."""
    for key, type in ITEM_FIELDS.get(item["type"], {}).items():
        if key == CALL_TEXT.get(item["type"]) or (
            isinstance(item.get(key), type) and (item[key] or type is list)
        ):
            continue
        if key == "id" and context.accepts(Deviation.NO_ITEM_ID):
            continue
        value = [] if type is list else _value_of(key, item, identity, context.tool_names)
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
    is_cut = is_cut or item.get("status") == "incomplete"
    if not isinstance(raw, str) or (not raw and key == "arguments" and not is_cut):
        nothing = "{}" if key == "arguments" and not is_cut else ""
        text = json_value.write(raw).decode() if raw else nothing
        if draft.note_at(BODY_ARGUMENTS, place, type(raw).__name__, "JSON text"):
            item[key] = text
        return
    if key == "input" or is_cut or parses(raw):
        return
    if draft.note_at(BODY_ARGUMENTS_BROKEN, place, raw[-60:], "an error"):
        raise ContentLost(message)
