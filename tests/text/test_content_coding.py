"""Coded bodies decode in any chunks."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from wiremend.text.content_coding import UndecodableBody, decoder_for

TEXT = b'data: {"type":"ping"}\n\n' * 50


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


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
    decoder = decoder_for(coding)
    assert decoder is not None
    coded = CODED[coding]
    pieces = [decoder.decode(coded[at : at + size]) for at in range(0, len(coded), size)]
    assert b"".join(pieces) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_is_flushed_at_an_event_comes_out_at_once(coding: str) -> None:
    """A stream must not wait for the end of the coded body."""
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
def test_a_body_that_is_not_coded_so_is_refused(coding: str) -> None:
    decoder = decoder_for(coding)
    assert decoder is not None
    with pytest.raises(UndecodableBody):
        decoder.decode(b"<html>" * 100)
