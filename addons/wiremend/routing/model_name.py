"""Reading the model that a request asks for, and replacing only its bytes.

In three protocols the model is the top-level `model` of the body; in Gemini it is in the URL.
"""

from dataclasses import replace

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import BodyPlace, CallPlace, Notes, Rule

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


def requested_model(document: RequestDocument) -> str | None:
    """Return the model that a request asks for, or None if it contains no readable name.

    A Gemini name is returned without `models/`, but with `tunedModels/`. For Gemini requests whose
    URL contains no model (Code Assist: `/v1internal:generateContent`) the body is read.
    """
    place = document.protocol.model_in_path
    in_path = place.read(document.path) if place else None
    return in_path if in_path is not None else _model_in_body(document)


def rewrite_model(document: RequestDocument, model: str, notes: Notes) -> RequestDocument:
    """Return the request with `model` as its model; unchanged if it contains no readable name."""
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
    if not notes.note(MODEL_ROUTED, BodyPlace(("model",)), f"requests {asked!r}", done):
        return document
    return document.with_member("model", model)


def _model_in_body(document: RequestDocument) -> str | None:
    model = (document.fields or {}).get("model")
    return model if isinstance(model, str) else None
