"""Writes a picture with a palette: a screenshot has many shades, of which the eye needs few."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import batched

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 64
_STEP = 8
"""Shades that differ by less are one."""
_CHANNELS = {2: 3, 6: 4}
"""Bytes of a pixel by the colour type: RGB and RGBA."""


def smaller(png: bytes) -> bytes:
    """Return a picture with 8 bits per channel as one with a palette of at most 64 colours.

    Raises ValueError for other kinds of PNG.
    """
    chunks = list(_chunks(png))
    width, height, depth, kind, *_, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or kind not in _CHANNELS or interlace:
        raise ValueError(f"not a plain RGB picture: depth {depth}, colour type {kind}")
    data = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
    step = _CHANNELS[kind]
    rows = list(_rows(data, width * step, step))
    pixels = [[pixel[:3] for pixel in batched(row, step)] for row in rows]
    counts = Counter(_rounded(pixel) for row in pixels for pixel in row)
    palette = [colour for colour, _ in counts.most_common(_COLOURS)]
    index = {colour: _nearest(colour, palette) for colour in counts}
    lines = b"".join(b"\0" + bytes(index[_rounded(one)] for one in row) for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", bytes(value for colour in palette for value in colour)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(map(_chunk, *zip(*parts, strict=True)))


def _rounded(pixel: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(255, (value + _STEP // 2) // _STEP * _STEP) for value in pixel)


def _nearest(colour: tuple[int, ...], palette: list[tuple[int, ...]]) -> int:
    def distance(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, palette[number], strict=True))

    return min(range(len(palette)), key=distance)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    at = len(_SIGNATURE)
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        yield name, png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _rows(data: bytes, length: int, step: int) -> Iterator[bytearray]:
    """Yield the rows without their filters (PNG specification, section 9)."""
    above = bytearray(length)
    for start in range(0, len(data), length + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + length])
        for at in range(length):
            left = row[at - step] if at >= step else 0
            corner = above[at - step] if at >= step else 0
            row[at] = (row[at] + _predicted(kind, left, above[at], corner)) & 0xFF
        yield row
        above = row


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    match kind:
        case 0:
            return 0
        case 1:
            return left
        case 2:
            return up
        case 3:
            return (left + up) // 2
        case _:
            guess = left + up - corner
            return min((left, up, corner), key=lambda value: abs(guess - value))
