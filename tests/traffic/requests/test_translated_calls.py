"""Tests of calls that another protocol's provider answers: official SDKs through a real proxy."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from google.genai.types import GenerateContentResponse
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import complete, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, Proxy

OTHER_KEY = "sk-test-DO-NOT-LOG-other-provider"
A, C, R, G = good.ANTHROPIC, good.CHAT, good.RESPONSES, good.GEMINI
NAMES = {A: "anthropic", C: "chat", R: "responses", G: "gemini"}
PATHS = {
    A: {"/zen/go/v1/messages"},
    C: {"/zen/go/v1/chat/completions"},
    R: {"/zen/go/v1/responses"},
    G: {
        "/zen/go/v1beta/models/kimi-k3:streamGenerateContent?alt=sse",
        "/zen/go/v1beta/models/kimi-k3:generateContent",
    },
}
KEYS = {
    A: ("x-api-key", OTHER_KEY),
    C: ("authorization", f"Bearer {OTHER_KEY}"),
    R: ("authorization", f"Bearer {OTHER_KEY}"),
    G: ("x-goog-api-key", OTHER_KEY),
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: dict[WireProtocol, dict[str, Any]] = {
    A: {"name": good.TOOL_NAME, "description": "Weather.", "input_schema": SCHEMA},
    C: {"type": "function", "function": {"name": good.TOOL_NAME, "parameters": SCHEMA}},
    R: {"type": "function", "name": good.TOOL_NAME, "parameters": SCHEMA, "strict": False},
    G: {"name": good.TOOL_NAME, "description": "Weather.", "parameters_json_schema": SCHEMA},
}
DIRECTIONS = [
    pytest.param(client, provider, id=f"{NAMES[client]} at {NAMES[provider]}")
    for client in WireProtocol
    for provider in WireProtocol
    if client is not provider
]
RETRIED = ("overloaded", "error first", "cut before content", "error in 200")
STREAMING = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def start(start_proxy: Callable[..., Proxy], provider: WireProtocol, more: str = "") -> Proxy:
    """Start a proxy that sends every call to a provider of this protocol, with more settings."""
    configuration = f"""{QUICK_RETRIES}
