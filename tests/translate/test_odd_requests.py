"""Odd but plausible requests: nothing is lost silently, and none is refused for its form."""

from typing import Any

import orjson
import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES

from translate.directions import target_of, translated
from translate.test_responses_cases import message
from translate.test_responses_requests import translated as translated_for

type Json = dict[str, Any]

READ: Json = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}
CITATION: Json = {
    "type": "web_search_result_location",
    "url": "https://a.example",
    "title": "A",
    "encrypted_index": "x",
    "cited_text": "c",
}


def chat_turn(call_id: str, *results: str) -> list[Json]:
    function = {"name": "read", "arguments": "{}"}
    calls = [{"id": call_id, "type": "function", "function": function} for _ in results]
    tools = [{"role": "tool", "tool_call_id": call_id, "content": text} for text in results]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *tools]


def chat(*messages: Json, **more: Any) -> Json:
    return {"model": "m", "messages": [*messages], "tools": [READ], **more}


def ids_of(provider: Protocol, body: Json) -> tuple[list[str], list[str]]:
    """The ids of the calls and those of the results, in order."""
    if provider is RESPONSES:
        kinds = ("function_call", "function_call_output")
        found = [
            [item["call_id"] for item in body["input"] if item["type"] == kind] for kind in kinds
        ]
    elif provider is ANTHROPIC:
        blocks = [block for one in body["messages"] for block in one["content"]]
        found = [
            [block[key] for block in blocks if key in block and block["type"] == kind]
            for kind, key in (("tool_use", "id"), ("tool_result", "tool_use_id"))
        ]
    else:
        parts = [part for content in body["contents"] for part in content["parts"]]
        found = [
            [part[kind]["id"] for part in parts if kind in part]
            for kind in ("functionCall", "functionResponse")
        ]
    return found[0], found[1]


@pytest.mark.parametrize("provider", [ANTHROPIC, RESPONSES, GEMINI], ids=lambda it: it.name)
def test_an_id_that_comes_twice_is_sent_once(provider: Protocol) -> None:
    user = {"role": "user", "content": "Go."}
    turns = [*chat_turn("call_0", "a"), *chat_turn("call_0", "b", "c"), *chat_turn("call_0_2", "d")]
    whole = orjson.loads(translated(CHAT, chat(user, *turns), provider).body)
    calls, results = ids_of(provider, whole)
    assert calls == results
    assert calls[0] == "call_0"
    assert len(set(calls)) == 4
    shorter = orjson.loads(translated(CHAT, chat(user, *turns[:2]), provider).body)
    assert ids_of(provider, shorter)[0] == calls[:1]


@pytest.mark.parametrize("provider", [ANTHROPIC, RESPONSES, GEMINI], ids=lambda it: it.name)
def test_a_request_of_system_text_alone_has_a_message(provider: Protocol) -> None:
    body = {"model": "m", "messages": [{"role": "system", "content": "Say hello."}]}
    sent = orjson.loads(translated(CHAT, body, provider).body)
    [message] = sent.get("messages", sent.get("input", sent.get("contents")))
    assert message["role"] == "user"
    assert "(no content)" in str(message)


@pytest.mark.parametrize(
    ("source", "provider"),
    [(ANTHROPIC, CHAT), (ANTHROPIC, RESPONSES), (ANTHROPIC, GEMINI), (CHAT, RESPONSES)],
    ids=lambda it: it.name,
)
def test_the_beginning_of_an_answer_is_a_finding(source: Protocol, provider: Protocol) -> None:
    messages = [{"role": "user", "content": "As JSON."}, {"role": "assistant", "content": "{"}]
    result = translated(source, {"model": "m", "max_tokens": 9, "messages": messages}, provider)
    assert "a last turn of the model" in [finding.found for finding in result.findings]
    assert b'"{"' in result.body


@pytest.mark.parametrize("provider", [CHAT, RESPONSES], ids=lambda it: it.name)
def test_text_with_sources_stands_apart_from_the_search_before_it(provider: Protocol) -> None:
    result = {"type": "web_search_result", "url": "https://a.example", "title": "A"}
    content = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [result]},
        {"type": "text", "text": "It is"},
        {"type": "text", "text": " so.", "citations": [CITATION]},
    ]
    messages = [
        {"role": "user", "content": "Is it?"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "More."},
    ]
    body = translated(ANTHROPIC, {"model": "m", "max_tokens": 9, "messages": messages}, provider)
    sent = orjson.loads(body.body)
    assistant = sent.get("messages", sent.get("input"))[1]
    assert assistant["content"].endswith("A: https://a.example\n\nIt is so.")


def test_reasoning_that_cannot_be_switched_off_is_a_finding() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "m", "max_tokens": 99, "messages": messages, "thinking": {"type": "disabled"}}
    for efforts, expected in (("low", "high"), True), (("none", "low"), False):
        target = target_of(RESPONSES, efforts=efforts)
        result = translated(ANTHROPIC, body, RESPONSES, target)
        found = "reasoning switched off" in [finding.found for finding in result.findings]
        assert found is expected


@pytest.mark.parametrize("provider", [ANTHROPIC, CHAT, GEMINI], ids=lambda it: it.name)
def test_codex_reads_messages_of_other_agents(provider: Protocol) -> None:
    note = {"type": "agent_message", "author": "/root/a", "recipient": "/root"}
    note["content"] = [{"type": "input_text", "text": "It is done."}]
    body = {"model": "m", "input": [message("user", "Go."), note]}
    result = translated_for(RESPONSES, body, provider)
    assert b"Message from /root/a to /root:\\nIt is done." in result.body
    assert [finding.found for finding in result.findings] == ["agent_message"]


@pytest.mark.parametrize("provider", [ANTHROPIC, CHAT, GEMINI], ids=lambda it: it.name)
def test_the_description_of_a_namespace_is_in_that_of_its_first_tool(provider: Protocol) -> None:
    inner = [{"type": "function", "name": name, "description": name} for name in ("add", "remove")]
    tools = [{"type": "namespace", "name": "cal", "description": "Dates are UTC.", "tools": inner}]
    body = {"model": "m", "input": "hi", "tools": tools}
    sent = translated_for(RESPONSES, body, provider).body.decode()
    assert sent.count("Dates are UTC.") == 1
    assert "add\\n\\nAbout the tools cal__*: Dates are UTC." in sent


def test_the_output_of_a_function_belongs_to_a_local_shell_call() -> None:
    """As Codex writes it, in versions that have this tool."""
    action = {"type": "exec", "command": ["ls"], "env": {}}
    call = {"type": "local_shell_call", "id": None, "call_id": "call_1", "status": "completed"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"}
    items = [message("user", "Go."), {**call, "action": action}, output]
    body = {"model": "m", "input": items, "tools": [{"type": "local_shell"}]}
    _, asked, answered = orjson.loads(translated_for(RESPONSES, body, CHAT).body)["messages"]
    function = asked["tool_calls"][0]["function"]
    assert (function["name"], orjson.loads(function["arguments"])) == ("local_shell", action)
    assert answered == {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"}
