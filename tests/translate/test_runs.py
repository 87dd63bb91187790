"""Runs of deltas, and events that were parsed, are translated as if they were parsed again."""

from copy import deepcopy
from dataclasses import replace
from itertools import permutations

import pytest
from corpus_streams import CorpusStream, broken_streams, clean_streams
from hypothesis import given
from hypothesis import strategies as st
from repair.test_repeated_deltas import BEGINNINGS, STREAMS, repeating
from strategies.mutations import chunked
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.repair.stream import stream_repair
from wiremend.translate.answer import Direction, StreamTranslation

from translate.directions import context_of

PROTOCOLS = {"anthropic": ANTHROPIC, "chat": CHAT, "responses": RESPONSES, "gemini": GEMINI}
DIRECTIONS = {
    f"{provider} to {client}": (provider, client) for provider, client in permutations(PROTOCOLS, 2)
}


def translated(
    direction: Direction, chunks: list[bytes], *, parses_all: bool, think_tags: bool = False
) -> tuple[bytes, list[Repaired]]:
    """Return the bytes for the client, and the results without the bytes of content."""
    repair = stream_repair(direction.provider, StreamContext(model="m"), parses_all=parses_all)
    context = context_of(direction, think_tags=think_tags, input_tokens=None)
    translation = StreamTranslation(direction, context)
    repaired = [one for chunk in chunks for one in repair.feed(chunk)] + repair.end()
    results = [translation.feed(one) for one in repaired]
    others = [one for one in results if one.kind is not EventKind.CONTENT or one.findings]
    return b"".join(one.data for one in results), others


@pytest.mark.parametrize("names", DIRECTIONS.values(), ids=DIRECTIONS)
@given(data=st.data())
def test_runs_are_translated_like_parsed_deltas(
    names: tuple[str, str], data: st.DataObject
) -> None:
    provider, client = names
    events = data.draw(repeating(data.draw(st.sampled_from(STREAMS[provider]))))
    chunks = data.draw(chunked(b"".join(events)))
    direction = Direction(PROTOCOLS[provider], PROTOCOLS[client])
    think_tags = data.draw(st.booleans())
    usual = translated(direction, chunks, parses_all=False, think_tags=think_tags)
    assert usual == translated(direction, chunks, parses_all=True, think_tags=think_tags)


@pytest.mark.parametrize(
    "stream",
    [s for p in PROTOCOLS.values() for s in (*clean_streams(p.name), *broken_streams(p.name))],
    ids=str,
)
def test_events_that_were_parsed_are_translated_like_their_bytes(stream: CorpusStream) -> None:
    provider = stream.protocol
    repaired = stream_repair(provider, StreamContext(model="m"), parses_all=True)
    events = [*repaired.feed(stream.path.read_bytes()), *repaired.end()]
    values = deepcopy([event.value for event in events])
    for client in PROTOCOLS.values():
        direction = Direction(provider, client)
        parsed, unparsed = (
            StreamTranslation(direction, context_of(direction, think_tags=False)) for _ in "12"
        )
        for event in events:
            assert parsed.feed(event) == unparsed.feed(replace(event, value=None))
        assert [event.value for event in events] == values, "a reader has changed a value"


class _Counting:
    """A reader that counts the events that it parses."""

    def __init__(self, reader: object) -> None:
        self._reader = reader
        self.count = 0

    def __getattr__(self, name: str) -> object:
        self.count += name in ("feed", "read")
        return getattr(self._reader, name)


@pytest.mark.parametrize(("provider", "client"), [(CHAT, ANTHROPIC), (ANTHROPIC, CHAT)])
def test_most_deltas_of_a_long_answer_are_not_parsed(provider: Protocol, client: Protocol) -> None:
    begin, event = BEGINNINGS["chat" if provider is CHAT else "anthropic"]
    direction = Direction(provider, client)
    repair = stream_repair(provider, StreamContext(model="m"))
    translation = StreamTranslation(direction, context_of(direction))
    reader = _Counting(translation._reader)
    translation._reader = reader  # type: ignore[assignment]
    reads = [begin, b"".join(event % b"w %d" % number for number in range(50))]
    reads += [event % b"n %d" % number for number in range(50)]
    shown = b"".join(translation.feed(one).data for read in reads for one in repair.feed(read))
    assert all(b"w %d" % number in shown for number in range(50))
    assert all(b"n %d" % number in shown for number in range(50))
    assert reader.count < 10
