"""What went wrong in other translators, between Anthropic Messages and Chat Completions.

Each test names the reports of it.
"""

from typing import Any

import orjson
import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import ThinkingSwitch
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import EventKind
from wiremend.protocols.chat import CHAT
from wiremend.text import json_value, sse
from wiremend.translate.answer import Direction
from wiremend.translate.local_answers import unavailable_search, write_answer
from wiremend.translate.request import TranslatedRequest

from translate.directions import (
    A_TO_C,
    C_TO_A,
    context_of,
    sent,
    stream_of,
    target_of,
    through,
    translated,
    values_of,
    violations,
    whole,
)

type Json = dict[str, Any]

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}
IMAGE = {"type": "image", "source": PNG}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}
READ = {"name": "read", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}


def use(call_id: str = "toolu_1", name: str = "read", **arguments: Any) -> Json:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id: str = "toolu_1", content: Any = "ok", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def anthropic_request(*contents: Any, **more: Any) -> Json:
    """A request whose messages are by the user and the assistant in turn."""
    messages = [
        {"role": ("user", "assistant")[at % 2], "content": content}
        for at, content in enumerate(contents or ("Hello",))
    ]
    return {"model": "m", "max_tokens": 64, "messages": messages, "tools": [READ], **more}


def chat_request(*messages: Json, **more: Any) -> Json:
    default = {"role": "user", "content": "Hello"}
    return {"model": "m", "messages": list(messages) or [default], "tools": [FUNCTION], **more}


def call(call_id: str = "call_1", name: str = "read", arguments: str = "{}") -> Json:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def to_chat(request: Json, **traits: Any) -> Json:
    return sent(ANTHROPIC, request, CHAT, **traits)


def to_anthropic(request: Json, **traits: Any) -> Json:
    return sent(CHAT, request, ANTHROPIC, **traits)


def codes(translation: TranslatedRequest) -> list[str]:
    return [finding.code for finding in translation.findings]


def chunks(*deltas: Json, reason: str | None = "stop", usage: Json | None = None) -> bytes:
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in ({"role": "assistant", "content": ""}, *deltas)
    ]
    finish = {"index": 0, "delta": {}, "finish_reason": reason}
    events.append({**base, "choices": [finish]})
    if usage is not None:
        events.append({**base, "choices": [], "usage": usage})
    written = [sse.encode(json_value.write(event)) for event in events]
    return b"".join([*written, b"data: [DONE]\n\n"])


def called(index: int, call_id: str = "", name: str = "", arguments: str = "") -> Json:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value}
    fragment: Json = {"index": index, "function": function}
    if call_id:
        fragment |= {"id": call_id, "type": "function"}
        function.setdefault("arguments", "")
    return {"tool_calls": [fragment]}


def for_anthropic(stream: bytes, **context: Any) -> Json:
    """The message that a client of Anthropic's protocol reads."""
    out, _ = through(A_TO_C, [stream], **context)
    assert violations(ANTHROPIC, out) == []
    return whole(ANTHROPIC, out)


def for_chat(message: Json, **context: Any) -> Json:
    """The completion that a client of Chat Completions reads, for a message of the provider."""
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    base |= {"stop_reason": "end_turn", "stop_sequence": None}
    base |= {"usage": {"input_tokens": 3, "output_tokens": 5}}
    out, _ = through(C_TO_A, [stream_of(ANTHROPIC, {**base, **message})], **context)
    assert violations(CHAT, out) == []
    return whole(CHAT, out)


# Requests of Anthropic's protocol at a provider of Chat Completions


def test_the_changing_billing_line_is_not_sent() -> None:
    """farion1231/cc-switch#2350"""
    lines = [text(f"x-anthropic-billing-header: cch={value};") for value in ("0a1b2", "c3d4e")]
    bodies = [to_chat(anthropic_request(system=[line, text("You are.")])) for line in lines]
    assert bodies[0] == bodies[1]
    assert bodies[0]["messages"][0] == {"role": "system", "content": "You are."}


def test_an_image_of_the_user_is_sent() -> None:
    """router-for-me/CLIProxyAPI#5707"""
    body = to_chat(anthropic_request([text("What is this?"), IMAGE]))
    url = {"url": "data:image/png;base64,iVBORw0K"}
    parts = [text("What is this?"), {"type": "image_url", "image_url": url}]
    assert body["messages"] == [{"role": "user", "content": parts}]


