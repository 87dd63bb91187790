"""Content codings: decoding in chunks of any size, and the limits on the output."""

import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from wiremend.text.content_coding import (
    CODINGS_LIMIT,
    RATIO_LIMIT,
    UNLIMITED_BYTES,
    UndecodableBody,
    decode_whole,
    decoder_for,
)

TEXT = b'data: {"type":"ping"}\n\n' * 50


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def decoded(coding: str, parts: Iterable[bytes]) -> bytes:
    decoder = decoder_for(coding)
    assert decoder is not None
    return b"".join(map(decoder.decode, parts))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


CODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "deflate": zlib.compress(TEXT),
    " Deflate ": raw_deflate(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "gzip, identity, br": brotli.compress(gzip.compress(TEXT)),
}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_decodes_in_chunks_of(coding: str, size: int) -> None:
    assert decoded(coding, cut(CODED[coding], size)) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_bytes_flushed_after_an_event_are_decoded_at_once(coding: str) -> None:
    """Events must not be delayed until the end of the coded body."""
    event = b"data: first\n\n"
    match coding:
        case "gzip":
            compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
            coded = compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH)
        case "deflate":
            compressor = zlib.compressobj()
            coded = compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH)
        case "br":
            stream = brotli.Compressor()
            coded = stream.process(event) + stream.flush()
        case _:
            writer = zstandard.ZstdCompressor().compressobj()
            coded = writer.compress(event) + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    decoder = decoder_for(coding)
    assert decoder is not None
    assert decoder.decode(coded) == event


@pytest.mark.parametrize("coding", ["", "identity", " identity , "])
def test_identity_needs_no_decoder(coding: str) -> None:
    assert decoder_for(coding) is None


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(UndecodableBody, match="unknown content coding 'compress'"):
        decoder_for("compress")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_without_the_declared_coding_is_refused(coding: str) -> None:
    decoder = decoder_for(coding)
    assert decoder is not None
    with pytest.raises(UndecodableBody):
        decoder.decode(b"<html>" * 100)


# Bodies longer than one decoded piece

ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.compress,
}
EVERY_CODING = pytest.mark.parametrize("coding", ENCODE)
PIECES = [64 * 1024, 128 * 1024, 256 * 1024]
CHANCE = random.Random(7)
LONG = CHANCE.randbytes(300_000) + bytes(500_000) + bytes(CHANCE.choices(b"abcdef", k=600_000))


@pytest.mark.parametrize("size", [1000, 16 * 1024 + 1, 65_535, 10_000_000])
@EVERY_CODING
def test_a_long_body_decodes_in_chunks_of(coding: str, size: int) -> None:
    assert decoded(coding, cut(ENCODE[coding](LONG), size)) == LONG


@pytest.mark.parametrize("length", [piece + more for piece in PIECES for more in (-1, 0, 1, 258)])
@EVERY_CODING
def test_a_body_about_as_long_as_a_piece_is_decoded_completely(coding: str, length: int) -> None:
    for data in (bytes(length), LONG[:length]):
        assert decoded(coding, [ENCODE[coding](data)]) == data


