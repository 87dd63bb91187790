"""Events that pass without repair: the same result and state as if the rules had looked at them."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any
from unittest import mock

import pytest
from corpus_streams import CorpusStream, broken_streams, clean_streams
from framings import FRAMINGS
from hypothesis import given
from hypothesis import strategies as st
from strategies import anthropic_messages as anthropic_streams
from strategies import chat_completions as chat_streams
from strategies import gemini as gemini_streams
from strategies import responses as responses_streams
from strategies.mutations import chunked
from wiremend.protocols.anthropic.stream import AnthropicRepairer
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.event_repairer import EventRepairer
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import Repaired, StreamContext
from wiremend.protocols.chat.stream import ChatRepairer
from wiremend.protocols.gemini.stream import GeminiRepairer
from wiremend.protocols.responses.stream import ResponsesRepairer
from wiremend.protocols.responses.writer import WrittenText
from wiremend.repair.stream import StreamRepair, stream_repair
from wiremend.testing import answers
from wiremend.text import sse
from wiremend.text.json_growing import GrowingJson

REPAIRERS = (AnthropicRepairer, ChatRepairer, GeminiRepairer, ResponsesRepairer)
SHORTCUTS = ("pass_valid", "known_type")
CLEAN, BROKEN = list(clean_streams()), list(broken_streams())
MANY = 60
"""Events of a stream of the corpus that are looked at; most have fewer."""
TEXTS = {"fragments", "_parts"}
"""Members with the pieces of a text, which may be joined."""
OF_ONE_EVENT = {"delta", "_last", "_draft"}


@contextmanager
def every_event_repaired() -> Iterator[None]:
    """Let the rules look at every event."""
    with ExitStack() as patches:
        for repairer in REPAIRERS:
            for name in SHORTCUTS:
                patches.enter_context(
                    mock.patch.object(repairer, name, getattr(EventRepairer, name))
                )
        yield


def state_of(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """Return what an object contains, as far as later events depend on it."""
    if id(value) in seen or callable(value) or isinstance(value, Draft | StreamContext):
        return type(value).__name__
    if isinstance(value, WrittenText):
        return value.text
    seen = (*seen, id(value))
    if isinstance(value, dict):
        return [(state_of(key, seen), state_of(item, seen)) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        return [state_of(item, seen) for item in value]
    members: dict[str, Any] = getattr(value, "__dict__", {})
    if is_dataclass(value):
        members = {field.name: getattr(value, field.name) for field in fields(value)}
    if not type(value).__module__.startswith("wiremend.protocols") and not isinstance(
        value, GrowingJson
    ):
        return value
    return [type(value).__name__] + [
        (name, "".join(item) if name in TEXTS else state_of(item, seen))
        for name, item in members.items()
        if name not in OF_ONE_EVENT
    ]


def seen_by_the_engine(repair: StreamRepair, repaired: list[Repaired]) -> list[Any]:
    """Return what the engine sees after a read."""
    error = next((item.error for item in repaired if item.error), None)
    return [
        b"".join(item.data for item in repaired),
        [str(finding) for item in repaired for finding in item.findings],
        {item.kind for item in repaired if item.data},
        error,
        (repair.complete, repair.may_break_off, repair.holds_back, repair.gave_up),
    ]


def steps_of(protocol: Protocol, context: StreamContext, chunks: list[bytes], **how: Any) -> Any:
    """Return what follows from each chunk and from the end, and the state of the rules then."""
    repair = stream_repair(protocol, context, **how)
    steps = [seen_by_the_engine(repair, repair.feed(chunk)) for chunk in chunks]
    steps.append(seen_by_the_engine(repair, repair.end()))
    return [*steps, state_of(repair._repairer)]


def assert_alike(protocol: Protocol, context: StreamContext, chunks: list[bytes]) -> None:
    usual = steps_of(protocol, context, chunks)
    with every_event_repaired():
        repaired = steps_of(protocol, context, chunks, parses_all=True)
    for one, other in zip(usual, repaired, strict=True):
        if one != other:  # `assert` would compare them in all detail, which takes minutes
            pytest.fail(f"{difference(one, other)}")


def difference(one: Any, other: Any) -> str:
    """Return the first place where two values differ."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for a, b in zip(one, other, strict=True):
            if a != b:
                return difference(a, b)
    return f"{one!r}"[:500] + " is not " + f"{other!r}"[:500]


def events_of(stream: CorpusStream) -> list[bytes]:
    data = stream.path.read_bytes()
    decoder = FRAMINGS["gemini-array"].decoder() if stream.context.array else sse.Decoder()
    return [event.raw for event in [*decoder.feed(data), *decoder.end()]]


LONG = [pytest.param(stream, marks=pytest.mark.long) for stream in BROKEN]


@pytest.mark.parametrize("stream", [*CLEAN, *LONG], ids=str)
def test_each_stream_of_the_corpus_has_the_same_result(stream: CorpusStream) -> None:
    events = events_of(stream)[:MANY]
    data = b"".join(events)
    for chunks in (events, [data], [data[at : at + 61] for at in range(0, len(data), 61)]):
        assert_alike(stream.protocol, stream.context, chunks)