def test_an_image_in_a_result_follows_all_results() -> None:
    """BerriAI/litellm#20403"""
    content = [result(content=[IMAGE]), result("toolu_2"), text("Go on.")]
    body = to_chat(anthropic_request("Look.", [use(), use("toolu_2")], content))
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user", "user"]
    assert body["messages"][4]["content"][1]["type"] == "image_url"
    assert body["messages"][5]["content"] == "Go on."


def test_an_image_that_the_target_does_not_take_becomes_a_note() -> None:
    """ggml-org/llama.cpp pull request 22536"""
    request = anthropic_request([text("What is this?"), IMAGE])
    there = translated(ANTHROPIC, request, CHAT, target_of(CHAT, media=frozenset()))
    assert "X104" in codes(there)
    content = orjson.loads(there.body)["messages"][0]["content"]
    assert content == "What is this?\n\n[image/png, 1 kB: this model takes no images]"


def test_text_beside_a_result_is_kept_behind_it() -> None:
    """claudex#8, claude-code-best#168"""
    body = to_chat(anthropic_request("Go.", [use()], [text("No, stop."), result()]))
    assert body["messages"][2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "ok"},
        {"role": "user", "content": "No, stop."},
    ]


def test_text_beside_calls_is_kept() -> None:
    """router-for-me/CLIProxyAPI#4676"""
    body = to_chat(anthropic_request("Go.", [text("Let me look."), use(a="\u2713")], [result()]))
    message = body["messages"][1]
    assert message["content"] == "Let me look."
    assert message["tool_calls"] == [call("toolu_1", arguments='{"a":"\u2713"}')]


def test_an_empty_assistant_message_is_not_sent() -> None:
    """router-for-me/CLIProxyAPI#2132"""
    for content in ([text(" ")], [], [{"type": "redacted_thinking", "data": "E"}]):
        body = to_chat(anthropic_request("Hi", content, "Hello?"))
        assert [message["role"] for message in body["messages"]] == ["user", "user"]


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_document_is_sent_or_a_note(is_taken: bool) -> None:
    """router-for-me/CLIProxyAPI#4765"""
    request = anthropic_request([{"type": "document", "source": PDF, "title": "A"}])
    media = frozenset({MediaKind.DOCUMENT}) if is_taken else frozenset()
    body = to_chat(request, media=media)
    content = body["messages"][0]["content"]
    file = {"filename": "A", "file_data": "data:application/pdf;base64,JVBERi0x"}
    note = "[A, application/pdf, 1 kB: this model takes no documents]"
    assert content == ([{"type": "file", "file": file}] if is_taken else note)


def test_a_text_document_is_sent_as_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "inside"}
    body = to_chat(anthropic_request([{"type": "document", "source": source, "title": "A"}]))
    assert body["messages"][0]["content"] == "A\ninside"


def test_a_result_without_its_call_becomes_text() -> None:
    """router-for-me/CLIProxyAPI#5375, router-for-me/CLIProxyAPI#5735"""
    there = translated(ANTHROPIC, anthropic_request([result(content="lost"), text("Go.")]), CHAT)
    assert "X111" in codes(there)
    messages = orjson.loads(there.body)["messages"]
    assert [message["role"] for message in messages] == ["user"]
    assert "lost" in messages[0]["content"]


def test_a_call_without_a_result_gets_one() -> None:
    body = to_chat(anthropic_request("Go.", [use()], "Never mind."))
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "user",
    ]
    assert body["messages"][2]["content"].startswith("Error: ")


def test_parallel_results_are_paired_by_id_in_any_order() -> None:
    results = [result("toolu_3", "3"), result("toolu_1", "1"), result("toolu_2", "2")]
    calls = [use("toolu_1"), use("toolu_2"), use("toolu_3")]
    body = to_chat(anthropic_request("Go.", calls, results))
    got = [(message["tool_call_id"], message["content"]) for message in body["messages"][2:]]
    assert got == [("toolu_1", "1"), ("toolu_2", "2"), ("toolu_3", "3")]


def test_a_deferred_tool_is_sent_whole_and_its_reference_as_text() -> None:
    """BerriAI/litellm#22878, router-for-me/CLIProxyAPI#1375"""
    reference = {"type": "tool_reference", "tool_name": "read"}
    request = anthropic_request("Go.", [use(name="ToolSearch")], [result(content=[reference])])
    request["tools"] = [{**READ, "defer_loading": True}]
    body = to_chat(request)
    assert body["tools"] == [FUNCTION]
    assert body["messages"][2]["content"] == "Tool read is now available."


