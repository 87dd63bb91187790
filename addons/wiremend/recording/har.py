"""Reads HAR files of Chrome, Firefox, Playwright, mitmproxy and others, entry by entry.

mitmproxy's reader refuses a whole file because of one odd entry, and reads the text of event
streams in the wrong encoding. What exporters write into `content`:

    Chrome, Playwright   the text of an event stream decoded as Latin-1, whatever its charset
    Firefox              the text decoded correctly
    mitmproxy            the text decoded by the charset, or as Latin-1
    Chrome               for a stream that was reset, no text but the events that arrived, in
                         `_eventSourceMessages`; `response._error` has the reason
    Playwright           for a stream that was reset, no text and the size -1

Bodies are decoded from their content coding; `content-length` need not match them.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from wiremend.recording.exchange import (
    Ending,
    Exchange,
    Headers,
    Message,
    RecordedFlow,
    RecordedFlows,
    RecordedResponse,
    UnusableRecording,
    encodable,
)
from wiremend.recording.limited import CHUNK_BYTES, ENTRY_LIMIT_BYTES, PeekableFile, too_large
from wiremend.text import json_value
from wiremend.text.json_array import ArrayDecoder
from wiremend.text.json_value import dicts_in
from wiremend.text.patterns import linear_pattern

_ENTRIES = linear_pattern(rb'"entries"[ \t\r\n]{0,100}:[ \t\r\n]{0,100}(?=\[)')
"""It cannot match inside a string, where the second quote would be escaped."""
_BETWEEN_CHUNKS = 256
_HEAD_LIMIT_BYTES = 64 * 1024 * 1024
"""Chrome writes the pages before the entries."""
_DECODED_AWAY = ("content-encoding", "content-length", "transfer-encoding")
_CLIENT_LEFT = ("aborted", "cancel", "ns_binding")
"""Parts of `response._error` when the page ended the request itself."""
_DEFAULT_EVENT = "message"


def read_har(file: PeekableFile) -> RecordedFlows:
    """Yield the entries of a file. Raises UnusableRecording."""
    for number, data in _entries(file):
        try:
            entry = json_value.read(data)
        except ValueError:
            raise UnusableRecording(f"entry {number} is not JSON") from None
        exchange = _exchange(entry) if isinstance(entry, dict) else None
        exchanges = () if exchange is None else (exchange,)
        yield RecordedFlow(number, exchanges, partial(_messages, _object(entry)), entry)


def _entries(file: PeekableFile) -> Iterator[tuple[int, bytes]]:
    decoder = ArrayDecoder(ENTRY_LIMIT_BYTES)
    chunk, number, is_closed = _find_entries(file), 0, False
    while chunk and not is_closed:
        for element in decoder.feed(chunk):
            if element.is_part or len(element.raw) > ENTRY_LIMIT_BYTES:
                raise too_large(f"entry {number + 1}")
            if element.data is None:
                is_closed = is_closed or b"]" in element.raw
            else:
                number += 1
                yield number, element.data
        chunk = file.read(CHUNK_BYTES)
    if not is_closed:
        raise UnusableRecording(f"the file ends after {number} complete entries, inside the list")


def _find_entries(file: PeekableFile) -> bytes:
    """Return the bytes from the opening bracket of the entries on, as far as they were read."""
    text, searched = b"", 0
    while chunk := file.read(CHUNK_BYTES):
        text = text[-_BETWEEN_CHUNKS:] + chunk
        searched += len(chunk)
        found = _ENTRIES.search(text)
        if found:
            return text[found.end() :]
        if searched > _HEAD_LIMIT_BYTES:
            break
    raise UnusableRecording("it is JSON without a list of entries, so it is no HAR file")


# One entry


def _exchange(entry: Mapping[str, Any]) -> Exchange | None:
    """Return the exchange of an entry; None if it is no HTTP request."""
    request = _object(entry.get("request"))
    try:
        url = urlsplit(_text(request.get("url")))
        port = url.port or {"http": 80}.get(url.scheme, 443)
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or not url.hostname:
        return None
    response = _object(entry.get("response"))
    status, error = response.get("status"), _text(response.get("_error"))
    recorded: RecordedResponse | None = None
    notes: tuple[str, ...] = ()
    if isinstance(status, int) and status > 0:
        body, notes = _body_of(response)
        recorded = RecordedResponse(status, _response_headers(response), body)
    return Exchange(
        method=_text(request.get("method")) or "GET",
        scheme=url.scheme,
        host=url.hostname,
        port=port,
        path=(url.path or "/") + (f"?{url.query}" if url.query else ""),
        headers=_headers(request),
        body=_request_body(request),
        response=recorded,
        ending=_ending(response, recorded, error),
        error=error,
        notes=notes,
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return encodable(value) if isinstance(value, str) else ""


def _headers(message: Mapping[str, Any]) -> Headers:
    """Return the headers without HTTP/2's pseudo headers."""
    fields = [(_text(h.get("name")), _text(h.get("value"))) for h in _list(message, "headers")]
    return tuple((name, value) for name, value in fields if name and not name.startswith(":"))


