"""Laws of translated answers, with the corpus and generated streams of each protocol."""

from typing import Any

import anthropic
import openai.types.chat as openai_types
import orjson
import pytest
from corpus_streams import CorpusStream, broken_streams, clean_streams
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sdk.test_accumulators import with_anthropic, with_openai_chat
from sdk.transcript import read_anthropic, read_chat
from strategies import anthropic_messages, chat_completions
from strategies.mutations import chunked
from wiremend.protocols.base.repairer import EventKind, StreamContext
from wiremend.repair.stream import stream_repair
from wiremend.translate.answer import Direction, translate_body

from translate.directions import (
    A_TO_C,
    C_TO_A,
    DIRECTIONS,
    PROTOCOLS,
    context_of,
    fewer,
    own_answer,
    through,
    values_of,
    violations,
    whole,
)

STREAMS = {"anthropic": anthropic_messages, "chat": chat_completions}
CORPUS = [
    stream
    for name in PROTOCOLS
    for stream in (*clean_streams(PROTOCOLS[name].name), *broken_streams(PROTOCOLS[name].name))
]
CLEAN = [stream for name in PROTOCOLS for stream in clean_streams(PROTOCOLS[name].name)]
EVENT = TypeAdapter(anthropic.types.RawMessageStreamEvent)

each_protocol = pytest.mark.parametrize("name", PROTOCOLS)
each_direction = pytest.mark.parametrize("way", DIRECTIONS)


def direction_of(stream: CorpusStream) -> Direction:
    return A_TO_C if stream.protocol is A_TO_C.provider else C_TO_A


def has_one_choice(stream: bytes) -> bool:
    choices = [choice for value in values_of(stream) for choice in value.get("choices") or ()]
    return all(choice.get("index", 0) == 0 for choice in choices)


# In one protocol


@each_protocol
@fewer
@given(data=st.data())
def test_reading_and_writing_in_one_protocol_restores_the_answer(
    name: str, data: st.DataObject
) -> None:
    stream = b"".join(data.draw(STREAMS[name].valid_streams()))
    assert_restored(name, stream)


@pytest.mark.parametrize("stream", CLEAN, ids=str)
def test_clean_answers_of_the_corpus_are_restored_in_their_protocol(stream: CorpusStream) -> None:
    data = stream.path.read_bytes()
    if has_one_choice(data) and b'"error"' not in data:
        name = "anthropic" if stream.protocol is PROTOCOLS["anthropic"] else "chat"
        assert_restored(name, data)


def assert_restored(name: str, stream: bytes) -> None:
    written = own_answer(PROTOCOLS[name], stream)
    assert violations(PROTOCOLS[name], written) == []
    assert canonical(whole(PROTOCOLS[name], written)) == canonical(whole(PROTOCOLS[name], stream))


