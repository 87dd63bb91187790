"""Mends a whole Responses object: the answer to a call that does not stream."""

from typing import Any

import orjson

from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import error_from, make_error, read_error
from wiremend.protocols.base.repairer import MendedBody, StreamContext
from wiremend.protocols.responses.grammar import CALL_TEXT, ITEM_FIELDS, WITH_STATUS
from wiremend.protocols.responses.items import new_id
from wiremend.protocols.responses.usage import mended_usage
from wiremend.protocols.responses.writer import is_json
from wiremend.rules.rule import BodyPlace, Notes, Rule, start_of
from wiremend.text import json_value
from wiremend.text.json_edits import Path

_P = ("responses",)

BODY_OUTPUT_NULL = Rule(
    code="S351",
    name="body-output-null",
    finds="A response's `output`, a message's `content` or a reasoning item's `summary` is null or "
    "missing.",
    hurts="SDKs iterate over it: TypeError.",
    mends="An empty list is filled in.",
    protocols=_P,
    before='{"object":"response","output":null}',
    after='{"object":"response","output":[]}',
)
BODY_ARGUMENTS = Rule(
    code="S352",
    name="body-arguments",
    finds="A call's arguments are an object, null or empty instead of JSON text.",
    hurts="SDKs expect a string and parse it.",
    mends="They become JSON text; nothing becomes `{}`.",
    protocols=_P,
    before='{"type":"function_call","arguments":{"path":"a.txt"}}',
    after='{"type":"function_call","arguments":"{\\"path\\":\\"a.txt\\"}"}',
)
BODY_ARGUMENTS_BROKEN = Rule(
    code="S353",
    name="body-arguments-broken",
    finds="A call in a completed response has broken or truncated JSON as its arguments.",
    hurts="The tool runs with half its arguments, or the agent stops.",
    mends="Content is lost: an HTTP error.",
    protocols=_P,
    before='{"type":"function_call","arguments":"{\\"pa"}',
)
BODY_ITEM_INCOMPLETE = Rule(
    code="S354",
    name="body-item-incomplete",
    finds="An item lacks its id, call id, role or status.",
    hurts="The Vercel AI SDK refuses the whole answer; a call without id cannot be answered.",
    mends="They are filled in; a call's name is known if the request offers one tool only.",
    protocols=_P,
    before='{"type":"function_call","call_id":"call_1","name":"read","arguments":"{}"}',
    after='{"type":"function_call","call_id":"call_1","name":"read","arguments":"{}",'
    '"id":"fc_1_0","status":"completed"}',
)
BODY_USAGE = Rule(
    code="S355",
    name="body-usage",
    finds="`usage` lacks its input, output or total count.",
    hurts="SDKs and agents add up nothing: TypeError.",
    mends="Counts are filled in: what the others tell, else 0.",
    protocols=_P,
    before='{"usage":{"input_tokens":10,"output_tokens":2}}',
    after='{"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}',
)
RULES = (
    BODY_OUTPUT_NULL,
    BODY_ARGUMENTS,
    BODY_ARGUMENTS_BROKEN,
    BODY_ITEM_INCOMPLETE,
    BODY_USAGE,
)


def mend_body(body: bytes, context: StreamContext) -> MendedBody:
    """What a 2xx body becomes; `error` is set when it is one, or is no JSON at all."""
    try:
        response = json_value.read(body)
    except ValueError:
        what = f"a body that is no JSON: {start_of(body)!r}" if body.strip() else "an empty body"
        message = f"The provider sent {what}."
        return MendedBody(body, error=make_error(status=502, type="server_error", message=message))
    if not isinstance(response, dict) or not _is_response(response):
        return MendedBody(body, error=read_error(response))
    if response.get("status") == "failed":
        given = response.get("error")
        return MendedBody(
            body, error=error_from(given) if isinstance(given, dict) else make_error()
        )
    if response.get("error") and response.get("status") not in ("completed", "incomplete"):
        return MendedBody(body, error=read_error(response))
    return _BodyMender(context).mend(body, response)


def _is_response(value: dict[str, Any]) -> bool:
    return value.get("object") == "response" or ("object" not in value and "output" in value)


class _BodyMender:
    """One body's findings."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._notes = Notes(context.disabled)

    def mend(self, body: bytes, response: dict[str, Any]) -> MendedBody:
        """What the response becomes, or the error that it stands for."""
        if response.get("output") is None and self._notes.note(
            BODY_OUTPUT_NULL, BodyPlace(("output",)), "null", "[]"
        ):
            response["output"] = []
        output = response.get("output")
        is_cut = response.get("status") == "incomplete"
        for number, item in enumerate(output if isinstance(output, list) else []):
            if not isinstance(item, dict) or not isinstance(item.get("type"), str):
                continue
            path: Path = ("output", number)
            self._fill(item, path, new_id(item["type"], str(response.get("id")), number))
            if not self._mend_call(item, path, is_cut):
                message = "The provider's tool call has no name, or broken JSON arguments."
                error = make_error(status=502, type="server_error", message=message)
                return MendedBody(body, self._notes.findings, error)
        usage = mended_usage(response.get("usage"))
        if usage not in (None, response.get("usage")) and self._notes.note(
            BODY_USAGE, BodyPlace(("usage",)), "counts missing", "filled in"
        ):
            response["usage"] = usage
        mended = json_value.write(response) if self._notes.findings else body
        shown = self._context.shown_model
        return MendedBody(with_model(mended, ("model",), shown), self._notes.findings)

    def _fill(self, item: dict[str, Any], path: Path, identity: str) -> None:
        for key, type in ITEM_FIELDS.get(item["type"], {}).items():
            if key == CALL_TEXT.get(item["type"]) or (
                isinstance(item.get(key), type) and (item[key] or type is list)
            ):
                continue
            value: Any = [] if type is list else self._known(key, item, identity)
            rule = BODY_OUTPUT_NULL if type is list else BODY_ITEM_INCOMPLETE
            if value is not None and self._notes.note(
                rule, BodyPlace((*path, key)), "nothing", repr(value)
            ):
                item[key] = value
        if (
            item["type"] in WITH_STATUS
            and not item.get("status")
            and self._notes.note(
                BODY_ITEM_INCOMPLETE, BodyPlace((*path, "status")), "nothing", "completed"
            )
        ):
            item["status"] = "completed"

    def _known(self, key: str, item: dict[str, Any], identity: str) -> str | None:
        if key == "name":
            names = self._context.tool_names
            return names[0] if len(names) == 1 else None
        if key == "call_id":
            return str(item.get("id") or identity)
        return "assistant" if key == "role" else identity

    def _mend_call(self, item: dict[str, Any], path: Path, is_cut: bool) -> bool:
        """Write a call's arguments as text; False when the call cannot be used."""
        key = CALL_TEXT.get(item["type"])
        if key is None:
            return True
        if not item.get("name"):
            return False
        value = item.get(key)
        place = BodyPlace((*path, key))
        if not isinstance(value, str) or (not value and key == "arguments"):
            nothing = "{}" if key == "arguments" else ""
            better = orjson.dumps(value).decode() if value else nothing
            if self._notes.note(BODY_ARGUMENTS, place, type(value).__name__, "JSON text"):
                item[key] = better
            return True
        if key == "input" or is_cut or item.get("status") == "incomplete" or is_json(value):
            return True
        self._notes.note(BODY_ARGUMENTS_BROKEN, place, value[-60:], "an error")
        return False
