"""Faults that other translators had with Responses, and what Codex needs."""

from typing import Any

import orjson
import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.middle.interface import SentTool
from wiremend.protocols.base.middle.state import PREFIX, Origin, State, seal, unseal
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.rules.rule import Notes
from wiremend.translate.answer import Direction, translate_body
from wiremend.translate.returned_state import without_envelopes

from translate.directions import context_of, target_of, through, values_of, violations, whole
from translate.test_responses_requests import sent, translated

type Json = dict[str, Any]

PROVIDERS = {"anthropic": ANTHROPIC, "chat": CHAT}
each_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
EXEC: Json = {
    "type": "custom",
    "name": "exec",
    "description": "Runs code.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"},
}
CODEX_TOOLS: list[Json] = [
    {"type": "function", "name": "exec_command", "parameters": {"type": "object"}, "strict": False},
    {"type": "namespace", "name": "functions", "description": "d", "tools": [EXEC]},
    {"type": "web_search", "external_web_access": False},
]


def message(role: str, text: str) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def call(number: int, name: str = "exec_command", **more: Any) -> Json:
    fields = {"call_id": f"call_{number}", "name": name, "arguments": "{}"}
    return {"type": "function_call", **fields, **more}


def output(number: int, text: Any = "ok") -> Json:
    return {"type": "function_call_output", "call_id": f"call_{number}", "output": text}


def request(*items: Json, **more: Any) -> Json:
    return {"model": "m", "input": list(items), "tools": CODEX_TOOLS, **more}


def messages(provider: Protocol, *items: Json, **more: Any) -> list[Json]:
    sent_messages: list[Json] = sent(RESPONSES, request(*items, **more), provider)["messages"]
    return sent_messages


# Streams of providers


def chat_stream(*deltas: Json, finish: str = "stop") -> bytes:
    chunks = [{"delta": delta} for delta in deltas] + [{"delta": {}, "finish_reason": finish}]
    lines = [
        orjson.dumps(
            {
                "id": "c1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "finish_reason": None, **chunk}],
            }
        )
        for chunk in chunks
    ]
    return b"".join(b"data: " + line + b"\n\n" for line in [*lines, b"[DONE]"])


def chat_call(name: str, *pieces: str, index: int = 0) -> list[Json]:
    start = {"index": index, "id": f"call_{index}", "type": "function"}
    first = {"tool_calls": [{**start, "function": {"name": name, "arguments": ""}}]}
    return [
        first,
        *({"tool_calls": [{"index": index, "function": {"arguments": one}}]} for one in pieces),
    ]


def anthropic_stream(*blocks: tuple[Json, list[Json]], stop: str = "end_turn") -> bytes:
    start = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": []}
    usage = {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2}
    start |= {"stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": start}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None}
    counts = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    events.append({"type": "message_delta", "delta": delta, "usage": counts})
    events.append({"type": "message_stop"})
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
        for event in events
    )


def for_responses(provider: Protocol, stream: bytes, **context: Any) -> Json:
    """The response that the client receives; the stream is valid."""
    data, _ = through(Direction(provider, RESPONSES), [stream], **context)
    assert violations(RESPONSES, data) == []
    return whole(RESPONSES, data)


def types(response: Json) -> list[str]:
    return [item["type"] for item in response["output"]]


# Requests of Codex


@each_provider
def test_custom_and_namespaced_tools_become_functions(provider: Protocol) -> None:
    result = translated(RESPONSES, request(message("user", "hi")), provider)
    body = orjson.loads(result.body)
    tools = [tool.get("function", tool) for tool in body["tools"]]
    assert [tool["name"] for tool in tools] == ["exec_command", "functions__exec"]
    schema = tools[1].get("parameters", tools[1].get("input_schema"))
    assert schema["required"] == ["input"]
    assert "start: /.+/s" in tools[1]["description"]
    assert any("web_search" in finding.found for finding in result.findings)


def test_tools_that_an_item_defines_are_read() -> None:
    tools = {"type": "additional_tools", "role": "developer", "tools": CODEX_TOOLS}
    body = sent(
        RESPONSES, {"model": "m", "input": [tools, message("developer", "Be brief.")]}, CHAT
    )
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert names == ["exec_command", "functions__exec"]
    assert body["messages"] == [{"role": "system", "content": "Be brief."}]


