"""Which model a request asks for, and asking for another one by editing only those bytes.

Three protocols name the model in the body's top-level `model`; Gemini names it in the URL.
"""

from dataclasses import replace

import orjson

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import BodyPlace, CallPlace, Notes, Rule
from wiremend.text.json_edits import Edits

MODEL_ROUTED = Rule(
    code="M001",
    name="model-routed",
    detects="The configuration maps the requested model to another one.",
    impact="The provider does not serve the model that the client insists on, or charges more for "
    "it.",
    action="Replaces only the model's name in the request. The response contains the requested "
    "name.",
    protocols=tuple(WireProtocol),
    seen=("routatic/proxy#44", "routatic/proxy#131"),
    before='{"model":"claude-haiku-4-5","messages":[]}',
    after='{"model":"minimax-m3","messages":[]}',
)
RULES = (MODEL_ROUTED,)


def requested_model(document: RequestDocument) -> str | None:
    """The model that a request names, or None if it names none that can be read.

    A Gemini name comes without `models/`, but with `tunedModels/`. Gemini requests whose URL
    names no model are read like the others (Code Assist: `/v1internal:generateContent`).
    """
    place = document.protocol.model_in_path
    in_path = place.read(document.path) if place else None
    return in_path if in_path is not None else _model_in_body(document)


def rewrite_model(document: RequestDocument, model: str, notes: Notes) -> RequestDocument:
    """The request, asking for `model`; untouched if it names no model that can be read."""
    done = f"replaced with {model!r}"
    place = document.protocol.model_in_path
    asked_in_path = place.read(document.path) if place else None
    if place is not None and asked_in_path is not None:
        path = place.write(document.path, model)
        found = f"asks for {asked_in_path!r}"
        if path is document.path or not notes.note(
            MODEL_ROUTED, CallPlace.REQUEST_PATH, found, done
        ):
            return document
        return replace(document, path=path)
    asked = _model_in_body(document)
    if asked is None or asked == model:
        return document
    edits = Edits(document.body)
    if notes.note(MODEL_ROUTED, BodyPlace(("model",)), f"requests {asked!r}", done):
        edits.replace(("model",), orjson.dumps(model))
    return document.edited(edits)


def _model_in_body(document: RequestDocument) -> str | None:
    model = (document.fields or {}).get("model")
    return model if isinstance(model, str) else None
