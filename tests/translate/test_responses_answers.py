"""Laws of translated answers from and for Responses."""

import orjson
import pytest
from corpus_streams import CorpusStream, broken_streams, clean_streams
from hypothesis import assume, given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from sdk.test_accumulators import with_openai_responses
from sdk.transcript import read_responses
from strategies import anthropic_messages, chat_completions, responses
from strategies.mutations import chunked
from wiremend.protocols.base.repairer import EventKind, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.responses import RESPONSES
from wiremend.repair.stream import stream_repair
from wiremend.translate.answer import Direction, translate_body

from translate.directions import context_of, own_answer, through, values_of, violations, whole
from translate.responses_content import PAIRS, content_of

MUTATED = {
    "anthropic-messages": anthropic_messages.mutated_streams,
    "chat-completions": chat_completions.mutated_streams,
    "responses": responses.mutated_streams,
}
VALID = {
    "anthropic-messages": anthropic_messages.valid_events().map(
        lambda events: b"".join(map(anthropic_messages.encode, events))
    ),
    "chat-completions": chat_completions.valid_chunks().map(
        lambda chunks: b"".join(map(chat_completions.encode, chunks)) + b"data: [DONE]\n\n"
    ),
    "responses": responses.valid_steps().map(
        lambda steps: b"".join(map(responses.as_event, steps))
    ),
}
CLEAN = [
    (direction, stream)
    for direction in PAIRS.values()
    for stream in clean_streams(direction.provider.name)
]
BROKEN = [
    (direction, stream)
    for direction in PAIRS.values()
    for stream in broken_streams(direction.provider.name)
]
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
UNREAD = (b'"function_call":', b"reasoning_details", b'"index":1')
"""Members of Chat Completions that the reader of the tests does not read."""
ITEM_ADDED = "response.output_item.added"
each_pair = pytest.mark.parametrize("direction", PAIRS.values(), ids=PAIRS)


def name_of(value: object) -> str:
    if isinstance(value, Direction):
        return f"{value.provider}-for-{value.client}"
    return str(value)


def valid_stream(data: st.DataObject, direction: Direction) -> bytes:
    """A stream that the transcripts of the tests read: no content of Mistral, no Ollama."""
    stream: bytes = data.draw(VALID[direction.provider.name])
    assume(b'"content":[' not in stream.replace(b": ", b":") or direction.provider is not CHAT)
    assume(b'"reasoning":' not in stream)
    return stream


def is_cut(stream: bytes) -> bool:
    """Whether the answer may end inside the arguments of a call."""
    words = (b'"max_tokens"', b'"model_context', b'"length"', b'"incomplete"', b'"refusal"')
    return any(word in stream for word in words)


def repaired(direction: Direction, stream: bytes) -> bytes:
    repair = stream_repair(direction.provider, StreamContext(model="m"))
    return b"".join(one.data for one in [*repair.feed(stream), *repair.end()])


def request_with_tools(stream: bytes) -> dict[str, object]:
    """A request with the tools that are called in an answer of Responses."""
    items = (value.get("item", {}) for value in values_of(stream))
    tools = [
        {"name": item["name"]}
        for item in items
        if item.get("status") == "completed" and "name" in item
    ]
    return {"tools": tools, "stream": True, "stream_options": {"include_usage": True}}


def assert_valid(direction: Direction, stream: bytes) -> None:
    assert violations(direction.client, stream) == [], stream.decode()
    if direction.client is not RESPONSES:
        return
    for value in values_of(stream):
        if value["type"] == "response.failed":
            value["response"]["error"]["code"] = "server_error"  # the type lists a few codes
        EVENT.validate_python(value)
    last = values_of(stream)[-1]
    if last["type"] != "response.failed":
        Response.model_validate(last["response"])
    assert last["response"]["id"] == "resp_abc123"
    added = (value for value in values_of(stream) if value["type"] == ITEM_ADDED)
    ids = [value["item"]["id"] for value in added]
    assert len(ids) == len(set(ids))


def is_failed(stream: bytes) -> bool:
    return values_of(stream)[-1]["type"] in ("response.failed", "error")


# In one protocol


@given(VALID["responses"])
def test_an_answer_is_restored(stream: bytes) -> None:
    assert_restored(stream)


@pytest.mark.parametrize("stream", clean_streams(RESPONSES.name), ids=str)
def test_clean_answers_of_the_corpus_are_restored(stream: CorpusStream) -> None:
    assert_restored(repaired(PAIRS["responses-for-chat"], stream.path.read_bytes()))


