"""The repair of a whole Gemini response, the response to a call that does not stream.

A body is the same object as an event of a stream, so the rules are those of the stream.
"""

from typing import Any

from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.provider_error import read_error
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.protocols.gemini.response import (
    RESPONSE_IN_A_LIST,
    ResponseRepairer,
    is_response,
    model_path,
    unwrapped,
)


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _repair(value: Any, context: StreamContext, draft: Draft) -> Any:
    """Repair a response in place and return it; None for any other body."""
    is_listed = isinstance(value, list) and len(value) == 1 and is_response(value[0])
    if (
        is_listed
        and not context.array
        and draft.note(RESPONSE_IN_A_LIST, "a list of 1", "unwrapped")
    ):
        value = value[0]
    if not is_response(value):
        return None
    ResponseRepairer(context.tool_names, draft).repair(unwrapped(value))
    return value


_GRAMMAR = BodyGrammar(
    error_type="UNAVAILABLE", error_in=read_error, repair=_repair, model_path=model_path
)
