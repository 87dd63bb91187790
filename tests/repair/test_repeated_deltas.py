"""Deltas that are recognised by their bytes: the same result as if each were parsed."""

import re
from dataclasses import replace
from typing import Any

import pytest
from framings import FRAMINGS
from hypothesis import given
from hypothesis import strategies as st
from strategies import anthropic_messages as anthropic_streams
from strategies import chat_completions as chat_streams
from strategies import gemini as gemini_streams
from strategies import responses as responses_streams
from strategies.mutations import chunked
from wiremend.protocols.base.repairer import Repeatable
from wiremend.repair.repeated_deltas import RepeatedDelta
from wiremend.repair.stream import StreamRepair, stream_repair

DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}\n\n'
)

TEXTS: dict[str, tuple[bytes, bool]] = {
    "letters": (b"Hello", True),
    "white space": (b" a  b ", True),
    "other characters": ("é😀".encode(), True),
    "a line end of other formats": ("a\u2028".encode(), False),
    "an escaped quote": (b'\\"', True),
    "escapes": (b"a\\n\\t\\r\\/b\\\\", True),
    "two backslashes and n": (b"\\\\n", True),
    "what an event ends in, escaped": (b'\\"}}\\n\\n', True),
    "DEL": (b"\x7f", False),
    "an escaped character": (b"a\\u00e9\\u2713", True),
    "an escaped line end of other formats": (b"\\u2028", False),
    "an escaped letter": (b"\\u0041", False),
    "an escaped bracket": (b"\\u003c", False),
    "an escaped control character": (b"\\u0000", False),
    "a backslash, and what follows u": (b"\\\\u00e9", True),
    "a backslash inside an escaped character": (b"\\u00\\\\e9", False),
    "a backslash, u, and the end of the text": (b'\\\\u00e9"', False),
    "a surrogate": (b"\\ud800", False),
    "no text": (b"", False),
    "a line end": (b"a\nb", False),
    "a control character": (b"a\x00", False),
    "the end of the text": (b'a"', False),
    "another member": (b'a","index":"1', False),
    "a backslash at the end": (b"a\\", False),
    "three backslashes": (b"\\\\\\", False),
    "an unknown escape": (b"\\x", False),
    "not UTF-8": (b"\xff", False),
    "half a character": ("é".encode()[:1], False),
    "an encoded surrogate": (b"\xed\xa0\x80", False),
}


def recognised(repeated: RepeatedDelta, data: bytes) -> tuple[int, int]:
    """Return the end and the number of the repetitions at the start of `data`."""
    end, run = repeated.run(data, 0)
    assert b"".join(run.before + text + run.after for text in run.texts) == data[:end]
    return end, len(run.texts)


@pytest.mark.parametrize(("text", "is_recognised"), TEXTS.values(), ids=TEXTS)
def test_texts_that_are_recognised(text: bytes, is_recognised: bool) -> None:
    repeated = RepeatedDelta.of(DELTA % b"Hi", Repeatable("text", "Hi"), reads_tags=False)
    assert repeated is not None
    data = DELTA % b"a" + DELTA % text + DELTA % b"b"
    expected = (len(data), 3) if is_recognised else (len(DELTA % b"a"), 1)
    assert recognised(repeated, data) == expected


def test_text_with_tags_is_left_to_the_parser_if_it_is_read() -> None:
    data = DELTA % b"a <b"
    for reads_tags, expected in ((False, (len(data), 1)), (True, (0, 0))):
        repeated = RepeatedDelta.of(DELTA % b"Hi", Repeatable("text", "Hi"), reads_tags=reads_tags)
        assert repeated is not None
        assert recognised(repeated, data) == expected


EVENTS: dict[str, tuple[bytes, bool]] = {
    "usual": (DELTA % b"Hi", True),
    "a space after the colon": ((DELTA % b"Hi").replace(b'"text":', b'"text": '), True),
    "CRLF": ((DELTA % b"Hi").replace(b"\n", b"\r\n"), True),
    "CR": ((DELTA % b"Hi").replace(b"\n", b"\r"), False),
    "two spaces after the colon": ((DELTA % b"Hi").replace(b'"text":', b'"text":  '), False),
    "the same member twice": ((DELTA % b"Hi").replace(b'"index"', b'"text":"Hi","index"'), False),
    "an escaped key": ((DELTA % b"Hi").replace(b'"text":', b'"te\\u0078t":'), False),
    "another spelling of the text": (DELTA % b"\\u0048i", False),
}


