"""The time to translate to and from Gemini grows linearly, whatever is repeated."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from corpus_streams import CorpusStream
from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import Target, TranslationTraits
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import EventKind, Repaired
from wiremend.protocols.gemini.array_stream import ArrayStream
from wiremend.protocols.gemini.read.streamed_args import StreamedArgs
from wiremend.protocols.registry import PROTOCOLS
from wiremend.translate.answer import Direction, StreamTranslation
from wiremend.translate.request import translate_request

from complexity.amplify import LISTS, SCALARS
from complexity.growth import Sizes, Work, assert_linear
from complexity.requests import PATHS, Sample, samples
from complexity.streams import EVENTS, chunks_of, parts_of, richest_streams

pytestmark = pytest.mark.complexity

GEMINI = WireProtocol.GEMINI
OTHERS = (WireProtocol.ANTHROPIC_MESSAGES, WireProtocol.CHAT_COMPLETIONS)
SIZES = Sizes(first=128, last=1 << 13, seconds=0.1)
EVENTS_SIZES = Sizes(first=256, last=1 << 14, seconds=0.15)
ALL_PARTS = [sample for sample in samples() if sample.name == "all-parts"]
DIRECTIONS = [
    (sample, provider)
    for sample in ALL_PARTS
    for provider in (*OTHERS, GEMINI)
    if GEMINI in (sample.protocol, provider) and sample.protocol in (*OTHERS, GEMINI)
]
STREAMS = [
    (stream, client)
    for stream in richest_streams(2)
    for client in (*OTHERS, GEMINI)
    if GEMINI in (stream.protocol.name, client) and stream.protocol.name in (*OTHERS, GEMINI)
]


def translating(sample: Sample, provider: WireProtocol, variant: str) -> Callable[[int], Work]:
    change = (LISTS | SCALARS)[variant]
    traits = TranslationTraits(media=frozenset(MediaKind))
    target = Target(origin=Origin(provider, "h", "m"), traits=traits)

    def prepare(size: int) -> Work:
        body = orjson.loads(change(sample.body, size))
        source, path = PROTOCOLS[sample.protocol], PATHS[sample.protocol]
        return lambda: translate_request(source, path, body, PROTOCOLS[provider], target)

    return prepare


@pytest.mark.parametrize("variant", LISTS)
@pytest.mark.parametrize(("sample", "provider"), DIRECTIONS, ids=str)
def test_requests_with_many_items(sample: Sample, provider: WireProtocol, variant: str) -> None:
    assert_linear(translating(sample, provider, variant), SIZES)


@pytest.mark.parametrize("variant", ["members", "strings-own", "nested"])
@pytest.mark.parametrize(("sample", "provider"), DIRECTIONS, ids=str)
def test_requests_with_large_values(sample: Sample, provider: WireProtocol, variant: str) -> None:
    assert_linear(translating(sample, provider, variant), replace(SIZES, last=1 << 15))


@pytest.mark.parametrize("variant", EVENTS)
@pytest.mark.parametrize(("stream", "client"), STREAMS, ids=str)
def test_streams_with_many_events(stream: CorpusStream, client: WireProtocol, variant: str) -> None:
    direction = Direction(stream.protocol, PROTOCOLS[client])
    origin = Origin(stream.protocol.name, "h", "m")
    change = EVENTS[variant]

    def prepare(size: int) -> Work:
        chunks = chunks_of(change(parts_of(stream), size), 65536)

        def work() -> None:
            translation = StreamTranslation(direction, AnswerContext(origin, answer_id="a"))
            array = ArrayStream()
            for chunk in chunks:
                array.feed(translation.feed(Repaired(chunk, EventKind.CONTENT)).data)
            array.feed(translation.feed(Repaired(b"", EventKind.TERMINAL)).data)

        return work

    assert_linear(prepare, EVENTS_SIZES)


PIECES: dict[str, Callable[[int], Any]] = {
    "one text": lambda at: {"jsonPath": "$.a", "stringValue": "x"},
    "many members": lambda at: {"jsonPath": f"$.a{at}", "numberValue": at},
    "a list": lambda at: {"jsonPath": f"$.a[{at}]", "numberValue": at},
    "many long lists": lambda at: {"jsonPath": f"$.a{at}[9999]", "numberValue": at},
    "deep": lambda at: {"jsonPath": "$" + ".a" * 50 + f".b{at}", "boolValue": True},
}


@pytest.mark.parametrize("pieces", PIECES)
def test_streamed_arguments(pieces: str) -> None:
    def prepare(size: int) -> Work:
        values = [PIECES[pieces](at) for at in range(size)]

        def work() -> None:
            args = StreamedArgs()
            for value in values:
                args.add([value])
            args.value()

        return work

    assert_linear(prepare, EVENTS_SIZES)
