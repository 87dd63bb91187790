"""Parts that were read from this protocol, as they were."""

from typing import Any

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    FileSource,
    Media,
    Part,
    Refusal,
    Result,
    Source,
    Text,
    TextSource,
    Thinking,
    UrlSource,
    own_fields,
)
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.middle.wording import arguments_object
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini.own_form import form_of, restored
from wiremend.protocols.gemini.read.parts import SIGNATURE
from wiremend.text import json_value

_G = WireProtocol.GEMINI


def write_own_parts(part: Part) -> list[dict[str, Any]]:
    """Return the parts that were read as this one: a result has media beside it, too."""
    if isinstance(part, Result):
        return _result(part)
    return [write_own_part(part)]


def write_own_part(part: Part) -> dict[str, Any]:
    """Return the part that was read as this one. Of a result, without the media beside it."""
    match part:
        case Text():
            has_text = not form_of(part.own).get("no_text")
            text = {"text": part.text} if has_text else {}
            return restored({**text, **signature_of(part.state)}, part.own)
        case Thinking():
            thought = {"text": part.text, "thought": True, **signature_of(part.state)}
            return restored(thought, part.own)
        case Refusal():
            return {"text": part.text}
        case Call():
            written = {"functionCall": _own_call(part), **signature_of(part.state)}
            return restored(written, part.own)
        case Media():
            written = {**_media(part), **signature_of(form_of(part.own).get("signature"))}
            return restored(written, part.own)
        case Result():
            return _result(part)[0]
        case _:
            fields = dict(own_fields(part.own, _G))
            return {**fields, **signature_of(form_of(part.own).get("signature"))}


def signature_of(state: State | None) -> dict[str, Any]:
    """Return the member with a signature of this protocol; none for another state."""
    signature = native_signature(state)
    return {} if signature is None else {SIGNATURE: signature}


def native_signature(state: State | None) -> str | None:
    """Return the signature in a state of this protocol."""
    if state is None or state.origin.protocol is not _G or not isinstance(state.payload, dict):
        return None
    signature = state.payload.get(SIGNATURE)
    return signature if isinstance(signature, str) and signature else None


def _own_call(call: Call) -> dict[str, Any]:
    written = without_nothing(id=form_of(call.own).get("id", call.id), name=call.name)
    if call.arguments:
        written["args"] = arguments_object(call.arguments) or {}
    return written


def _result(result: Result) -> list[dict[str, Any]]:
    form = form_of(result.own)
    call_id = form.get("id", result.call_id)
    response: dict[str, Any] = without_nothing(id=call_id, name=result.name)
    parts = list(result.parts)
    if form.get("response") is not None and parts:
        first = parts[0]
        response["response"] = _response(result, first.text if isinstance(first, Text) else "")
        parts = parts[1:]
    siblings = [part for part in parts if form_of(part.own).get("sibling")]
    inner = [write_own_part(part) for part in parts if not form_of(part.own).get("sibling")]
    if inner or form.get("parts"):
        response["parts"] = inner
    written = restored({"functionResponse": response}, result.own)
    return [written, *map(write_own_part, siblings)]


def _response(result: Result, text: str) -> Any:
    key, is_text = form_of(result.own)["response"]
    value = text if is_text else json_value.read(text)
    if key == "name content":
        return {"name": result.name, "content": value}
    return {key: value} if key else value


def _media(media: Media) -> dict[str, Any]:
    named = without_nothing(displayName=media.title)
    form = form_of(media.own)
    if "data" in form:
        media_type, data = form["data"]
        return {"inlineData": {**without_nothing(mimeType=media_type), "data": data, **named}}
    source: Source = media.source
    match source:
        case Base64Source():
            typed = without_nothing(mimeType=source.media_type)
            return {"inlineData": {**typed, "data": source.data, **named}}
        case UrlSource():
            typed = without_nothing(mimeType=source.media_type)
            return {"fileData": {"fileUri": source.url, **typed, **named}}
        case FileSource():
            typed = without_nothing(mimeType=form.get("media_type"))
            return {"fileData": {"fileUri": source.file_id, **typed, **named}}
        case TextSource():
            return {"text": source.text}