def assert_restored(stream: bytes) -> None:
    written = own_answer(RESPONSES, stream)
    assert violations(RESPONSES, written) == []
    if not is_failed(stream):
        assert whole(RESPONSES, written) == whole(RESPONSES, stream)
        return
    last = values_of(stream)[-1]
    error = last["response"]["error"] if "response" in last else last.get("error", last)
    assert values_of(written)[-1]["response"]["error"]["message"] == error["message"]


# From one protocol to another


@pytest.mark.parametrize(("direction", "stream"), CLEAN, ids=name_of)
def test_clean_answers_of_the_corpus_have_the_same_content(
    direction: Direction, stream: CorpusStream
) -> None:
    data = repaired(direction, stream.path.read_bytes())
    is_from_responses = direction.provider is RESPONSES
    more = {"request": request_with_tools(data)} if is_from_responses else {}
    out, _ = through(direction, [data], **more)
    assert_valid(direction, out)
    if not any(mark in data for mark in UNREAD):
        assert content_of(direction.client, out) == content_of(direction.provider, data)


@pytest.mark.parametrize(
    ("direction", "stream"),
    [(direction, stream) for direction, stream in CLEAN if direction.client is RESPONSES],
    ids=name_of,
)
def test_the_official_sdk_reads_answers_of_the_corpus(
    direction: Direction, stream: CorpusStream
) -> None:
    out, _ = through(direction, [stream.path.read_bytes()])
    transcript = with_openai_responses(out)
    expected = read_responses(out)
    assert (transcript.text, transcript.calls) == (expected.text, expected.calls)
    assert transcript.failed == expected.failed


@pytest.mark.parametrize(("direction", "stream"), BROKEN, ids=name_of)
def test_broken_answers_of_the_corpus_are_valid_for_the_client(
    direction: Direction, stream: CorpusStream
) -> None:
    assert_valid(direction, through(direction, [stream.path.read_bytes()])[0])


@each_pair
@given(data=st.data())
def test_an_answer_has_the_same_content(direction: Direction, data: st.DataObject) -> None:
    """Texts of messages that overlap may be in another order."""
    stream = valid_stream(data, direction)
    out, _ = through(direction, [stream])
    assert_valid(direction, out)
    before = content_of(direction.provider, repaired(direction, stream))
    after = content_of(direction.client, out)
    assert sorted(after[0]) == sorted(before[0])
    assert sorted(after[1]) == sorted(before[1])
    assert sorted(map(repr, after[2])) == sorted(map(repr, before[2]))
    assert after[3] == before[3]


@each_pair
@given(data=st.data())
def test_a_broken_answer_is_valid_in_any_chunks(direction: Direction, data: st.DataObject) -> None:
    stream = b"".join(data.draw(MUTATED[direction.provider.name]()))
    out, results = through(direction, [stream])
    assert_valid(direction, out)
    assert results[-1].kind in (EventKind.TERMINAL, EventKind.ERROR)
    assert through(direction, data.draw(chunked(stream)))[0] == out


@each_pair
@given(data=st.data())
def test_a_whole_answer_is_the_fold_of_the_stream(
    direction: Direction, data: st.DataObject
) -> None:
    stream = repaired(direction, valid_stream(data, direction))
    assume(not is_cut(stream))
    body = direction.provider.fold(values_of(stream))
    out, _ = through(direction, [stream])
    content = content_of(direction.client, out)
    assume("922337203685477580" not in repr(content))  # JSON beyond 64 bits is read as a float
    if body is None or content[3]:
        return
    answer = orjson.loads(translate_body(direction, body, context_of(direction)).data)
    folded = b"".join(direction.client.unfold(answer))
    streamed = b"".join(direction.client.unfold(whole(direction.client, out)))
    assert in_any_order(direction, folded) == in_any_order(direction, streamed)


def in_any_order(direction: Direction, stream: bytes) -> list[str]:
    """The content without the order of its kinds, which a whole completion does not have."""
    text, reasoning, calls, _ = content_of(direction.client, stream)
    return ["".join(sorted(text)), "".join(sorted(reasoning)), *sorted(map(repr, calls))]


@pytest.mark.parametrize("name", ["responses-for-anthropic", "responses-for-chat"])
@given(data=st.data())
def test_an_answer_survives_the_way_there_and_back(name: str, data: st.DataObject) -> None:
    there = PAIRS[name]
    stream = repaired(there, valid_stream(data, there))
    out, _ = through(there, [stream])
    back, _ = through(Direction(there.client, RESPONSES), [out])
    assert in_any_order(Direction(RESPONSES, RESPONSES), back) == in_any_order(
        Direction(RESPONSES, RESPONSES), stream
    )