def test_the_keyword_encrypted_is_not_sent() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "encrypted": True}}}
    tools = [{"type": "function", "name": "f", "parameters": schema}]
    body = sent(RESPONSES, {"model": "m", "input": "hi", "tools": tools}, CHAT)
    parameters = body["tools"][0]["function"]["parameters"]
    assert parameters["properties"] == {"a": {"type": "string"}}


@pytest.mark.parametrize("parameters", [{}, {"parameters": None}])
def test_a_function_without_parameters_has_an_empty_schema(parameters: Json) -> None:
    tools = [{"type": "function", "name": "f", **parameters}]
    body = sent(RESPONSES, {"model": "m", "input": "hi", "tools": tools}, ANTHROPIC)
    assert body["tools"][0]["input_schema"]["type"] == "object"


@each_provider
def test_calls_of_custom_tools_are_in_the_history(provider: Protocol) -> None:
    custom = {"type": "custom_tool_call", "call_id": "call_1", "name": "exec", "input": "1+1"}
    result = {"type": "custom_tool_call_output", "call_id": "call_1"}
    result["output"] = [{"type": "input_text", "text": "2"}]
    turns = messages(provider, message("user", "hi"), {**custom, "namespace": "functions"}, result)
    if provider is CHAT:
        function = turns[1]["tool_calls"][0]["function"]
        assert function == {"name": "functions__exec", "arguments": '{"input":"1+1"}'}
        assert turns[2] == {"role": "tool", "tool_call_id": "call_1", "content": "2"}
    else:
        block = turns[1]["content"][0]
        assert (block["name"], block["input"]) == ("functions__exec", {"input": "1+1"})
        assert turns[2]["content"][0]["tool_use_id"] == "call_1"


def test_messages_between_a_call_and_its_output_do_not_separate_them() -> None:
    turns = messages(
        CHAT,
        message("user", "hi"),
        call(1),
        call(2),
        message("assistant", "Working."),
        message("developer", "Note."),
        output(2, "b"),
        output(1, "a"),
        message("user", "go on"),
    )
    assert [turn["role"] for turn in turns] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "system",
        "user",
    ]
    assert turns[1]["content"] == "Working."
    assert [turn["content"] for turn in turns[2:4]] == ["a", "b"]


def test_an_image_in_an_output_follows_the_results() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    turns = messages(CHAT, message("user", "hi"), call(1), output(1, [image]))
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "user"]
    assert turns[3]["content"][-1]["image_url"]["url"] == image["image_url"]
    blocks = messages(ANTHROPIC, message("user", "hi"), call(1), output(1, [image]))[2]["content"]
    assert blocks[0]["content"][0]["source"]["data"] == "iVBORw0KGgo="


def test_an_output_without_its_call_is_text() -> None:
    turns = messages(CHAT, message("user", "hi"), output(7, "lost"))
    assert [turn["role"] for turn in turns] == ["user", "user"] or len(turns) == 1
    assert "lost" in orjson.dumps(turns).decode()
    assert "tool_call_id" not in orjson.dumps(turns).decode()


def test_reasoning_belongs_to_the_message_behind_it() -> None:
    origin = target_of(CHAT).origin
    envelope = seal(State(origin, {}))
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    turns = sent(
        RESPONSES,
        request(
            message("user", "hi"),
            message("assistant", "First."),
            message("user", "more"),
            {**reasoning, "encrypted_content": envelope},
            call(1),
            output(1),
        ),
        CHAT,
        returned_reasoning="reasoning_content",
    )["messages"]
    assert "reasoning_content" not in turns[1]
    assert turns[3]["reasoning_content"] == "hm"


@pytest.mark.parametrize(
    "encrypted", ["gAAAAAforeign", f"{PREFIX}broken", seal(State(Origin(CHAT.name, "x", "y"), {}))]
)
@each_provider
def test_reasoning_of_another_provider_is_not_sent(provider: Protocol, encrypted: str) -> None:
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": encrypted}
    body = request(message("user", "hi"), reasoning, message("assistant", "Yes."))
    result = translated(RESPONSES, body, provider)
    assert encrypted.encode() not in result.body
    assert PREFIX.encode() not in result.body


