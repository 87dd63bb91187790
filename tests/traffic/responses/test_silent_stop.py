"""Tests that a response without an answer is reported, and asked for again if configured."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import complete, model_call
from traffic.conftest import QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

ASKS_AGAIN = QUICK_RETRIES + "silent_stop = true\n"
TOOL = {"name": "get_weather", "description": "d", "input_schema": {"type": "object"}}
SCHEMA = {"name": "get_weather", "description": "d", "parameters": {"type": "object"}}
TOOLS: dict[WireProtocol, list[dict[str, Any]]] = {
    good.ANTHROPIC: [TOOL],
    good.CHAT: [{"type": "function", "function": SCHEMA}],
    good.RESPONSES: [{"type": "function", **SCHEMA}],
    good.GEMINI: [{"functionDeclarations": [SCHEMA]}],
}
each_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)


def silent_body(protocol: WireProtocol) -> bytes:
    body = json.loads(good.json_body(protocol))
    if protocol is good.ANTHROPIC:
        body["content"] = []
    elif protocol is good.CHAT:
        body["choices"][0]["message"]["content"] = ""
    elif protocol is good.RESPONSES:
        body["output"] = []
    else:
        body["candidates"][0]["content"] = {"parts": [{"text": ""}], "role": "model"}
    return json.dumps(body).encode()


def request_with_tools(protocol: WireProtocol) -> bytes:
    return json.dumps({**good.request_body(protocol, False), "tools": TOOLS[protocol]}).encode()


@each_protocol
def test_a_silent_stop_is_forwarded_unchanged(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    silent = silent_body(protocol)
    provider.script([faults.whole(silent)])
    with model_call(proxy, protocol, False, body=request_with_tools(protocol)) as call:
        response = call.response()
    assert (response.status, response.body, len(provider.received)) == (200, silent, 1)


@each_protocol
def test_a_silent_stop_is_asked_for_once_more(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=ASKS_AGAIN)
    silent = silent_body(protocol)
    provider.script([faults.whole(silent), faults.whole(good.json_tool_body(protocol))])
    with clients.environment(clients.behind(proxy)):
        tools = [SCHEMA] if protocol is good.GEMINI else TOOLS[protocol]
        outcome = complete(protocol, False, tools=tools)
    assert (outcome.tool_calls, len(provider.received)) == (good.TOOL_CALLS, 2)
    provider.script([faults.whole(silent)])
    with model_call(proxy, protocol, False, body=request_with_tools(protocol)) as call:
        response = call.response()
    assert (response.status, response.body, len(provider.received)) == (200, silent, 4)
