"""Tests of tools that a provider rejects: they are adapted without the SDK noticing."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.assembled import events
from traffic.clients import Http1Call, complete, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, SUITE, Proxy

PROTOCOLS = [pytest.param(protocol, id=str(protocol)) for protocol in WireProtocol]
MODES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
OBJECT = {"type": "object", "properties": {"city": {"type": "string"}}}


@contextmanager
def separate_proxy(
    start_proxy: Callable[..., Proxy], name: str, configuration: str = ""
) -> Iterator[Proxy]:
    """Start a proxy without learnt lessons."""
    proxy = start_proxy(scripts=SHARED, configuration=f"# {name}\n{QUICK_RETRIES}{configuration}")
    start = len(proxy.lines)
    with clients.environment(clients.behind(proxy)):
        yield proxy
    proxy.assert_log_is_clean(start)


def a_tool(protocol: WireProtocol, name: str, schema: dict[str, Any] = OBJECT) -> dict[str, Any]:
    """Return a tool in the form of the SDK of the protocol."""
    if protocol is good.ANTHROPIC:
        return {"name": name, "input_schema": schema}
    function = {"name": name, "parameters": schema}
    if protocol is good.CHAT:
        return {"type": "function", "function": function}
    return function if protocol is good.GEMINI else {"type": "function", **function}


def names_of(protocol: WireProtocol, received: Received) -> list[str]:
    tools = received.json()["tools"]
    if protocol is good.GEMINI:
        tools = tools[0]["functionDeclarations"]
    return [tool.get("function", tool)["name"] for tool in tools]


def calling_the_tool(protocol: WireProtocol, stream: bool) -> Callable[[Received], Reply]:
    """Return replies that reject invalid tool names and call the tool by the name it has."""

    def reply(received: Received) -> Reply:
        [name] = names_of(protocol, received)
        if "/" in name or len(name) > (128 if protocol is good.ANTHROPIC else 64):
            return faults.status(400, faults.native_error(protocol, 400, "bad_request", "name"))
        old, new = f'"{good.TOOL_NAME}"'.encode(), f'"{name}"'.encode()
        if stream:
            return faults.streamed(
                [event.replace(old, new) for event in good.tool_stream(protocol).events]
            )
        return faults.whole(good.json_tool_body(protocol).replace(old, new))

    return reply


def test_requests_and_answers_that_code_assist_wraps_are_adapted(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    """Gemini CLI sends such requests with a Google login."""
    name = "mcp__weather__" + "forecast/" * 7
    tools = [{"functionDeclarations": [a_tool(good.GEMINI, name, {**OBJECT, "$schema": "x"})]}]
    inner = {**good.request_body(good.GEMINI, True), "tools": tools}
    asked = {"model": "gemini-3-pro", "request": inner}

    def reply(received: Received) -> Reply:
        [declared] = received.json()["request"]["tools"][0]["functionDeclarations"]
        assert (declared["parameters"], "/" in declared["name"]) == (OBJECT, False)
        part = {"functionCall": {"name": declared["name"], "args": good.TOOL_ARGUMENTS}}
        candidate = {
            "index": 0,
            "content": {"role": "model", "parts": [part]},
            "finishReason": "STOP",
        }
        answer = json.dumps({"response": {"candidates": [candidate]}})
        return faults.streamed([f"data: {answer}\r\n\r\n".encode()])

    provider.script([reply])
    path = "/v1internal:streamGenerateContent?alt=sse"
    with Http1Call(proxy, good.HOSTS[good.GEMINI]) as call:
        fields = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        call.send("POST", path, fields, json.dumps(asked).encode())
        raw = call.response()
    [event] = events(raw.body)
    [part] = event["response"]["candidates"][0]["content"]["parts"]
    assert part["functionCall"] == {"name": name, "args": good.TOOL_ARGUMENTS}


@MODES
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_tool_is_sent_under_a_valid_name_and_the_sdk_sees_its_own(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, stream: bool
) -> None:
    name = "mcp__weather__" + "forecast/" * 7
    provider.script([calling_the_tool(protocol, stream)])
    outcome = complete(protocol, stream, tools=[a_tool(protocol, name)])
    assert (outcome.tool_calls, outcome.error_class) == (((name, good.TOOL_ARGUMENTS),), "")
    assert len(provider.received) == 1


@pytest.mark.long
@MODES
def test_the_shell_alone_adapts_tool_names(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, stream: bool
) -> None:
    proxy = start_proxy(scripts=(SUITE + "sanitize_tools.py",))
    provider.script([calling_the_tool(good.CHAT, stream)])
    with clients.environment(clients.behind(proxy)):
        outcome = complete(good.CHAT, stream, tools=[a_tool(good.CHAT, "a/b")])
    assert outcome.tool_calls == (("a/b", good.TOOL_ARGUMENTS),)


REFUSED = (
    "tools.1.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12 "
    "(https://json-schema.org/draft/2020-12)."
)
REGEX = {"type": "object", "properties": {}, "patternProperties": {"^(.*)$": {}}}


def refusing_patterns(received: Received) -> Reply:
    """Reject schemas with patternProperties, with the message of Anthropic."""
    for tool in received.json()["tools"]:
        if "patternProperties" in tool["input_schema"]:
            error = faults.native_error(good.ANTHROPIC, 400, "invalid_request_error", REFUSED)
            return faults.status(400, error)
    return faults.none(good.ANTHROPIC)


def test_a_rejected_tool_is_adapted_now_and_in_later_requests(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    tools = [
        a_tool(good.ANTHROPIC, "Bash"),
        a_tool(good.ANTHROPIC, "mcp__notion__create", REGEX),
        a_tool(good.ANTHROPIC, "Read"),
    ]
    provider.script([refusing_patterns])
    with separate_proxy(start_proxy, "refused tool") as proxy:
        for _ in range(2):
            outcome = complete(good.ANTHROPIC, True, tools=tools)
            assert (outcome.text, outcome.error_class) == (good.TEXT, "")
        proxy.wait_for_line("learnt schema-dialect basic for tool 'mcp__notion__create'")
    first, second, third = (received.json() for received in provider.received)
    assert first["tools"] == tools
    adapted = {"name": "mcp__notion__create", "input_schema": {"type": "object", "properties": {}}}
    assert second == {**first, "tools": [tools[0], adapted, tools[2]]}
    assert third == second


UNION = {"type": "object", "anyOf": [{"type": "object", "properties": {}}]}
REFUSED_FIELDS = ("context_management", "service_tier", "betas", "user", "seed", "logit_bias")


def strict_gateway(received: Received) -> Reply:
    """Reject one fault at a time: each of the tools, each of the fields, the mode of thinking."""
    body = received.json()
    for index, tool in enumerate(body["tools"]):
        if "anyOf" in tool["input_schema"]:
            return refusal(
                f"tools.{index}.custom.input_schema: input_schema does not support oneOf, allOf, or"
                " anyOf at the top level"
            )
    for name in REFUSED_FIELDS:
        if name in body:
            return refusal(f"{name}: Extra inputs are not permitted")
    if body["thinking"]["type"] == "enabled":
        return refusal(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" '
            'and "output_config.effort" to control thinking behavior.'
        )
    return faults.none(good.ANTHROPIC, False)


def refusal(message: str) -> Reply:
    return faults.status(400, faults.native_error(good.ANTHROPIC, 400, "invalid_request", message))


def test_learning_converges_and_survives_the_process(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider, tmp_path: Path
) -> None:
    """The gateway is one about which nothing is known."""
    file = tmp_path / "lessons.jsonl"
    configuration = f'''
[learning]
file = "{file}"

[intercept]
hosts = ["{ORIGIN_HOST}"]
'''
    body = {
        **good.request_body(good.ANTHROPIC, False),
        "tools": [a_tool(good.ANTHROPIC, f"tool-{number}", UNION) for number in range(17)],
        **{name: {} for name in REFUSED_FIELDS},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "max_tokens": 4000,
    }
    headers = {"x-api-key": KEY, "content-type": "application/json"}
    asked: list[int] = []
    for process, calls in (("first", 2), ("second", 1)):
        with separate_proxy(start_proxy, f"{process} {tmp_path.name}", configuration) as proxy:
            for _ in range(calls):
                origin.clear()
                origin.script([strict_gateway])
                with Http1Call(proxy, ORIGIN_HOST) as call:
                    call.send("POST", "/v1/messages", headers, json.dumps(body).encode())
                    assert call.response().status == 200
                asked.append(len(origin.received))
    # the first tool, then all, each field, thinking; later requests are right at once
    assert asked == [1 + 2 + len(REFUSED_FIELDS) + 1, 1, 1]
    assert origin.received[-1].json()["thinking"] == {"type": "adaptive"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"input_schema does not support" in file.read_bytes()
    assert KEY.encode() not in file.read_bytes()


BETA = (
    "Unexpected value(s) `prompt-caching-scope-2026-01-05` for the `anthropic-beta` header. Please "
    "consult our documentation at docs.anthropic.com or try again without the header."
)


def refusing_a_beta(received: Received) -> Reply:
    if "prompt-caching-scope" in received.header("anthropic-beta"):
        error = faults.native_error(good.ANTHROPIC, 400, "invalid_request_error", BETA)
        return faults.status(400, error)
    return faults.none(good.ANTHROPIC)


@pytest.mark.parametrize("http_version", ["HTTP/1.1", "HTTP/2"])
def test_only_the_rejected_beta_is_dropped(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, http_version: str
) -> None:
    betas = "claude-code-20250219,prompt-caching-scope-2026-01-05"
    provider.script([refusing_a_beta])
    provider.alpn = ("h2",) if http_version == "HTTP/2" else ("http/1.1",)
    with (
        separate_proxy(start_proxy, f"beta {http_version}") as proxy,
        model_call(
            proxy,
            good.ANTHROPIC,
            True,
            http_version=http_version,
            headers={"anthropic-beta": betas, "accept-encoding": "gzip"},
        ) as call,
    ):
        assert call.response().status == 200
    first, second = provider.received
    assert first.header("accept-encoding") == "identity"
    assert first.header("anthropic-beta") == betas
    assert second.header("anthropic-beta") == "claude-code-20250219"
    unchanged = [
        {name.lower(): value for name, value in received.headers if b"beta" not in name.lower()}
        for received in (first, second)
    ]
    assert unchanged[0] == unchanged[1]
    assert (first.path, first.body) == (second.path, second.body)


def refusing_additions(received: Received) -> Reply:
    """Reject tools with parameters, as llama.cpp rejects those that wiremend adds."""
    if "parameters" in received.json()["tools"][0]["function"]:
        return faults.status(400, faults.native_error(good.CHAT, 400, "bad_request", "no"))
    return faults.none(good.CHAT)


def test_an_adapted_request_that_is_rejected_is_sent_again_unchanged(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    tool = {"type": "function", "function": {"name": "list"}}
    provider.script([refusing_additions])
    with separate_proxy(start_proxy, "original"):
        for _ in range(2):
            assert complete(good.CHAT, True, tools=[tool]).text == good.TEXT
    assert [received.json()["tools"] == [tool] for received in provider.received] == [
        False,
        True,
        True,
    ]


def test_a_persistent_error_names_the_tool_and_its_server(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    message = "tools.0.custom.input_schema: This schema is rejected."
    error = faults.native_error(good.ANTHROPIC, 400, "invalid_request_error", message)
    provider.script([faults.status(400, error)])
    tools = [a_tool(good.ANTHROPIC, "mcp__notion__create")]
    outcome = complete(good.ANTHROPIC, False, tools=tools)
    assert outcome.status == 400
    assert message in str(outcome.message)
    assert 'tools.0 is tool "mcp__notion__create" (MCP server "notion")' in str(outcome.message)


ROUTED = f"""
[[models]]
match = "*"
fallback = ["other/kimi-k3"]

