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
from wiremend.rules.rule import BodyPlace, Finding, PlacedNotes
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
    notes = PlacedNotes(context.disabled, BodyPlace())
    is_changed = False
    if isinstance(value, list) and len(value) == 1 and is_response(value[0]) and not context.array:
        is_changed = notes.note(rules.RESPONSE_IN_A_LIST, "a list of 1", "the list was taken off")
        value = value[0] if is_changed else value
    if not is_response(value):
        return MendedBody(body, notes.findings)
    try:
        is_changed = ResponseMender(context.tool_names, notes).mend(unwrapped(value)) or is_changed
    except ContentLost as lost:
        return _failed(body, notes.findings, str(lost))
    data = json_value.write(value) if is_changed else body
    return MendedBody(renamed(data, value, context.shown_model), notes.findings)


def _failed(body: bytes, findings: list[Finding], message: str) -> MendedBody:
    error = make_error(status=502, type="UNAVAILABLE", message=message)
    return MendedBody(body, findings, error)
