"""Which files a command line names, and which format each of them has."""

import lzma
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.bodies import read_body
from wiremend.recording.exchange import BodyAlone, RecordedFlows, UnusableRecording
from wiremend.recording.flow_files import read_flow_file
from wiremend.recording.har import read_har
from wiremend.recording.json_lines import REQUIRED, read_json_lines
from wiremend.recording.limited import PeekableFile
from wiremend.text.body_form import BodyForm, form_of
from wiremend.text.patterns import text_pattern
from wiremend.text.sse import BYTE_ORDER_MARK

STDIN = "-"
RECORDINGS = (
    *(".mitm", ".flow", ".flows", ".har", ".jsonl", ".ndjson"),
    *(".mitm.xz", ".flow.xz", ".flows.xz", ".har.xz", ".jsonl.xz", ".ndjson.xz"),
)
"""The names of recordings in a folder."""
BODIES = (".sse", ".json")
"""The names of bodies in a folder, which are read if their protocol is given."""
_START_BYTES = 8192
_XZ = b"\xfd7zXZ\x00"
_FOREIGN: Sequence[tuple[bytes, str]] = (
    (b"\x1f\x8b", "it is compressed with gzip; unpack it first"),
    (b"PK\x03\x04", "it is a ZIP archive (perhaps of a HAR file); unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it first"),
    (b"\x89PNG", "it is a PNG image, not a recording"),
    (b"SQLite format 3", "it is a SQLite database, not a recording"),
    (b"\xd4\xc3\xb2\xa1", "it is a packet capture; its TLS cannot be read"),
    (b"\xa1\xb2\xc3\xd4", "it is a packet capture; its TLS cannot be read"),
    (b"\x0a\x0d\x0d\x0a", "it is a packet capture; its TLS cannot be read"),
    (b"\xff\xfe", "it is text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "it is text in UTF-16; save it as UTF-8"),
)
_BY_PROTOCOL = "give its protocol, such as --protocol anthropic"
_HAR_START = text_pattern(rb'\A\s*+\{\s*+"log"\s*+:')
_FLOW_START = text_pattern(rb"\d{1,12}:")


class Format(Enum):
    """The format of a file."""

    FLOWS = "a flow file of mitmproxy"
    HAR = "a HAR file"
    JSON_LINES = "JSON Lines of exchanges"
    BODY = "the body of a response"


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read."""

    name: str
    """As it is shown: relative to the working directory if it was found there; `<stdin>`."""
    path: Path | None
    """None: standard input."""


@dataclass(slots=True)
class OpenRecording:
    """A recording that is being read."""

    format: Format
    flows: RecordedFlows
    """Its flows, in order. The iterator raises UnusableRecording."""
    file: PeekableFile
    """The file on disk, compressed or not."""

    @property
    def fraction(self) -> float | None:
        """How much of the file was read, from 0 to 1; None if its size is not known."""
        size = self.file.size
        return min(1.0, self.file.position / size) if size else None


def find_sources(name: str, *, with_bodies: bool) -> list[Source]:
    """Return the files that an argument names: one, those in a folder, or standard input.

    Of a folder, files with the names of recordings are returned, in order; hidden ones and links
    to folders are not followed. Raises UnusableRecording if there is no such file or folder.
    """
    if name == STDIN:
        return [Source("<stdin>", None)]
    path = Path(name)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as reason:
        raise UnusableRecording(_system_text(reason)) from None
    if not is_folder:
        return [Source(name, path)]
    suffixes = RECORDINGS + (BODIES if with_bodies else ())
    return [Source(str(found), found) for found in _files_in(path, suffixes)]


def _files_in(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(directory, name)
            is_recording = name.lower().endswith(suffixes) and not name.startswith(".")
            if is_recording and path.is_file():  # not a pipe, which would be waited for
                yield path


def _system_text(reason: Exception) -> str:
    if isinstance(reason, FileNotFoundError):
        return "no such file or folder"
    text = reason.strerror if isinstance(reason, OSError) else None
    return f"cannot be read: {(text or 'invalid name').lower()}"


@contextmanager
def open_recording(
    source: Source, protocol: WireProtocol | None, stdin: BinaryIO
) -> Iterator[OpenRecording]:
    """Open a file and read its start. Raises UnusableRecording, also while its flows are read.

    `protocol` is that of a file that is the body of a response.
    """
    with ExitStack() as stack:
        try:
            yield _opened(source, protocol, stdin, stack)
        except (EOFError, lzma.LZMAError):
            raise UnusableRecording("its compressed data are cut or damaged") from None
        except OSError as reason:
            raise UnusableRecording(_system_text(reason)) from None
        except MemoryError:
            raise UnusableRecording("it does not fit into memory") from None


def _opened(
    source: Source, protocol: WireProtocol | None, stdin: BinaryIO, stack: ExitStack
) -> OpenRecording:
    raw: BinaryIO = stdin
    size = None
    if source.path is not None:
        raw = stack.enter_context(source.path.open("rb"))
        status = os.fstat(raw.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
    file = on_disk = PeekableFile(raw, size)
    if file.peek(len(_XZ)) == _XZ:
        unpacked = stack.enter_context(lzma.LZMAFile(cast(BinaryIO, file)))  # noqa: SIM115
        file = PeekableFile(cast(BinaryIO, unpacked))
    start = file.peek(_START_BYTES)
    if start.startswith(BYTE_ORDER_MARK):
        file.read(len(BYTE_ORDER_MARK))
        start = file.peek(_START_BYTES)
    found = format_of(start, source.name, is_body=protocol is not None)
    match found:
        case Format.FLOWS:
            flows = read_flow_file(file)
        case Format.HAR:
            flows = read_har(file)
        case Format.JSON_LINES:
            flows = read_json_lines(file)
        case Format.BODY:
            assert protocol is not None
            flows = read_body(file, protocol)
    return OpenRecording(found, flows, on_disk)


def format_of(start: bytes, name: str, *, is_body: bool) -> Format:
    """Return the format of a file that begins with these bytes. Raises UnusableRecording.

    `is_body`: the protocol of a body was given, so that events and other JSON are a body.
    """
    if not start.strip():
        raise UnusableRecording("it is empty" if not start else "it contains only white space")
    for magic, reason in _FOREIGN:
        if start.startswith(magic):
            raise UnusableRecording(reason)
    if _FLOW_START.match(start):
        return Format.FLOWS
    form = form_of(start)
    if form is BodyForm.OBJECT:
        return _format_of_object(start, name.lower(), is_body=is_body)
    if form in (BodyForm.EVENTS, BodyForm.ARRAY):
        if is_body:
            return Format.BODY
        what = "events" if form is BodyForm.EVENTS else "a JSON array"
        raise BodyAlone(f"it contains {what}; if it is a response, {_BY_PROTOCOL}")
    if form is BodyForm.PAGE:
        raise UnusableRecording("it is HTML or XML, not a recording")
    raise UnusableRecording("it is not a recording: no flow file, HAR or JSON Lines")


def _format_of_object(start: bytes, name: str, *, is_body: bool) -> Format:
    if _HAR_START.match(start) or name.endswith(".har"):
        return Format.HAR
    if name.endswith((".jsonl", ".ndjson", ".jsonl.xz", ".ndjson.xz")) or _is_exchange(start):
        return Format.JSON_LINES
    if is_body:
        return Format.BODY
    raise BodyAlone(f"it is JSON, but no HAR file; if it is a response, {_BY_PROTOCOL}")


def _is_exchange(start: bytes) -> bool:
    """Return whether the first line is an exchange, or the beginning of a long one."""
    line = start.split(b"\n", 1)[0]
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        names = (f'"{name}"'.encode() for name in REQUIRED if name not in ("response", "request"))
        return len(line) == _START_BYTES and all(name in line for name in names)
    return isinstance(fields, dict) and all(name in fields for name in REQUIRED)
