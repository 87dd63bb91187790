"""Laws of translated requests, with generated requests of each protocol."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import anthropic_requests, chat_requests
from strategies.mutations import JUNK
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT

from translate.directions import PROTOCOLS, fewer, reread, sent, target_of, translated

REQUESTS = {"anthropic": anthropic_requests.requests, "chat": chat_requests.requests}
OTHER = {"anthropic": CHAT, "chat": ANTHROPIC}
each_protocol = pytest.mark.parametrize("name", PROTOCOLS)


@each_protocol
@fewer
@given(data=st.data())
def test_reading_and_writing_in_one_protocol_restores_the_request(
    name: str, data: st.DataObject
) -> None:
    request = data.draw(REQUESTS[name]())
    assert reread(PROTOCOLS[name], request) == request


@each_protocol
@fewer
@given(data=st.data())
def test_reading_does_not_modify_the_request(name: str, data: st.DataObject) -> None:
    request = data.draw(REQUESTS[name]())
    before = orjson.dumps(request)
    translated(PROTOCOLS[name], request, OTHER[name])
    assert orjson.dumps(request) == before


@each_protocol
@fewer
@given(data=st.data())
def test_a_plain_request_survives_the_way_there_and_back(name: str, data: st.DataObject) -> None:
    """Only the borders between texts of one message are lost."""
    request = data.draw(REQUESTS[name](is_plain=True))
    protocol, other = PROTOCOLS[name], OTHER[name]
    there = translated(protocol, request, other)
    assert {finding.code for finding in there.findings} <= {"X101"}  # unknown members
    back = sent(other, orjson.loads(there.body), protocol)
    assert canonical(name, back) == canonical(name, request)


@each_protocol
@fewer
@given(data=st.data())
def test_what_arrives_survives_any_further_translation(name: str, data: st.DataObject) -> None:
    """The first translation may lose what it declares; the next ones lose nothing more."""
    request = data.draw(REQUESTS[name]())
    protocol, other = PROTOCOLS[name], OTHER[name]
    efforts = ("low", "medium", "high", "xhigh", "max")
    there = sent(protocol, request, other, efforts=efforts)
    back = sent(other, there, protocol, efforts=efforts)
    again = sent(protocol, back, other, efforts=efforts)
    assert canonical_of(other, again) == canonical_of(other, there)


@each_protocol
@fewer
@given(data=st.data())
def test_a_longer_conversation_begins_like_a_shorter_one(name: str, data: st.DataObject) -> None:
    request = data.draw(REQUESTS[name](least=1))
    marks = data.draw(st.booleans())
    protocol, other = PROTOCOLS[name], OTHER[name]
    messages = request["messages"]
    ends = [
        at + 1
        for at, message in enumerate(messages)
        if message["role"] in ("user", "tool")
        and (at + 1 == len(messages) or messages[at + 1]["role"] == "assistant")
    ]
    bodies = [
        translated(protocol, {**request, "messages": turns_of(messages[:end], marks)}, other)
        for end in ends
    ]
    for shorter, longer in pairwise(bodies):
        assert longer.body.startswith(beginning(shorter.body))


def turns_of(messages: list[dict[str, Any]], marks: bool) -> list[dict[str, Any]]:
    """The messages, with a cache mark at the last block as Claude Code moves it."""
    last = messages[-1]
    if not marks or not isinstance(last["content"], list):
        return messages
    *others, block = last["content"]
    marked = {**block, "cache_control": {"type": "ephemeral"}}
    return [*messages[:-1], {**last, "content": [*others, marked]}]


def beginning(body: bytes) -> bytes:
    """The request up to the end of its last message, without closing brackets."""
    value = orjson.loads(body)
    keys = list(value)
    assert keys[0] == "model"
    after = {key: value[key] for key in keys[keys.index("messages") + 1 :]}
    rest = orjson.dumps(after)[1:]
    assert body.endswith(b"]" + (b"," if after else b"") + rest)
    return body.removesuffix(rest).rstrip(b",]}")


@fewer
@given(anthropic_requests.requests())
def test_the_changing_line_of_claude_code_does_not_change_the_request(
    request: dict[str, Any],
) -> None:
    bodies = []
    for value in ("cch=12345", "cch=abcde"):
        line = {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1; {value};"}
        system = request.get("system", [])
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
        with_line = {**request, "system": [line, *blocks]}
        bodies.append(translated(ANTHROPIC, with_line, CHAT).body)
    assert bodies[0] == bodies[1]
    assert b"cch=" not in bodies[0]


@each_protocol
@fewer
@given(data=st.data())
def test_the_same_request_is_always_translated_to_the_same_bytes(
    name: str, data: st.DataObject
) -> None:
    request = data.draw(REQUESTS[name]())
    target = target_of(OTHER[name])
    first = translated(PROTOCOLS[name], request, OTHER[name], target)
    copied = orjson.loads(orjson.dumps(request))
    assert translated(PROTOCOLS[name], copied, OTHER[name], target).body == first.body


@each_protocol
@fewer
@given(data=st.data())
def test_a_request_with_values_of_other_types_never_raises(name: str, data: st.DataObject) -> None:
    """Providers reject such requests; clients get that error, or the refusal to translate."""
    request = data.draw(REQUESTS[name]())
    for _ in range(data.draw(st.integers(1, 3))):
        request = with_junk(data, request)
    protocol, other = PROTOCOLS[name], OTHER[name]
    result = translated(protocol, request, other)
    if result.refusal is None:
        assert isinstance(orjson.loads(result.body), dict)
    else:
        assert result.refusal.status == 400
    if isinstance(request.get("model"), str):
        reread(protocol, request)


def with_junk(data: st.DataObject, value: Any) -> Any:
    """The value with another value somewhere in it."""
    if isinstance(value, dict) and value:
        key = data.draw(st.sampled_from(sorted(value)))
        is_here = data.draw(st.integers(0, 3)) == 0 and key != "model"
        inner = data.draw(JUNK) if is_here else with_junk(data, value[key])
        return {**value, key: inner}
    if isinstance(value, list) and value:
        at = data.draw(st.integers(0, len(value) - 1))
        is_here = data.draw(st.integers(0, 3)) == 0
        inner = data.draw(JUNK) if is_here else with_junk(data, value[at])
        return [*value[:at], inner, *value[at + 1 :]]
    return data.draw(JUNK)


# Requests without what has no counterpart


def canonical_of(protocol: Protocol, request: dict[str, Any]) -> dict[str, Any]:
    return canonical("anthropic" if protocol is ANTHROPIC else "chat", request)


def canonical(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """The request with the texts of each message joined, and results in the order of the calls."""
    turns = _anthropic_turns(request) if name == "anthropic" else _chat_turns(request)
    tools = [
        tool.get("function", tool) for tool in request.get("tools", ()) if tool.get("type") != "x"
    ]
    schemas = [tool.get("parameters", tool.get("input_schema")) for tool in tools]
    return {
        "turns": turns,
        "tools": [(tool["name"], tool.get("description")) for tool in tools],
        "schemas": schemas,
        "limit": request.get("max_tokens"),
        "temperature": request.get("temperature"),
        "stops": request.get("stop_sequences", request.get("stop", [])),
        "choice": _choice(request.get("tool_choice")),
        "stream": request.get("stream", False),
    }


def _choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return None if choice == "auto" else {"required": "any"}.get(choice, choice)
    if not isinstance(choice, dict) or choice["type"] == "auto":
        return None
    function = choice.get("function", choice)
    return ("tool", function["name"]) if "name" in function else choice["type"]


def _anthropic_turns(request: dict[str, Any]) -> list[Any]:
    turns: list[Any] = []
    system = request.get("system", [])
    blocks = [{"text": system}] if isinstance(system, str) else system
    if blocks:
        turns.append(("system", _joined(blocks)))
    for message in request["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
        results = {
            block["tool_use_id"]: _result(block.get("content", ""))
            for block in blocks
            if block["type"] == "tool_result"
        }
        turns.append((message["role"], _joined(blocks), calls, results))
    return _merged(turns)


def _chat_turns(request: dict[str, Any]) -> list[Any]:
    turns: list[Any] = []
    for message in request["messages"]:
        content = message.get("content") or []
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "tool":
            result = {message["tool_call_id"]: _result(content)}
            turns.append(("user", "", [], result))
            continue
        calls = [
            (call[call["type"]]["name"], _arguments(call)) for call in message.get("tool_calls", ())
        ]
        if (
            message["role"] == "system"
            and len(turns) < 2
            and (not turns or turns[0][0] == "system")
        ):
            turns.append(("system", _joined(blocks)))
        else:
            turns.append((message["role"], _joined(blocks), calls, {}))
    return _merged(turns)


def _arguments(call: dict[str, Any]) -> Any:
    if call["type"] == "custom":
        return {"input": call["custom"]["input"]}
    return orjson.loads(call["function"]["arguments"])


def _merged(turns: list[Any]) -> list[Any]:
    """Join adjacent turns of one role."""
    merged: list[Any] = []
    for turn in turns:
        if merged and merged[-1][0] == turn[0] == "system":
            merged[-1] = ("system", _with(merged[-1][1], turn[1]))
        elif merged and merged[-1][0] == turn[0] and len(turn) == len(merged[-1]) == 4:
            role, text, calls, results = merged[-1]
            merged[-1] = (role, _with(text, turn[1]), calls + turn[2], results | turn[3])
        else:
            merged.append(turn)
    return merged


def _with(first: str, second: str) -> str:
    return "\n\n".join(text for text in (first, second) if text)


def _joined(blocks: list[dict[str, Any]]) -> str:
    return "\n\n".join(block["text"] for block in blocks if block.get("text"))


def _result(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("text"))