def test_reasoning_that_is_restored_is_no_finding() -> None:
    envelope = seal(State(target_of(ANTHROPIC).origin, {"signature": "sig"}))
    summary = [{"type": "summary_text", "text": text} for text in ("one", "two")]
    reasoning = {"type": "reasoning", "summary": summary, "encrypted_content": envelope}
    body = request(message("user", "hi"), reasoning, message("assistant", "Yes."))
    body |= {"tools": CODEX_TOOLS[:1], "reasoning": {"summary": "detailed"}}
    result = translated(RESPONSES, body, ANTHROPIC)
    assert not result.findings
    assert b"one\\n\\ntwo" in result.body


NEEDS: dict[str, Json] = {
    "previous_response_id": {"previous_response_id": "resp_1"},
    "conversation": {"conversation": "conv_1"},
    "background": {"background": True},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "item_reference": {"input": [{"type": "item_reference", "id": "msg_1"}]},
    "compaction": {"input": [{"type": "compaction", "encrypted_content": "gAAAAA"}]},
    "audio": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}
                ],
            }
        ]
    },
    "file": {
        "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]
    },
}


@each_provider
@pytest.mark.parametrize("name", NEEDS)
def test_what_only_the_clients_provider_has_is_refused(provider: Protocol, name: str) -> None:
    body = {"model": "m", "input": "hi", **NEEDS[name]}
    refusal = translated(RESPONSES, body, provider).refusal
    assert refusal is not None
    assert refusal.status == 400
    assert name in refusal.message


@each_provider
@pytest.mark.parametrize("name", [key for key in NEEDS if "input" not in NEEDS[key]])
def test_members_without_a_value_are_not_refused(provider: Protocol, name: str) -> None:
    body = {"model": "m", "input": "hi", name: None}
    assert translated(RESPONSES, body, provider).refusal is None


@each_provider
def test_a_forced_tool_of_the_provider_is_refused(provider: Protocol) -> None:
    body = request(message("user", "hi"), tool_choice={"type": "web_search"})
    refusal = translated(RESPONSES, body, provider).refusal
    assert refusal is not None
    assert "web_search" in refusal.message


def test_structured_output_and_choices_are_carried() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    choice = {"type": "function", "name": "exec_command"}
    body = sent(
        RESPONSES,
        request(message("user", "hi"), text={"format": form}, tool_choice=choice),
        CHAT,
    )
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert body["tool_choice"] == {"type": "function", "function": {"name": "exec_command"}}


# Answers for Codex


def context_tools(body: Json, provider: Protocol) -> dict[str, SentTool]:
    return dict(translated(RESPONSES, body, provider).tools)


def test_a_call_of_a_namespaced_custom_tool_has_its_own_words() -> None:
    tools = context_tools(request(message("user", "hi")), CHAT)
    pieces = ['{"inp', 'ut":"print(\\"é', '\\n\\")"}']
    stream = chat_stream(*chat_call("functions__exec", *pieces), finish="tool_calls")
    response = for_responses(CHAT, stream, tools=tools)
    item = response["output"][0]
    assert (item["type"], item["name"], item["namespace"]) == (
        "custom_tool_call",
        "exec",
        "functions",
    )
    assert item["input"] == 'print("é\n")'


