"""The time to repair and to judge a stream grows linearly, whatever is repeated in it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from corpus_streams import CorpusStream
from wiremend.catalogue import catalogue
from wiremend.repair.stream import StreamRepair, stream_repair

from complexity.growth import Sizes, Work, assert_linear
from complexity.streams import (
    EVENTS,
    INSIDE,
    LINES,
    StreamVariant,
    chunks_of,
    codes_of,
    covering_streams,
    parts_of,
    richest_streams,
)

pytestmark = pytest.mark.complexity

READ_BYTES = 65536
OF_EACH_RULE = covering_streams(codes_of)
"""Every rule on streams applies to one of these at least: a new rule adds its example."""
RICHEST = richest_streams(2)
ALL_CODES = frozenset(rule.code for rule in catalogue())
EVENTS_SIZES = Sizes(first=256, last=1 << 14, seconds=0.15)
BYTES_SIZES = Sizes(first=1 << 12, last=1 << 16, seconds=0.05)


def repair_of(stream: CorpusStream, **context: Any) -> StreamRepair:
    return stream_repair(stream.protocol, replace(stream.context, **context))


def repairing(
    stream: CorpusStream, variant: StreamVariant, chunk_bytes: int = READ_BYTES, **context: Any
) -> Callable[[int], Work]:
    def prepare(size: int) -> Work:
        chunks = chunks_of(variant(parts_of(stream), size), chunk_bytes)

        def work() -> None:
            repair = repair_of(stream, **context)
            for chunk in chunks:
                repair.feed(chunk)
                _ = repair.complete  # asked after each read of a call
            repair.end()
            assert not repair.gave_up

        return work

    return prepare


@pytest.mark.parametrize("stream", OF_EACH_RULE, ids=str)
def test_streams_of_each_rule_with_many_events(stream: CorpusStream) -> None:
    assert_linear(repairing(stream, EVENTS["one-by-one-distinct"]), EVENTS_SIZES)


@pytest.mark.parametrize("variant", EVENTS)
@pytest.mark.parametrize("stream", RICHEST, ids=str)
def test_streams_with_many_events(stream: CorpusStream, variant: str) -> None:
    context = {"tool_names_by_sent": {"read_0123abcd": "read"}, "shown_model": "shown"}
    assert_linear(repairing(stream, EVENTS[variant], **context), EVENTS_SIZES)


@pytest.mark.parametrize("stream", RICHEST, ids=str)
def test_streams_with_many_events_and_disabled_rules(stream: CorpusStream) -> None:
    variant = EVENTS["one-by-one-distinct"]
    assert_linear(repairing(stream, variant, disabled=ALL_CODES), EVENTS_SIZES)


@pytest.mark.parametrize("variant", INSIDE)
@pytest.mark.parametrize("stream", RICHEST, ids=str)
def test_streams_with_large_events(stream: CorpusStream, variant: str) -> None:
    assert_linear(repairing(stream, INSIDE[variant]), BYTES_SIZES)


@pytest.mark.parametrize("variant", LINES)
@pytest.mark.parametrize("stream", RICHEST[::2], ids=str)
def test_streams_with_many_lines(stream: CorpusStream, variant: str) -> None:
    assert_linear(repairing(stream, LINES[variant]), BYTES_SIZES)


@pytest.mark.parametrize("variant", ["in-order-distinct", "one-by-one-distinct"])
@pytest.mark.parametrize("stream", RICHEST[::2], ids=str)
def test_streams_in_tiny_chunks(stream: CorpusStream, variant: str) -> None:
    assert_linear(repairing(stream, EVENTS[variant], chunk_bytes=1), EVENTS_SIZES)


@pytest.mark.parametrize("variant", ["strings-letters", "strings-quotes", "long-space"])
@pytest.mark.parametrize("stream", RICHEST[::2], ids=str)
def test_large_events_in_tiny_chunks(stream: CorpusStream, variant: str) -> None:
    assert_linear(repairing(stream, INSIDE[variant], chunk_bytes=1), BYTES_SIZES)


@pytest.mark.parametrize("variant", ["in-order-distinct", "one-by-one-distinct"])
@pytest.mark.parametrize("stream", RICHEST, ids=str)
def test_the_checker_of_a_grammar(stream: CorpusStream, variant: str) -> None:
    def prepare(size: int) -> Work:
        data = EVENTS[variant](parts_of(stream), size)
        return lambda: stream.violations(data)

    assert_linear(prepare, EVENTS_SIZES)
