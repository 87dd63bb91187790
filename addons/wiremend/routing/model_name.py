"""Which model a request asks for, and asking for another one by editing only those bytes.

Three protocols name the model in the body's top-level `model`; Gemini names it in the URL.
"""

from dataclasses import dataclass, field

import orjson

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.rules.rule import BodyPlace, CallPlace, Finding, Place, Rule
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


@dataclass(slots=True)
class RewrittenRequest:
    """What a request became; `path` and `body` are the same objects where nothing changed."""

    path: str
    """The URL's path with its query, as it stands on the request line."""
    body: bytes
    findings: list[Finding] = field(default_factory=list)


def requested_model(protocol: Protocol, path: str, body: bytes) -> str | None:
    """The model that a request names, or None if it names none that can be read.

    A Gemini name comes without `models/`, but with `tunedModels/`. Gemini requests whose URL
    names no model are read like the others (Code Assist: `/v1internal:generateContent`).
    """
    in_path = protocol.model_in_path.read(path) if protocol.model_in_path else None
    return in_path if in_path is not None else _model_in_body(body)


def rewrite_model(protocol: Protocol, path: str, body: bytes, model: str) -> RewrittenRequest:
    """The request, asking for `model`; untouched if it names no model that can be read."""
    rewritten = RewrittenRequest(path, body)
    place = protocol.model_in_path
    asked_in_path = place.read(path) if place else None
    if place is not None and asked_in_path is not None:
        rewritten.path = place.write(path, model)
        if rewritten.path is not path:
            rewritten.findings.append(_routed(CallPlace.REQUEST_PATH, asked_in_path, model))
        return rewritten
    asked_in_body = _model_in_body(body)
    if asked_in_body is None or asked_in_body == model:
        return rewritten
    edits = Edits(body)
    edits.replace(("model",), orjson.dumps(model))
    rewritten.body = edits.apply()
    rewritten.findings.append(_routed(BodyPlace(("model",)), asked_in_body, model))
    return rewritten


def _model_in_body(body: bytes) -> str | None:
    try:
        value = parse(body)
    except ValueError:
        return None
    model = value.get("model") if isinstance(value, dict) else None
    return model if isinstance(model, str) else None


def _routed(place: Place, asked: str, model: str) -> Finding:
    return Finding(MODEL_ROUTED.code, place, f"asks for {asked!r}", f"asked for {model!r}")