@pytest.mark.parametrize("tools", [[], None])
def test_a_choice_without_tools_is_left_out(tools: Any) -> None:
    """farion1231/cc-switch#3640"""
    request = anthropic_request(tool_choice={"type": "any"}, tools=tools)
    body = to_chat(request)
    assert "tool_choice" not in body
    assert "tools" not in body


def test_a_format_of_the_output_is_kept() -> None:
    """router-for-me/CLIProxyAPI#4802"""
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    form = {"type": "json_schema", "schema": schema}
    request = anthropic_request(output_config={"format": form})
    expected = {"name": "answer", "schema": schema}
    assert to_chat(request)["response_format"] == {"type": "json_schema", "json_schema": expected}
    there = translated(ANTHROPIC, request, CHAT, target_of(CHAT, schema_formats=False))
    body = orjson.loads(there.body)
    assert body["response_format"] == {"type": "json_object"}
    assert '"title"' in body["messages"][0]["content"]
    fenced = chunks({"content": "```json\n{}"}, {"content": "\n```"})
    assert for_anthropic(fenced, asks_in_words=there.asks_in_words)["content"] == [text("{}")]


def test_a_failed_result_is_marked_in_its_text() -> None:
    body = to_chat(anthropic_request("Go.", [use()], [result(content="no file", is_error=True)]))
    assert body["messages"][2]["content"] == "Error: no file"
    body = to_chat(anthropic_request("Go.", [use()], [result(content="Error 2", is_error=True)]))
    assert body["messages"][2]["content"] == "Error 2"


def test_two_system_texts_are_one_message() -> None:
    """oh-my-pi pull request 954: MiniMax rejects a second one"""
    body = to_chat(anthropic_request(system=[text("One."), text("Two.")]))
    system = [message for message in body["messages"] if message["role"] == "system"]
    assert system == [{"role": "system", "content": "One.\n\nTwo."}]


@pytest.mark.parametrize("in_place", [True, False])
def test_a_later_system_message_stays_in_its_place(in_place: bool) -> None:
    """At the head it would change the beginning of the request, which providers cache."""
    request = anthropic_request("One.", "Two.")
    request["messages"] += [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Go."},
    ]
    body = to_chat(request, system_in_place=in_place)
    expected: Json = {"role": "system", "content": "Be brief."}
    if not in_place:
        reminder = "<system-reminder>\nBe brief.\n</system-reminder>"
        expected = {"role": "user", "content": reminder}
    assert body["messages"][2] == expected


SWITCH = ThinkingSwitch(
    on={"thinking": {"type": "enabled"}}, off={"thinking": {"type": "disabled"}}
)
LEVELS = ("low", "high", "max")
THINKING: dict[str, tuple[Json, Json]] = {
    "enabled, as GLM requires": (
        {"thinking": {"type": "enabled", "budget_tokens": 31_999}},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
    ),
    "low": (
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
    ),
    "the next stronger effort": (
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
    ),
    "the strongest effort": (
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "max"},
    ),
    "off, without an effort, which DeepSeek rejects": (
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
        {"thinking": {"type": "disabled"}},
    ),
    "not given": ({}, {}),
}


@pytest.mark.parametrize(("asked", "expected"), THINKING.values(), ids=THINKING)
def test_reasoning_is_switched_in_the_words_of_the_provider(asked: Json, expected: Json) -> None:
    """codex-relay#26, farion1231/cc-switch#4239"""
    body = to_chat(anthropic_request(**asked), thinking=SWITCH, efforts=LEVELS)
    keys = ("thinking", "reasoning_effort")
    assert {key: body[key] for key in keys if key in body} == expected


@pytest.mark.parametrize("kind", ["any", "tool"])
def test_a_forced_choice_switches_reasoning_off_where_both_are_rejected(kind: str) -> None:
    """oh-my-pi#827, anomalyco/opencode#15226, UKGovernmentBEIS/inspect_ai pull request 5152"""
    choice = {"type": kind, "name": "read"} if kind == "tool" else {"type": kind}
    request = anthropic_request(thinking={"type": "adaptive"}, tool_choice=choice)
    body = to_chat(request, thinking=SWITCH, forced_choice_with_thinking=False)
    assert body["thinking"] == {"type": "disabled"}
    assert "tool_choice" in body
    free = to_chat(request, forced_choice_with_thinking=False)
    assert "tool_choice" not in free