def canonical(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without differences that no client sees."""
    answer = {key: value for key, value in answer.items() if value is not None}
    if "choices" not in answer:
        return answer
    if answer["object"] == "chat.completion.done":  # Perplexity
        answer["object"] = "chat.completion"
    choice = dict(answer["choices"][0])
    message = {key: value for key, value in choice["message"].items() if value not in (None, "")}
    if isinstance(message.get("content"), list):  # Mistral
        message["content"] = "".join(
            part if isinstance(part, str) else part["text"] for part in message["content"]
        )
    if isinstance(message.get("reasoning_details"), list):
        message["reasoning_details"] = [
            {key: value for key, value in detail.items() if key in ("type", "text", "signature")}
            for detail in message["reasoning_details"]
        ]
    choice["message"] = {key: value for key, value in message.items() if value not in (None, "")}
    return {**answer, "choices": [{key: v for key, v in choice.items() if v is not None}]}


# From one protocol to another

ACCUMULATORS = {
    "anthropic-messages": (with_anthropic, read_anthropic),
    "chat-completions": (with_openai_chat, read_chat),
}


@pytest.mark.parametrize("stream", CLEAN, ids=str)
def test_the_sdk_of_the_client_reads_the_answer(stream: CorpusStream) -> None:
    direction = direction_of(stream)
    data, results = through(direction, [stream.path.read_bytes()])
    if results[-1].kind is EventKind.ERROR or b"\\ud8" in data:
        return  # the SDKs raise on an error, and on half a character
    with_sdk, read = ACCUMULATORS[direction.client.name]
    got, expected = with_sdk(data), read(data)
    assert (got.text, got.reason) == (expected.text, expected.reason)
    assert [name for name, _ in got.calls] == [name for name, _ in expected.calls]


@pytest.mark.parametrize("stream", CORPUS, ids=str)
def test_answers_of_the_corpus_are_valid_for_the_client(stream: CorpusStream) -> None:
    direction = direction_of(stream)
    data, _ = through(direction, [stream.path.read_bytes()])
    assert_valid(direction, data)


@pytest.mark.parametrize("stream", CLEAN, ids=str)
def test_answers_of_the_corpus_have_the_same_content(stream: CorpusStream) -> None:
    assert_same_content(direction_of(stream), stream.path.read_bytes())


@each_direction
@fewer
@given(data=st.data())
def test_an_answer_is_valid_and_has_the_same_content(way: str, data: st.DataObject) -> None:
    direction = DIRECTIONS[way]
    name = "anthropic" if direction is C_TO_A else "chat"
    stream = b"".join(data.draw(STREAMS[name].valid_streams()))
    assert_same_content(direction, stream)


@each_direction
@fewer
@given(data=st.data())
def test_a_broken_answer_is_valid_in_any_chunks(way: str, data: st.DataObject) -> None:
    direction = DIRECTIONS[way]
    name = "anthropic" if direction is C_TO_A else "chat"
    stream = b"".join(data.draw(STREAMS[name].mutated_streams()))
    out, results = through(direction, [stream])
    assert_valid(direction, out)
    assert results[-1].kind in (EventKind.TERMINAL, EventKind.ERROR)
    in_chunks, _ = through(direction, data.draw(chunked(stream)))
    assert in_chunks == out


@each_direction
@fewer
@given(data=st.data())
def test_a_whole_answer_is_the_fold_of_the_stream(way: str, data: st.DataObject) -> None:
    """A whole completion does not keep the order of its text and its calls."""
    direction = DIRECTIONS[way]
    name = "anthropic" if direction is C_TO_A else "chat"
    stream = repaired(direction, b"".join(data.draw(STREAMS[name].valid_streams())))
    assume(not has_listed_content(stream))
    body = direction.provider.fold(values_of(stream))
    assert body is not None
    message = body.get("choices", [{}])[0].get("message", {})
    assume(not (message.get("refusal") and message.get("content")))
    translated = translate_body(direction, body, context_of(direction))
    streamed = whole(direction.client, through(direction, [stream])[0])
    answer = orjson.loads(translated.data)
    assert summary(answer) == summary(streamed)
    for key in ("id", "model", "usage", "stop_reason"):
        assert answer.get(key) == streamed.get(key)


def has_listed_content(stream: bytes) -> bool:
    """Whether content comes as lists (Mistral), which do not mix with strings in a whole answer."""
    choices = [choice for value in values_of(stream) for choice in value.get("choices") or ()]
    return any(isinstance(choice["delta"].get("content"), list) for choice in choices)


def repaired(direction: Direction, stream: bytes) -> bytes:
    repair = stream_repair(direction.provider, StreamContext(model="m"))
    return b"".join(one.data for one in [*repair.feed(stream), *repair.end()])


def summary(answer: dict[str, Any]) -> tuple[Any, ...]:
    """The content of an answer by kind; a whole completion does not keep their order."""
    if "choices" not in answer:
        blocks = answer["content"]
        text = "".join(block.get("text", "") for block in blocks)
        thinking = "".join(block.get("thinking", "") for block in blocks)
        calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
        return text.replace("\n", ""), thinking.replace("\n", ""), calls
    message = answer["choices"][0]["message"]
    content = message.get("content") or ""
    if isinstance(content, list):  # Mistral
        content = "".join(part if isinstance(part, str) else part["text"] for part in content)
    text = (message.get("refusal") or "") + content
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    if not thinking:
        thinking = "".join(one.get("text", "") for one in message.get("reasoning_details", ()))
    calls = [called(call) for call in message.get("tool_calls", ())]
    if "function_call" in message:
        calls.append(called({"type": "function", "function": message["function_call"]}))
    return text.replace("\n", ""), thinking.replace("\n", ""), calls


def called(call: dict[str, Any]) -> tuple[str, Any]:
    if call.get("type") == "custom":
        return call["custom"]["name"], {"input": call["custom"]["input"]}
    try:
        value = orjson.loads(call["function"].get("arguments") or "{}")
    except ValueError:
        value = {}  # cut by a limit
    return call["function"]["name"], value


def assert_valid(direction: Direction, data: bytes) -> None:
    assert violations(direction.client, data) == [], data.decode()
    failed = any("error" in value for value in values_of(data))
    if direction.client is PROTOCOLS["anthropic"]:
        for value in values_of(data):
            if value["type"] != "error":
                EVENT.validate_python(value)
        if not failed:
            anthropic.types.Message.model_validate(whole(direction.client, data))
        return
    for value in values_of(data):
        if "error" not in value:
            openai_types.ChatCompletionChunk.model_validate(value)
    if not failed:
        openai_types.ChatCompletion.model_validate({"created": 0, **whole(direction.client, data)})


def assert_same_content(direction: Direction, stream: bytes) -> None:
    out, results = through(direction, [stream])
    assert_valid(direction, out)
    if results[-1].kind is not EventKind.ERROR:
        before = direction.provider.fold(values_of(repaired(direction, stream)))
        assert before is not None
        assert summary(whole(direction.client, out)) == summary(before)
