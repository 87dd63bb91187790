"""Reads a file of recorded exchanges: JSON lines, one exchange each, usually compressed with xz.

The file is read as a stream: memory is bounded by its longest line.
"""

import hashlib
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import RecordedFlow, UnusableRecording, header_value
from wiremend.recording.json_lines import read_json_lines
from wiremend.recording.limited import PeekableFile


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
    lines = 0

    def is_wanted(number: int) -> bool:
        nonlocal lines
        lines = number
        return number % shares == share

    try:
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
            yield from map(
                _exchange, read_json_lines(PeekableFile(cast(BinaryIO, file)), is_wanted)
            )
    except FileNotFoundError:
        raise UnusableRecordings(f"{path}: no such file") from None
    except EOFError:
        raise UnusableRecordings(f"{path}: the compressed data end after line {lines}") from None
    except lzma.LZMAError as reason:
        raise UnusableRecordings(f"{path}: not in the xz format ({reason})") from None
    except OSError as reason:
        raise UnusableRecordings(f"{path}: {reason.strerror}") from None
    except UnusableRecording as reason:
        raise UnusableRecordings(f"{path}: {reason}") from None
    if lines == 0:
        raise UnusableRecordings(f"{path}: the file contains no exchange")


def _exchange(flow: RecordedFlow) -> Exchange:
    (read,) = flow.exchanges
    assert read.protocol is not None
    assert read.streaming is not None
    assert read.response is not None
    return Exchange(
        line=flow.number,
        source=str(flow.original.get("source", "")),
        protocol=read.protocol,
        host=read.host,
        path=read.path,
        status=read.response.status,
        content_type=header_value(read.response.headers, "content-type"),
        streaming=read.streaming,
        request=read.body,
        response=read.response.body,
    )
