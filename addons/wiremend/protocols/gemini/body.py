"""Mends a whole Gemini response: the answer to a call that does not stream.

A response is the same object as a stream's event, so the rules are the stream's.
"""

from wiremend.protocols.base.provider_error import make_error, read_error
from wiremend.protocols.base.repairer import MendedBody, StreamContext
from wiremend.protocols.gemini import rules
from wiremend.protocols.gemini.response import (
    ContentLost,
    ResponseMender,
    is_response,
    renamed,
    unwrapped,
)
from wiremend.protocols.gemini.rules import RULES
from wiremend.rules.rule import Finding, Rule
from wiremend.text import json_value

__all__ = ["RULES", "mend_body"]


def mend_body(body: bytes, context: StreamContext) -> MendedBody:
    """What a 2xx body becomes; `error` is set when it is one, or is no JSON at all."""
    try:
        value = json_value.read(body)
    except ValueError:
        what = "an empty body" if not body.strip() else "a body that is not JSON"
        return _failed(body, [], f"The provider sent {what}.")
    error = read_error(value)
    if error is not None:
        return MendedBody(body, error=error)
    findings: list[Finding] = []

    def find(rule: Rule, found: str, done: str) -> bool:
        if rule.code in context.disabled:
            return False
        findings.append(Finding(rule.code, "body", found, done))
        return True

    is_changed = False
    if isinstance(value, list) and len(value) == 1 and is_response(value[0]) and not context.array:
        is_changed = find(rules.RESPONSE_IN_A_LIST, "a list of 1", "the list was taken off")
        value = value[0] if is_changed else value
    if not is_response(value):
        return MendedBody(body, findings)
    try:
        is_changed = ResponseMender(context.tool_names, find).mend(unwrapped(value)) or is_changed
    except ContentLost as lost:
        return _failed(body, findings, str(lost))
    data = json_value.write(value) if is_changed else body
    return MendedBody(renamed(data, value, context.shown_model), findings)


def _failed(body: bytes, findings: list[Finding], message: str) -> MendedBody:
    error = make_error(status=502, type="UNAVAILABLE", message=message)
    return MendedBody(body, findings, error)
