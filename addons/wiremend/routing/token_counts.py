"""Counting tokens before a call: recognising it, and answering where a provider cannot."""

import orjson

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.registry import PROTOCOLS
from wiremend.routing.model_name import RewrittenRequest, rewrite_model
from wiremend.routing.shape import shape_of
from wiremend.rules.rule import CallPlace, Finding, Rule
from wiremend.text.json_edits import Edits, parse

COUNT_ESTIMATED = Rule(
    code="M005",
    name="count-estimated",
    finds="The provider that a call is routed to cannot count tokens (404, 405 or 501).",
    hurts="Claude Code's context display and its compaction go by that count.",
    mends="An estimate is answered: bytes of text over four, 1500 for each image.",
    protocols=(
        WireProtocol.ANTHROPIC_MESSAGES,
        WireProtocol.RESPONSES,
        WireProtocol.GEMINI,
    ),
    seen=("BerriAI/litellm#13252", "Wei-Shaw/claude-relay-service#731"),
)
RULES = (COUNT_ESTIMATED,)

CANNOT_COUNT = frozenset({404, 405, 501})
"""Statuses that say that there is no such endpoint."""


def recognise_count(method: str, path: str) -> Protocol | None:
    """The protocol whose tokens a request asks to count, or None; `path` may carry a query."""
    if method.upper() != "POST":
        return None
    endpoint = path.split("?", 1)[0]
    for protocol in PROTOCOLS.values():
        pattern = protocol.endpoints.count
        if pattern is not None and pattern.search(endpoint):
            return protocol
    return None


def rewrite_counted_model(
    protocol: Protocol, path: str, body: bytes, model: str
) -> RewrittenRequest:
    """The same request for another model's count."""
    rewritten = rewrite_model(protocol, path, body, model)
    wrapper = protocol.token_count.inner_request if protocol.token_count else None
    if wrapper is not None and rewritten.findings:
        rewritten.body = _renamed_inside(body, wrapper, model)
    return rewritten


def estimated_answer(protocol: Protocol, body: bytes) -> tuple[bytes, Finding]:
    """A count in the protocol's own form; `body` is the request's."""
    assert protocol.token_count is not None, "recognise_count returns no other"
    count = shape_of(protocol, body, streaming=False).input_tokens
    finding = Finding(
        COUNT_ESTIMATED.code,
        CallPlace.RESPONSE,
        "the provider cannot count",
        f"estimated {count} tokens",
    )
    return orjson.dumps(protocol.token_count.answer(count)), finding


def _renamed_inside(body: bytes, wrapper: str, model: str) -> bytes:
    try:
        request = parse(body)
    except ValueError:
        return body
    inner = request.get(wrapper) if isinstance(request, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("model"), str):
        return body
    edits = Edits(body)
    name = model if "/" in model else f"models/{model}"
    edits.replace((wrapper, "model"), orjson.dumps(name))
    return edits.apply()
