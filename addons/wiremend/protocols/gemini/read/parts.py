"""The parts of contents, in requests and in answers, as parts of the middle form."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    FileSource,
    Media,
    MediaKind,
    Opaque,
    Own,
    Part,
    Result,
    ServerCall,
    ServerResult,
    Source,
    Text,
    TextSource,
    Thinking,
    UrlSource,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.state import Origin, State, is_sealed, unseal
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini.own_form import own_of
from wiremend.text import json_value
from wiremend.text.json_edits import Path

_G = WireProtocol.GEMINI
SIGNATURE = "thoughtSignature"
ON = "on"
"""The member of a state with the kind of its part: a key of `_READERS`, or `thought`."""
CARRIED = "thinking"
"""The member of a sealed payload with reasoning of another provider: Gemini's clients do not return
thoughts, so the envelope on the next part contains them."""
_STANDARD = str.maketrans("-_", "+/")
_OUTPUT_KEYS = ("output", "error", "result", "content")
"""The members under which clients put the only content of a response: Gemini CLI, Google's SDKs,
others."""
_TYPES_BY_ENDING: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "mp4": "video/mp4",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}
_SERVER_TOOLS: Mapping[str, str] = {
    "GOOGLE_SEARCH_WEB": "web_search",
    "GOOGLE_SEARCH_IMAGE": "web_search",
    "URL_CONTEXT": "web_fetch",
}


def read_part(part: Mapping[str, Any], at: Path = (), issuer: Origin | None = None) -> list[Part]:
    """Return the parts in one part: itself, behind the reasoning that its signature contains.

    `issuer` is the provider in answers. In requests it is None: signatures may be envelopes.
    """
    members = Members(part)
    kind = next((key for key in _READERS if key in part), "")
    signature = members.text(SIGNATURE)
    before: list[Part] = []
    state = None
    if signature:
        on = "thought" if kind == "text" and part.get("thought") is True else kind
        before, state = _read_signature(signature, on or "text", at, issuer)
    read = _READERS[kind](members, at, state) if kind else _without_content(part, members, state)
    return [*before, read or Opaque(_kind_of(part), own=Own(_G, part), at=at)]


def media_kind(media_type: str, url: str = "") -> MediaKind:
    """Return the kind of a medium of this type, or at this address."""
    start = (media_type or media_type_at(url)).partition("/")[0]
    if start in ("image", "audio", "video"):
        return MediaKind(start)
    host = urlsplit_host(url)
    return MediaKind.VIDEO if host.endswith(("youtube.com", "youtu.be")) else MediaKind.DOCUMENT


def media_type_at(url: str) -> str:
    """Return the media type that the end of an address suggests; empty if it does not."""
    return _TYPES_BY_ENDING.get(url.partition("?")[0].rpartition(".")[2].lower(), "")


def urlsplit_host(url: str) -> str:
    """Return the host of a URL; empty if it has none, or is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _read_signature(
    signature: str, kind: str, at: Path, issuer: Origin | None
) -> tuple[list[Part], State | None]:
    """Return the reasoning that a signature contains, and the state of its part."""
    payload = {SIGNATURE: signature, ON: kind}
    if issuer is not None:
        return [], State(issuer, payload)
    if not is_sealed(signature):
        return [], State(Origin(_G), payload, is_native=True)
    state = unseal(signature)
    if state is None:
        return [], None
    carried = state.payload.get(CARRIED) if isinstance(state.payload, dict) else None
    if not isinstance(carried, list):
        return [], state
    return list(_carried(carried, state.origin, at)), None


def _carried(entries: Sequence[Any], origin: Origin, at: Path) -> list[Part]:
    """Return the reasoning in an envelope: a list of text and payload."""
    parts: list[Part] = []
    for entry in entries:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
            continue
        text, payload = entry
        state = State(origin, payload) if payload is not None else None
        parts.append(Thinking(text, state, at=at))
    return parts


def _without_content(part: Mapping[str, Any], members: Members, state: State | None) -> Part | None:
    """Return a part that has a signature at most."""
    if state is None or part.keys() != {SIGNATURE}:
        return None
    return Text("", state=state, own=own_of(members, no_text=True))


def _kind_of(part: Mapping[str, Any]) -> str:
    return next((key for key in part if key != SIGNATURE), "")


def _text(members: Members, at: Path, state: State | None) -> Part | None:
    if not isinstance(members.peek("text"), str):
        return None
    text = members.drop("text")
    if members.peek("thought") is True:
        members.drop("thought")
        return Thinking(text, state, own=own_of(members), at=at)
    return Text(text, state=state, own=own_of(members), at=at)


def take_inner(members: Members, key: str) -> Members | None:
    """Take an object; its members that are left are put back by `keep_inner`."""
    fields = members.object(key)
    return None if fields is None else Members(fields)


def keep_inner(members: Members, key: str, inner: Members) -> None:
    """Put back what is left of an object."""
    rest = inner.own(_G)
    if rest is not None:
        members.keep(key, rest.fields)


def _call(members: Members, at: Path, state: State | None) -> Part | None:
    inner = take_inner(members, "functionCall")
    if inner is None:
        return None
    name, call_id = inner.text("name"), inner.text("id")
    args = inner.object("args")
    arguments = "" if args is None else json_value.write(args).decode()
    keep_inner(members, "functionCall", inner)
    return Call(call_id, name, arguments, state=state, own=own_of(members), at=at)


