"""Reads JSON Lines of exchanges: one JSON object a line.

source            where the exchange was taken from
host, path        where the request went; `path` may be null
protocol          by wiremend's names
streaming         whether the call streams
status            of the response
content_type      of the response; null if it was not recorded
request, response {"text": ...}, {"base64": ...} or null
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import (
    Exchange,
    Message,
    RecordedFlow,
    RecordedFlows,
    RecordedResponse,
    UnusableRecording,
    encodable,
)
from wiremend.recording.limited import ENTRY_LIMIT_BYTES, PeekableFile, too_large
from wiremend.text import json_value

REQUIRED = ("host", "protocol", "response", "status", "streaming")
"""The fields by which a line is recognised."""


def read_json_lines(
    file: PeekableFile, is_wanted: Callable[[int], bool] = lambda number: True
) -> RecordedFlows:
    """Yield the exchanges of a file; blank lines are skipped. Raises UnusableRecording.

    Lines whose numbers, from 1, are not wanted are skipped without being parsed.
    """
    for number, line in _lines(file):
        if not is_wanted(number):
            continue
        try:
            fields = json_value.read(line)
        except ValueError:
            what = f"line {number} is not JSON"
            is_last = not line.endswith(b"\n")
            raise UnusableRecording(what + (", and the file ends in it" if is_last else "")) from (
                None
            )
        if not isinstance(fields, dict):
            raise UnusableRecording(f"line {number} is no JSON object")
        exchange = _exchange(fields, number)
        yield RecordedFlow(number, (exchange,), partial(_messages, exchange), fields)


def _lines(file: PeekableFile) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.read_line(ENTRY_LIMIT_BYTES + 1):
        number += 1
        if len(line) > ENTRY_LIMIT_BYTES:
            raise too_large(f"line {number}")
        if line.strip():
            yield number, line


def _exchange(fields: Mapping[str, Any], number: int) -> Exchange:
    def field(name: str, kind: Any) -> Any:
        value = fields.get(name)
        if not isinstance(value, kind) or (value is None and name not in fields):
            raise UnusableRecording(f"line {number} is no exchange: {name!r} is missing or invalid")
        return value

    try:
        protocol = WireProtocol.parse(field("protocol", str))
    except ValueError:
        text = f"line {number} is no exchange: 'protocol' is not the name of a protocol"
        raise UnusableRecording(text) from None
    content_type = fields.get("content_type") or ""
    body = _body(field("response", dict | None), "response", number)
    return Exchange(
        protocol=protocol,
        host=encodable(field("host", str)),
        path=encodable(str(fields.get("path") or "")),
        body=_body(fields.get("request"), "request", number),
        streaming=field("streaming", bool),
        response=RecordedResponse(
            field("status", int),
            (("content-type", encodable(str(content_type))),) if content_type else (),
            body,
            has_label=bool(content_type),
        ),
    )


def _body(value: Any, name: str, number: int) -> bytes | None:
    match value:
        case None:
            return None
        case {"text": str(text)}:
            return text.encode("utf-8", "surrogatepass")
        case {"base64": str(text)}:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error:
                text = f"line {number} is no exchange: {name!r} is not valid base64"
                raise UnusableRecording(text) from None
    raise UnusableRecording(f"line {number} is no exchange: {name!r} has no 'text' or 'base64'")


def _messages(exchange: Exchange) -> Iterator[Message]:
    yield Message("request", path=exchange.path, body=exchange.body or b"")
    if exchange.response is not None:
        yield Message("response", body=exchange.response.body or b"")
