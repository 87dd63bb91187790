"""Reads a file of recorded exchanges: JSON lines, one exchange each, usually compressed with xz.

The file is read as a stream: memory is bounded by its longest line.
"""

import base64
import binascii
import hashlib
import lzma
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from wiremend.protocols.base.names import WireProtocol

LINE_LIMIT_BYTES = 64 * 1024 * 1024


class UnusableRecordings(Exception):
    """The file is missing, damaged, or holds something else; the message is for the user."""


@dataclass(frozen=True)
class Exchange:
    """One request to a provider, and its response."""

    line: int
    """Its line in the file, counted from 1."""
    source: str
    protocol: WireProtocol
    host: str
    path: str
    """With its query; empty if it was not recorded."""
    status: int
    content_type: str
    """The type of the response; empty if it was not recorded."""
    streaming: bool
    request: bytes | None
    response: bytes | None

    @cached_property
    def id(self) -> str:
        """Identifies the exchange by its content, wherever it is in the file."""
        parts = [self.protocol, self.host, self.path, str(self.status)]
        bodies = [self.request or b"", self.response or b""]
        digest = hashlib.sha256()
        for part in (*(part.encode() for part in parts), *bodies):
            digest.update(b"%d:" % len(part) + part)
        return digest.hexdigest()[:12]


def read_exchanges(path: Path, *, share: int = 0, shares: int = 1) -> Iterator[Exchange]:
    """Every exchange of the file, or one of several equal shares of them: each n-th line.

    Raises UnusableRecordings.
    """
    line = 0
    try:
        for line, text in enumerate(_lines(path), 1):
            if line % shares == share:
                yield _exchange(line, text)
    except FileNotFoundError:
        raise UnusableRecordings(f"{path}: no such file") from None
    except EOFError:
        raise UnusableRecordings(f"{path}: the compressed data end after line {line}") from None
    except lzma.LZMAError as reason:
        raise UnusableRecordings(f"{path}: not in the xz format ({reason})") from None
    except OSError as reason:
        raise UnusableRecordings(f"{path}: {reason.strerror}") from None
    except ValueError as reason:
        raise UnusableRecordings(f"{path}, line {line}: {reason}") from None
    if line == 0:
        raise UnusableRecordings(f"{path}: the file contains no exchange")


def _lines(path: Path) -> Iterator[bytes]:
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        while line := file.readline(LINE_LIMIT_BYTES + 1):
            if len(line) > LINE_LIMIT_BYTES:
                raise OSError(0, f"a line is longer than {LINE_LIMIT_BYTES} bytes")
            yield line


def _exchange(line: int, text: bytes) -> Exchange:
    """Raises ValueError, with the reason."""
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as reason:
        raise ValueError(f"not JSON: {reason}") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    return Exchange(
        line=line,
        source=_field(fields, "source", str),
        protocol=WireProtocol.parse(_field(fields, "protocol", str)),
        host=_field(fields, "host", str),
        path=_field(fields, "path", str | None) or "",
        status=_field(fields, "status", int),
        content_type=_field(fields, "content_type", str | None) or "",
        streaming=_field(fields, "streaming", bool),
        request=_body(fields, "request"),
        response=_body(fields, "response"),
    )


def _field(fields: Mapping[str, Any], name: str, kind: Any) -> Any:
    if name not in fields:
        raise ValueError(f"no exchange: {name!r} is missing")
    if not isinstance(fields[name], kind):
        raise ValueError(f"no exchange: {name!r} is {fields[name]!r}"[:200])
    return fields[name]


def _body(fields: Mapping[str, Any], name: str) -> bytes | None:
    match _field(fields, name, dict | None):
        case None:
            return None
        case {"text": str(text)}:
            return text.encode("utf-8", "surrogatepass")
        case {"base64": str(text)}:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error as reason:
                raise ValueError(f"{name!r} is not base64: {reason}") from None
    raise ValueError(f"no exchange: {name!r} has neither 'text' nor 'base64'")