def test_a_tool_of_the_provider_is_dropped_beside_others() -> None:
    """envoyproxy/ai-gateway#2467"""
    search = {"type": "web_search_20250305", "name": "web_search"}
    there = translated(ANTHROPIC, anthropic_request(tools=[READ, search]), CHAT)
    assert "X107" in codes(there)
    assert orjson.loads(there.body)["tools"] == [FUNCTION]


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {
            "tools": [READ, {"type": "code_execution_20250825", "name": "code_execution"}],
            "tool_choice": {"type": "tool", "name": "code_execution"},
        },
        {"mcp_servers": [{"type": "url", "url": "https://a", "name": "a"}]},
    ],
)
def test_what_changes_the_meaning_is_answered_with_an_error(more: Json) -> None:
    there = translated(ANTHROPIC, anthropic_request(**more), CHAT)
    assert there.refusal is not None
    assert there.refusal.status == 400
    names = ("web_search", "code_execution", "mcp_servers")
    assert any(name in there.refusal.message for name in names)
    body = orjson.loads(ANTHROPIC.error_body(there.refusal))
    assert body["error"]["type"] == "invalid_request_error"
    assert codes(there) == ["X100"]


def test_a_file_of_the_client_s_provider_is_answered_with_an_error() -> None:
    image = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    there = translated(ANTHROPIC, anthropic_request([image]), CHAT)
    assert there.refusal is not None
    assert "file" in there.refusal.message


def test_a_tool_of_anthropic_that_the_client_runs_is_a_function() -> None:
    bash = {"type": "bash_20250124", "name": "bash"}
    there = translated(ANTHROPIC, anthropic_request(tools=[bash]), CHAT)
    assert "X108" in codes(there)
    function = orjson.loads(there.body)["tools"][0]["function"]
    assert function["name"] == "bash"
    assert "command" in function["parameters"]["properties"]


def test_a_tool_without_a_schema_has_an_empty_one() -> None:
    """farion1231/cc-switch#5315, farion1231/cc-switch#4706"""
    body = to_chat(anthropic_request(tools=[{"name": "read", "input_schema": None}]))
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_a_search_of_claude_code_gets_the_error_of_its_tool() -> None:
    """anthropics/claude-code#10141, router-for-me/CLIProxyAPI#364"""
    search = {"type": "web_search_20250305", "name": "web_search"}
    choice = {"type": "tool", "name": "web_search"}
    request = anthropic_request("Search for: x", tools=[search], tool_choice=choice)
    there = translated(ANTHROPIC, request, CHAT)
    assert there.conversation is not None
    events = unavailable_search(there.conversation)
    assert events is not None
    stream = write_answer(ANTHROPIC, events, context_of(A_TO_C))
    assert violations(ANTHROPIC, stream) == []
    call, found = whole(ANTHROPIC, stream)["content"]
    assert call["type"] == "server_tool_use"
    assert found["tool_use_id"] == call["id"]
    assert found["content"]["error_code"] == "unavailable"
    other = translated(ANTHROPIC, anthropic_request(), CHAT).conversation
    assert other is not None
    assert unavailable_search(other) is None


def test_a_search_in_the_history_becomes_text() -> None:
    call = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_result", "url": "https://a", "title": "A"}
    done = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]}
    body = to_chat(anthropic_request("Go.", [call, done, text("Done.")], "More."))
    message = body["messages"][1]
    assert "tool_calls" not in message
    assert message["content"] == '(web_search: {"query":"x"})\n\nA: https://a\n\nDone.'


def test_a_name_that_is_too_long_is_fitted_everywhere_and_restored() -> None:
    name = "mcp__server.with.dots__" + "x" * 60
    request = anthropic_request("Go.", [use(name=name)], [result()])
    request |= {"tools": [{**READ, "name": name}], "tool_choice": {"type": "tool", "name": name}}
    there = translated(ANTHROPIC, request, CHAT)
    body = orjson.loads(there.body)
    sent_name = body["tools"][0]["function"]["name"]
    assert len(sent_name) <= 64
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == sent_name
    assert body["tool_choice"]["function"]["name"] == sent_name
    message = for_anthropic(
        chunks(called(0, "c", sent_name, "{}"), reason="tool_calls"), tools=there.tools
    )
    assert message["content"][0]["name"] == name


# Requests of Chat Completions at a provider of Anthropic's protocol


