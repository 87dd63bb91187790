"""Counting tokens before a call: recognising it, and answering where a provider cannot."""

import re
from collections.abc import Callable, Mapping

import orjson

from wiremend.protocols.base.names import WireProtocol
from wiremend.routing.model_name import RewrittenRequest, rewrite_model
from wiremend.routing.shape import shape_of
from wiremend.rules.rule import Finding, Rule
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

_ENDPOINTS: tuple[tuple[re.Pattern[str], WireProtocol], ...] = (
    (re.compile(r"/v1/messages/count_tokens/?\Z"), WireProtocol.ANTHROPIC_MESSAGES),
    (re.compile(r"/responses/input_tokens/?\Z"), WireProtocol.RESPONSES),
    (re.compile(r"(?::|%3a)countTokens\Z", re.IGNORECASE), WireProtocol.GEMINI),
)
"""https://docs.anthropic.com/en/api/messages-count-tokens, https://ai.google.dev/api/tokens,
https://platform.openai.com/docs/api-reference/responses/input-tokens
"""
_ANSWERS: Mapping[WireProtocol, Callable[[int], dict[str, int | str]]] = {
    WireProtocol.ANTHROPIC_MESSAGES: lambda count: {"input_tokens": count},
    WireProtocol.RESPONSES: lambda count: {
        "object": "response.input_tokens",
        "input_tokens": count,
    },
    WireProtocol.GEMINI: lambda count: {"totalTokens": count},
}
_WRAPPER = "generateContentRequest"
"""Gemini: the whole request to count, its model named a second time."""


def recognise_count(method: str, path: str) -> WireProtocol | None:
    """The protocol whose tokens a request asks to count, or None; `path` may carry a query."""
    if method.upper() != "POST":
        return None
    endpoint = path.split("?", 1)[0]
    return next((named for pattern, named in _ENDPOINTS if pattern.search(endpoint)), None)


def rewrite_counted_model(
    protocol: WireProtocol, path: str, body: bytes, model: str
) -> RewrittenRequest:
    """The same request for another model's count."""
    rewritten = rewrite_model(protocol, path, body, model)
    if protocol is WireProtocol.GEMINI and rewritten.findings:
        rewritten.body = _renamed_inside(body, model)
    return rewritten


def estimated_answer(protocol: WireProtocol, body: bytes) -> tuple[bytes, Finding]:
    """A count in the protocol's own form; `body` is the request's."""
    count = shape_of(protocol, body, streaming=False).input_tokens
    finding = Finding(
        COUNT_ESTIMATED.code, "response", "the provider cannot count", f"estimated {count} tokens"
    )
    return orjson.dumps(_ANSWERS[protocol](count)), finding


def _renamed_inside(body: bytes, model: str) -> bytes:
    try:
        request = parse(body)
    except ValueError:
        return body
    inner = request.get(_WRAPPER) if isinstance(request, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("model"), str):
        return body
    edits = Edits(body)
    name = model if "/" in model else f"models/{model}"
    edits.replace((_WRAPPER, "model"), orjson.dumps(name))
    return edits.apply()
