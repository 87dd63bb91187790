"""Requests that count tokens: recognising them, and estimating if the provider cannot count."""

import orjson

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.tools import value_at
from wiremend.protocols.registry import PROTOCOLS
from wiremend.routing.model_name import rewrite_model
from wiremend.routing.shape import CallShape
from wiremend.rules.rule import CallPlace, Finding, Notes, Rule
from wiremend.text.counted import counted
from wiremend.text.json_edits import Edits

COUNT_ESTIMATED = Rule(
    code="M005",
    name="count-estimated",
    detects="The provider that a call is routed to cannot count tokens (404, 405 or 501).",
    impact="Claude Code's context display and its compaction depend on that count.",
    action="Responds with an estimate: the bytes of text divided by four, plus 1500 for each "
    "image.",
    protocols=(
        WireProtocol.ANTHROPIC_MESSAGES,
        WireProtocol.RESPONSES,
        WireProtocol.GEMINI,
    ),
    seen=("BerriAI/litellm#13252", "Wei-Shaw/claude-relay-service#731"),
)

CANNOT_COUNT = frozenset({404, 405, 501})
"""Statuses of a provider that has no such endpoint."""


def recognise_count(method: str, path: str) -> Protocol | None:
    """Return the protocol of a request that counts tokens; None for any other request.

    A query in `path` is ignored.
    """
    if method.upper() != "POST":
        return None
    endpoint = path.split("?", 1)[0]
    for protocol in PROTOCOLS.values():
        pattern = protocol.endpoints.count
        if pattern is not None and pattern.search(endpoint):
            return protocol
    return None


def rewrite_counted_model(document: RequestDocument, model: str, notes: Notes) -> RequestDocument:
    """Return the request with `model` as its model, also in a request that it contains (Gemini)."""
    rewritten = rewrite_model(document, model, notes)
    form = document.protocol.token_count
    if form is None or form.inner_request is None or rewritten is document:
        return rewritten
    path = (form.inner_request, "model")
    if not isinstance(value_at(rewritten.fields, path), str):
        return rewritten
    edits = Edits(rewritten.body)
    edits.replace(path, orjson.dumps(model if "/" in model else f"models/{model}"))
    return rewritten.edited(edits)


def estimated_answer(document: RequestDocument) -> tuple[bytes, Finding]:
    """Return the body of a response with an estimated count for this request, and a finding.

    The request's protocol must be one that `recognise_count` returns.
    """
    form = document.protocol.token_count
    assert form is not None, "recognise_count returns only protocols with a token count"
    count = CallShape(document, streaming=False).input_tokens
    finding = Finding(
        COUNT_ESTIMATED.code,
        CallPlace.RESPONSE,
        "the provider cannot count",
        f"estimated {counted(count, 'token')}",
    )
    return orjson.dumps(form.answer(count)), finding
