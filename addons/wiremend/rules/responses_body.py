"""Mends a whole Responses object: the answer to a call that does not stream."""

from typing import Any

import orjson

from wiremend.protocols.errors import error_from, make_error, read_error
from wiremend.rules.finding import Finding, Rule
from wiremend.rules.mending import MendedBody, StreamContext

_P = ("responses",)

BODY_OUTPUT_NULL = Rule(
    "S351",
    "body-output-null",
    "A response's `output` is null or missing.",
    "SDKs iterate over it: TypeError.",
    "An empty list is filled in.",
    _P,
)
BODY_ARGUMENTS = Rule(
    "S352",
    "body-arguments",
    "A call's arguments are an object, null or empty instead of JSON text.",
    "SDKs expect a string and parse it.",
    "They become JSON text; nothing becomes `{}`.",
    _P,
)
RULES = (BODY_OUTPUT_NULL, BODY_ARGUMENTS)


def mend_body(body: bytes, context: StreamContext) -> MendedBody:
    """What a 2xx body becomes; `error` is set when it is one, or is no JSON at all."""
    try:
        response = orjson.loads(body)
    except orjson.JSONDecodeError:
        what = "an empty body" if not body.strip() else "a body that is not JSON"
        message = f"The provider sent {what}."
        return MendedBody(body, error=make_error(status=502, type="server_error", message=message))
    is_response = isinstance(response, dict) and response.get("object") == "response"
    if is_response and response.get("status") != "failed" and not response.get("error"):
        return _mend_response(body, response, context)
    if is_response and response.get("status") == "failed":
        given = response.get("error")
        return MendedBody(body, error=error_from(given if isinstance(given, dict) else {}))
    return MendedBody(body, error=read_error(response))


def _mend_response(body: bytes, response: dict[str, Any], context: StreamContext) -> MendedBody:
    findings: list[Finding] = []

    def find(rule: Rule, where: str, found: str, done: str) -> bool:
        if rule.code in context.disabled:
            return False
        findings.append(Finding(rule.code, where, found, done))
        return True

    if response.get("output") is None and find(BODY_OUTPUT_NULL, "output", "null", "[]"):
        response["output"] = []
    output = response.get("output")
    for number, item in enumerate(output if isinstance(output, list) else []):
        if not isinstance(item, dict) or item.get("type") != "function_call":
            continue
        arguments = item.get("arguments")
        if isinstance(arguments, str) and arguments:
            continue
        is_object = isinstance(arguments, dict | list)
        better = orjson.dumps(arguments).decode() if is_object else "{}"
        where = f"output[{number}].arguments"
        if find(BODY_ARGUMENTS, where, type(arguments).__name__, "JSON text"):
            item["arguments"] = better
    shown = context.shown_model
    renamed = shown is not None and response.get("model") not in (None, shown)
    if renamed:
        response["model"] = shown
    return MendedBody(orjson.dumps(response) if findings or renamed else body, findings)