def test_a_call_of_a_namespaced_function_has_its_namespace() -> None:
    inner = {"type": "function", "name": "wait", "parameters": {"type": "object"}}
    tools = [{"type": "namespace", "name": "clock", "description": "d", "tools": [inner]}]
    names = context_tools({"model": "m", "input": "hi", "tools": tools}, ANTHROPIC)
    block = {"type": "tool_use", "id": "t", "name": "clock__wait", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": '{"s": 1}'}
    stream = anthropic_stream((block, [delta]), stop="tool_use")
    item = for_responses(ANTHROPIC, stream, tools=names)["output"][0]
    assert (item["type"], item["name"], item["namespace"]) == ("function_call", "wait", "clock")
    assert item["arguments"] == '{"s": 1}'
    assert item["call_id"] != "t"


def test_a_call_of_a_tool_that_openai_defines_is_its_item() -> None:
    tools = [{"type": "local_shell"}]
    names = context_tools({"model": "m", "input": "hi", "tools": tools}, CHAT)
    action = {"type": "exec", "command": ["ls"], "env": {}}
    deltas = chat_call("local_shell", orjson.dumps(action).decode())
    item = for_responses(CHAT, chat_stream(*deltas, finish="tool_calls"), tools=names)["output"][0]
    assert (item["type"], item["action"], item["status"]) == (
        "local_shell_call",
        action,
        "completed",
    )


def test_custom_input_that_is_not_wrapped_is_passed() -> None:
    tools = context_tools(request(message("user", "hi")), CHAT)
    deltas = chat_call("functions__exec", '{"code":"1"}')
    data, results = through(
        Direction(CHAT, RESPONSES), [chat_stream(*deltas, finish="tool_calls")], tools=tools
    )
    assert whole(RESPONSES, data)["output"][0]["input"] == '{"code":"1"}'
    assert [finding.code for result in results for finding in result.findings]


def test_interleaved_calls_are_written_one_after_the_other() -> None:
    first, second = chat_call("a", '{"x":', "1}"), chat_call("b", '{"y":', "2}", index=1)
    mixed = [piece for pair in zip(first, second, strict=True) for piece in pair]
    data, _ = through(Direction(CHAT, RESPONSES), [chat_stream(*mixed, finish="tool_calls")])
    kinds = [value["type"] for value in values_of(data)]
    assert kinds.index("response.output_item.done") < kinds.index(
        "response.output_item.added", kinds.index("response.output_item.added") + 1
    )
    items = whole(RESPONSES, data)["output"]
    assert [item["arguments"] for item in items] == ['{"x":1}', '{"y":2}']
    assert len({item["call_id"] for item in items}) == 2


def test_calls_in_two_answers_have_different_ids() -> None:
    stream = chat_stream(*chat_call("a", "{}"), finish="tool_calls")
    ids = [
        for_responses(CHAT, stream, answer_id=answer)["output"][0]["call_id"]
        for answer in ("one", "two")
    ]
    assert ids[0] != ids[1]


def test_a_length_is_an_incomplete_response() -> None:
    response = for_responses(CHAT, chat_stream({"content": "Hel"}, finish="length"))
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


def test_a_call_that_a_limit_cut_is_incomplete() -> None:
    deltas = chat_call("a", '{"x":')
    response = for_responses(CHAT, chat_stream(*deltas, finish="length"))
    assert response["status"] == "incomplete"
    assert (response["output"][0]["status"], response["output"][0]["arguments"]) == (
        "incomplete",
        '{"x":',
    )


@pytest.mark.parametrize(
    ("provider", "stream"),
    [
        (CHAT, chat_stream({"content": "No"}, finish="content_filter")),
        (ANTHROPIC, anthropic_stream(({"type": "text", "text": "No"}, []), stop="refusal")),
    ],
    ids=["chat", "anthropic"],
)
def test_a_filtered_answer_is_incomplete(provider: Protocol, stream: bytes) -> None:
    response = for_responses(provider, stream)
    assert response["incomplete_details"] == {"reason": "content_filter"}


def test_a_refusal_is_a_refusal() -> None:
    response = for_responses(CHAT, chat_stream({"refusal": "I can't."}))
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "I can't."}]


def test_usage_has_all_details() -> None:
    stream = anthropic_stream(({"type": "text", "text": "Hi"}, []))
    assert for_responses(ANTHROPIC, stream)["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 19,
    }
    without = for_responses(CHAT, chat_stream({"content": "Hi"}))["usage"]
    assert without["input_tokens"] == 11, "the estimate"
    assert without["output_tokens_details"] == {"reasoning_tokens": 0}


def test_the_response_repeats_the_request() -> None:
    body = request(message("user", "hi"), instructions="Be brief.", temperature=0.5)
    response = for_responses(CHAT, chat_stream({"content": "Hi"}), request=body)
    assert response["model"] == "asked-model"
    assert (response["instructions"], response["tools"]) == ("Be brief.", CODEX_TOOLS)
    assert response["temperature"] == 0.5


