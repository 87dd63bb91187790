"""Removes secrets from a flow before it is printed, saved or exported.

mitmproxy's addons and its connections use the same flow object. When a flow is complete its request
has been sent, and calls send a separate copy of their request from the start. The client still
receives the original response (`seam.flows`).
"""

from collections.abc import Iterable, Set
from functools import partial
from operator import itemgetter
from typing import Any

import orjson
from mitmproxy import http

from wiremend.body_secrets import (
    issued_secrets,
    issues_keys,
    may_have_credentials,
    secrets_in_content,
    secrets_in_request,
)
from wiremend.call_record.kept_bytes import KeptBytes
from wiremend.call_record.schema import METADATA_KEY
from wiremend.protocols.base.document import RequestBody
from wiremend.seam.flows import (
    body_of,
    change_backup,
    forget_backup,
    is_coded,
    replace_content,
    show_response_as,
)
from wiremend.secrets import (
    is_secret_header,
    masked,
    masked_bytes,
    masked_in_place,
    redacted_path,
    redacted_value,
    secret_values,
    without_quoted_bytes,
)

_CODING = b"content-encoding"
type Fields = tuple[tuple[bytes, bytes], ...]
_NUMBERS = frozenset({int, float, bool})


def secrets_of(flow: http.HTTPFlow) -> frozenset[str]:
    """Return the credentials in this request, in all forms in which they may occur."""
    return header_secrets_of(flow) | body_secrets_of(flow)


def header_secrets_of(flow: http.HTTPFlow) -> frozenset[str]:
    """Return those in the headers and the query of a request."""
    return _secrets_in(flow.request.headers.fields, flow.request.path)


def _secrets_in(fields: Iterable[tuple[bytes, bytes]], path: str) -> frozenset[str]:
    return secret_values([(n.decode("latin-1"), v.decode("latin-1")) for n, v in fields], path)


def body_secrets_of(flow: http.HTTPFlow, content: RequestBody | None = None) -> frozenset[str]:
    """Return those in the body of a request; `content` is the parsed body of a model call."""
    request = flow.request
    if content is not None and not issues_keys(request.path):
        return secrets_in_content(content)
    body = request.raw_content
    if not body:
        return frozenset()
    if not is_coded(request) and not may_have_credentials(body) and not issues_keys(request.path):
        return frozenset()  # as in most calls
    content_type = request.headers.get("content-type", "")
    return secrets_in_request(request.path, content_type, body_of(request) or b"")


def issued_secrets_of(flow: http.HTTPFlow) -> frozenset[str]:
    """Return the keys that a response issues."""
    request, response = flow.request, flow.response
    if response is None or not response.raw_content or not issues_keys(request.path):
        return frozenset()
    content_type = response.headers.get("content-type", "")
    return issued_secrets(body_of(response) or b"", content_type)


class SecretNames:
    """Finds the credentials among the fields of heads; remembers which names are credentials."""

    def __init__(self) -> None:
        self._places: dict[tuple[bytes, ...], tuple[int, ...]] = {}

    def places(self, fields: Fields) -> tuple[int, ...]:
        """Return the indices of the fields that are credentials by their names."""
        names = tuple(map(_name_of, fields))
        places = self._places.get(names)
        if places is None:
            if len(self._places) >= _REMEMBERED_HEADS:
                self._places.clear()
            found = [n for n, name in enumerate(names) if is_secret_header(name.decode("latin-1"))]
            places = self._places[names] = tuple(found)
        return places


_REMEMBERED_HEADS = 100
_name_of = itemgetter(0)


class FlowSecrets:
    """The secrets of one live flow, each part of which is searched and redacted once."""

    def __init__(
        self,
        flow: http.HTTPFlow,
        content: RequestBody | None = None,
        names: SecretNames | None = None,
    ) -> None:
        """Start with those in the body of the client's request, which `content` may contain."""
        self.values = set(body_secrets_of(flow, content))
        self._names = SecretNames() if names is None else names
        self._read: _Head | None = None
        """The head that was searched last."""
        self._searched: list[tuple[bytes, bytes]] = []
        """Its fields that are credentials."""
        self._concealed: tuple[_Head, bytes | None] | None = None
        """What the request was after it was redacted."""
        self._concealed_values = 0
        """How many values were redacted then. Values are only added."""

    def read(self, flow: http.HTTPFlow) -> None:
        """Add those in the headers and the query of the present request."""
        head = _head_of(flow)
        is_concealed = self._concealed is not None and self._concealed[0] == head
        if head != self._read and not is_concealed:
            fields, searched = head[0], self._searched
            secret = [fields[place] for place in self._names.places(fields)]
            if secret != searched or b"?" in head[1]:
                self.values |= _secrets_in(secret, flow.request.path)
            self._read, self._searched = head, secret

    def conceal_request(self, flow: http.HTTPFlow) -> None:
        """Redact the request; see `conceal_request`."""
        conceal_request(flow, self.values, self._names)
        self._concealed = _head_of(flow), flow.request.raw_content
        self._concealed_values = len(self.values)

    def conceal(self, flow: http.HTTPFlow) -> None:
        """Redact the whole flow, which is complete, and the keys that its response issues."""
        values = self.values | issued_secrets_of(flow)
        is_same = self._concealed == (_head_of(flow), flow.request.raw_content)
        if is_same and len(values) == self._concealed_values:
            _forget_edits(flow)
        else:
            conceal_request(flow, values, self._names)
        conceal_answer(flow, values, self._names)


