"""Decoding of gzip, deflate, br and zstd bodies that came although identity was asked for.

Every decoder takes bytes in any chunks and gives back what they decode to so far.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard


class UndecodableBody(Exception):
    """The body is not what its content-encoding says."""


class Decoder(Protocol):
    """One content coding, incrementally."""

    def decode(self, data: bytes) -> bytes:
        """The decoded bytes that `data` completes. Raises UndecodableBody."""
        ...


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._inflater = zlib.decompressobj(window_bits)

    def decode(self, data: bytes) -> bytes:
        decoded = b""
        while data:
            if self._inflater.eof:  # a gzip body may have several members
                self._inflater = zlib.decompressobj(self._window_bits)
            try:
                decoded += self._inflater.decompress(data)
            except zlib.error as error:
                raise UndecodableBody(str(error)) from error
            data = self._inflater.unused_data
        return decoded


class _Deflate:
    """`deflate` means zlib's format; some servers send it without zlib's two-byte header."""

    def __init__(self) -> None:
        self._start = b""
        self._zlib: _Zlib | None = None

    def decode(self, data: bytes) -> bytes:
        if self._zlib is None:
            self._start += data
            if len(self._start) < 2:
                return b""
            has_header = self._start[0] & 15 == 8 and int.from_bytes(self._start[:2]) % 31 == 0
            self._zlib = _Zlib(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
            data = self._start
        return self._zlib.decode(data)


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def decode(self, data: bytes) -> bytes:
        try:
            return bytes(self._decompressor.process(data))
        except brotli.error as error:
            raise UndecodableBody(str(error)) from error


class _Zstandard:
    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor().decompressobj()

    def decode(self, data: bytes) -> bytes:
        decoded = b""
        while data:
            try:
                decoded += self._decompressor.decompress(data)
            except zstandard.ZstdError as error:
                raise UndecodableBody(str(error)) from error
            data = self._decompressor.unused_data
            if data:
                self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        return decoded


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstandard,
}


class _Chain:
    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, data: bytes) -> bytes:
        for decoder in self._decoders:
            data = decoder.decode(data)
        return data


def decoder_for(content_encoding: str) -> Decoder | None:
    """A decoder for the header's value, codings undone in reverse order; None for identity.

    Raises UndecodableBody for a coding that is not known.
    """
    codings = [name for part in content_encoding.split(",") if (name := part.strip().lower())]
    codings = [name for name in codings if name != "identity"]
    if not codings:
        return None
    for name in codings:
        if name not in _DECODERS:
            raise UndecodableBody(f"unknown content coding {name!r}")
    return _Chain([_DECODERS[name]() for name in reversed(codings)])