def test_thinking_is_a_reasoning_item_with_its_state() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "sig"},
    ]
    redacted = {"type": "redacted_thinking", "data": "secret"}
    stream = anthropic_stream(
        (thinking, deltas), (redacted, []), ({"type": "text", "text": "Hi"}, [])
    )
    response = for_responses(ANTHROPIC, stream)
    assert types(response) == ["reasoning", "reasoning", "message"]
    first, second, _ = response["output"]
    assert first["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert second["summary"] == []
    items = [message("user", "hi"), first, second, response["output"][2], message("user", "more")]
    turns = messages(ANTHROPIC, *items)
    assert turns[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        redacted,
        {"type": "text", "text": "Hi"},
    ]


def test_a_web_search_of_the_provider_is_a_web_search_call() -> None:
    use = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}
    query = {"type": "input_json_delta", "partial_json": '{"query":"rain"}'}
    found = {"type": "web_search_result", "url": "https://a.b", "title": "A"}
    found |= {"encrypted_content": "x", "page_age": None}
    result = {"type": "web_search_tool_result", "tool_use_id": "srv", "content": [found]}
    citation = {"type": "web_search_result_location", "url": "https://a.b", "title": "A"}
    citation |= {"encrypted_index": "y", "cited_text": "z"}
    text = {"type": "text", "text": "", "citations": []}
    deltas = [
        {"type": "citations_delta", "citation": citation},
        {"type": "text_delta", "text": "Rain."},
    ]
    response = for_responses(
        ANTHROPIC, anthropic_stream((use, [query]), (result, []), (text, deltas))
    )
    assert types(response) == ["web_search_call", "message"]
    assert response["output"][0]["action"] == {"type": "search", "query": "rain"}
    assert response["output"][1]["content"][0]["annotations"] == [
        {
            "type": "url_citation",
            "start_index": 0,
            "end_index": 5,
            "url": "https://a.b",
            "title": "A",
        }
    ]


def test_a_prompt_that_is_too_long_has_the_code_that_codex_knows() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error"}}
    error["error"] |= {"message": "prompt is too long: 200001 tokens > 200000 maximum"}
    stream = b"event: error\ndata: " + orjson.dumps(error) + b"\n\n"
    data, _ = through(Direction(ANTHROPIC, RESPONSES), [stream])
    assert violations(RESPONSES, data) == []
    failed = values_of(data)[-1]
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"]["code"] == "context_length_exceeded"


# Responses providers


def responses_stream(*items: Json, status: str = "completed") -> bytes:
    base = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
    return b"".join(RESPONSES.unfold({**base, "status": status, "output": list(items)}))


def test_calls_of_a_responses_provider_are_tool_use() -> None:
    item = {**call(1), "id": "fc_1", "status": "completed", "arguments": '{"a":1}'}
    data, _ = through(Direction(RESPONSES, ANTHROPIC), [responses_stream(item)])
    answer = whole(ANTHROPIC, data)
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"][0]["input"] == {"a": 1}
    data, _ = through(Direction(RESPONSES, CHAT), [responses_stream(item)])
    assert whole(CHAT, data)["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("client", [CHAT, GEMINI], ids=["chat", "gemini"])
def test_two_messages_are_divided(client: Protocol) -> None:
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in "abc"]
    base = {"type": "message", "role": "assistant", "status": "completed"}
    stream = responses_stream(
        {**base, "id": "msg_1", "content": parts[:1]},
        {**base, "id": "msg_2", "content": parts[1:]},
    )
    answer = whole(client, through(Direction(RESPONSES, client), [stream])[0])
    if client is CHAT:
        assert answer["choices"][0]["message"]["content"] == "a\n\nbc"
    else:
        texts = [part["text"] for part in answer["candidates"][0]["content"]["parts"]]
        assert "".join(texts) == "a\n\nbc"