type _Head = tuple[Fields, bytes]
"""The header fields of a request, and its path."""


def _head_of(flow: http.HTTPFlow) -> _Head:
    data = flow.request.data
    return data.headers.fields, data.path


def conceal_request(flow: http.HTTPFlow, values: Set[str], names: SecretNames) -> None:
    """Redact credentials by name, and these values wherever they occur."""
    request = flow.request
    request.headers = http.Headers(_concealed(request.headers.fields, values, names))
    path = request.path
    shown = masked(redacted_path(path), values)
    if shown != path:
        request.path = shown
    if request.raw_content:
        _mask_content(request, values)
    _forget_edits(flow)


def _forget_edits(flow: http.HTTPFlow) -> None:
    """Drop the flow before a user's edits, unless this is a replay: that one is redacted, too."""
    if flow.is_replay is None:
        forget_backup(flow)


def conceal(flow: http.HTTPFlow, values: Set[str]) -> None:
    """Redact the whole flow: request, response, error and record."""
    names = SecretNames()
    conceal_request(flow, values, names)
    conceal_answer(flow, values, names)


def conceal_answer(flow: http.HTTPFlow, values: Set[str], names: SecretNames) -> None:
    """Redact response, error, record, and the flow to which mitmweb can revert this one."""
    change_backup(flow, partial(conceal, values=values))
    response = flow.response
    if response is not None:
        content = response.raw_content
        fields = _concealed(response.headers.fields, values, names)
        if content and (plain := _masked_if_coded(response, values)) is not None:
            content = plain
            fields = [(n, b"identity" if n.lower() == _CODING else v) for n, v in fields]
        elif content:
            content = masked_bytes(content, values)
        show_response_as(response, fields, content)
    if flow.error is not None:
        flow.error.msg = masked(without_quoted_bytes(flow.error.msg), values)
    if METADATA_KEY in flow.metadata:
        record = flow.metadata[METADATA_KEY]
        is_usual = isinstance(record, dict)
        mask = masked_record if is_usual else _masked_value
        flow.metadata[METADATA_KEY] = mask(record, values)


def _mask_content(request: http.Request, values: Set[str]) -> None:
    """Redact the body of a request in its flow; a coded one is decoded if needed."""
    plain = _masked_if_coded(request, values)
    if plain is not None:
        replace_content(request, plain)
    else:
        request.data.content = masked_bytes(request.raw_content or b"", values)


def _masked_if_coded(message: http.Message, values: Set[str]) -> bytes | None:
    """Return the redacted content of a coded body; None if no coding hides any of the values."""
    if not is_coded(message):
        return None
    content = body_of(message)
    if content is None:
        return None
    masked_content = masked_bytes(content, values)
    return None if masked_content is content else masked_content


def _concealed(fields: Fields, values: Set[str], names: SecretNames) -> list[tuple[bytes, bytes]]:
    concealed = list(fields)
    for place in names.places(fields):
        concealed[place] = _redacted(fields[place])
    together = b"\n".join([value for _, value in concealed])
    if masked_bytes(together, values) is together:
        return concealed
    return [(name, masked_bytes(value, values)) for name, value in concealed]


def _redacted(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = field
    shown = redacted_value(name.decode("latin-1"), value.decode("latin-1"))
    return name, shown.encode("latin-1")


def masked_record(record: dict[str, Any], values: Set[str]) -> dict[str, Any]:
    """Return the record of a call, or a part of it, without secrets: itself if it has none.

    Headers are redacted by name. Bytes keep their length, so that the recorded ends of chunks and
    the length headers stay correct.
    """
    return record if _needs_no_mask(record, values) else _masked_fields(record, values)


def _needs_no_mask(record: dict[str, Any], values: Set[str]) -> bool:
    """Return whether nothing in a record has to be redacted; False if that takes a closer look.

    A record with bytes cannot be written as JSON. A text with a secret contains it in JSON, too:
    characters are escaped one by one.
    """
    try:
        text = orjson.dumps(record)
        if b'"headers":' in text or b'"url":' in text:
            return False
        for value in values:
            if orjson.dumps(value)[1:-1] in text:
                return False
    except TypeError:
        return False
    return True


def _masked_fields(record: dict[str, Any], values: Set[str]) -> dict[str, Any]:
    return {
        name: value
        if not value or type(value) in _NUMBERS
        else masked(value, values)
        if type(value) is str and name != "url"
        else _masked_field(name, value, values)
        for name, value in record.items()
    }


def _masked_field(name: str, value: Any, values: Set[str]) -> Any:
    if name == "headers" and isinstance(value, list):
        return [_masked_header(header, values) for header in value]
    if name == "url" and isinstance(value, str):
        return masked(redacted_path(value), values)
    return _masked_value(value, values)


def _masked_value(value: Any, values: Set[str]) -> Any:
    if isinstance(value, str):
        return masked(value, values)
    if isinstance(value, bytes):
        concealed = masked_in_place(value, values)
        is_kept = concealed is value and isinstance(value, KeptBytes)
        return value if is_kept else KeptBytes(concealed)  # plain bytes if loaded from a file
    if isinstance(value, list | tuple):
        return [_masked_value(item, values) for item in value]
    return _masked_fields(value, values) if isinstance(value, dict) else value


def _masked_header(header: Any, values: Set[str]) -> Any:
    match header:
        case [str() as name, str() as value]:
            return [name, masked(redacted_value(name, value), values)]
        case _:
            return _masked_value(header, values)