[[models]]
match = "*"
model = "kimi-k3"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}/zen/go"
protocol = {{ "minimax-*" = "anthropic", "*" = "{NAMES[provider]}" }}
api_key = "${{OTHER_API_KEY}}"
{more}
"""
    return start_proxy(
        scripts=SHARED, configuration=configuration, environment={"OTHER_API_KEY": OTHER_KEY}
    )


def tool_call(protocol: WireProtocol, stream: bool) -> Reply:
    if stream:
        return faults.streamed(good.tool_stream(protocol).events)
    return faults.whole(good.json_tool_body(protocol))


@pytest.mark.first_row
@STREAMING
@pytest.mark.parametrize(("client", "spoken"), DIRECTIONS)
def test_a_client_gets_text_and_calls_from_a_provider_of_another_protocol(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    client: WireProtocol,
    spoken: WireProtocol,
    stream: bool,
) -> None:
    proxy = start(start_proxy, spoken)
    origin.script([faults.none(spoken, stream), tool_call(spoken, stream)])
    with clients.environment(clients.behind(proxy)):
        said = complete(client, stream)
        called = complete(client, stream, tools=[TOOLS[client]])
    assert (said.error_class, said.message) == ("", "")
    assert (said.text, said.finished) == (good.TEXT, True)
    assert (called.error_class, called.message) == ("", "")
    assert (called.tool_calls, called.finished) == (good.TOOL_CALLS, True)
    assert provider.received == []
    for received in origin.received:
        assert received.path in PATHS[spoken]
        name, value = KEYS[spoken]
        assert received.header(name) == value
        everything = repr((received.path, received.headers, received.body))
        assert KEY not in everything
        assert "kimi-k3" in received.path + received.body.decode()
        assert bool(received.header("anthropic-version")) is (spoken is A)


@STREAMING
@pytest.mark.parametrize(("client", "spoken"), DIRECTIONS)
@pytest.mark.parametrize(
    "fault", ["overloaded", "error first", "cut before content", "error in 200"]
)
def test_a_failure_is_retried_without_the_client_noticing(
    start_proxy: Callable[..., Proxy],
    origin: ScriptedProvider,
    client: WireProtocol,
    spoken: WireProtocol,
    stream: bool,
    fault: str,
) -> None:
    failure = {
        "overloaded": faults.overloaded(spoken),
        "error first": faults.wrapped_error_first(spoken),
        "cut before content": faults.cut_without_terminal_event(spoken, after=1),
        "error in 200": faults.error_inside_200(spoken),
    }[fault]
    if not stream and fault in ("error first", "cut before content"):
        pytest.skip("a fault of streams")
    if fault == "cut before content" and spoken is G:
        pytest.skip("its first event has content")
    proxy = start(start_proxy, spoken)
    origin.script([failure, faults.none(spoken, stream)])
    with clients.environment(clients.behind(proxy)):
        outcome = complete(client, stream)
    assert (outcome.error_class, outcome.text) == ("", good.TEXT)
    assert len(origin.received) == 2


@pytest.mark.parametrize(("client", "spoken"), DIRECTIONS)
@pytest.mark.parametrize("fault", ["error", "end"])
def test_a_failure_behind_content_is_an_error_in_the_protocol_of_the_client(
    start_proxy: Callable[..., Proxy],
    origin: ScriptedProvider,
    client: WireProtocol,
    spoken: WireProtocol,
    fault: str,
) -> None:
    proxy = start(start_proxy, spoken)
    outcome = clients.Outcome()
    events = good.text_stream(spoken)
    middle = events.places["mid_content"]
    last = {
        "error": faults.wrapped_error,
        "end": faults.end,
    }[fault]
    steps = (
        faults.head(),
        faults.chunks(events.events[:middle]),
        faults.wait_until(lambda: outcome.text != ""),
        last,
    )
    origin.script([Reply(fault, steps)])
    with clients.environment(clients.behind(proxy)):
        complete(client, True, outcome=outcome)
    assert good.TEXT.startswith(outcome.text)
    assert outcome.text
    assert outcome.error_class
    assert len(origin.received) == 1


@STREAMING
@pytest.mark.parametrize(("client", "spoken"), DIRECTIONS)
def test_a_rejection_has_the_envelope_of_the_client_and_the_words_of_the_provider(
    start_proxy: Callable[..., Proxy],
    origin: ScriptedProvider,
    client: WireProtocol,
    spoken: WireProtocol,
    stream: bool,
) -> None:
    proxy = start(start_proxy, spoken)
    body = faults.native_error(spoken, 401, "authentication_error", "no such key: blue")
    origin.script([faults.status(401, body)])
    with clients.environment(clients.behind(proxy)):
        outcome = complete(client, stream)
    assert outcome.status == 401
    assert outcome.error_class in ("AuthenticationError", "ClientError")
    assert "no such key: blue" in outcome.message


@pytest.mark.parametrize(("client", "spoken"), DIRECTIONS)
@pytest.mark.parametrize("asked", [True, False], ids=["asked for events", "asked for JSON"])
def test_an_answer_of_the_other_kind_is_converted(
    start_proxy: Callable[..., Proxy],
    origin: ScriptedProvider,
    client: WireProtocol,
    spoken: WireProtocol,
    asked: bool,
) -> None:
    proxy = start(start_proxy, spoken)
    origin.script([faults.none(spoken, not asked)])
    with clients.environment(clients.behind(proxy)):
        outcome = complete(client, asked)
    assert (outcome.error_class, outcome.text, outcome.finished) == ("", good.TEXT, True)


def test_claude_code_reads_stop_reasons_usage_and_its_own_model_name(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    import anthropic

    proxy = start(start_proxy, C)
    events = list(good.tool_stream(C).events)
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
    usage["prompt_tokens_details"] = {"cached_tokens": 60}  # type: ignore[assignment]
    chunk = {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": usage}
    events.insert(-1, b"data: " + json.dumps(chunk).encode() + b"\n\n")
    origin.script([faults.streamed(events)])
    with (
        clients.environment(clients.behind(proxy)),
        anthropic.Anthropic(max_retries=0) as client,
        client.messages.stream(
            model="claude-opus-5",
            max_tokens=64,
            messages=[{"role": "user", "content": "Hi"}],
            tools=[TOOLS[A]],  # type: ignore[list-item]
        ) as stream,
    ):
        message = stream.get_final_message()
    assert message.model == "claude-opus-5"
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens == 7
    assert message.usage.input_tokens == 40
    assert message.usage.cache_read_input_tokens == 60
    assert message.id not in ("x", "chatcmpl-test")


def test_what_cannot_be_carried_is_refused_in_the_envelope_of_the_client(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    proxy = start(start_proxy, A)
    asked = {**good.request_body(R, True), "previous_response_id": "resp_1"}
    with model_call(proxy, R, True, body=json.dumps(asked).encode()) as call:
        response = call.response()
    assert response.status == 400
    error = json.loads(response.body)["error"]
    assert error["code"] == "previous_response_not_found"
    assert "previous_response_id" in error["message"]
    assert origin.received == []


@pytest.mark.long
def test_reasoning_returns_to_the_provider_that_issued_it(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    """The client keeps it as signed thinking, like that of its own provider."""
    import anthropic

    proxy = start(start_proxy, C, 'message_rules = ["Q106"]')
    events = list(good.tool_stream(C).events)
    thought = json.dumps({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm, blue."}}]})
    events.insert(1, f"data: {thought}\n\n".encode())
    origin.script([faults.streamed(events), faults.none(C)])
    messages: list[Any] = [{"role": "user", "content": "Hi"}]
    asked: dict[str, Any] = {"model": "claude-opus-5", "max_tokens": 64, "tools": [TOOLS[A]]}
    with (
        clients.environment(clients.behind(proxy)),
        anthropic.Anthropic(max_retries=0) as client,
    ):
        with client.messages.stream(**asked, messages=messages) as first:
            answer: Any = first.get_final_message()
        thinking, call = answer.content
        assert (thinking.type, call.type) == ("thinking", "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        messages += [
            {"role": "assistant", "content": [it.to_dict() for it in answer.content]},
            {"role": "user", "content": [result]},
        ]
        with client.messages.stream(**asked, messages=messages) as second:
            assert second.get_final_text() == good.TEXT
    sent = [received.json()["messages"] for received in origin.received]
    assert sent[1][: len(sent[0])] == sent[0]
    user, assistant, tool = sent[1]
    assert user == {"role": "user", "content": "Hi"}
    assert assistant["reasoning_content"] == "Hm, blue."
    [sent_call] = assistant["tool_calls"]
    assert sent_call["function"]["name"] == good.TOOL_NAME
    assert json.loads(sent_call["function"]["arguments"]) == good.TOOL_ARGUMENTS
    assert tool == {"role": "tool", "tool_call_id": sent_call["id"], "content": "sunny"}
    assert "thinking" not in json.dumps(sent)


@pytest.mark.long
def test_what_a_provider_refuses_is_learnt_for_translated_calls_too(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    proxy = start(start_proxy, C, "# learns")
    refusal = faults.native_error(
        C, 400, "invalid_request_error", "Unrecognized request argument supplied: stream_options"
    )
    origin.script([faults.status(400, refusal), faults.none(C), faults.none(C)])
    with clients.environment(clients.behind(proxy)):
        assert complete(A, True).text == good.TEXT
        assert complete(A, True).text == good.TEXT
    has_options = ["stream_options" in received.json() for received in origin.received]
    assert has_options == [True, False, False]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_search_of_claude_code_is_answered_as_unavailable(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider, stream: bool
) -> None:
    proxy = start(start_proxy, C)
    asked = {
        **good.request_body(A, stream),
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
        "tool_choice": {"type": "tool", "name": "web_search"},
    }
    with model_call(proxy, A, stream, body=json.dumps(asked).encode()) as call:
        response = call.response()
    assert response.status == 200
    assert b"web_search_tool_result_error" in response.body
    assert b"unavailable" in response.body
    assert (b"message_stop" in response.body) is stream
    assert origin.received == []


@pytest.mark.long
@pytest.mark.parametrize("client", [A, C, R, G], ids=NAMES.values())
def test_a_fallback_may_have_another_protocol(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    client: WireProtocol,
) -> None:
    """The client's own provider is asked first, without a translation."""
    spoken = C if client is A else A
    configuration = f"""{QUICK_RETRIES}
[[models]]
match = "*"
fallback = ["other/kimi-k3"]

[providers.other]
base_url = "https://{ORIGIN_HOST}"
protocol = "{NAMES[spoken]}"
api_key = "${{OTHER_API_KEY}}"
"""
    proxy = start_proxy(
        scripts=SHARED, configuration=configuration, environment={"OTHER_API_KEY": OTHER_KEY}
    )
    message = faults.native_error(client, 404, "not_found_error", "no such model")
    provider.script([faults.status(404, message)])
    origin.script([faults.overloaded(spoken), tool_call(spoken, True)])
    with clients.environment(clients.behind(proxy)):
        outcome = complete(client, True, tools=[TOOLS[client]])
    assert (outcome.error_class, outcome.tool_calls) == ("", good.TOOL_CALLS)
    assert (len(provider.received), len(origin.received)) == (1, 2)
    assert KEY not in repr([(it.path, it.headers, it.body) for it in origin.received])