def _list(message: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return dicts_in(message.get(key))


def _response_headers(response: Mapping[str, Any]) -> Headers:
    """Return the headers for the decoded body; the type from `content` if there is none."""
    headers = tuple(h for h in _headers(response) if h[0].lower() not in _DECODED_AWAY)
    label = _text(_object(response.get("content")).get("mimeType"))
    if headers or not label or label == "x-unknown":
        return headers
    return (("content-type", label),)


def _request_body(request: Mapping[str, Any]) -> bytes | None:
    data = _object(request.get("postData"))
    text = data.get("text")
    if not isinstance(text, str):
        return None
    if data.get("encoding") == "base64":
        return _from_base64(text)
    return bytes_of(text)


def _body_of(response: Mapping[str, Any]) -> tuple[bytes | None, tuple[str, ...]]:
    """Return the body, and notes on what could not be read exactly."""
    content = _object(response.get("content"))
    text = content.get("text")
    if isinstance(text, str):
        if content.get("encoding") != "base64":
            return bytes_of(text), ()
        body = _from_base64(text)
        return body, () if body is not None else ("the text of the body is not valid base64",)
    messages = content.get("_eventSourceMessages") or response.get("_eventSourceMessages")
    events = dicts_in(messages)
    if not events:
        is_empty = content.get("size") == 0
        return (b"", ()) if is_empty else (None, ())
    if not all(isinstance(event.get("data"), str) for event in events):
        return None, ("the file was sanitized: its events have no data",)
    note = "rebuilt from the list of events; comments and line ends are lost"
    return b"".join(map(_event, events)), (note,)


def bytes_of(text: str) -> bytes:
    """Return the bytes of a text, which may be UTF-8 that was decoded as Latin-1."""
    if not text.isascii():
        try:
            data = text.encode("latin-1")
            data.decode("utf-8")
        except UnicodeError:
            pass
        else:
            return data
    return text.encode("utf-8", "surrogatepass")


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _event(message: Mapping[str, Any]) -> bytes:
    lines = []
    name, identifier = _text(message.get("eventName")), _text(message.get("eventId"))
    if name not in ("", _DEFAULT_EVENT):
        lines.append(f"event: {name}")
    if identifier:
        lines.append(f"id: {identifier}")
    lines += [f"data: {line}" for line in str(message.get("data")).split("\n")]
    return bytes_of("\n".join([*lines, "", ""]))


def _ending(response: Mapping[str, Any], recorded: RecordedResponse | None, error: str) -> Ending:
    if error:
        is_left = any(part in error.lower() for part in _CLIENT_LEFT)
        return Ending.LEFT if is_left else Ending.CUT
    if recorded is None:
        return Ending.LEFT
    size = _object(response.get("content")).get("size")
    return Ending.CUT if recorded.body is None and size == -1 else Ending.COMPLETE


# Everything that is in the file


def _messages(entry: Mapping[str, Any]) -> Iterator[Message]:
    for name in ("request", "response"):
        part = _object(entry.get(name))
        cookies = tuple(
            ("cookie", f"{_text(cookie.get('name'))}={_text(cookie.get('value'))}")
            for cookie in _list(part, "cookies")
        )
        parameters = "&".join(
            f"{_text(pair.get('name'))}={_text(pair.get('value'))}"
            for pair in _list(part, "queryString")
        )
        url = _text(part.get("url"))
        body = _request_body(part) if name == "request" else _body_of(part)[0]
        yield Message(name, _headers(part) + cookies, url, body or b"")
        if parameters:
            yield Message(f"{name} parameters", path=f"?{parameters}")
