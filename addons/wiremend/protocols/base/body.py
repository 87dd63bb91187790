"""What is the same in repairing a whole response body of any protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base.draft import ContentLost, Draft
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import ProviderError, make_error
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.rules.rule import BodyPlace, start_of
from wiremend.text import json_value
from wiremend.text.json_edits import Path


@dataclass(frozen=True, slots=True)
class BodyGrammar:
    """What a protocol supplies for its response bodies."""

    error_type: str
    """The type of the errors that a body without content becomes."""
    error_in: Callable[[Any], ProviderError | None]
    """The error that a parsed body reports; None if it reports none."""
    repair: Callable[[Any, StreamContext, Draft], Any]
    """Repair a parsed body in place and return it; None for one that is not the protocol's.

    Raises ContentLost.
    """
    model_path: Callable[[Any], Path]
    """The path of the model's name in a parsed body."""


def repair_json_body(grammar: BodyGrammar, body: bytes, context: StreamContext) -> RepairedBody:
    """What a 2xx body becomes; `error` is set where it reports one or cannot be used.

    A body in which nothing is found keeps its bytes, except for the model's name.
    """
    try:
        value = json_value.read(body)
    except ValueError:
        what = f"a body that is not JSON: {start_of(body)!r}" if body.strip() else "an empty body"
        return RepairedBody(body, error=_error(grammar, ContentLost(f"The provider sent {what}.")))
    error = grammar.error_in(value)
    if error is not None:
        return RepairedBody(body, error=error)
    draft = Draft(context.disabled, BodyPlace())
    try:
        repaired = grammar.repair(value, context, draft)
    except ContentLost as lost:
        return RepairedBody(body, draft.findings, _error(grammar, lost))
    if repaired is None:
        return RepairedBody(body, draft.findings)
    text = json_value.write(repaired) if draft.findings else body
    path = grammar.model_path(repaired)
    return RepairedBody(with_model(text, path, context.shown_model), draft.findings)


def _error(grammar: BodyGrammar, lost: ContentLost) -> ProviderError:
    return make_error(status=lost.status, type=grammar.error_type, message=lost.message)