def test_arguments_of_known_tools_are_streamed() -> None:
    item = {**call(1), "id": "fc_1", "status": "completed", "arguments": '{"a":1}'}
    events = RESPONSES.unfold(
        {
            "id": "r",
            "object": "response",
            "created_at": 1,
            "model": "m",
            "status": "completed",
            "output": [item],
        }
    )
    known = {"tools": [{"name": "exec_command"}]}
    seen = [
        b"input_json_delta"
        in through(Direction(RESPONSES, ANTHROPIC), [b"".join(events[:3])], request=asked)[0]
        for asked in (known, {})
    ]
    assert seen == [True, False]


def test_summaries_of_one_reasoning_item_are_one_thinking_block() -> None:
    summary = [{"type": "summary_text", "text": text} for text in ("one", "two")]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": summary}
    reasoning["encrypted_content"] = "gAAAA"
    item = {**call(1), "id": "fc_1", "status": "completed"}
    data, _ = through(Direction(RESPONSES, ANTHROPIC), [responses_stream(reasoning, item)])
    blocks = whole(ANTHROPIC, data)["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert blocks[0]["thinking"] == "one\n\ntwo"
    user = {"role": "user", "content": "hi"}
    result = {"type": "tool_result", "tool_use_id": blocks[1]["id"], "content": "ok"}
    body = {
        "model": "m",
        "max_tokens": 99,
        "messages": [
            user,
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": [result]},
        ],
    }
    items = sent(ANTHROPIC, body, RESPONSES)["input"]
    assert items[1] == {
        "type": "reasoning",
        "summary": summary,
        "encrypted_content": "gAAAA",
    }
    assert [item["type"] for item in items[2:]] == ["function_call", "function_call_output"]
    other = translated(ANTHROPIC, body, RESPONSES)
    assert b'"id"' not in other.body, "the provider would look for it"


def test_reasoning_text_is_thinking() -> None:
    content = [{"type": "reasoning_text", "text": "hm"}]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "content": content}
    text = {**message("assistant", "Hi"), "id": "msg_1", "status": "completed"}
    data, _ = through(Direction(RESPONSES, ANTHROPIC), [responses_stream(reasoning, text)])
    assert whole(ANTHROPIC, data)["content"][0]["thinking"] == "hm"


def test_an_incomplete_response_is_a_limit() -> None:
    text = {**message("assistant", "Hi"), "id": "msg_1", "status": "incomplete"}
    stream = responses_stream(text, status="incomplete")
    data, _ = through(Direction(RESPONSES, ANTHROPIC), [stream])
    assert whole(ANTHROPIC, data)["stop_reason"] == "max_tokens"


def test_no_empty_messages_are_sent_to_responses() -> None:
    blocks = [{"type": "text", "text": " "}]
    blocks.append({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})
    result = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": result},
        ],
    }
    items = sent(ANTHROPIC, body, RESPONSES)["input"]
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output"]


@pytest.mark.parametrize("schema_formats", [True, False])
def test_a_schema_of_the_output_is_a_format_or_words(schema_formats: bool) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    body = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    result = translated(ANTHROPIC, body, RESPONSES, schema_formats=schema_formats)
    there = orjson.loads(result.body)
    if schema_formats:
        assert there["text"]["format"]["schema"] == schema
        assert "instructions" not in there
    else:
        assert there["text"]["format"] == {"type": "json_object"}
        assert "title" in there["instructions"]
    assert result.asks_in_words is not schema_formats


@pytest.mark.parametrize(
    ("asked", "sent_effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high"),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({}, None),
    ],
)
def test_reasoning_is_asked_for_in_the_words_of_the_target(
    asked: Json, sent_effort: str | None
) -> None:
    body = {"model": "m", "max_tokens": 64_000, "messages": [{"role": "user", "content": "hi"}]}
    efforts = ("none", "low", "medium", "high")
    there = sent(ANTHROPIC, {**body, **asked}, RESPONSES, efforts=efforts)
    assert there.get("reasoning", {}).get("effort") == sent_effort
    assert there["include"] == ["reasoning.encrypted_content"]
    without = sent(ANTHROPIC, {**body, **asked}, RESPONSES)
    assert "reasoning" not in without
    assert "include" not in without