def test_a_message_between_call_and_result_joins_the_assistant_s() -> None:
    """router-for-me/CLIProxyAPI#3366, BerriAI/litellm pull request 32536"""
    body = to_anthropic(
        chat_request(
            {"role": "user", "content": "Go."},
            {"role": "assistant", "content": None, "tool_calls": [call()]},
            {"role": "assistant", "content": "Running."},
            {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
        )
    )
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    kinds = [block["type"] for block in body["messages"][1]["content"]]
    assert kinds == ["tool_use", "text"]
    assert body["messages"][2]["content"][0]["type"] == "tool_result"


def test_text_of_the_client_before_results_follows_them() -> None:
    """router-for-me/CLIProxyAPI#4970"""
    body = to_anthropic(
        chat_request(
            {"role": "user", "content": "Go."},
            {"role": "assistant", "content": None, "tool_calls": [call(), call("call_2")]},
            {"role": "system", "content": "Be brief."},
            {"role": "tool", "tool_call_id": "call_2", "content": "2"},
            {"role": "user", "content": "And?"},
            {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        ),
        system_in_place=False,
    )
    blocks = body["messages"][2]["content"]
    assert [block.get("tool_use_id") for block in blocks] == ["call_1", "call_2", None, None]
    assert "Be brief." in blocks[2]["text"]
    assert blocks[3]["text"] == "And?"


def test_adjacent_messages_of_the_user_are_merged() -> None:
    """router-for-me/CLIProxyAPI#4811"""
    user = [{"role": "user", "content": content} for content in ("One.", "Two.")]
    body = to_anthropic(chat_request(*user))
    assert body["messages"] == [{"role": "user", "content": [text("One."), text("Two.")]}]


@pytest.mark.parametrize("call_id", ["functions.read:0", "call 1", "x" * 99, "\u2713"])
def test_an_id_that_anthropic_rejects_is_fitted(call_id: str) -> None:
    """router-for-me/CLIProxyAPI#1872, router-for-me/CLIProxyAPI#1849"""
    body = to_anthropic(
        chat_request(
            {"role": "user", "content": "Go."},
            {"role": "assistant", "content": None, "tool_calls": [call(call_id)]},
            {"role": "tool", "tool_call_id": call_id, "content": "ok"},
        )
    )
    sent_id = body["messages"][1]["content"][0]["id"]
    assert sent_id.isascii()
    assert len(sent_id) <= 64
    assert set(sent_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert body["messages"][2]["content"][0]["tool_use_id"] == sent_id


@pytest.mark.parametrize(
    ("more", "stops", "limit"),
    [
        ({"stop": "x"}, ["x"], 32_000),
        ({"stop": ["x", "y"], "max_tokens": 9}, ["x", "y"], 9),
        ({"max_completion_tokens": 7}, None, 7),
    ],
)
def test_both_forms_of_stop_and_limit_are_read(more: Json, stops: Any, limit: int) -> None:
    """router-for-me/CLIProxyAPI#5054, router-for-me/CLIProxyAPI#5108"""
    body = to_anthropic(chat_request(**more))
    assert body.get("stop_sequences") == stops
    assert body["max_tokens"] == limit


def test_sampling_is_limited_to_what_claude_accepts() -> None:
    """router-for-me/CLIProxyAPI#4071"""
    body = to_anthropic(chat_request(temperature=1.7, top_p=0.5))
    assert body["temperature"] == 1
    assert "top_p" not in body
    more = {"temperature": 0.5, "reasoning_effort": "high"}
    body = to_anthropic(chat_request(**more), is_adaptive=False)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 16_000}
    assert "temperature" not in body


def test_efforts_of_reasoning_differ() -> None:
    low, high = (to_anthropic(chat_request(reasoning_effort=one)) for one in ("low", "high"))
    assert low["thinking"] == high["thinking"] == {"type": "adaptive"}
    assert (low["output_config"], high["output_config"]) == ({"effort": "low"}, {"effort": "high"})
    off = to_anthropic(chat_request(reasoning_effort="none"))
    assert off["thinking"] == {"type": "disabled"}


def test_a_custom_tool_is_a_function_and_its_call_is_restored() -> None:
    """router-for-me/CLIProxyAPI#5753, router-for-me/CLIProxyAPI#5482"""
    grammar = {"definition": "start: /x/", "syntax": "lark"}
    custom = {"name": "patch", "format": {"type": "grammar", "grammar": grammar}}
    there = translated(CHAT, chat_request(tools=[{"type": "custom", "custom": custom}]), ANTHROPIC)
    tool = orjson.loads(there.body)["tools"][0]
    assert tool["input_schema"]["required"] == ["input"]
    assert "start: /x/" in tool["description"]
    made = {"type": "tool_use", "id": "toolu_1", "name": "patch", "input": {"input": 'a"\nb'}}
    answer = for_chat({"content": [made], "stop_reason": "tool_use"}, tools=there.tools)
    restored = answer["choices"][0]["message"]["tool_calls"][0]
    assert restored["type"] == "custom"
    assert restored["custom"] == {"name": "patch", "input": 'a"\nb'}


@pytest.mark.parametrize("more", [{"n": 2}, {"modalities": ["text", "audio"]}])
def test_several_answers_and_audio_are_answered_with_an_error(more: Json) -> None:
    there = translated(CHAT, chat_request(**more), ANTHROPIC)
    assert there.refusal is not None
    body = orjson.loads(CHAT.error_body(there.refusal))
    assert body["error"]["type"] == "invalid_request_error"
    audio = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
    there = translated(CHAT, chat_request({"role": "user", "content": [audio]}), ANTHROPIC)
    assert there.refusal is not None
    assert "audio" in there.refusal.message


def test_the_functions_of_old_requests_are_read() -> None:
    old = {"name": "read", "parameters": {"type": "object"}}
    request = chat_request(
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "function_call": {"name": "read", "arguments": ""}},
        {"role": "function", "name": "read", "content": "ok"},
        functions=[old],
        function_call={"name": "read"},
    )
    del request["tools"]
    body = to_anthropic(request)
    assert [tool["name"] for tool in body["tools"]] == ["read"]
    assert body["tool_choice"] == {"type": "tool", "name": "read"}
    made, got = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert made["id"] == got["tool_use_id"]


def test_arguments_that_are_not_json_are_sent_as_text() -> None:
    there = translated(
        CHAT,
        chat_request(
            {"role": "user", "content": "Go."},
            {"role": "assistant", "content": None, "tool_calls": [call(arguments='{"a":')]},
            {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
        ),
        ANTHROPIC,
    )
    assert "X111" in codes(there)
    assert orjson.loads(there.body)["messages"][1]["content"][0]["input"] == {"text": '{"a":'}


def test_placeholder_reasoning_is_not_sent_as_signed_thinking() -> None:
    """router-for-me/CLIProxyAPI#1584, router-for-me/CLIProxyAPI#3052"""
    there = translated(
        CHAT,
        chat_request(
            {"role": "user", "content": "Go."},
            {"role": "assistant", "content": "Hm.", "reasoning_content": "secret"},
            {"role": "user", "content": "More."},
        ),
        ANTHROPIC,
    )
    assert "X106" in codes(there)
    assert b"secret" not in there.body


# Answers


def test_a_call_whose_name_comes_later_is_started_with_it() -> None:
    """router-for-me/CLIProxyAPI#4219"""
    late = chunks(
        called(0, "call_1"),
        called(0, name="read", arguments='{"a":'),
        called(0, arguments="1}"),
        reason="tool_calls",
    )
    message = for_anthropic(late)
    assert message["content"][0]["name"] == "read"
    assert message["content"][0]["input"] == {"a": 1}
    assert message["stop_reason"] == "tool_use"


def test_interleaved_calls_are_separate_blocks() -> None:
    stream = chunks(
        called(0, "call_1", "read", '{"a":'),
        called(1, "call_2", "exec", '{"b":'),
        called(0, arguments="1}"),
        called(1, arguments="2}"),
        reason="tool_calls",
    )
    blocks = for_anthropic(stream)["content"]
    assert [(block["name"], block["input"]) for block in blocks] == [
        ("read", {"a": 1}),
        ("exec", {"b": 2}),
    ]


def test_the_second_of_two_calls_does_not_wait_for_the_end() -> None:
    first = chunks(called(0, "call_1", "read", "{}"), called(1, "call_2", "exec", '{"b"'))
    head = first[: first.index(b'"finish_reason":"stop"')].rpartition(b"\n\n")[0] + b"\n\n"
    direction = Direction(CHAT, ANTHROPIC)
    out, _ = through(direction, [head])
    starts = [value["index"] for value in values_of(out) if value["type"] == "content_block_start"]
    assert starts == [0, 1]


def test_ids_are_unique_in_a_conversation_though_the_provider_s_are_not() -> None:
    """A client replaces the first of two calls that have one id."""
    stream = chunks(called(0, "call_0", "read", "{}"), reason="tool_calls")
    messages = [for_anthropic(stream, answer_id=answer) for answer in ("a1", "a2")]
    assert messages[0]["id"] != messages[1]["id"]
    assert messages[0]["content"][0]["id"] != messages[1]["content"][0]["id"]


def test_an_id_in_a_form_that_the_provider_requires_returns_to_it() -> None:
    """BerriAI/litellm pull request 16895: never a signature in ids"""
    stream = chunks(called(0, "functions.read:0", "read", "{}"), reason="tool_calls")
    block = for_anthropic(stream)["content"][0]
    assert len(block["id"]) <= 64
    body = to_chat(
        anthropic_request("Go.", [block], [result(block["id"])]),
        call_ids=target_of(CHAT).traits.call_ids.__class__(characters="a-zA-Z0-9_.:-"),
    )
    assert body["messages"][1]["tool_calls"][0]["id"] == "functions.read:0"
    assert body["messages"][2]["tool_call_id"] == "functions.read:0"


REASONS = {
    "stop": ("stop", "end_turn"),
    "length": ("length", "max_tokens"),
    "content_filter": ("content_filter", "refusal"),
    "tool_calls without a call": ("tool_calls", "end_turn"),
}


@pytest.mark.parametrize(("reason", "expected"), REASONS.values(), ids=REASONS)
def test_a_stop_reason_keeps_its_meaning(reason: str, expected: str) -> None:
    """router-for-me/CLIProxyAPI#4958, router-for-me/CLIProxyAPI#4873"""
    assert for_anthropic(chunks({"content": "Hi"}, reason=reason))["stop_reason"] == expected


FINISHES = {
    "end_turn": "stop",
    "max_tokens": "length",
    "refusal": "content_filter",
    "stop_sequence": "stop",
    "model_context_window_exceeded": "length",
    "pause_turn": "stop",
}


@pytest.mark.parametrize(("reason", "expected"), FINISHES.items())
def test_a_finish_reason_keeps_its_meaning(reason: str, expected: str) -> None:
    answer = for_chat({"content": [text("Hi")], "stop_reason": reason})
    assert answer["choices"][0]["finish_reason"] == expected


def test_the_sources_in_a_whole_message_are_annotations() -> None:
    cited = {
        "type": "web_search_result_location",
        "url": "https://a",
        "title": "A",
        "cited_text": "x",
        "encrypted_index": "e",
    }
    answer = for_chat({"content": [{**text("Hi"), "citations": [cited]}]})
    [annotation] = answer["choices"][0]["message"]["annotations"]
    assert annotation["url_citation"]["url"] == "https://a"


def test_a_refusal_is_a_text_and_a_reason() -> None:
    message = for_anthropic(chunks({"refusal": "No."}))
    assert message["content"] == [text("No.")]
    assert message["stop_reason"] == "refusal"


def test_there_is_one_message_delta_with_the_true_counts() -> None:
    """farion1231/cc-switch#2366, farion1231/cc-switch#2485, envoyproxy/ai-gateway#2239"""
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
    usage |= {"prompt_tokens_details": {"cached_tokens": 60}}
    out, _ = through(A_TO_C, [chunks({"content": "Hi"}, usage=usage)])
    deltas = [value for value in values_of(out) if value["type"] == "message_delta"]
    assert [delta["usage"] for delta in deltas] == [
        {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 7}
    ]


def test_counts_that_the_provider_does_not_send_are_estimated() -> None:
    stream = chunks({"content": "x" * 39})
    out, results = through(A_TO_C, [stream], input_tokens=4321)
    assert values_of(out)[-2]["usage"] == {"input_tokens": 4321, "output_tokens": 10}
    assert "X205" in [finding.code for one in results for finding in one.findings]
    sent_counts = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
    out, results = through(A_TO_C, [chunks({"content": "x"}, usage=sent_counts)])
    assert values_of(out)[-2]["usage"] == {"input_tokens": 100, "output_tokens": 7}
    assert all(not one.findings for one in results)


def test_the_message_starts_with_an_estimate_of_its_prompt() -> None:
    """MadAppGang/claudish pull requests 123 and 152"""
    out, _ = through(A_TO_C, [chunks({"content": "Hi"})], input_tokens=4321)
    assert values_of(out)[0]["message"]["usage"]["input_tokens"] == 4321


def test_the_counts_of_a_completion_include_the_cache() -> None:
    """envoyproxy/ai-gateway#2350"""
    usage = {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 7}
    answer = for_chat({"content": [text("Hi")], "usage": usage})
    assert answer["usage"]["prompt_tokens"] == 100
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 60
    assert answer["usage"]["total_tokens"] == 107


def test_counts_are_streamed_only_if_the_client_asked_for_them() -> None:
    message = {"content": [text("Hi")]}
    assert "usage" not in for_chat(message, request={"stream": True})
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert "usage" in for_chat(message, request=asked)
    assert "usage" in for_chat(message, request={})


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "reasoning_text"])
def test_every_name_of_reasoning_is_read(key: str) -> None:
    """router-for-me/CLIProxyAPI#5104, router-for-me/CLIProxyAPI#5105"""
    blocks = for_anthropic(chunks({key: "Hm."}, {"content": "Hi"}))["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text"]
    assert blocks[0]["thinking"] == "Hm."
    assert blocks[0]["signature"]


