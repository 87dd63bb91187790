"""Laws of translated requests from and for Responses."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import response_input_param, tool_param
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter
from strategies import anthropic_requests, chat_requests
from strategies.responses_requests import plain_requests, requests
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.responses import RESPONSES
from wiremend.translate.request import TranslatedRequest, translate_request

from translate.directions import target_of
from translate.test_request_laws import canonical_of

type Json = dict[str, Any]

OTHERS = {"anthropic": ANTHROPIC, "chat": CHAT}
REQUESTS = {"anthropic": anthropic_requests.requests, "chat": chat_requests.requests}
PATHS = {ANTHROPIC: "/v1/messages", CHAT: "/v1/chat/completions", RESPONSES: "/v1/responses"}
EFFORTS = ("none", "low", "medium", "high", "xhigh")
ITEM = TypeAdapter(response_input_param.ResponseInputItemParam)
TOOL = TypeAdapter(tool_param.ToolParam)
REQUEST = TypeAdapter(ResponseCreateParamsNonStreaming)
each_other = pytest.mark.parametrize("name", OTHERS)


def translated(
    source: Protocol, body: Json, provider: Protocol, **traits: Any
) -> TranslatedRequest:
    target = target_of(provider, **traits)
    return translate_request(source, PATHS[source], body, provider, target)


def sent(source: Protocol, body: Json, provider: Protocol, **traits: Any) -> Json:
    result = translated(source, body, provider, **traits)
    assert result.refusal is None, result.refusal
    value: Json = orjson.loads(result.body)
    return value


def assert_valid(request: Json) -> None:
    """Whether the official SDK could have sent the request."""
    REQUEST.validate_python({key: value for key, value in request.items() if key != "stream"})
    for item in request["input"]:
        ITEM.validate_python(item)
    for tool in request.get("tools", ()):
        TOOL.validate_python(tool)
        assert tool["type"] != "function" or tool["strict"] in (True, False)
    assert request["store"] is False


@each_other
@given(data=st.data())
def test_a_request_for_responses_is_valid(name: str, data: st.DataObject) -> None:
    request = data.draw(REQUESTS[name]())
    before = orjson.dumps(request)
    efforts = data.draw(st.sampled_from([(), EFFORTS]))
    assert_valid(sent(OTHERS[name], request, RESPONSES, efforts=efforts))
    assert orjson.dumps(request) == before


@each_other
@given(data=st.data())
def test_a_plain_request_survives_the_way_there_and_back(name: str, data: st.DataObject) -> None:
    request = data.draw(REQUESTS[name](is_plain=True))
    other = OTHERS[name]
    there = sent(other, request, RESPONSES)
    back = sent(RESPONSES, there, other)
    without = ["limit", "stops"]  # a minimum in one protocol, not in the other
    first, second = canonical_of(other, request), canonical_of(other, back)
    assert {key: value for key, value in second.items() if key not in without} == {
        key: value for key, value in first.items() if key not in without
    }


@each_other
@given(plain=plain_requests())
def test_a_responses_request_survives_the_way_there_and_back(
    name: str, plain: tuple[Json, list[int]]
) -> None:
    request, _ = plain
    there = translated(RESPONSES, request, OTHERS[name])
    back = sent(OTHERS[name], orjson.loads(there.body), RESPONSES)
    assert_valid(back)
    assert canonical(back) == canonical(request)


@each_other
@given(request_=requests)
def test_any_responses_request_is_translated_or_refused(name: str, request_: Json) -> None:
    before = orjson.dumps(request_)
    first = translated(RESPONSES, request_, OTHERS[name])
    assert orjson.dumps(request_) == before
    assert translated(RESPONSES, orjson.loads(before), OTHERS[name]).body == first.body
    if first.refusal is not None:
        assert first.refusal.status == 400


@each_other
@given(plain=plain_requests(least=1))
def test_a_longer_conversation_begins_like_a_shorter_one(
    name: str, plain: tuple[Json, list[int]]
) -> None:
    request, ends = plain
    bodies = [
        translated(RESPONSES, {**request, "input": request["input"][:end]}, OTHERS[name]).body
        for end in ends
    ]
    assert_grows(bodies, "messages")


@each_other
@given(data=st.data())
def test_a_longer_conversation_for_responses_begins_like_a_shorter_one(
    name: str, data: st.DataObject
) -> None:
    request = data.draw(REQUESTS[name](least=1))
    messages = request["messages"]
    ends = [
        at + 1
        for at, message in enumerate(messages)
        if message["role"] in ("user", "tool")
        and (at + 1 == len(messages) or messages[at + 1]["role"] == "assistant")
    ]
    bodies = [
        translated(OTHERS[name], {**request, "messages": messages[:end]}, RESPONSES).body
        for end in ends
    ]
    assert_grows(bodies, "input")


def assert_grows(bodies: list[bytes], key: str) -> None:
    for shorter, longer in pairwise(bodies):
        assert longer.startswith(beginning(shorter, key))


def beginning(body: bytes, key: str) -> bytes:
    """The request up to the end of its last message, without closing brackets."""
    value = orjson.loads(body)
    keys = list(value)
    assert keys[0] == "model"
    after = {name: value[name] for name in keys[keys.index(key) + 1 :]}
    rest = orjson.dumps(after)[1:]
    assert body.endswith(b"]" + (b"," if after else b"") + rest)
    return body.removesuffix(rest).rstrip(b",]}")


# Requests without what has no counterpart


def canonical(request: Json) -> Json:
    """The messages by their role, calls and results by their id, names with their namespace."""
    items = request["input"]
    return {
        "texts": _merged(list(_texts(request))),
        "calls": [_call(item) for item in items if item["type"].endswith("_call")],
        "results": {
            item["call_id"]: _text(item["output"], "\n")
            for item in items
            if item["type"].endswith("_output")
        },
        "tools": sorted(_tool_names(request.get("tools", ()))),
        "limit": request.get("max_output_tokens", 32_000),
        "choice": request.get("tool_choice", "auto"),
        "stream": request.get("stream"),
    }


def _texts(request: Json) -> Iterator[tuple[str, str]]:
    if request.get("instructions"):
        yield "system", request["instructions"]
    for item in request["input"]:
        if item["type"] == "message":
            role = "system" if item["role"] == "developer" else item["role"]
            yield role, _text(item["content"], "\n\n")


def _merged(texts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for role, text in texts:
        if merged and merged[-1][0] == role:
            merged[-1] = role, f"{merged[-1][1]}\n\n{text}"
        else:
            merged.append((role, text))
    return merged


def _text(content: Any, between: str) -> str:
    return content if isinstance(content, str) else between.join(one["text"] for one in content)


def _call(item: Json) -> tuple[str, str, Any]:
    names = [item["namespace"], item["name"]] if "namespace" in item else [item["name"]]
    if item["type"] == "custom_tool_call":
        return item["call_id"], "__".join(names), {"input": item["input"]}
    return item["call_id"], "__".join(names), orjson.loads(item["arguments"])


def _tool_names(tools: list[Json]) -> Iterator[str]:
    for tool in tools:
        if tool["type"] == "namespace":
            yield from (f"{tool['name']}__{one['name']}" for one in tool["tools"])
        else:
            yield tool["name"]