def test_a_search_that_the_provider_offers_is_sent() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.b"]}
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    body |= {"tools": [search], "tool_choice": {"type": "tool", "name": "web_search"}}
    there = sent(ANTHROPIC, body, RESPONSES, server_tools=frozenset({"web_search"}))
    assert there["tools"] == [{"type": "web_search", "filters": {"allowed_domains": ["a.b"]}}]
    assert there["tool_choice"] == {"type": "web_search"}
    body["tools"] = [{**search, "blocked_domains": ["c.d"]}]
    refusal = translated(ANTHROPIC, body, RESPONSES, server_tools=frozenset({"web_search"})).refusal
    assert refusal is not None
    assert "blocked_domains" in refusal.message


# Compaction


@each_provider
def test_a_compaction_is_one_item_that_any_provider_can_read(provider: Protocol) -> None:
    body = request(message("user", "hi"), message("assistant", "Yes."), tool_choice="auto")
    body["input"].append({"type": "compaction_trigger"})
    there = sent(RESPONSES, body, provider)
    assert there["tool_choice"] in ("none", {"type": "none"})
    assert "Summarize" in orjson.dumps(there["messages"][-1]).decode()
    stream = chat_stream({"reasoning_content": "hm"}, {"content": "We sa"}, {"content": "id hi."})
    if provider is ANTHROPIC:
        stream = anthropic_stream(({"type": "text", "text": "We said hi."}, []))
    response = for_responses(provider, stream, request=body)
    assert types(response) == ["compaction"]
    for other in PROVIDERS.values():
        later = sent(RESPONSES, request(response["output"][0], message("user", "more")), other)
        assert "We said hi." in orjson.dumps(later["messages"]).decode()


def test_the_compaction_endpoint_answers_with_the_users_messages_and_the_summary() -> None:
    path, body = "/v1/responses/compact", request(message("user", "hi"))
    direction = Direction(CHAT, RESPONSES)
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    said = {"role": "assistant", "content": "We said hi."}
    answer["choices"] = [{"index": 0, "message": said, "finish_reason": "stop"}]
    context = context_of(direction, request=body, path=path)
    compacted = orjson.loads(translate_body(direction, answer, context).data)
    assert compacted["object"] == "response.compaction"
    assert compacted["output"][0] == message("user", "hi")
    state = unseal(compacted["output"][1]["encrypted_content"])
    assert state is not None
    assert state.payload == {"summary": "We said hi."}


@pytest.mark.parametrize(
    "stream",
    [
        chat_stream({"content": "cut"}, finish="length"),
        chat_stream({"reasoning_content": "hm"}),
        chat_stream(*chat_call("exec_command", "{}"), finish="tool_calls"),
        chat_stream({"content": "a" * 300_000}),
    ],
    ids=["cut", "empty", "call", "too large"],
)
def test_no_compaction_is_invented(stream: bytes) -> None:
    body = request(message("user", "hi"), {"type": "compaction_trigger"})
    data, _ = through(Direction(CHAT, RESPONSES), [stream], request=body)
    assert violations(RESPONSES, data) == []
    assert values_of(data)[-1]["type"] == "response.failed"


def test_a_compaction_is_text_where_the_request_is_not_translated() -> None:
    envelope = seal(State(Origin(CHAT.name, "h", "m"), {"summary": "We said hi."}))
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": envelope}
    body = orjson.dumps(request(item, message("user", "more")))
    notes = Notes()
    sent_body = without_envelopes(RequestDocument.of(RESPONSES, "/v1/responses", body), notes).body
    first, second = orjson.loads(sent_body)["input"]
    assert (first["role"], second) == ("user", message("user", "more"))
    assert first["content"].endswith("We said hi.")
    assert len(notes.findings) == 1


def test_state_that_is_bound_to_a_call_is_reasoning_before_it() -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    first, *rest = chat_call("a", "{}")
    first["tool_calls"][0]["extra_content"] = signature
    stream = chat_stream({"content": "Hi"}, first, *rest, finish="tool_calls")
    response = for_responses(CHAT, stream)
    assert types(response) == ["message", "reasoning", "function_call"]
    state = unseal(response["output"][1]["encrypted_content"])
    assert state is not None
    assert state.payload == {"extra_content": signature}
