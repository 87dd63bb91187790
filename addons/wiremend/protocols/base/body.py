"""The repair of a whole response body: the steps that all protocols share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import ProviderError, own_error
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.rules.rule import BodyPlace, start_of
from wiremend.text import json_value
from wiremend.text.json_edits import Path


@dataclass(frozen=True, slots=True)
class BodyGrammar:
    """The protocol-specific steps of repairing a response body."""

    error_type: str
    """The error type for a body whose content is lost."""
    error_in: Callable[[Any], ProviderError | None]
    """Return the error that a parsed body reports, or None."""
    repair: Callable[[Any, StreamContext, Draft], Any]
    """Repair a parsed body in place and return it; None if it is not a body of the protocol.

    Raises ContentLost.
    """
    model_path: Callable[[Any], Path]
    """Return the path of the model name in a parsed body."""


def repair_json_body(grammar: BodyGrammar, body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used.

    Without findings the body keeps its bytes, except for the model name.
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
    return own_error(lost.message, status=lost.status, type=grammar.error_type)
