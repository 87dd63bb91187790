"""Which model a request asks for, and asking for another one by editing only those bytes.

Three protocols name the model in the body's top-level `model`; Gemini names it in the URL.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import orjson

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import Finding, Rule
from wiremend.text.json_edits import Edits, parse

MODEL_ROUTED = Rule(
    code="M001",
    name="model-routed",
    finds="The request asks for a model that the configuration maps to another one.",
    hurts="The provider does not serve the model that the client insists on, or charges more.",
    mends="Only the bytes of the model's name change; the response keeps the name asked for.",
    protocols=tuple(WireProtocol),
    seen=("routatic/proxy#44", "routatic/proxy#131"),
    before='{"model":"claude-haiku-4-5","messages":[]}',
    after='{"model":"minimax-m3","messages":[]}',
)
RULES = (MODEL_ROUTED,)

_IN_PATH = re.compile(
    r"(?P<before>[^?]*/)"
    r"(?P<name>(?:models|tunedModels)/[^?]+?)"
    r"(?P<after>(?::|%3[Aa])[A-Za-z]+(?:\?.*)?)",
    re.DOTALL,
)
"""`…/models/MODEL:method`; Vertex puts `publishers/google/` in front, gateways whatever they like.

https://ai.google.dev/api/generate-content, https://cloud.google.com/vertex-ai (REST reference)
"""
_COLLECTIONS = ("models/", "tunedModels/")


@dataclass(slots=True)
class RewrittenRequest:
    """What a request became; `path` and `body` are the same objects where nothing changed."""

    path: str
    """The URL's path with its query, as it stands on the request line."""
    body: bytes
    findings: list[Finding] = field(default_factory=list)


def requested_model(protocol: str, path: str, body: bytes) -> str | None:
    """The model that a request names, or None if it names none that can be read.

    A Gemini name comes without `models/`, but with `tunedModels/`. Gemini requests whose URL
    names no model are read like the others (Code Assist: `/v1internal:generateContent`).
    """
    if protocol == WireProtocol.GEMINI and (match := _IN_PATH.fullmatch(path)):
        return unquote(match["name"]).removeprefix("models/")
    return _model_in_body(body)


def rewrite_model(protocol: str, path: str, body: bytes, model: str) -> RewrittenRequest:
    """The request, asking for `model`; untouched if it names no model that can be read."""
    rewritten = RewrittenRequest(path, body)
    if protocol == WireProtocol.GEMINI and (match := _IN_PATH.fullmatch(path)):
        name = model if model.startswith(_COLLECTIONS) else f"models/{model}"
        if unquote(match["name"]) != name:
            asked = unquote(match["name"]).removeprefix("models/")
            rewritten.path = match["before"] + quote(name, safe="/@") + match["after"]
            rewritten.findings.append(_routed("path", asked, model))
        return rewritten
    asked_in_body = _model_in_body(body)
    if asked_in_body is None or asked_in_body == model:
        return rewritten
    edits = Edits(body)
    edits.replace(("model",), orjson.dumps(model))
    rewritten.body = edits.apply()
    rewritten.findings.append(_routed("model", asked_in_body, model))
    return rewritten


def _model_in_body(body: bytes) -> str | None:
    try:
        value = parse(body)
    except ValueError:
        return None
    model = value.get("model") if isinstance(value, dict) else None
    return model if isinstance(model, str) else None


def _routed(where: str, asked: str, model: str) -> Finding:
    return Finding(MODEL_ROUTED.code, where, f"asks for {asked!r}", f"asked for {model!r}")
