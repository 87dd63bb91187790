"""Tests that tool calls in the text of a response reach the client as calls."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from leaking import body_of, stream_of
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Framing, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.assembled import read_answer
from traffic.clients import complete, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

LEAKING = QUICK_RETRIES + "".join(
    f'\n[providers.p{number}]\nbase_url = "https://{host}"\nleaked_calls = ["glm"]\n'
    for number, host in enumerate(dict.fromkeys(good.HOSTS.values()))
)
ROUTED = f"""{QUICK_RETRIES}
[[models]]
match = "gpt-*"
model = "glm-5"
provider = "zai"

[providers.zai]
base_url = "https://{ORIGIN_HOST}"
leaked_calls = ["glm"]
"""
CALL = "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>"
TEXT = "Let me look.\n"
SCHEMA = {
    "name": "get_weather",
    "description": "d",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TOOLS: dict[WireProtocol, list[dict[str, Any]]] = {
    good.ANTHROPIC: [
        {"name": "get_weather", "description": "d", "input_schema": SCHEMA["parameters"]}
    ],
    good.CHAT: [{"type": "function", "function": SCHEMA}],
    good.RESPONSES: [{"type": "function", **SCHEMA}],
    good.GEMINI: [SCHEMA],
}
NAMES = {
    good.ANTHROPIC: "anthropic",
    good.CHAT: "chat",
    good.RESPONSES: "responses",
    good.GEMINI: "gemini",
}
each_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)


def reply(protocol: WireProtocol, stream: bool) -> Any:
    """Return the reply with the text in tokens: the opening tag is one token."""
    name, tag = NAMES[protocol], "<tool_call>"
    if stream:
        rest = CALL.removeprefix(tag)
        tokens = [rest[at : at + 8] for at in range(0, len(rest), 8)]
        return faults.streamed(stream_of(name, [TEXT, tag, *tokens]))
    return faults.whole(body_of(name, TEXT + CALL))


@pytest.mark.long
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
@each_protocol
def test_the_sdk_gets_a_call(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    protocol: WireProtocol,
    stream: bool,
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=LEAKING)
    provider.script([reply(protocol, stream)])
    with clients.environment(clients.behind(proxy)):
        outcome = complete(protocol, stream, tools=TOOLS[protocol])
    assert (outcome.text, outcome.tool_calls) == (TEXT, good.TOOL_CALLS)
    assert outcome.succeeded


@each_protocol
def test_other_targets_keep_their_text(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    """One line is logged."""
    provider.script([reply(protocol, True)])
    start = len(proxy.lines)
    tools = [{"functionDeclarations": [SCHEMA]}] if protocol is good.GEMINI else TOOLS[protocol]
    body = json.dumps({**good.request_body(protocol, True), "tools": tools}).encode()
    with model_call(proxy, protocol, True, body=body) as call:
        response = call.response()
    answer = read_answer(protocol, response.body, stream=True)
    assert (answer.text, answer.calls) == (TEXT + CALL, [])
    proxy.wait_for_line(r"only reported: .*S007 ", start=start)


def test_a_routed_call_is_judged_by_its_target(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=ROUTED)
    origin.script([reply(good.CHAT, True)])
    with clients.environment(clients.behind(proxy)):
        outcome = complete(good.CHAT, True, tools=TOOLS[good.CHAT])
    assert (outcome.text, outcome.tool_calls) == (TEXT, good.TOOL_CALLS)
    assert origin.received[0].json()["model"] == "glm-5"


@each_protocol
def test_a_page_that_the_model_quotes_stays_text(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=LEAKING)
    provider.script([reply(protocol, True)])
    request = good.request_body(protocol, True)
    page = f"<pre>{CALL.replace('<', '&lt;')}</pre>"
    quoting = json.loads(json.dumps(request).replace("Say hello.", json.dumps(page)[1:-1]))
    tools = [{"functionDeclarations": [SCHEMA]}] if protocol is good.GEMINI else TOOLS[protocol]
    body = json.dumps({**quoting, "tools": tools}).encode()
    with model_call(proxy, protocol, True, body=body) as call:
        response = call.response()
    answer = read_answer(protocol, response.body, stream=True)
    assert (answer.text, answer.calls) == (TEXT + CALL, [])


def test_held_text_is_sent_when_the_next_event_does_not_come(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=LEAKING)
    events = stream_of("chat", [TEXT, "<tool_call>get_weather\n<arg_key>"])[:3]
    headers = (("content-type", "text/event-stream"),)
    opening = faults.head(200, headers, Framing.CHUNKED)
    provider.script([Reply("stalls", (opening, faults.chunks(events), faults.stall))])
    body = {**good.request_body(good.CHAT, True), "tools": TOOLS[good.CHAT]}
    with model_call(proxy, good.CHAT, True, body=json.dumps(body).encode()) as call:
        assert call.read_until(b"<arg_key>") is not None
