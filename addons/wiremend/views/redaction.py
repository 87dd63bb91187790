"""Removes secrets from a flow before it is printed, saved or exported.

mitmproxy's addons and its connections use the same flow object. When a flow is complete its request
has been sent, and calls send a separate copy of their request from the start. The client still
receives the original response (`seam.flows`).
"""

from collections.abc import Iterable, Sequence, Set
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
    Redactor,
    is_secret_header,
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
        self._known: dict[tuple[bytes, ...], tuple[tuple[int, ...], bool]] = {}

    def look(self, fields: Fields) -> tuple[tuple[int, ...], bool]:
        """Return the indices of the fields that are credentials by their names.

        Also return whether one of the names is that of content codings.
        """
        names = tuple(map(_name_of, fields))
        known = self._known.get(names)
        if known is None:
            if len(self._known) >= _REMEMBERED_HEADS:
                self._known.clear()
            found = [n for n, name in enumerate(names) if is_secret_header(name.decode("latin-1"))]
            known = self._known[names] = tuple(found), _CODING in map(bytes.lower, names)
        return known


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
        self._values = body_secrets_of(flow, content)
        self._current_redactor: Redactor | None = None
        """That of the values; None until it is needed."""
        self._names = SecretNames() if names is None else names
        self._read: _Head | None = None
        """The head that was searched last."""
        self._searched: list[tuple[bytes, bytes]] = []
        """Its fields that are credentials."""
        self._concealed: tuple[_Head, bytes | None] | None = None
        """What the request was after it was redacted."""
        self._concealed_with: Redactor | None = None

    def add(self, values: Set[str]) -> None:
        """Also redact these values from now on."""
        if not values <= self._values:
            self._values |= values
            self._current_redactor = None

    @property
    def _redactor(self) -> Redactor:
        if self._current_redactor is None:
            self._current_redactor = Redactor(self._values)
        return self._current_redactor

    def read(self, flow: http.HTTPFlow) -> None:
        """Add those in the headers and the query of the present request."""
        head = _head_of(flow)
        is_concealed = self._concealed is not None and self._concealed[0] == head
        if head != self._read and not is_concealed:
            fields, searched = head[0], self._searched
            secret = [fields[place] for place in self._names.look(fields)[0]]
            if secret != searched or b"?" in head[1]:
                self.add(_secrets_in(secret, flow.request.path))
            self._read, self._searched = head, secret

    def mask(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return the record of the call, or a part of it, without secrets; see `masked_record`."""
        return _masked_record(record, self._redactor)

    def conceal_request(self, flow: http.HTTPFlow) -> None:
        """Redact the request."""
        _conceal_request(flow, self._redactor, self._names)
        self._concealed = _head_of(flow), flow.request.raw_content
        self._concealed_with = self._redactor

    def conceal(self, flow: http.HTTPFlow) -> None:
        """Redact the whole flow, which is complete, and the keys that its response issues."""
        self.add(issued_secrets_of(flow))
        is_same = self._concealed == (_head_of(flow), flow.request.raw_content)
        if is_same and self._concealed_with is self._redactor:
            _forget_edits(flow)
        else:
            _conceal_request(flow, self._redactor, self._names)
        _conceal_answer(flow, self._redactor, self._names)


type _Head = tuple[Fields, bytes]
"""The header fields of a request, and its path."""


def _head_of(flow: http.HTTPFlow) -> _Head:
    data = flow.request.data
    return data.headers.fields, data.path


def _conceal_request(flow: http.HTTPFlow, redactor: Redactor, names: SecretNames) -> None:
    """Redact credentials by name, and the values wherever they occur."""
    request = flow.request
    before = request.headers.fields
    places, is_coded = names.look(before)
    fields = _concealed(before, places, redactor)
    if fields is not None:
        request.headers = http.Headers(fields)
    path = request.path
    shown = redactor.text(redacted_path(path))
    if shown != path:
        request.path = shown
    if content := request.raw_content:
        plain = _masked_if_coded(request, redactor) if is_coded else None
        if plain is not None:
            replace_content(request, plain)
        else:
            request.data.content = redactor.data(content)
    _forget_edits(flow)


def _forget_edits(flow: http.HTTPFlow) -> None:
    """Drop the flow before a user's edits, unless this is a replay: that one is redacted, too."""
    if flow.is_replay is None:
        forget_backup(flow)


def conceal(flow: http.HTTPFlow, values: Set[str]) -> None:
    """Redact the whole flow: request, response, error and record."""
    _conceal(flow, Redactor(values), SecretNames())


def _conceal(flow: http.HTTPFlow, redactor: Redactor, names: SecretNames) -> None:
    _conceal_request(flow, redactor, names)
    _conceal_answer(flow, redactor, names)


def _conceal_answer(flow: http.HTTPFlow, redactor: Redactor, names: SecretNames) -> None:
    """Redact response, error, record, and the flow to which mitmweb can revert this one."""
    change_backup(flow, partial(_conceal, redactor=redactor, names=names))
    if flow.response is not None:
        _conceal_response(flow.response, redactor, names)
    if flow.error is not None:
        flow.error.msg = redactor.text(without_quoted_bytes(flow.error.msg))
    if METADATA_KEY in flow.metadata:
        record = flow.metadata[METADATA_KEY]
        mask = _masked_record if isinstance(record, dict) else _masked_value
        flow.metadata[METADATA_KEY] = mask(record, redactor)


def _conceal_response(response: http.Response, redactor: Redactor, names: SecretNames) -> None:
    """Redact what the flow shows of a response."""
    before, content = response.headers.fields, response.raw_content
    places, is_coded = names.look(before)
    fields, shown = _concealed(before, places, redactor), content
    if content:
        plain = _masked_if_coded(response, redactor) if is_coded else None
        if plain is None:
            shown = redactor.data(content)
        else:
            shown = plain
            fields = before if fields is None else fields
            fields = [(n, b"identity" if n.lower() == _CODING else v) for n, v in fields]
    if fields is not None or shown is not content:
        show_response_as(response, list(before if fields is None else fields), shown)


def _masked_if_coded(message: http.Message, redactor: Redactor) -> bytes | None:
    """Return the redacted content of a coded body; None if no coding hides any of the values."""
    content = body_of(message)
    if content is None:
        return None
    masked_content = redactor.data(content)
    return None if masked_content is content else masked_content


def _concealed(
    fields: Fields, places: Sequence[int], redactor: Redactor
) -> Sequence[tuple[bytes, bytes]] | None:
    """Return the fields without secrets, which are at these places; None if there are none."""
    concealed = list(fields)
    for place in places:
        concealed[place] = _redacted(fields[place])
    together = b"\n".join([value for _, value in concealed])
    if redactor.data(together) is not together:
        return [(name, redactor.data(value)) for name, value in concealed]
    return concealed if places else None


def _redacted(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = field
    shown = redacted_value(name.decode("latin-1"), value.decode("latin-1"))
    return name, shown.encode("latin-1")


def masked_record(record: dict[str, Any], values: Set[str]) -> dict[str, Any]:
    """Return the record of a call, or a part of it, without secrets: itself if it has none.

    Headers are redacted by name. Bytes keep their length, so that the recorded ends of chunks and
    the length headers stay correct.
    """
    return _masked_record(record, Redactor(values))


def _masked_record(record: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    return record if _needs_no_mask(record, redactor) else _masked_fields(record, redactor)


def _needs_no_mask(record: dict[str, Any], redactor: Redactor) -> bool:
    """Return whether nothing in a record has to be redacted; False if that takes a closer look.

    A record with bytes cannot be written as JSON. A text with a secret contains it in JSON, too:
    characters are escaped one by one.
    """
    try:
        text = orjson.dumps(record)
    except TypeError:
        return False
    if text.find(b'"headers":') >= 0 or text.find(b'"url":') >= 0:
        return False
    return not redactor.may_be_in_json(text)


def _masked_fields(record: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    return {
        name: value
        if not value or type(value) in _NUMBERS
        else redactor.text(value)
        if type(value) is str and name != "url"
        else _masked_field(name, value, redactor)
        for name, value in record.items()
    }


def _masked_field(name: str, value: Any, redactor: Redactor) -> Any:
    if name == "headers" and isinstance(value, list):
        return [_masked_header(header, redactor) for header in value]
    if name == "url" and isinstance(value, str):
        return redactor.text(redacted_path(value))
    return _masked_value(value, redactor)


def _masked_value(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, bytes):
        concealed = redactor.data_in_place(value)
        is_kept = concealed is value and isinstance(value, KeptBytes)
        return value if is_kept else KeptBytes(concealed)  # plain bytes if loaded from a file
    if isinstance(value, list | tuple):
        return [_masked_value(item, redactor) for item in value]
    return _masked_fields(value, redactor) if isinstance(value, dict) else value


def _masked_header(header: Any, redactor: Redactor) -> Any:
    match header:
        case [str() as name, str() as value]:
            return [name, redactor.text(redacted_value(name, value))]
        case _:
            return _masked_value(header, redactor)
