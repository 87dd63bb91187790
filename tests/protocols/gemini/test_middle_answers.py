"""Answers between Gemini and other protocols: streams, whole answers, failures."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from strategies import anthropic_messages as anthropic_streams
from strategies import chat_completions as chat_streams
from strategies import gemini as gemini_streams
from strategies import responses as responses_streams
from strategies.mutations import chunked
from strategies.wire import values_of
from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
    Stop,
    StopReason,
    UsageCounts,
)
from wiremend.protocols.base.middle.content import (
    Call,
    CallKind,
    Citation,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.interface import AnswerContext, SentTool
from wiremend.protocols.base.middle.losses import Loss, Losses, LossKind
from wiremend.protocols.base.middle.state import Origin, State
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.base.usage import Usage
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.gemini.array_stream import ArrayStream
from wiremend.protocols.gemini.grammar import Grammar
from wiremend.protocols.registry import PROTOCOLS
from wiremend.repair.stream import stream_repair
from wiremend.text import sse
from wiremend.text.json_array import ArrayDecoder
from wiremend.translate.answer import Direction, StreamTranslation, translate_body
from wiremend.translate.request import translate_request

ANTHROPIC, CHAT = WireProtocol.ANTHROPIC_MESSAGES, WireProtocol.CHAT_COMPLETIONS
STREAMS = {
    ANTHROPIC: anthropic_streams.valid_streams,
    CHAT: chat_streams.valid_streams,
    WireProtocol.RESPONSES: responses_streams.valid_streams,
}
OTHERS = [name for name in STREAMS if PROTOCOLS[name].translation is not None]
TRANSLATION = GEMINI.translation
assert TRANSLATION is not None

type Json = dict[str, Any]


def context_of(provider: WireProtocol, **facts: Any) -> AnswerContext:
    asked = {"contents": [], "stream_options": {"include_usage": True}}
    facts = {"request": asked, "model": "asked", "answer_id": "a1", **facts}
    return AnswerContext(Origin(provider, "h", "m"), **facts)


def translated(
    provider: WireProtocol, client: WireProtocol, pieces: Iterable[bytes]
) -> tuple[bytes, list[str]]:
    """Return a translated stream, and the codes of the findings."""
    direction = Direction(PROTOCOLS[provider], PROTOCOLS[client])
    translation = StreamTranslation(direction, context_of(provider))
    results = [translation.feed(Repaired(piece, EventKind.CONTENT)) for piece in pieces]
    results.append(translation.feed(Repaired(b"", EventKind.TERMINAL)))
    codes = [finding.code for result in results for finding in result.findings]
    return b"".join(result.data for result in results), codes


def violations(stream: bytes, client: WireProtocol) -> list[str]:
    grammar = PROTOCOLS[client].make_grammar(StreamContext())
    decoder = sse.Decoder()
    events = [*decoder.feed(stream), *decoder.end()]
    return [one for event in events for one in grammar.feed(event)] + grammar.end()


@pytest.mark.parametrize("provider", OTHERS)
@given(data=st.data())
def test_what_gemini_s_clients_get_is_valid(provider: WireProtocol, data: st.DataObject) -> None:
    stream = b"".join(data.draw(STREAMS[provider]()))
    out, _ = translated(provider, WireProtocol.GEMINI, [stream])
    assert violations(out, WireProtocol.GEMINI) == []
    in_chunks, _ = translated(provider, WireProtocol.GEMINI, data.draw(chunked(stream)))
    assert in_chunks == out
    for _, value in values_of(out):
        if "error" not in value:
            types.GenerateContentResponse.model_validate(value)


@pytest.mark.parametrize("client", OTHERS)
@given(data=st.data())
def test_what_clients_get_from_gemini_is_valid(client: WireProtocol, data: st.DataObject) -> None:
    stream = b"".join(data.draw(gemini_streams.valid_streams()))
    out, _ = translated(WireProtocol.GEMINI, client, [stream])
    assert violations(out, client) == []
    in_chunks, _ = translated(WireProtocol.GEMINI, client, data.draw(chunked(stream)))
    assert in_chunks == out


MUTATED = {
    GEMINI.name: gemini_streams.mutated_streams,
    ANTHROPIC: anthropic_streams.mutated_streams,
    CHAT: chat_streams.mutated_streams,
}


@pytest.mark.parametrize(
    ("provider", "client"),
    [(GEMINI.name, ANTHROPIC), (GEMINI.name, CHAT), (ANTHROPIC, GEMINI.name), (CHAT, GEMINI.name)],
)
@given(data=st.data())
def test_a_broken_stream_is_repaired_first_and_valid_behind(
    provider: WireProtocol, client: WireProtocol, data: st.DataObject
) -> None:
    repair = stream_repair(PROTOCOLS[provider], StreamContext(model="m"))
    repaired = [one for piece in data.draw(MUTATED[provider]()) for one in repair.feed(piece)]
    repaired += repair.end()
    direction = Direction(PROTOCOLS[provider], PROTOCOLS[client])
    translation = StreamTranslation(direction, context_of(provider))
    assert violations(b"".join(translation.feed(one).data for one in repaired), client) == []


# From Gemini


def read(*responses: Json, end: bool = True) -> list[AnswerEvent]:
    """Return the events of the middle form in these responses."""
    reader = TRANSLATION.make_reader(context_of(WireProtocol.GEMINI), Losses())
    events: list[AnswerEvent] = []
    decoder = sse.Decoder()
    for response in responses:
        for event in decoder.feed(sse.encode(json.dumps(response).encode())):
            events += reader.feed(event)
    return events + (reader.end() if end else [])


def candidate(*parts: Json, **members: Any) -> Json:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **members}]}


def state(signature: str, on: str) -> State:
    return State(Origin(WireProtocol.GEMINI, "h", "m"), {"thoughtSignature": signature, "on": on})


def test_thoughts_texts_and_calls_become_parts() -> None:
    call = {"functionCall": {"name": "read", "args": {"a": "é"}}, "thoughtSignature": "Q2Fs"}
    events = read(
        candidate({"text": "Hm", "thought": True}),
        candidate({"text": ".", "thought": True}, {"text": "So"}),
        candidate({"text": "", "thoughtSignature": "VGV4"}, call, finishReason="STOP"),
    )
    assert events == [
        Start(),
        PartStart(0, Thinking()),
        PartDelta(0, "Hm"),
        PartDelta(0, "."),
        PartState(0, State(Origin(GEMINI.name, "h", "m"), {"on": "thought"})),
        PartEnd(0),
        PartStart(1, Text()),
        PartDelta(1, "So"),
        PartState(1, state("VGV4", "text")),
        PartEnd(1),
        PartStart(2, Call("", "read", state=state("Q2Fs", "functionCall"))),
        PartDelta(2, '{"a":"é"}'),
        PartEnd(2),
        Stop(StopReason.CALLS, "STOP"),
        End(),
    ]


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("STOP", StopReason.END),
        ("MAX_TOKENS", StopReason.LIMIT),
        ("SAFETY", StopReason.REFUSED),
        ("RECITATION", StopReason.REFUSED),
        ("SPII", StopReason.REFUSED),
        ("A_NEW_REASON", StopReason.REFUSED),
    ],
)
def test_finish_reasons_have_a_meaning(reason: str, meaning: StopReason) -> None:
    assert read(candidate({"text": "x"}, finishReason=reason))[-2:] == [
        Stop(meaning, reason),
        End(),
    ]


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL"])
def test_a_broken_answer_is_an_error_for_other_clients(reason: str) -> None:
    [*_, failure] = read(candidate({"text": "x"}, finishReason=reason, finishMessage="Why"))
    assert isinstance(failure, Failure)
    assert (failure.error.status, failure.error.code, failure.error.message) == (502, reason, "Why")


def test_a_refused_prompt_is_a_refusal() -> None:
    [start, stop, end] = read({"promptFeedback": {"blockReason": "SAFETY"}})
    assert (start, end) == (Start(), End())
    assert isinstance(stop, Stop)
    assert (stop.reason, stop.word) == (StopReason.REFUSED, "SAFETY")


def test_a_stream_without_a_finish_reason_is_an_error() -> None:
    assert isinstance(read(candidate({"text": "x"}))[-1], Failure)
    assert isinstance(read()[-1], Failure)


def test_content_voids_the_finish_reason_before_it() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    events = read(candidate(code, finishReason="STOP"), candidate({"text": "x"}))
    assert isinstance(events[-1], Failure)


def test_counts_are_those_of_the_middle_form() -> None:
    counts = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 5,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 115,
    }
    events = read(candidate({"text": "x"}, finishReason="STOP") | {"usageMetadata": counts})
    [usage] = [event.usage for event in events if isinstance(event, UsageCounts)]
    assert usage == Usage(input_tokens=105, output_tokens=10, cached_tokens=40, reasoning_tokens=3)


def test_streamed_arguments_are_put_together() -> None:
    def piece(path: str, **value: Any) -> Json:
        args = [{"jsonPath": path, **value}]
        return candidate({"functionCall": {"partialArgs": args, "willContinue": True}})

    events = read(
        candidate({"functionCall": {"name": "read", "willContinue": True}}),
        piece("$.path", stringValue="a/"),
        piece("$.path", stringValue="b"),
        piece("$.lines[1].to", numberValue=7),
        piece("$['odd.key']", boolValue=True),
        piece("$.nothing", nullValue="NULL_VALUE"),
        candidate({"functionCall": {}}),
        candidate(finishReason="STOP"),
    )
    [arguments] = [event.text for event in events if isinstance(event, PartDelta)]
    assert json.loads(arguments) == {
        "path": "a/b",
        "lines": [None, {"to": 7}],
        "odd.key": True,
        "nothing": None,
    }


def test_code_assist_wraps_each_response() -> None:
    events = read({"response": candidate({"text": "x"}, finishReason="STOP"), "traceId": "t"})
    assert PartDelta(0, "x") in events


def test_sources_are_citations_of_the_text() -> None:
    web = {"groundingChunks": [{"web": {"uri": "https://e.org", "title": "E"}}]}
    metadata = {**web, "webSearchQueries": ["a", "b"]}
    events = read(
        candidate({"text": "x"}, groundingMetadata=metadata),
        candidate(finishReason="STOP", groundingMetadata=metadata),
    )
    page = Citation("https://e.org", "E")
    assert [one.citation for one in events if isinstance(one, PartCitation)] == [page]
    parts = [one.part for one in events if isinstance(one, PartStart)]
    assert parts[1:] == [
        ServerCall("search", "web_search"),
        ServerResult("search", "web_search", (page,)),
    ]
    assert PartDelta(1, '{"query":"a; b"}') in events


def test_a_search_is_one_of_the_provider_for_anthropic_s_clients() -> None:
    web = {"groundingChunks": [{"web": {"uri": "https://e.org", "title": "E"}}]}
    stream = stream_of(candidate({"text": "x"}, finishReason="STOP", groundingMetadata=web))
    blocks = whole_for(ANTHROPIC, stream)["content"]
    assert [block["type"] for block in blocks] == [
        "text",
        "server_tool_use",
        "web_search_tool_result",
    ]
    assert blocks[2]["content"][0]["url"] == "https://e.org"
    out, _ = translated(GEMINI.name, GEMINI.name, [stream])
    [finish] = [
        one
        for _, value in values_of(out)
        for one in value["candidates"]
        if "groundingMetadata" in one
    ]
    assert finish["groundingMetadata"] == web
    assert parts_of([value for _, value in values_of(out)]) == [{"text": "x"}]


# To Gemini's clients


def lost(losses: Losses) -> list[Loss]:
    """Return what was lost, apart from counts: the answers here have none."""
    return [loss for loss in losses.taken() if loss.kind is not LossKind.ANSWER_USAGE]


def written(*events: AnswerEvent, **facts: Any) -> tuple[list[Json], Losses]:
    """Return the responses that a client of Gemini gets for these events."""
    losses = Losses()
    writer = TRANSLATION.make_writer(context_of(ANTHROPIC, **facts), losses)
    stream = b"".join(map(writer.feed, events))
    assert [one for event in sse.Decoder().feed(stream) for one in Grammar().feed(event)] == []
    return [value for _, value in values_of(stream)], losses


def parts_of(responses: list[Json]) -> list[Json]:
    candidates = [one for response in responses for one in response.get("candidates", ())]
    return [part for one in candidates for part in one.get("content", {}).get("parts", ())]


STATE = State(Origin(ANTHROPIC, "h", "m"), {"signature": "Sig"})
END = (Stop(StopReason.END), End())


def test_the_model_is_named_as_asked_and_the_last_event_has_reason_and_counts() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
    responses, _ = written(
        Start("id", "other"), PartStart(0, Text()), PartDelta(0, "x"), PartEnd(0),
        UsageCounts(usage), *END,
    )  # fmt: skip
    assert {response["modelVersion"] for response in responses} == {"asked"}
    assert responses[-1]["candidates"] == [{"finishReason": "STOP", "index": 0}]
    assert responses[-1]["usageMetadata"] == {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 15,
    }


def test_calls_are_whole_named_as_the_client_named_them_and_have_ids() -> None:
    responses, _ = written(
        Start(),
        PartStart(0, Call("t", "sent")),
        PartStart(1, Call("t", "read")),
        PartDelta(0, '{"a":'),
        PartDelta(1, "{}"),
        PartDelta(0, "1}"),
        PartEnd(1),
        PartEnd(0),
        *END,
        tools={"sent": SentTool("own name")},
    )
    calls = [part["functionCall"] for part in parts_of(responses)]
    assert [(one["name"], one["args"]) for one in calls] == [("own name", {"a": 1}), ("read", {})]
    assert len({one["id"] for one in calls}) == 2
    assert responses[-1]["candidates"][0]["finishReason"] == "STOP"


def broken_call(reason: StopReason) -> tuple[list[Json], Losses]:
    call = (PartStart(0, Call("t", "read")), PartDelta(0, '{"a'), PartEnd(0))
    return written(Start(), *call, Stop(reason), End())


def test_a_call_that_is_no_json_is_a_malformed_one() -> None:
    responses, losses = broken_call(StopReason.CALLS)
    assert parts_of(responses) == []
    assert responses[-1]["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert [loss.kind for loss in lost(losses)] == [LossKind.ANSWER_CALL]


def test_the_input_of_a_custom_tool_is_an_argument() -> None:
    call = Call("t", "patch", kind=CallKind.CUSTOM)
    responses, _ = written(Start(), PartStart(0, call), PartDelta(0, "*** Begin"), PartEnd(0), *END)
    [part] = parts_of(responses)
    assert part["functionCall"]["args"] == {"input": "*** Begin"}


def test_a_call_that_the_limit_cut_is_dropped() -> None:
    responses, losses = broken_call(StopReason.LIMIT)
    assert responses[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert [loss.kind for loss in lost(losses)] == [LossKind.ANSWER_CALL]


def test_a_refusal_is_text_with_a_reason() -> None:
    refusal = (PartStart(0, Refusal()), PartDelta(0, "No."), PartEnd(0))
    responses, _ = written(Start(), *refusal, *END)
    assert parts_of(responses) == [{"text": "No."}]
    assert responses[-1]["candidates"][0]["finishReason"] == "SAFETY"


def test_the_pages_of_a_search_are_the_last_event_s_grounding() -> None:
    result = ServerResult("s", "web_search", (Citation("https://e.org", "E"),))
    responses, losses = written(Start(), PartStart(0, result), PartEnd(0), *END)
    [last] = responses[-1]["candidates"]
    chunks = last["groundingMetadata"]["groundingChunks"]
    assert chunks == [{"web": {"uri": "https://e.org", "title": "E"}}]
    assert lost(losses) == []


def test_an_error_is_in_google_s_envelope() -> None:
    error = make_error(status=429, message="Slow down.", retry_after_seconds=3)
    [response], _ = written(Failure(error))
    assert response["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert response["error"]["details"][-1]["retryDelay"] == "3s"


def test_a_client_of_code_assist_reads_a_wrapper() -> None:
    responses, _ = written(Start(), *END, request={"request": {"contents": []}})
    assert [set(response) for response in responses] == [{"response"}]


# Reasoning of another provider


def returned(responses: list[Json]) -> list[Json]:
    """Return the parts that Gemini CLI sends back: no thoughts, joined texts."""
    kept: list[Json] = []
    for part in parts_of(responses):
        if part.get("thought"):
            continue
        if kept and "text" in part and "text" in kept[-1]:
            kept[-1]["text"] += part["text"]
        else:
            kept.append(dict(part))
    return kept


THINKING = (
    PartStart(0, Thinking()),
    PartDelta(0, "First "),
    PartDelta(0, "thought."),
    PartState(0, STATE),
    PartEnd(0),
)
REDACTED = (
    PartStart(1, Thinking(state=State(STATE.origin, {"data": "Red"}))),
    PartEnd(1),
)
TEXT = (PartStart(2, Text()), PartDelta(2, "x"), PartDelta(2, "y"), PartEnd(2))
CALL = (PartStart(3, Call("t", "read")), PartEnd(3))


@pytest.mark.parametrize("behind", [(*TEXT, *CALL), CALL, TEXT, ()], ids=len)
def test_reasoning_returns_with_the_next_part(behind: tuple[AnswerEvent, ...]) -> None:
    responses, _ = written(Start(), *THINKING, *REDACTED, *behind, *END)
    parts = returned(responses)
    user = {"role": "user", "parts": [{"text": "go"}]}
    body = {"contents": [user, {"role": "model", "parts": parts}]}
    conversation = TRANSLATION.read_request("/v1beta/models/m:generateContent", body)
    thoughts = [part for part in conversation.turns[1].parts if isinstance(part, Thinking)]
    assert [(one.text, one.state) for one in thoughts] == [
        ("First thought.", STATE),
        ("", State(STATE.origin, {"data": "Red"})),
    ]
    assert isinstance(conversation.turns[1].parts[0], Thinking)


def test_a_provider_gets_its_own_reasoning_and_another_one_does_not() -> None:
    responses, _ = written(Start(), *THINKING, *TEXT, *CALL, *END)
    user = {"role": "user", "parts": [{"text": "go"}]}
    body = {"contents": [user, {"role": "model", "parts": returned(responses)}, user]}
    conversation = TRANSLATION.read_request("/v1beta/models/m:generateContent", body)
    writing = PROTOCOLS[ANTHROPIC].translation
    assert writing is not None
    for host, is_shown in (("h", True), ("elsewhere", False)):
        target = Target(origin=Origin(ANTHROPIC, host, "m"))
        request = writing.write_request(conversation, target, Losses()).body
        assert (b'"signature":"Sig"' in request) is is_shown
    own = TRANSLATION.write_request(conversation, Target(origin=Origin(GEMINI.name)), Losses())
    assert b"thoughtSignature" not in own.body


@pytest.mark.parametrize("cut", [1, 2, 3, 40, 43])
def test_a_broken_envelope_does_no_harm(cut: int) -> None:
    responses, _ = written(Start(), *THINKING, *TEXT, *END)
    [part] = returned(responses)
    part["thoughtSignature"] = part["thoughtSignature"][:-cut]
    body = {"contents": [{"role": "model", "parts": [part]}]}
    conversation = TRANSLATION.read_request("/v1beta/models/m:generateContent", body)
    [found] = conversation.turns[0].parts
    assert (type(found), found.state) == (Text, None)


def test_too_much_reasoning_is_not_carried_but_its_state_is() -> None:
    thinking = (
        PartStart(0, Thinking()),
        PartDelta(0, "x" * 300_000),
        PartState(0, STATE),
        PartEnd(0),
    )
    responses, losses = written(Start(), *thinking, *TEXT, *END)
    body = {"contents": [{"role": "model", "parts": returned(responses)}]}
    conversation = TRANSLATION.read_request("/v1beta/models/m:generateContent", body)
    assert conversation.turns[0].parts[0] == Thinking("", STATE)
    assert [loss.kind for loss in lost(losses)] == [LossKind.ANSWER_STATE]


# Gemini's signatures


def stream_of(*responses: Json) -> bytes:
    return b"".join(sse.encode(json.dumps(response).encode()) for response in responses)


def whole_for(client: WireProtocol, stream: bytes) -> Json:
    """Return the answer that a client puts together."""
    out, _ = translated(GEMINI.name, client, [stream])
    folded = PROTOCOLS[client].fold([one for _, one in values_of(out) if isinstance(one, dict)])
    assert folded is not None
    return folded


def history_of(client: WireProtocol, answer: Json) -> Json:
    """Return the next request of a client that returns an answer as it is."""
    ask = {"role": "user", "content": "go"}
    if client is CHAT:
        message = answer["choices"][0]["message"]
        calls = message.get("tool_calls", ())
        results = [{"role": "tool", "tool_call_id": one["id"], "content": "ok"} for one in calls]
        return {"model": "asked", "messages": [ask, message, *results]}
    if client is WireProtocol.RESPONSES:
        items = answer["output"]
        ids = [item["call_id"] for item in items if item["type"] == "function_call"]
        results = [{"type": "function_call_output", "call_id": one, "output": "ok"} for one in ids]
        return {"model": "asked", "input": [ask, *items, *results]}
    uses = [block for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "ok"} for one in uses]
    said = {"role": "assistant", "content": answer["content"]}
    last = {"role": "user", "content": results} if results else ask
    return {"model": "asked", "messages": [ask, said, last]}


SIGNED = stream_of(
    candidate({"text": "Hm", "thought": True}),
    candidate({"text": "So"}, {"text": ".", "thoughtSignature": "VGV4"}),
    candidate(
        {"functionCall": {"name": "read", "args": {"a": 1}}, "thoughtSignature": "Q2Fs"},
        {"functionCall": {"name": "read", "args": {"a": 2}}},
        finishReason="STOP",
    ),
)


@pytest.mark.parametrize("client", OTHERS)
def test_a_signature_of_a_call_returns_through_other_clients(client: WireProtocol) -> None:
    body = history_of(client, whole_for(client, SIGNED))
    for host, signature in (("h", "Q2Fs"), ("elsewhere", None)):
        target = Target(origin=Origin(GEMINI.name, host, "m"))
        result = translate_request(PROTOCOLS[client], "/v1/x", body, GEMINI, target)
        model = json.loads(result.body)["contents"][1]
        calls = [part for part in model["parts"] if "functionCall" in part]
        assert [part["functionCall"]["args"] for part in calls] == [{"a": 1}, {"a": 2}]
        assert [part.get("thoughtSignature") for part in calls] == [signature, None]
        is_reported = "X106" in [finding.code for finding in result.findings]
        assert is_reported is (signature is None)
        assert "".join(part.get("text", "") for part in model["parts"]) == "So."


def test_a_signature_of_a_text_returns_through_anthropic_s_clients() -> None:
    body = history_of(ANTHROPIC, whole_for(ANTHROPIC, SIGNED))
    target = Target(origin=Origin(GEMINI.name, "h", "m"))
    result = translate_request(PROTOCOLS[ANTHROPIC], "/v1/messages", body, GEMINI, target)
    parts = json.loads(result.body)["contents"][1]["parts"]
    assert parts[:2] == [{"text": "So."}, {"text": "", "thoughtSignature": "VGV4"}]


def test_the_last_block_for_anthropic_s_clients_is_the_text_and_not_its_signature() -> None:
    """`claude -p` prints nothing if the last block is no text."""
    text = {"text": "So.", "thoughtSignature": "VGV4"}
    answer = stream_of(candidate({"text": "So"}), candidate(text, finishReason="STOP"))
    _, losses = translated(GEMINI.name, ANTHROPIC, [answer])
    kinds = [block["type"] for block in whole_for(ANTHROPIC, answer)["content"]]
    assert kinds == ["text"]
    assert "X202" in losses


def test_the_count_of_the_prompt_is_at_the_start_for_anthropic_s_clients() -> None:
    counts = {"promptTokenCount": 77, "cachedContentTokenCount": 7, "candidatesTokenCount": 1}
    stream = stream_of(candidate({"text": "x"}, finishReason="STOP") | {"usageMetadata": counts})
    out, _ = translated(GEMINI.name, ANTHROPIC, [stream])
    start = next(value for kind, value in values_of(out) if kind == "message_start")
    assert start["message"]["usage"]["input_tokens"] == 70
    assert start["message"]["model"] == "asked"


# Whole answers


@pytest.mark.parametrize("client", OTHERS)
@given(data=st.data())
def test_a_whole_answer_is_the_fold_of_the_stream(
    client: WireProtocol, data: st.DataObject
) -> None:
    stream = b"".join(data.draw(gemini_streams.valid_streams()))
    body = GEMINI.fold([value for _, value in values_of(stream) if "error" not in value])
    if body is None:
        return
    direction = Direction(GEMINI, PROTOCOLS[client])
    whole = translate_body(direction, body, context_of(GEMINI.name))
    streamed, _ = translated(GEMINI.name, client, GEMINI.unfold(body))
    folded = PROTOCOLS[client].fold(
        [value for _, value in values_of(streamed) if isinstance(value, dict)]
    )
    if whole.error is None:
        assert json.loads(whole.data) == folded


@pytest.mark.parametrize("provider", OTHERS)
@given(data=st.data())
def test_a_whole_answer_for_gemini_s_clients_is_one_of_the_sdk(
    provider: WireProtocol, data: st.DataObject
) -> None:
    stream = b"".join(data.draw(STREAMS[provider]()))
    values = [value for _, value in values_of(stream) if isinstance(value, dict)]
    body = PROTOCOLS[provider].fold(values)
    if body is None:
        return
    direction = Direction(PROTOCOLS[provider], GEMINI)
    whole = translate_body(direction, body, context_of(provider))
    streamed, _ = translated(provider, GEMINI.name, PROTOCOLS[provider].unfold(body))
    if whole.error is None:
        response = json.loads(whole.data)
        assert response == GEMINI.fold([value for _, value in values_of(streamed)])
        types.GenerateContentResponse.model_validate(response)


# The framing of a client without `alt=sse`


@pytest.mark.parametrize("provider", OTHERS)
@given(data=st.data())
def test_an_array_has_the_events_as_elements(provider: WireProtocol, data: st.DataObject) -> None:
    stream = b"".join(data.draw(STREAMS[provider]()))
    out, _ = translated(provider, GEMINI.name, [stream])
    array = ArrayStream()
    text = b"".join([*map(array.feed, data.draw(chunked(out))), array.end(), array.end()])
    assert json.loads(text) == [value for _, value in values_of(out)]
    decoder, grammar = ArrayDecoder(), Grammar(True)
    events = [*decoder.feed(text), *decoder.end()]
    assert [one for event in events for one in grammar.feed(event)] + grammar.end() == []


def test_an_array_without_events_is_empty_and_can_be_kept_alive() -> None:
    array = ArrayStream()
    assert array.feed(b"\n\n") + array.end() == b"[]"
    array = ArrayStream()
    assert array.feed(b"data: {}\n\n\n\n") + array.end() == b"[{}\n\n]"
