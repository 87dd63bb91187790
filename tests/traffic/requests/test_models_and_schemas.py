"""Tests of the models and tool schemas that reach the provider through `mitmdump -s addons/`."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider
from wiremend.text.sse import Decoder

from traffic import clients, faults, good
from traffic.clients import complete, model_call
from traffic.conftest import QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

OTHER_MODEL = "minimax-m3"
MODELS = "".join(
    f'[[models]]\nmatch = "{name.upper()}"\nmodel = "{OTHER_MODEL}"\n'
    for name in dict.fromkeys(good.MODELS.values())
)

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)


@pytest.fixture
def other_model_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    """A proxy that sends every call to another model."""
    proxy = start_proxy(scripts=SHARED, configuration=QUICK_RETRIES + MODELS)
    start = len(proxy.lines)
    with clients.environment(clients.behind(proxy)):
        yield proxy
    proxy.assert_log_is_clean(start)


def as_other(protocol: WireProtocol, data: bytes) -> bytes:
    """Return the same bytes with the name of the other model."""
    return data.replace(good.MODELS[protocol].encode(), OTHER_MODEL.encode())


def payloads(body: bytes) -> list[Any]:
    """Return the parsed JSON of a body, or the type and parsed data of each of its events."""
    if body.startswith(b"{"):
        return [json.loads(body)]
    events = Decoder().feed(body)
    return [
        (e.type, e.data and (e.data if e.data == b"[DONE]" else json.loads(e.data))) for e in events
    ]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
@every_protocol
def test_the_answer_of_another_model_contains_the_requested_name(
    other_model_proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, stream: bool
) -> None:
    if stream:
        expected = good.text_stream(protocol).data
        provider.script([faults.streamed([as_other(protocol, expected)])])
    else:
        expected = good.json_body(protocol)
        provider.script([faults.whole(as_other(protocol, expected))])
    body = json.dumps(good.request_body(protocol, stream), indent=3).encode()
    with model_call(other_model_proxy, protocol, stream, body=body) as call:
        response = call.response()
    assert payloads(response.body) == payloads(expected)
    [received] = provider.received
    assert received.body == as_other(protocol, body)
    assert received.path == as_other(protocol, good.PATHS[protocol, stream].encode()).decode()


TOOLS: dict[WireProtocol, dict[str, Any]] = {
    good.ANTHROPIC: {"name": "list_files", "input_schema": {}},
    good.CHAT: {"type": "function", "function": {"name": "list_files", "parameters": {}}},
    good.RESPONSES: {"type": "function", "name": "list_files", "parameters": {}, "strict": False},
}


def schema_of(tool: Mapping[str, Any]) -> Any:
    """Return the schema of a tool in any protocol."""
    function = tool.get("function", tool)
    return function.get("input_schema", function.get("parameters"))


def refusing_empty_schemas(protocol: WireProtocol) -> Callable[[Received], Reply]:
    """Return replies that reject schemas without `type: object`, as most providers do."""

    def reply(received: Received) -> Reply:
        schema = schema_of(received.json()["tools"][0])
        if isinstance(schema, dict) and str(schema.get("type")).lower() == "object":
            return faults.none(protocol)
        error = faults.native_error(protocol, 400, "invalid_request_error", "type: Field required")
        return faults.status(400, error)

    return reply


@pytest.mark.parametrize(
    "protocol", [protocol for protocol in good.PROTOCOLS if protocol is not good.GEMINI]
)
def test_an_empty_tool_schema_gets_a_type(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    provider.script([refusing_empty_schemas(protocol)])
    outcome = complete(protocol, True, tools=[TOOLS[protocol]])
    assert (outcome.text, outcome.error_class) == (good.TEXT, "")
