"""Writes a recording again, with other responses and requests, in the format that it had."""

import base64
import lzma
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from mitmproxy import http
from mitmproxy.io import FlowWriter

import wiremend
from wiremend.call_record.schema import METADATA_KEY
from wiremend.recording.exchange import RecordedFlow, UnusableRecording
from wiremend.recording.har import bytes_of
from wiremend.recording.sources import Format
from wiremend.text import json_value

type Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class NewResponse:
    """What replaces a response. The body has no content coding."""

    status: int
    fields: Fields
    body: bytes

    @property
    def content_type(self) -> str:
        """The content type; empty without one."""
        found = (value for name, value in self.fields if name.lower() == b"content-type")
        return next(found, b"").decode("latin-1")


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What replaces a request. The body has no content coding."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Writer(Protocol):
    """Writes the flows of one file, in order."""

    def add(
        self, flow: RecordedFlow, request: NewRequest | None, response: NewResponse | None
    ) -> None:
        """Write a flow. None: that message stays as it was. The flow may be changed."""
        ...

    def end(self) -> None:
        """Write what follows the last flow."""
        ...


@contextmanager
def new_recording(path: Path, form: Format) -> Iterator[Writer]:
    """Write a file, readable by the user only. It appears under its name when it is complete.

    It is compressed if its name ends in `.xz`. Raises UnusableRecording.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as reason:
        raise UnusableRecording(_unwritable(reason)) from None
    try:
        with open(handle, "wb") as plain:
            if path.name.endswith(".xz"):
                with lzma.open(plain, "wb") as packed:
                    yield from _written(cast(BinaryIO, packed), form)
            else:
                yield from _written(plain, form)
        os.replace(name, path)
    except OSError as reason:
        raise UnusableRecording(_unwritable(reason)) from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _written(file: BinaryIO, form: Format) -> Iterator[Writer]:
    writer = _WRITERS[form](file)
    yield writer
    writer.end()


def _unwritable(reason: OSError) -> str:
    return f"cannot be written: {(reason.strerror or 'unknown reason').lower()}"


class _FlowWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._writer = FlowWriter(file)

    def add(
        self, flow: RecordedFlow, request: NewRequest | None, response: NewResponse | None
    ) -> None:
        original = flow.original
        if isinstance(original, http.HTTPFlow):
            # What the attempts received is replaced by what the client received.
            original.metadata.pop(METADATA_KEY, None)
            if request is not None:
                _replace_request(original.request, request)
            if response is not None:
                _replace_response(original, response)
        self._writer.add(original)

    def end(self) -> None:
        pass


def _replace_request(request: http.Request, new: NewRequest) -> None:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in new.headers]
    request.headers = http.Headers(fields)
    request.path = new.path
    request.headers.pop("content-encoding", None)
    request.content = new.body


def _replace_response(original: http.HTTPFlow, new: NewResponse) -> None:
    old = original.response
    response = http.Response.make(new.status)
    response.headers = http.Headers(new.fields)
    response.raw_content = new.body
    if old is not None:
        response.http_version = old.http_version
        response.timestamp_start = old.timestamp_start
    response.timestamp_end = (old.timestamp_end if old else None) or response.timestamp_start
    original.response, original.error = response, None
    if new.status >= 0 and "transfer-encoding" not in response.headers:
        response.headers["content-length"] = str(len(new.body))


class _HarWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        creator = {"name": "wiremend", "version": wiremend.__version__}
        head = json_value.write({"version": "1.2", "creator": creator})
        file.write(b'{"log":' + head[:-1] + b',"entries":[')
        self._is_first = True

    def add(
        self, flow: RecordedFlow, request: NewRequest | None, response: NewResponse | None
    ) -> None:
        entry = flow.original
        if request is not None:
            data = dict(entry["request"].get("postData") or {})
            data.pop("encoding", None)
            entry["request"]["postData"] = data | {"text": request.body.decode("utf-8", "replace")}
        if response is not None:
            entry["response"] = _har_response(entry.get("response") or {}, response)
        self._file.write((b"\n" if self._is_first else b",\n") + json_value.write(entry))
        self._is_first = False

    def end(self) -> None:
        self._file.write(b"\n]}}\n")


def _har_response(old: dict[str, Any], new: NewResponse) -> dict[str, Any]:
    kept = {key: value for key, value in old.items() if not key.startswith("_")}
    names_and_values = ((n.decode("latin-1"), v.decode("latin-1")) for n, v in new.fields)
    headers = [{"name": name, "value": value} for name, value in names_and_values]
    content = {"size": len(new.body), "mimeType": new.content_type, **_text_or_base64(new.body)}
    return kept | {"status": new.status, "headers": headers, "content": content}


def _text_or_base64(body: bytes) -> dict[str, Any]:
    """Return the body as the text from which the reader makes the same bytes."""
    text = body.decode("utf-8", "replace")
    if bytes_of(text) == body:
        return {"text": text}
    return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


class _JsonLinesWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(
        self, flow: RecordedFlow, request: NewRequest | None, response: NewResponse | None
    ) -> None:
        fields = flow.original
        if request is not None:
            fields["request"] = _body_field(request.body)
        if response is not None:
            fields |= {
                "status": response.status,
                "content_type": response.content_type,
                "response": _body_field(response.body),
            }
        self._file.write(json_value.write(fields) + b"\n")

    def end(self) -> None:
        pass


def _body_field(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


class _BodyWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(
        self, flow: RecordedFlow, request: NewRequest | None, response: NewResponse | None
    ) -> None:
        self._file.write(flow.original if response is None else response.body)

    def end(self) -> None:
        pass


_WRITERS: Mapping[Format, Callable[[BinaryIO], Writer]] = {
    Format.FLOWS: _FlowWriter,
    Format.HAR: _HarWriter,
    Format.JSON_LINES: _JsonLinesWriter,
    Format.BODY: _BodyWriter,
}
