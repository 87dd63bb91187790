"""Decoding of gzip, deflate, br and zstd bodies, incremental and bounded.

A decoder takes a body in chunks of any size and returns the bytes decoded so far. A few bytes can
decode to gigabytes. A limit that counts decoded bytes would be checked after the memory is spent.
Therefore the output of each decompressor call is bounded, each piece is counted before the next
one is decoded, and a body that expands too much is refused.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import brotli
import zstandard

RATIO_LIMIT = 150
"""Maximum ratio of decoded to coded bytes. Envoy's default is 100.

Measured on Chat streams with one word per chunk, coded in one piece: 47 to 60 for chunks of 250
bytes, 66 (gzip) to 114 (br, zstd) for Azure's chunks of 500 bytes, which repeat the results of its
content filter. When every event is flushed, the ratio is 20. One network read of 64 KiB decodes to
9.4 MiB at most.
"""
UNLIMITED_BYTES = 1024 * 1024
"""The ratio is not checked for the first decoded bytes, up to this number."""
CODINGS_LIMIT = 5
"""Maximum number of codings applied to one body."""

_READ_BYTES = 64 * 1024
"""Size of one network read."""
_INPUT_BYTES = 16 * 1024
"""Maximum input of one decompressor call. Unconsumed input is copied, so it is kept short."""
_OUTPUT_BYTES = 64 * 1024
"""Maximum output of one call of zlib and brotli. brotli exceeds it by up to half."""
_ZSTD_OUTPUT_BYTES = 256 * 1024
"""Two zstd blocks. A block has at most 128 KiB."""
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""The largest window that the coding allows in HTTP (RFC 9659)."""

Sink = Callable[[bytes], None]
"""Takes the next decoded bytes. May raise UndecodableBody to stop decoding at once."""


class UndecodableBody(Exception):
    """The body does not match its content-encoding, or exceeds a limit when it is decoded."""


class _Coding(Protocol):
    """One content coding. Passes each decoded piece to its sink before it decodes the next."""

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
        # After a full piece, the inflater may still hold output although all input is consumed.
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
    """`deflate` is the zlib format (RFC 9110); some servers omit zlib's two-byte header."""

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

    Smaller inputs would not bound the output: one byte of brotli can decode to 16 MiB.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> None:
        piece = self._process(data)
        # Empty input yields the remaining output. `can_accept_more_data` alone is not sufficient:
        # it is true when all input is consumed, even if output remains.
        while piece or not self._decompressor.can_accept_more_data():
            self._sink(piece)
            piece = self._process(b"")

    def _process(self, data: bytes) -> bytes:
        try:
            return bytes(self._decompressor.process(data, output_buffer_limit=_OUTPUT_BYTES))
        except brotli.error as error:
            raise UndecodableBody(str(error)) from error


class _Destination:
    """The file object that a `stream_writer` writes to."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, piece: bytes) -> int:
        self._sink(piece)
        return len(piece)


class _Zstandard:
    """Uses the only interface of `zstandard` that is incremental in input and output.

    `decompressobj` returns all the output of a call at once, and `stream_reader` treats a pause of
    its source as the end. `stream_writer` writes each piece as soon as it is decoded, and an
    exception from its destination stops it.
    """

    def __init__(self, sink: Sink) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._writer = decompressor.stream_writer(
            _Destination(sink),  # type: ignore[arg-type] # only `write` is called
            write_size=_ZSTD_OUTPUT_BYTES,
        )

    def feed(self, data: bytes) -> None:
        # The writer stops when all input is consumed, even if a block is not completely written.
        # Feeding the last byte separately makes it write that block, and the block that this
        # byte may complete.
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
    """Compares the number of decoded bytes with the number of coded bytes."""

    def __init__(self, codings: str, coded_bytes: int = 0) -> None:
        self.coded_bytes = coded_bytes
        self._codings = codings
        self._decoded_bytes = 0

    def count(self, decoded_bytes: int) -> None:
        """Add decoded bytes. Raises UndecodableBody when the ratio exceeds the limit."""
        self._decoded_bytes += decoded_bytes
        most = max(UNLIMITED_BYTES, RATIO_LIMIT * self.coded_bytes)
        if self._decoded_bytes > most:
            ratio = self._decoded_bytes // self.coded_bytes
            raise UndecodableBody(
                f"content coding {self._codings!r} expands {self.coded_bytes} bytes to at least "
                f"{self._decoded_bytes}, a ratio of {ratio} (limit: {RATIO_LIMIT})"
            )


class _Counted:
    """A sink that counts pieces before it passes them on."""

    def __init__(self, expansion: _Expansion, sink: Sink) -> None:
        self._expansion = expansion
        self._sink = sink

    def take(self, piece: bytes) -> None:
        self._expansion.count(len(piece))
        if piece:
            self._sink(piece)


class _Link:
    """One coding of a body, with its own limit.

    A limit at the end of the chain alone would miss output that the next coding skips.
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
    """The end of the chain: collects the output of one call.

    Limits that output, and the output of the whole body so far.
    """

    def __init__(self, codings: str) -> None:
        self._codings = codings
        self._whole = _Expansion(codings)
        self._call = _Expansion(codings)
        self._decoded = bytearray()

    def begin(self, coded_bytes: int) -> None:
        self._whole.coded_bytes += coded_bytes
        self._call = _Expansion(self._codings, coded_bytes)

    def collect(self, piece: bytes) -> None:
        self._whole.count(len(piece))
        self._call.count(len(piece))
        self._decoded += piece

    def end(self) -> bytes:
        decoded = bytes(self._decoded)
        self._decoded.clear()
        return decoded


class Decoder:
    """Removes the content codings of one body. It cannot be used after an exception."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are supported codings, in the order in which they were applied."""
        self._output = _Output(", ".join(names))
        self._feed: Sink = self._output.collect
        for name in names:
            self._feed = _Link(name, self._feed).feed

    def decode(self, data: bytes) -> bytes:
        """Return the decoded bytes that `data` completes. Raises UndecodableBody.

        Their number is at most 1 MiB or 150 times the length of `data`, whichever is greater. The
        same limit applies to the whole body so far.
        """
        self._output.begin(len(data))
        self._feed(data)
        return self._output.end()


def decoder_for(content_encoding: str) -> Decoder | None:
    """Return a decoder for a content-encoding header's value; None for identity.

    The decoder removes the codings in reverse order. Raises UndecodableBody for an unsupported
    coding, and for more than `CODINGS_LIMIT` codings.
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
    """Return a whole body without its codings.

    Raises UndecodableBody, also when a coded body decodes to more than `limit_bytes`.
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