@pytest.mark.long
@pytest.mark.parametrize("stream", [*CLEAN, *BROKEN], ids=str)
def test_each_stream_of_the_corpus_has_the_same_end_wherever_it_is_cut(
    stream: CorpusStream,
) -> None:
    events = events_of(stream)[:MANY]
    for count in range(0, len(events), 1 + len(events) // 8):
        whole, cut = b"".join(events[:count]), events[count]
        assert_alike(stream.protocol, stream.context, [whole + cut[: len(cut) // 2]])


STREAMS: dict[str, list[st.SearchStrategy[list[bytes]]]] = {
    "anthropic": [anthropic_streams.valid_streams(), anthropic_streams.mutated_streams()],
    "chat": [chat_streams.valid_streams(), chat_streams.mutated_streams()],
    "responses": [responses_streams.valid_streams(), responses_streams.mutated_streams()],
    "gemini": [gemini_streams.valid_streams(), gemini_streams.mutated_streams()],
}


ANSWERS = [
    (name, tool) for name in STREAMS for tool in (False, True) if name != "gemini" or not tool
]


def ascii_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=True).replace("/", "\\/")


def long_answer(name: str, *, tool: bool) -> tuple[list[bytes], bytes, list[bytes]]:
    """Return the events before the deltas of an answer, one of them, and the events behind it.

    What may differ in the delta is a word in capitals.
    """
    protocol = FRAMINGS[name].protocol.name
    events = list((answers.tool_stream if tool else answers.text_stream)(protocol).events)
    wanted = b"Par" if tool else b"wide world"
    place = next(number for number, event in enumerate(events) if wanted in event)
    delta = re.sub(rb'"[^"]*' + wanted + rb'[^"]*"', b"TEXT", events[place].replace(b'\\"', b""))
    delta = re.sub(rb'("sequence_number": )\d+', rb"\1NUMBER", delta)
    delta = re.sub(rb'("(?:candidates|total)TokenCount": )\d+', rb"\1COUNT", delta)
    if name in ("chat", "responses"):
        delta = delta.replace(b"}SPACES", b"}").replace(b"{", b'{"obfuscation": PADDING, ', 1)
    end = delta.rindex(b"}")
    before = [
        re.sub(rb'("sequence_number": )\d+', b'"sequence_number": %d' % number, event)
        for number, event in enumerate(events[:place], 10 - place)
    ]
    return before, delta[:end] + b"SPACES" + delta[end:], events[place + 1 :]


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_valid_and_broken_streams_have_the_same_result(name: str, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    events = data.draw(data.draw(st.sampled_from(STREAMS[name])))
    chunks = events if data.draw(st.booleans()) else data.draw(chunked(b"".join(events)))
    client = data.draw(st.sampled_from(framing.clients))
    names = data.draw(st.sampled_from([(), ("read",), ("get_weather", "get_time")]))
    model = data.draw(st.sampled_from([None, "m", "other"]))
    context = framing.context(client=client)
    assert_alike(framing.protocol, replace(context, tool_names=names, shown_model=model), chunks)


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_repeated_events_have_the_same_result(name: str, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    events = list(data.draw(data.draw(st.sampled_from(STREAMS[name]))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(events) - 1)))
        events[at:at] = events[at : at + 1] * data.draw(st.integers(1, 3))
    assert_alike(framing.protocol, framing.context(), events)


TEXTS_OF_DELTAS = [
    "a",
    " b",
    "",
    "\u2713",
    "\n",
    '"',
    "\\",
    "<",
    "\u2028",
    "</think>",
    '{"a":1}',
    "0",
]


@pytest.mark.parametrize(("name", "tool"), ANSWERS)
@given(data=st.data())
def test_long_answers_have_the_same_result(name: str, tool: bool, data: st.DataObject) -> None:
    before, delta, after = long_answer(name, tool=tool)
    written = data.draw(st.sampled_from([json.dumps, ascii_json]))
    events, number = [], 10
    for text in data.draw(st.lists(st.sampled_from(TEXTS_OF_DELTAS), min_size=1, max_size=12)):
        number += data.draw(st.sampled_from([1, 1, 1, 1, 2, 0, -3]))
        fields = {
            b"TEXT": written(text).encode(),
            b"NUMBER": b"%d" % number,
            b"COUNT": data.draw(st.sampled_from([b"7", b"0", b"12", b"1.5", b"01", b"null"])),
            b"PADDING": data.draw(st.sampled_from([b'"ab"', b'""', b'"\\"c"', b"1"])),
            b"SPACES": data.draw(st.sampled_from([b"", b" ", b"    "])),
        }
        event = delta
        for name_of_field, value in fields.items():
            event = event.replace(name_of_field, value)
        events.append(event)
    chunks = data.draw(chunked(b"".join([*before, *events, *after])))
    tools = data.draw(st.sampled_from([(), ("get_weather",)]))
    framing = FRAMINGS[name]
    assert_alike(framing.protocol, framing.context(tool_names=tools), chunks)


@pytest.mark.parametrize(("name", "tool"), ANSWERS)
def test_most_deltas_of_a_long_answer_are_recognised_by_their_bytes(name: str, tool: bool) -> None:
    before, delta, _ = long_answer(name, tool=tool)
    framing = FRAMINGS[name]
    repair = stream_repair(framing.protocol, framing.context())
    repair.feed(b"".join(before))
    read = b"".join(
        delta.replace(b"TEXT", b'"word %d"' % number)
        .replace(b"NUMBER", b"%d" % (10 + number))
        .replace(b"COUNT", b"%d" % number)
        .replace(b"PADDING", b'"%b"' % (b"x" * (number % 9)))
        .replace(b"SPACES", b" " * (1 + number % 7))
        for number in range(60)
    )
    repaired = repair.feed(read)
    assert len(repaired) < 4
    assert b"".join(item.data for item in repaired) == read