@pytest.mark.parametrize(("raw", "is_found"), EVENTS.values(), ids=EVENTS)
def test_events_whose_text_is_found(raw: bytes, is_found: bool) -> None:
    repeated = RepeatedDelta.of(raw, Repeatable("text", "Hi"), reads_tags=False)
    assert (repeated is not None) is is_found
    assert repeated is None or (
        repeated.matches(raw, Repeatable("text", "Hi"))
        and recognised(repeated, raw) == (len(raw), 1)
    )


def test_half_of_a_surrogate_pair_is_not_looked_for() -> None:
    raw = DELTA % b"\\ud800"
    assert RepeatedDelta.of(raw, Repeatable("text", "\ud800"), reads_tags=False) is None


STREAMS: dict[str, list[st.SearchStrategy[list[bytes]]]] = {
    "anthropic": [anthropic_streams.valid_streams(), anthropic_streams.mutated_streams()],
    "chat": [chat_streams.valid_streams(), chat_streams.mutated_streams()],
    "responses": [responses_streams.valid_streams(), responses_streams.mutated_streams()],
    "gemini": [gemini_streams.valid_streams(), gemini_streams.mutated_streams()],
}
TEXT_MEMBER = re.compile(rb'("(?:text|thinking|content|reasoning_content|delta)": ?")[^"\\]*"')
WORDS = [
    *(text for text, _ in TEXTS.values()),
    *(b"<", b"<tool_call>", b'{\\"name\\":', b"</think>", b"<think>", b"\\u003c"),
]
TOOLS = st.sampled_from([(), ("read",)])


@st.composite
def repeating(draw: st.DrawFn, streams: st.SearchStrategy[list[bytes]]) -> list[bytes]:
    """Events of a stream, some of them repeated with other texts."""
    events = list(draw(streams))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(events) - 1)))
        for text in draw(st.lists(st.sampled_from(WORDS) | st.just(b"word"), max_size=6)):
            if at < len(events):
                copy = TEXT_MEMBER.sub(lambda m, t=text: m[1] + t + b'"', events[at], count=1)
                events.insert(at + 1, copy)
    return events


def result_of(repair: StreamRepair, chunks: list[bytes]) -> list[Any]:
    """Return everything that the engine sees: bytes, findings, the end and its error."""
    repaired = [item for chunk in chunks for item in repair.feed(chunk)] + repair.end()
    findings = [str(finding) for item in repaired for finding in item.findings]
    end = [(item.kind, item.error) for item in repaired if item.kind.value in ("terminal", "error")]
    shown = b"".join(item.data for item in repaired)
    kinds = {item.kind for item in repaired if item.data}
    return [shown, findings, end, kinds, repair.complete, repair.gave_up]


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_recognised_deltas_have_the_same_result_as_parsed_ones(
    name: str, data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(repeating(data.draw(st.sampled_from(STREAMS[name]))))
    chunks = data.draw(chunked(b"".join(events)))
    context = replace(framing.context(), tool_names=data.draw(TOOLS))
    usual = stream_repair(framing.protocol, context)
    parsing = stream_repair(framing.protocol, context, parses_all=True)
    assert result_of(usual, chunks) == result_of(parsing, chunks)


@pytest.mark.parametrize("name", ["anthropic", "chat"])
def test_most_events_of_a_long_answer_are_recognised(name: str) -> None:
    framing = FRAMINGS[name]
    begin, event = BEGINNINGS[name]
    repair = stream_repair(framing.protocol, framing.context())
    repair.feed(begin)
    one_read = b"".join(event % b"word %d" % number for number in range(100))
    assert len(repair.feed(one_read)) < 5
    alone = [item for number in range(100) for item in repair.feed(event % b"n %d" % number)]
    assert b"".join(item.data for item in alone) == b"".join(
        event % b"n %d" % n for n in range(100)
    )


CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
)
BEGINNINGS = {
    "anthropic": (
        b"event: message_start\n"
        b'data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
        b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
        b'"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        b"event: content_block_start\n"
        b'data: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n',
        DELTA,
    ),
    "chat": (CHUNK % b"Hi", CHUNK),
}
