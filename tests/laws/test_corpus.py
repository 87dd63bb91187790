"""Every stream of the corpus, in every chunking: clean ones pass, broken ones become valid."""

import random

import pytest
from corpus_streams import (
    CORPUS,
    FOLDERS,
    CorpusStream,
    broken_streams,
    bytes_of,
    clean_streams,
    codes_of,
)
from framings import assert_unchanged_without
from rule_codes import codes_between
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import EventKind

CODES = {name: (f"S{number}01", f"S{number}49") for number, name in enumerate(WireProtocol, 1)}
"""The first and last code of each protocol's rules on streams."""
ENDING_IN_ERROR = ("error", "failed-after")
"""Words in the names of clean streams that end in the protocol's own error."""
LEGAL = {
    "anthropic_messages/broken/end-turn-with-a-tool",
    "anthropic_messages/broken/half-an-input-in-block-start",
    "anthropic_messages/broken/input-as-text-in-block-start",
    "anthropic_messages/broken/input-in-block-start",
    "anthropic_messages/broken/input-in-block-start-and-in-deltas",
    "anthropic_messages/broken/no-final-blank-line",
    "anthropic_messages/broken/text-of-a-block-under-another-name",
    "anthropic_messages/broken/text-null",
    "anthropic_messages/broken/tool-use-without-a-tool",
    "chat_completions/broken/created-as-float",
    "chat_completions/broken/call-name-in-pieces",
    "chat_completions/broken/text-under-another-name",
    "gemini/broken/arguments-instead-of-args",
    "gemini/broken/error-as-json-text",
    "gemini/broken/error-beside-candidates",
    "gemini/broken/final-call-repeated-after-metadata",
    "gemini/broken/final-event-repeated-without-counts",
    "gemini/broken/gemini-cli-data-on-several-lines",
    "gemini/broken/gemini-cli-line-separator-in-text",
    "gemini/broken/gemini-cli-mixed-line-ends",
    "gemini/broken/python-genai-line-separator-in-text",
}
"""Broken streams without a violation of the grammar: what they break is a client."""

each_clean = pytest.mark.parametrize("stream", clean_streams(), ids=str)
each_broken = pytest.mark.parametrize("stream", broken_streams(), ids=str)


def chunkings(data: bytes) -> dict[str, list[bytes]]:
    at_random = random.Random(len(data))
    cuts = sorted(at_random.sample(range(len(data)), min(9, len(data))))
    return {
        "whole": [data],
        "byte by byte": [bytes([byte]) for byte in data],
        "sevens": [data[at : at + 7] for at in range(0, len(data), 7)],
        "at random": [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)],
    }


def result(stream: CorpusStream, chunks: list[bytes]) -> tuple[bytes, list[str]]:
    repaired = stream.repaired(chunks)
    return bytes_of(repaired), codes_of(repaired)


@each_clean
def test_a_clean_stream_is_valid_and_passes_byte_for_byte(stream: CorpusStream) -> None:
    data = stream.path.read_bytes()
    assert stream.violations(data) == []
    for name, chunks in chunkings(data).items():
        assert result(stream, chunks) == (data, []), name
    is_error = any(words in stream.path.name for words in ENDING_IN_ERROR)
    ending = stream.repaired([data])[-1].kind
    assert ending is (EventKind.ERROR if is_error else EventKind.TERMINAL)


@each_broken
def test_a_broken_stream_becomes_the_file_beside_it(stream: CorpusStream) -> None:
    """After a change on purpose, `scripts/rules accept` writes these files for review."""
    expected = stream.mended_path.read_bytes()
    for name, chunks in chunkings(stream.path.read_bytes()).items():
        assert result(stream, chunks) == (expected, stream.codes), name


@each_broken
def test_a_mended_stream_is_valid_and_needs_no_further_mending(stream: CorpusStream) -> None:
    mended = stream.mended_path.read_bytes()
    assert stream.violations(mended) == []
    assert result(stream, [mended]) == (mended, [])


@each_broken
def test_a_broken_stream_breaks_something(stream: CorpusStream) -> None:
    data = stream.path.read_bytes()
    assert stream.codes or stream.mended_path.read_bytes() != data or stream.violations(data)


def test_the_grammar_sees_what_is_broken() -> None:
    streams = broken_streams()
    unseen = {str(one) for one in streams if not one.violations(one.path.read_bytes())}
    assert unseen == LEGAL


@each_broken
def test_a_disabled_rule_leaves_events_as_they_came(stream: CorpusStream) -> None:
    """Not even a rule that would not apply if another one were enabled changes them."""
    data = stream.path.read_bytes()
    of_streams = codes_between(*CODES[stream.protocol.name])
    own = of_streams.intersection(stream.codes)
    for disabled in (of_streams, own, *(frozenset({code}) for code in own)):
        assert_unchanged_without(disabled, data, stream.repaired([data], disabled))


@pytest.mark.parametrize("protocol", WireProtocol)
def test_every_rule_on_streams_has_a_broken_stream(protocol: WireProtocol) -> None:
    shown = {code for stream in broken_streams(protocol) for code in stream.codes}
    assert codes_between(*CODES[protocol]) <= shown


def test_every_folder_belongs_to_a_protocol() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(FOLDERS)