@given(
    lengths=st.lists(st.integers(1, 140_000), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
    size=st.sampled_from([1, 100, 5000, 65_536, 1_000_000]),
)
def test_all_flushed_bytes_are_decoded_in_the_same_call(
    lengths: list[int], seed: int, size: int
) -> None:
    """zstd holds a block back when its output is full; it must not wait for the next call."""
    alphabet = random.Random(seed).randbytes(40)
    deflater, writer = zlib.compressobj(), zstandard.ZstdCompressor().compressobj()
    stream = brotli.Compressor(quality=1)
    data, coded = b"", {"deflate": b"", "br": b"", "zstd": b""}
    for length in lengths:
        part = bytes(random.Random(seed + length).choices(alphabet, k=length))
        data += part
        coded["deflate"] += deflater.compress(part) + deflater.flush(zlib.Z_SYNC_FLUSH)
        coded["br"] += stream.process(part) + stream.flush()
        coded["zstd"] += writer.compress(part) + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    for coding, body in coded.items():
        parts = cut(body, size) if size * 1000 > len(body) else [body]
        assert decoded(coding, parts) == data


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_of_many_members_decodes(coding: str) -> None:
    members = [b"", b"one", b"", LONG[:100_000], b"two"] * 20
    body = b"".join(map(ENCODE[coding], members))
    assert decoded(coding, [body]) == b"".join(members)


# Bodies that expand too much

BOMB_BYTES = 16 * 1024 * 1024
BOMBS = {coding: encode(bytes(BOMB_BYTES)) for coding, encode in ENCODE.items()} | {
    "gzip, br": brotli.compress(gzip.compress(bytes(BOMB_BYTES))),
    "zstd, deflate, gzip": gzip.compress(zlib.compress(zstandard.compress(bytes(BOMB_BYTES)))),
}
PEAK_BYTES = 4 * UNLIMITED_BYTES
"""The bytes decoded before, the output of one call, its copy, and one piece."""


@pytest.mark.parametrize("size", [1, 1000, BOMB_BYTES], ids=["byte by byte", "in parts", "at once"])
@pytest.mark.parametrize("coding", BOMBS)
def test_a_body_that_expands_too_much_is_refused_before_it_is_decoded_completely(
    coding: str, size: int
) -> None:
    parts = cut(BOMBS[coding], size)
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableBody, match=r"ratio of \d+ \(limit: 150\)") as refused:
            decoded(coding, parts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert any(name in str(refused.value) for name in coding.lower().split(", "))
    assert peak < PEAK_BYTES


@EVERY_CODING
def test_a_long_body_does_not_raise_the_limit_of_a_single_call(coding: str) -> None:
    """Otherwise megabytes of incompressible data would allow hundreds of megabytes at once."""
    start = CHANCE.randbytes(2 * UNLIMITED_BYTES)
    body = ENCODE[coding](start + bytes(BOMB_BYTES))
    decoder = decoder_for(coding)
    assert decoder is not None
    head = len(start)
    assert decoder.decode(body[:head]).startswith(start[:UNLIMITED_BYTES])
    with pytest.raises(UndecodableBody, match="limit: 150"):
        decoder.decode(body[head:])


@pytest.mark.parametrize("outer", ["gzip", "br"])
def test_a_coding_is_limited_even_if_the_next_one_skips_its_output(outer: str) -> None:
    def skipped(length: int) -> bytes:
        return b"\x50\x2a\x4d\x18" + length.to_bytes(4, "little") + bytes(length)

    assert decoded("zstd", [skipped(1000) + zstandard.compress(b"x")]) == b"x"
    with pytest.raises(UndecodableBody, match=f"coding '{outer}' .* \\(limit: 150"):
        decoded(f"zstd, {outer}", [ENCODE[outer](skipped(BOMB_BYTES))])


@pytest.mark.parametrize("size", [1, BOMB_BYTES])
@EVERY_CODING
def test_a_short_body_may_expand_by_any_ratio(coding: str, size: int) -> None:
    data = bytes(UNLIMITED_BYTES)
    assert decoded(coding, cut(ENCODE[coding](data), size)) == data


@EVERY_CODING
def test_a_body_that_expands_within_the_limit_decodes(coding: str) -> None:
    block = CHANCE.randbytes(2000)
    data = b"".join(block[:1900] + CHANCE.randbytes(100) for _ in range(2000))
    coded = ENCODE[coding](data)
    assert 10 < len(data) / len(coded) < RATIO_LIMIT
    for size in (1000, len(coded)):
        assert decoded(coding, cut(coded, size)) == data


def test_a_window_larger_than_http_allows_is_refused() -> None:
    """A decoder would have to allocate it. RFC 9659 allows 8 MiB."""

    def coded(window_log: int) -> bytes:
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
        writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return writer.compress(TEXT) + writer.flush()

    assert decoded("zstd", [coded(23)]) == TEXT
    with pytest.raises(UndecodableBody, match="too much memory"):
        decoded("zstd", [coded(24)])


def test_the_number_of_codings_is_limited() -> None:
    assert decoder_for(", ".join(["gzip"] * CODINGS_LIMIT)) is not None
    with pytest.raises(UndecodableBody, match="6 content codings"):
        decoder_for(", ".join(["gzip"] * 6))


# Whole bodies


@pytest.mark.parametrize("coding", CODED)
def test_a_whole_body_decodes(coding: str) -> None:
    assert decode_whole(coding, CODED[coding], len(TEXT)) == TEXT
    with pytest.raises(UndecodableBody, match=f"more than {len(TEXT) - 1} bytes"):
        decode_whole(coding, CODED[coding], len(TEXT) - 1)


def test_a_whole_body_without_coding_has_no_limit() -> None:
    assert decode_whole("", TEXT, 1) == TEXT


@EVERY_CODING
def test_a_stream_of_azure_that_was_coded_in_one_piece_is_decoded(coding: str) -> None:
    """Its chunks have 500 bytes, of which one word differs."""
    chance = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(3000)]
    verdict = {"filtered": False, "severity": "safe"}
    filters = dict.fromkeys(("hate", "self_harm", "sexual", "violence"), verdict)
    shared = {"id": "chatcmpl-abc", "object": "chat.completion.chunk", "created": 1_700_000_000}
    shared |= {"model": "gpt-4o-2024-08-06", "system_fingerprint": "fp_x", "usage": None}
    events = []
    for _ in range(12_000):
        delta = {"content": " " + chance.choice(words)}
        choice = {"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}
        chunk = {**shared, "choices": [{**choice, "content_filter_results": filters}]}
        events.append(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    data = b"".join(events)
    assert decoded(coding, [ENCODE[coding](data)]) == data
