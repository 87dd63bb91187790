"""Mends a whole Gemini response: the answer to a call that does not stream.

A response is the same object as a stream's event, so the rules are the stream's.
"""

import orjson

from wiremend.protocols.errors import make_error, read_error
from wiremend.rules.finding import Finding, Rule
from wiremend.rules.gemini_stream import Unmendable, mend_response, rename
from wiremend.rules.mending import MendedBody, StreamContext

RULES: tuple[Rule, ...] = ()


def mend_body(body: bytes, context: StreamContext) -> MendedBody:
    """What a 2xx body becomes; `error` is set when it is one, or is no JSON at all."""
    try:
        response = orjson.loads(body)
    except orjson.JSONDecodeError:
        what = "an empty body" if not body.strip() else "a body that is not JSON"
        message = f"The provider sent {what}."
        return MendedBody(body, error=make_error(status=502, type="UNAVAILABLE", message=message))
    error = read_error(response)
    if error is not None:
        return MendedBody(body, error=error)
    if not isinstance(response, dict):
        return MendedBody(body)
    findings: list[Finding] = []

    def find(rule: Rule, found: str, done: str) -> bool:
        if rule.code in context.disabled:
            return False
        findings.append(Finding(rule.code, "body", found, done))
        return True

    try:
        changed = mend_response(response, context, find)
    except Unmendable as unmendable:
        error = make_error(status=502, type="UNAVAILABLE", message=str(unmendable))
        return MendedBody(body, findings, error)
    changed = rename(response, context.shown_model) or changed
    return MendedBody(orjson.dumps(response) if changed else body, findings)