[providers.other]
base_url = "https://{ORIGIN_HOST}"
schema_dialect = "moonshot"

[[lessons]]
provider = "api.openai.com"
kind = "schema-dialect"
value = "basic"
tool = "second"
"""


@pytest.mark.long
def test_each_target_gets_its_own_schemas(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"], "const": "v"}}}
    provider.script([faults.reset_before_head()])
    origin.script([faults.none(good.CHAT)])
    tools = [a_tool(good.CHAT, name, schema) for name in ("first", "second")]
    with separate_proxy(start_proxy, "routed", ROUTED):
        assert complete(good.CHAT, True, tools=tools).text == good.TEXT
    here = [tool["function"]["parameters"] for tool in provider.received[0].json()["tools"]]
    [received] = origin.received
    there = [tool["function"]["parameters"] for tool in received.json()["tools"]]
    assert here[0] == schema
    assert here[1] == {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"], "enum": ["v"]}},
    }
    assert there[0] == there[1]
    assert "anyOf" in there[0]["properties"]["a"]


@pytest.mark.parametrize(("size", "count"), [(85_000, 9), (1_000_000, 100)])
def test_only_the_invalid_schemas_of_a_large_request_are_changed(
    proxy: Proxy, provider: ScriptedProvider, size: int, count: int
) -> None:
    """Sizes as from coding agents: 9 tools in 85 KB, 100 tools in 1 MB."""
    padding = "\\u00e9 \\/ " * (size // (count * 10))
    bad = '{"type" : "object","oneOf":[{"type":"object","properties":{"n":{"type":"string"}}}]}'
    adapted = '{"type":"object","properties":{"n":{"type":"string"}}}'
    fine = '{"type" : "object", "properties":{"n":{"minimum":1.50}}}'
    tool = '{"name":"mcp__s__tNUMBER", "description":"PADDING","input_schema":SCHEMA}'
    tools = [
        tool.replace("NUMBER", str(number))
        .replace("PADDING", padding)
        .replace("SCHEMA", "BAD" if number % 7 == 3 else fine)
        for number in range(count)
    ]
    body = json.dumps(good.request_body(good.ANTHROPIC, False), indent=2)
    body = body[:-2] + ', "tools":[' + ", ".join(tools) + "]\n}"
    assert len(body) > size * 0.8
    provider.script([faults.none(good.ANTHROPIC, stream=False)])
    sent = body.replace("BAD", bad).encode()
    with model_call(proxy, good.ANTHROPIC, False, body=sent) as call:
        assert call.response().body == good.json_body(good.ANTHROPIC)
    assert provider.received[0].body == body.replace("BAD", adapted).encode()
