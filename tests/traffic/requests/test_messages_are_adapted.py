"""Tests that messages are adapted for targets that need it and unchanged for others."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
CHAT = good.CHAT
OPTED_IN = f"""{QUICK_RETRIES}
[[models]]
match = "gpt-*"
fallback = ["other/mistral-large"]

[[models]]
match = "claude-*"
model = "local"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
message_rules = ["Q1", "Q204"]
max_output_tokens = 32
"""
ORPHAN = [
    {"role": "user", "content": "List them."},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu.1", "name": "ls", "input": {}}],
    },
    {"role": "user", "content": "Go on."},
]


def body_of(protocol: WireProtocol, messages: list[Any]) -> bytes:
    request = {**good.request_body(protocol, True), "messages": messages, "max_tokens": 64}
    return json.dumps(request, indent=1).encode()


def test_a_missing_tool_result_is_added(proxy: Proxy, provider: ScriptedProvider) -> None:
    provider.script([faults.none(ANTHROPIC)])
    start = len(proxy.lines)
    body = body_of(ANTHROPIC, ORPHAN)
    with model_call(proxy, ANTHROPIC, True, body=body) as call:
        assert call.response().status == 200
    [received] = provider.received
    result = received.json()["messages"][2]["content"][0]
    assert (result["type"], result["is_error"]) == ("tool_result", True)
    assert result["tool_use_id"] == received.json()["messages"][1]["content"][0]["id"]
    assert received.body.startswith(body[: body.index(b"toolu.1")])
    proxy.wait_for_line(
        r"api\.anthropic\.com/v1/messages: repaired: .*Q001 [a-z-]+, Q103 [a-z-]+ \(2 times\)",
        start=start,
    )


@pytest.mark.parametrize("protocol", [ANTHROPIC, CHAT])
def test_a_request_that_needs_no_change_keeps_its_bytes(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    provider.script([faults.none(protocol)])
    request = {**good.request_body(protocol, True), "metadata": {"n": 1.0}}
    body = json.dumps(request, indent=3).encode()
    with model_call(proxy, protocol, True, body=body) as call:
        assert call.response().status == 200
    assert provider.received[0].body == body


def test_each_target_gets_what_it_needs(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=OPTED_IN)
    provider.script([faults.status(401, {"error": {"message": "no"}})])
    origin.script([faults.none(CHAT)])
    calls = [{"id": "call_1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": "List them.", "cache_control": {"type": "ephemeral"}},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"},
    ]
    with model_call(proxy, CHAT, True, body=body_of(CHAT, messages)) as call:
        assert call.response().status == 200
    first, second = provider.received[0].json(), origin.received[0].json()
    assert first["messages"] == messages
    assert (first["max_completion_tokens"], first.get("max_tokens")) == (64, None)
    assert "cache_control" not in second["messages"][0]
    assert second["messages"][1]["reasoning_content"] == " "
    assert second["max_tokens"] == 32


def test_a_routed_call_gets_what_its_provider_needs(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=OPTED_IN)
    origin.script([faults.none(ANTHROPIC)])
    with model_call(proxy, ANTHROPIC, True, body=body_of(ANTHROPIC, ORPHAN)) as call:
        assert call.response().status == 200
    received = origin.received[0].json()
    assert received["messages"][2] == ORPHAN[2]
    assert received["messages"][1]["content"][0]["id"] != "toolu.1"
    assert received["max_tokens"] == 32


def test_an_adapted_history_that_is_rejected_is_sent_again_unchanged(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    # A separate proxy, since it learns not to change requests for this model.
    proxy = start_proxy(configuration=f"{QUICK_RETRIES}# refused\n")
    refusal = faults.native_error(ANTHROPIC, 400, "invalid_request_error", "something else")
    provider.script([faults.status(400, refusal), faults.none(ANTHROPIC)])
    body = body_of(ANTHROPIC, [*ORPHAN, {"role": "assistant", "content": "Well: "}])
    with model_call(proxy, ANTHROPIC, True, body=body) as call:
        assert call.response().status == 200
    adapted, original = provider.received
    assert adapted.body != body
    assert original.body == body