def test_events_are_sent_as_they_arrive_and_a_cancelled_call_ends_upstream(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    proxy = start(start_proxy, C)
    line = len(proxy.lines)
    origin.script([faults.stall_mid_stream(C)])
    with model_call(proxy, A, True) as call:
        [received] = origin.wait_for_requests(1)
        call.read_until(b"content_block_delta")
        call.close()
        assert received.wait_until_closed()
    proxy.wait_for_line("cancelled by client", start=line)


ARRAY_PATH = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
at_each_other = pytest.mark.parametrize("spoken", [A, C, R], ids=NAMES.get)


def ask_for_array(client: clients.RawCall) -> None:
    headers = {"x-goog-api-key": KEY, "content-type": "application/json"}
    client.send("POST", ARRAY_PATH, headers, json.dumps(good.request_body(G, True)).encode())


def parts_of(elements: list[Any]) -> list[Any]:
    """The parts in an answer, after validation by the SDK's types."""
    responses = [GenerateContentResponse.model_validate(element) for element in elements]
    candidates = [one for response in responses for one in response.candidates or ()]
    return [part for one in candidates if one.content for part in one.content.parts or ()]


@at_each_other
def test_a_gemini_client_without_sse_gets_an_array(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider, spoken: WireProtocol
) -> None:
    proxy = start(start_proxy, spoken)
    origin.script([faults.none(spoken), tool_call(spoken, True)])
    found = []
    for _ in range(2):
        with clients.HTTP_VERSIONS["HTTP/1.1"](proxy, good.HOSTS[G]) as client:
            ask_for_array(client)
            response = client.response()
        assert (response.header("content-type"), response.ended) == ("application/json", "complete")
        found.append(parts_of(json.loads(response.body)))
    said, called = found
    assert "".join(part.text or "" for part in said) == good.TEXT
    calls = [part.function_call for part in called if part.function_call]
    assert tuple((call.name, call.args) for call in calls) == good.TOOL_CALLS


@at_each_other
def test_elements_of_an_array_leave_as_they_come_and_an_error_closes_it(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider, spoken: WireProtocol
) -> None:
    proxy = start(start_proxy, spoken)
    arrived = threading.Event()
    events = good.text_stream(spoken)
    steps = (
        faults.head(),
        faults.chunks(events.events[: events.places["mid_content"]]),
        faults.wait_until(arrived.is_set),
        faults.wrapped_error,
    )
    origin.script([Reply("error in the middle", steps)])
    with clients.HTTP_VERSIONS["HTTP/1.1"](proxy, good.HOSTS[G]) as client:
        ask_for_array(client)
        client.read_until(b'"text":')
        arrived.set()
        response = client.response()
    *elements, last = json.loads(response.body)
    assert good.TEXT.startswith("".join(part.text or "" for part in parts_of(elements)))
    assert elements
    assert last["error"]["status"] in ("UNAVAILABLE", "INTERNAL")


@pytest.mark.parametrize("spoken", [A, C, G], ids=NAMES.get)
def test_a_conversation_is_compacted_by_a_provider_of_another_protocol(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider, spoken: WireProtocol
) -> None:
    """Codex: `POST /responses/compact`, and the next call with what it returned."""
    proxy = start(start_proxy, spoken)
    origin.script([faults.whole(good.json_body(spoken)), faults.none(spoken)])
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    with clients.HTTP_VERSIONS["HTTP/1.1"](proxy, good.HOSTS[R]) as client:
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        body = json.dumps({"model": "gpt-5", "input": [said], "instructions": "Be brief."})
        client.send("POST", "/v1/responses/compact", headers, body.encode())
        compacted = client.response()
    assert compacted.status == 200, compacted.body
    output = json.loads(compacted.body)["output"]
    assert [item["type"] for item in output] == ["message", "compaction"]
    assert output[0] == said
    later = {**good.request_body(R, True), "input": [*output, said]}
    with model_call(proxy, R, True, body=json.dumps(later).encode()) as call:
        assert call.response().status == 200
    first, second = (received.body.decode() for received in origin.received)
    assert "Summarize" in first
    assert good.TEXT in json.dumps(json.loads(second), ensure_ascii=False)