def test_reasoning_after_text_is_a_block_of_its_own() -> None:
    deltas = [{"reasoning_content": "A"}, {"content": "B"}, {"reasoning_content": "C"}]
    blocks = for_anthropic(chunks(*deltas, {"content": "D"}))["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "thinking", "text"]


def test_the_model_is_the_one_that_the_client_asked_for() -> None:
    """Claude Code returns reasoning only then."""
    assert for_anthropic(chunks({"content": "Hi"}))["model"] == "asked-model"
    assert for_chat({"content": [text("Hi")]})["model"] == "asked-model"


def test_an_answer_without_its_calls_is_an_error() -> None:
    """farion1231/cc-switch 9db9c56: a call that was cut was reported as complete"""
    cut = chunks(called(0, "call_1", "read", '{"a":'), reason="tool_calls")
    out, results = through(A_TO_C, [cut])
    assert results[-1].kind is EventKind.ERROR
    assert values_of(out)[-1]["type"] == "error"


def test_a_stream_that_breaks_off_is_an_error() -> None:
    whole_stream = chunks({"content": "Hi"}, {"content": " there"})
    cut = whole_stream[: whole_stream.index(b'"finish_reason":"stop"')].rpartition(b"\n\n")[0]
    out, results = through(A_TO_C, [cut + b"\n\n"])
    assert results[-1].kind is EventKind.ERROR
    assert values_of(out)[-1]["type"] == "error"
    assert b"message_stop" not in out


def test_state_is_bound_to_the_provider() -> None:
    stream = chunks({"reasoning_content": "Hm."}, {"content": "Hi"})
    origins = [
        Origin(WireProtocol.CHAT_COMPLETIONS, host, model)
        for host, model in (("a", "m"), ("b", "m"), ("a", "n"))
    ]
    signatures = {for_anthropic(stream, origin=one)["content"][0]["signature"] for one in origins}
    assert len(signatures) == 3


def test_signed_thinking_returns_through_a_client_of_chat_completions() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
    answer = for_chat({"content": [thinking, use()], "stop_reason": "tool_use"})
    message = answer["choices"][0]["message"]
    assert message["reasoning_content"] == "Hm."
    got = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "ok"}
    request = chat_request({"role": "user", "content": "Go."}, message, got)
    body = sent(CHAT, request, ANTHROPIC)
    assert body["messages"][1]["content"][0] == thinking
    other = translated(CHAT, request, ANTHROPIC, target_of(ANTHROPIC, model="other"))
    assert b"EqQBCgIYAhIM" not in other.body


def test_several_blocks_of_thinking_return_through_a_client_of_chat_completions() -> None:
    """Such a client joins their texts; each signature is valid for its own text alone."""
    thoughts = [
        {"type": "thinking", "thinking": "One.", "signature": "EqQA"},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "thinking", "thinking": "Two.", "signature": "EqQB"},
    ]
    answer = for_chat({"content": [*thoughts, text("Hi"), thoughts[2]]})
    message = answer["choices"][0]["message"]
    assert message["reasoning_content"] == "One.\n\nTwo.\n\nTwo."
    request = chat_request({"role": "user", "content": "Go."}, message)
    content = sent(CHAT, request, ANTHROPIC)["messages"][1]["content"]
    assert content == [*thoughts, thoughts[2], text("Hi")]


def test_thinking_that_the_client_changed_is_not_sent() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
    message = for_chat({"content": [thinking, text("Hi")]})["choices"][0]["message"]
    request = chat_request(
        {"role": "user", "content": "Go."}, {**message, "reasoning_content": "Hm"}
    )
    there = translated(CHAT, request, ANTHROPIC)
    assert b"EqQBCgIYAhIM" not in there.body
    assert "X106" in codes(there)
