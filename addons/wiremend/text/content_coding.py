"""Decoding of gzip, deflate, br and zstd bodies, within bounds.

A decoder takes a body in any chunks and returns what they decode to so far. A few bytes can
decode to gigabytes, so limits that count decoded bytes come too late: they are checked after the
memory is spent. Therefore every call of a decompressor has a bound on its output, each piece is
counted before the next one is made, and a body that expands too much is refused.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import brotli
import zstandard

RATIO_LIMIT = 100
"""Decoded bytes per coded byte; Envoy's default too.

Measured on Chat streams of 300-byte chunks, one word each: 20 when every event is flushed, 70 to
90 when the stream is coded in one piece. Chunks of 500 bytes and more pass 100 in that case.
"""
UNLIMITED_BYTES = 1024 * 1024
"""Up to this many decoded bytes the ratio does not count."""
CODINGS_LIMIT = 5
"""Codings that one body may have on top of each other."""

_READ_BYTES = 64 * 1024
"""As much as one network read brings."""
_INPUT_BYTES = 16 * 1024
"""Input of one decompressor call. What a call leaves over is copied, so it must not be long."""
_OUTPUT_BYTES = 64 * 1024
"""Output of one call of zlib and brotli. brotli overshoots it by half."""
_ZSTD_OUTPUT_BYTES = 256 * 1024
"""Two of zstd's blocks, which are at most 128 KiB each."""
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""The largest window that the coding allows in HTTP (RFC 9659)."""

Sink = Callable[[bytes], None]
"""Takes the next decoded bytes. May raise UndecodableBody, which ends the decoding at once."""


class UndecodableBody(Exception):
    """The body is not what its content-encoding says, or it expands too much when it is decoded."""


class _Coding(Protocol):
    """One content coding. Passes decoded bytes on in pieces, while it decodes."""

    def feed(self, data: bytes) -> None:
        """Decode `data`. Raises UndecodableBody."""
        ...


class _Zlib:
    def __init__(self, window_bits: int, sink: Sink) -> None:
        self._window_bits = window_bits
        self._sink = sink
        self._inflater = zlib.decompressobj(window_bits)

    def feed(self, data: bytes) -> None:
        is_full = False
        # A full piece may leave more behind in the inflater although all input is consumed.
        while data or is_full:
            if self._inflater.eof:  # a gzip body may have several members
                self._inflater = zlib.decompressobj(self._window_bits)
            try:
                piece = self._inflater.decompress(data, _OUTPUT_BYTES)
            except zlib.error as error:
                raise UndecodableBody(str(error)) from error
            is_full = len(piece) == _OUTPUT_BYTES and not self._inflater.eof
            data = self._inflater.unconsumed_tail or self._inflater.unused_data
            self._sink(piece)


class _Deflate:
    """`deflate` means zlib's format; some servers send it without zlib's two-byte header."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._start = b""
        self._zlib: _Zlib | None = None

    def feed(self, data: bytes) -> None:
        if self._zlib is None:
            self._start += data
            if len(self._start) < 2:
                return
            has_header = self._start[0] & 15 == 8 and int.from_bytes(self._start[:2]) % 31 == 0
            window_bits = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
            self._zlib = _Zlib(window_bits, self._sink)
            data = self._start
        self._zlib.feed(data)


class _Brotli:
    """Needs Brotli 1.2: older versions of the package have no `output_buffer_limit`.

    Smaller inputs are no substitute, since one byte of brotli can stand for 16 MiB.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> None:
        piece = self._process(data)
        # Empty input yields what is left. `can_accept_more_data` alone is not enough: it is true
        # when all input is consumed, whatever output remains.
        while piece or not self._decompressor.can_accept_more_data():
            self._sink(piece)
            piece = self._process(b"")

    def _process(self, data: bytes) -> bytes:
        try:
            return bytes(self._decompressor.process(data, output_buffer_limit=_OUTPUT_BYTES))
        except brotli.error as error:
            raise UndecodableBody(str(error)) from error


class _Destination:
    """What a `stream_writer` writes to."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, piece: bytes) -> int:
        self._sink(piece)
        return len(piece)


class _Zstandard:
    """Uses the one interface of `zstandard` that is incremental on both sides.

    `decompressobj` returns all the output of a call at once, and `stream_reader` takes a pause of
    its source for the end. `stream_writer` writes each piece as soon as it is made, and an
    exception from there stops it.
    """

    def __init__(self, sink: Sink) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._writer = decompressor.stream_writer(
            _Destination(sink),  # type: ignore[arg-type] # only `write` is called
            write_size=_ZSTD_OUTPUT_BYTES,
        )

    def feed(self, data: bytes) -> None:
        # The writer stops when all input is consumed, even if a block is not written completely.
        # The last byte makes it write that block, and the one which this byte may complete.
        for part in (data[:-1], data[-1:]):
            try:
                self._writer.write(part)
            except zstandard.ZstdError as error:
                raise UndecodableBody(str(error)) from error


