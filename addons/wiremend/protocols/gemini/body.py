"""The repair of a whole Gemini response, the response to a call that does not stream.

A body is the same object as an event of a stream, so the rules are those of the stream.
"""

from typing import Any

from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.protocols.gemini.errors import error_in_response
from wiremend.protocols.gemini.finish import content_of, is_set
from wiremend.protocols.gemini.misplaced import without_envelope
from wiremend.protocols.gemini.response import (
    FINISH_REASON_MISSING,
    RESPONSE_IN_A_LIST,
    ResponseRepairer,
    candidates_of,
    is_response,
    model_path,
    unwrapped,
)
from wiremend.text.json_value import JsonObject


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _repair(value: Any, context: StreamContext, draft: Draft) -> Any:
    """Repair a response in place and return it; None for any other body. Raises ContentLost."""
    is_listed = isinstance(value, list) and len(value) == 1 and is_response(value[0], draft)
    if (
        is_listed
        and not context.array
        and draft.note(RESPONSE_IN_A_LIST, "a list of 1", "unwrapped")
    ):
        value = value[0]
    value = without_envelope(value, in_wrapper=context.in_wrapper, draft=draft)
    if not is_response(value, draft):
        return None
    response = unwrapped(value)
    repairer = ResponseRepairer(context, draft)
    repairer.repair(response)
    repairer.lose_cut_calls()
    for candidate in candidates_of(response):
        if _is_thought_alone(candidate):
            message = "The provider sent thoughts without an answer or a finish reason."
            draft.lose(FINISH_REASON_MISSING, "thoughts without a finish reason", message)
    return value


def _is_thought_alone(candidate: JsonObject) -> bool:
    """Return whether a candidate has nothing but thoughts, and no finish reason."""
    parts = content_of(candidate)
    is_thought = bool(parts) and all(part.get("thought") is True for part in parts)
    return is_thought and not is_set(candidate.get("finishReason"))


_GRAMMAR = BodyGrammar(
    error_type="UNAVAILABLE", error_in=error_in_response, repair=_repair, model_path=model_path
)