def _result(members: Members, at: Path, _: State | None) -> Part | None:
    inner = take_inner(members, "functionResponse")
    if inner is None:
        return None
    name, call_id = inner.text("name"), inner.text("id")
    response = inner.object("response")
    text, form = ("", None) if response is None else _output(response, name)
    parts: list[Part] = [] if form is None else [Text(text, at=(*at, "functionResponse"))]
    media = inner.peek("parts")
    if isinstance(media, list) and all(isinstance(one, dict) for one in media):
        inner.drop("parts")
        for number, one in enumerate(media):
            parts += read_part(one, (*at, "functionResponse", "parts", number))
    keep_inner(members, "functionResponse", inner)
    is_error = True if form is not None and form[0] == "error" else None
    is_plain = form is not None and form[1] and len(parts) == 1
    own = own_of(members, response=form, parts=True if media == [] else None)
    return Result(call_id, tuple(parts), is_error, name, is_plain=is_plain, own=own, at=at)


def _output(response: Mapping[str, Any], name: str) -> tuple[str, tuple[str, bool]]:
    """Return the text of a response, and its form: the member, and whether its value was text.

    The member is empty if the text is the whole response as JSON.
    """
    key = next((key for key in _OUTPUT_KEYS if key in response), "")
    is_named = response.keys() == {"name", "content"} and response["name"] == name
    if not key or (len(response) > 1 and not is_named):
        return json_value.write(response).decode(), ("", False)
    value = response[key]
    is_text = isinstance(value, str)
    form = "name content" if is_named else key
    return (value if is_text else json_value.write(value).decode()), (form, is_text)


def _inline_data(members: Members, at: Path, state: State | None) -> Part | None:
    inner = take_inner(members, "inlineData")
    if inner is None or not isinstance(inner.peek("data"), str):
        return None
    media_type, data = inner.text("mimeType"), inner.drop("data")
    title = inner.text("displayName")
    source, original = _source(media_type, data)
    keep_inner(members, "inlineData", inner)
    own = own_of(members, data=original, signature=state)
    return Media(media_kind(media_type), source, title, own=own, at=at)


def _source(media_type: str, data: str) -> tuple[Source, tuple[str, str] | None]:
    """Return the source of inline data, and its original type and text if they differ."""
    is_other_alphabet = ("-" in data or "_" in data) and "+" not in data and "/" not in data
    standard = data.translate(_STANDARD) if is_other_alphabet else data
    if len(standard) % 4:
        standard += "=" * (-len(standard) % 4)
    if media_type.startswith("text/"):
        try:
            text = base64.b64decode(standard, validate=True).decode()
        except (binascii.Error, ValueError):
            pass
        else:
            return TextSource(text), (media_type, data)
    return Base64Source(media_type, standard), (media_type, data) if standard != data else None


def _file_data(members: Members, at: Path, state: State | None) -> Part | None:
    inner = take_inner(members, "fileData")
    uri = "" if inner is None else inner.text("fileUri")
    if inner is None or not uri:
        return None
    media_type = inner.text("mimeType")
    title = inner.text("displayName")
    is_stored = not uri.startswith(("http://", "https://")) or urlsplit_host(uri).endswith(
        ".googleapis.com"
    )
    source: Source = FileSource(uri) if is_stored else UrlSource(uri, media_type)
    keep_inner(members, "fileData", inner)
    own = own_of(
        members,
        media_type=media_type if is_stored and media_type else None,
        signature=state,
    )
    return Media(media_kind(media_type, uri), source, title, own=own, at=at)


def _server_call(key: str) -> Callable[[Members, Path, State | None], Part | None]:
    def read(members: Members, at: Path, state: State | None) -> Part | None:
        call = members.peek(key)
        if not isinstance(call, dict):
            return None
        args = call.get("args") if key == "toolCall" else call
        arguments = json_value.write(args or {}).decode()
        own = own_of(members, signature=state)
        return ServerCall(_text_in(call, "id"), _name_of(call), arguments, own=own, at=at)

    return read


def _server_result(key: str) -> Callable[[Members, Path, State | None], Part | None]:
    def read(members: Members, at: Path, state: State | None) -> Part | None:
        result = members.peek(key)
        if not isinstance(result, dict):
            return None
        text = _text_in(result, "output")
        outcome = _text_in(result, "outcome").removeprefix("OUTCOME_").lower()
        error = outcome if outcome not in ("", "ok", "unspecified") else ""
        own = own_of(members, signature=state)
        call_id, name = _text_in(result, "id"), _name_of(result)
        return ServerResult(call_id, name, text=text, error=error, own=own, at=at)

    return read


def _name_of(call: Mapping[str, Any]) -> str:
    """Return the common name of the tool that the provider ran."""
    kind = _text_in(call, "toolType")
    return _SERVER_TOOLS.get(kind, kind.lower()) if kind else "code_execution"


def _text_in(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


_READERS: Mapping[str, Callable[[Members, Path, State | None], Part | None]] = {
    "functionCall": _call,
    "functionResponse": _result,
    "inlineData": _inline_data,
    "fileData": _file_data,
    "executableCode": _server_call("executableCode"),
    "codeExecutionResult": _server_result("codeExecutionResult"),
    "toolCall": _server_call("toolCall"),
    "toolResponse": _server_result("toolResponse"),
    "text": _text,
}
"""The kinds of parts by the member that only they have."""