_CODINGS: dict[str, Callable[[Sink], _Coding]] = {
    "gzip": lambda sink: _Zlib(16 + zlib.MAX_WBITS, sink),
    "x-gzip": lambda sink: _Zlib(16 + zlib.MAX_WBITS, sink),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstandard,
}


class _Expansion:
    """Compares the size of what was decoded with the size of what it was decoded from."""

    def __init__(self, codings: str, coded_bytes: int = 0) -> None:
        self.coded_bytes = coded_bytes
        self._codings = codings
        self._decoded_bytes = 0

    def count(self, decoded_bytes: int) -> None:
        """Count decoded bytes. Raises UndecodableBody when they are too many."""
        self._decoded_bytes += decoded_bytes
        most = max(UNLIMITED_BYTES, RATIO_LIMIT * self.coded_bytes)
        if self._decoded_bytes > most:
            ratio = self._decoded_bytes // self.coded_bytes
            raise UndecodableBody(
                f"content coding {self._codings!r} expands {self.coded_bytes} bytes to at least "
                f"{self._decoded_bytes}, a ratio of {ratio} (limit: {RATIO_LIMIT})"
            )


class _Counted:
    """A sink that counts the pieces which it passes on."""

    def __init__(self, expansion: _Expansion, sink: Sink) -> None:
        self._expansion = expansion
        self._sink = sink

    def take(self, piece: bytes) -> None:
        self._expansion.count(len(piece))
        if piece:
            self._sink(piece)


class _Link:
    """One coding of a body, with a limit of its own.

    A limit on the end of the chain alone would not see what the next coding reduces to nothing.
    """

    def __init__(self, name: str, sink: Sink) -> None:
        self._expansion = _Expansion(name)
        self._coding = _CODINGS[name](_Counted(self._expansion, sink).take)

    def feed(self, data: bytes) -> None:
        for start in range(0, len(data), _INPUT_BYTES):
            part = data[start : start + _INPUT_BYTES]
            self._expansion.coded_bytes += len(part)
            self._coding.feed(part)


class _Output:
    """The end of the chain: what one call decoded, and limits on that and on the whole body."""

    def __init__(self, codings: str) -> None:
        self._codings = codings
        self._whole = _Expansion(codings)
        self._now = _Expansion(codings)
        self._decoded = bytearray()

    def begin(self, coded_bytes: int) -> None:
        self._whole.coded_bytes += coded_bytes
        self._now = _Expansion(self._codings, coded_bytes)

    def collect(self, piece: bytes) -> None:
        self._whole.count(len(piece))
        self._now.count(len(piece))
        self._decoded += piece

    def end(self) -> bytes:
        decoded = bytes(self._decoded)
        self._decoded.clear()
        return decoded


class Decoder:
    """Undoes the content codings of one body. After an exception it cannot be used any more."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are known codings, in the order in which they were applied."""
        self._output = _Output(", ".join(names))
        self._feed: Sink = self._output.collect
        for name in names:
            self._feed = _Link(name, self._feed).feed

    def decode(self, data: bytes) -> bytes:
        """The decoded bytes that `data` completes. Raises UndecodableBody.

        They are at most 1 MiB or 100 times `data`, whichever is more; the same limit holds for all
        that was decoded so far.
        """
        self._output.begin(len(data))
        self._feed(data)
        return self._output.end()


def decoder_for(content_encoding: str) -> Decoder | None:
    """A decoder for the header's value, codings undone in reverse order; None for identity.

    Raises UndecodableBody for a coding that is not known, and for too many of them.
    """
    codings = [name for part in content_encoding.split(",") if (name := part.strip().lower())]
    codings = [name for name in codings if name != "identity"]
    if not codings:
        return None
    for name in codings:
        if name not in _CODINGS:
            raise UndecodableBody(f"unknown content coding {name!r}")
    if len(codings) > CODINGS_LIMIT:
        raise UndecodableBody(f"{len(codings)} content codings (limit: {CODINGS_LIMIT})")
    return Decoder(codings)


def decode_whole(content_encoding: str, body: bytes, limit_bytes: int) -> bytes:
    """A whole body without its codings, at most `limit_bytes` long if it has any.

    Raises UndecodableBody.
    """
    decoder = decoder_for(content_encoding)
    if decoder is None:
        return body
    decoded = bytearray()
    for start in range(0, len(body), _READ_BYTES):
        decoded += decoder.decode(body[start : start + _READ_BYTES])
        if len(decoded) > limit_bytes:
            raise UndecodableBody(f"more than {limit_bytes} bytes when decoded")
    return bytes(decoded)
