"""Tests of routes by the shape of a call, lists of models, and token counts."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, RawResponse, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
OTHER_KEY = "sk-test-DO-NOT-LOG-endpoints"
CONFIGURATION = f"""{QUICK_RETRIES}
[[models]]
match = "*"
when = {{ input_tokens_over = 1000, tools_min = 1 }}
model = "long-context"

[[models]]
match = "*"
when = {{ thinking = true }}
model = "thinker"

[[models]]
match = "*"
when = {{ streaming = false }}
model = "background"

[[models]]
match = "kimi-k3"
provider = "other"

[[models]]
match = "claude-routed"
model = "kimi-k3"
provider = "other"

[[models]]
match = "claude-translate[d]"
model = "glm-5"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}/zen/go"
protocol = {{ "glm-*" = "chat" }}
api_key = "{OTHER_KEY}"
"""


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    return start_proxy(scripts=SHARED, configuration=CONFIGURATION)


def ask(
    proxy: Proxy, method: str, path: str, body: Any = None, protocol: WireProtocol = ANTHROPIC
) -> RawResponse:
    headers = {"x-api-key": KEY, "content-type": "application/json", "cookie": KEY}
    with HTTP_VERSIONS["HTTP/1.1"](proxy, good.HOSTS[protocol]) as client:
        data = json.dumps(body).encode() if body is not None else b""
        client.send(method, path, headers, data)
        return client.response()


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        pytest.param({"stream": True}, good.MODELS[ANTHROPIC], id="no condition holds"),
        pytest.param({}, "background", id="not streaming"),
        pytest.param({"stream": True, "thinking": {"type": "adaptive"}}, "thinker", id="thinking"),
        pytest.param(
            {
                "stream": True,
                "thinking": {"type": "adaptive"},
                "tools": [{"name": "Bash", "input_schema": {"type": "object", "properties": {}}}],
                "system": "x" * 5000,
            },
            "long-context",
            id="the first match applies",
        ),
    ],
)
def test_a_call_is_routed_by_its_shape(
    proxy: Proxy, provider: ScriptedProvider, fields: dict[str, Any], model: str
) -> None:
    streaming = bool(fields.get("stream"))
    provider.script([faults.none(ANTHROPIC, streaming)])
    body = {**good.request_body(ANTHROPIC, False), **fields}
    data = json.dumps(body).encode()
    with model_call(proxy, ANTHROPIC, streaming, body=data) as call:
        response = call.response()
    [received] = provider.received
    assert received.body == data.replace(good.MODELS[ANTHROPIC].encode(), model.encode())
    assert good.MODELS[ANTHROPIC].encode() in response.body


OPENAI_LIST = b'{"object":"list","data":[{"id":"gpt-5","object":"model"}]}'


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_list_of_models_contains_the_routed_names(
    proxy: Proxy, provider: ScriptedProvider, coding: str
) -> None:
    data = OPENAI_LIST if coding == "identity" else faults.encode(OPENAI_LIST, coding)
    coded = () if coding == "identity" else (("content-encoding", coding),)
    provider.script([faults.whole(data, (*faults.JSON, *coded))])
    response = ask(proxy, "GET", "/v1/models?limit=1000", protocol=good.CHAT)
    assert response.body.startswith(OPENAI_LIST[:-2])
    assert [model["id"] for model in json.loads(response.body)["data"]] == [
        "gpt-5",
        "kimi-k3",
        "claude-routed",
    ]
    assert response.header("content-length") == str(len(response.body))
    assert response.header("content-encoding") is None


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(faults.status(401, {"error": {"message": "no"}}), id="an error"),
        pytest.param(faults.whole(b'{"data":{}}'), id="another body"),
        pytest.param(faults.whole(OPENAI_LIST, status=500), id="a list with an error's status"),
    ],
)
def test_other_responses_are_not_extended(
    proxy: Proxy, provider: ScriptedProvider, reply: Reply
) -> None:
    provider.script([reply])
    response = ask(proxy, "GET", "/v1/models", protocol=good.CHAT)
    assert b"kimi-k3" not in response.body


COUNT = {"model": "claude-routed", "messages": [{"role": "user", "content": "x" * 4000}]}


def test_a_count_goes_to_the_provider_of_the_model(
    proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    origin.script([faults.whole(b'{"input_tokens":7}')])
    response = ask(proxy, "POST", "/v1/messages/count_tokens?beta=true", COUNT)
    assert response.body == b'{"input_tokens":7}'
    assert len(origin.received) == 1
    assert provider.received == []


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_count_is_estimated_for_a_provider_that_cannot_count(
    proxy: Proxy,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    status: int,
) -> None:
    origin.script([faults.status(status, {"error": {"message": "Invalid URL"}})])
    response = ask(proxy, "POST", "/v1/messages/count_tokens?beta=true", COUNT)
    assert response.status == 200
    assert 1000 <= json.loads(response.body)["input_tokens"] < 1030
    [received] = origin.received
    assert received.path == "/zen/go/v1/messages/count_tokens?beta=true"
    assert received.json()["model"] == "kimi-k3"
    assert KEY not in repr((received.path, received.headers, received.body))
    assert received.header("x-api-key") == OTHER_KEY
    assert received.header("host") == ORIGIN_HOST
    assert provider.received == []


def test_a_count_is_estimated_for_a_provider_of_another_protocol(
    proxy: Proxy, origin: ScriptedProvider
) -> None:
    body = {**COUNT, "model": "claude-translated"}
    response = ask(proxy, "POST", "/v1/messages/count_tokens?beta=true", body)
    assert response.status == 200
    assert 1000 <= json.loads(response.body)["input_tokens"] < 1030
    assert origin.received == []


@pytest.mark.parametrize("status", [200, 400, 429])
def test_other_responses_to_a_count_are_forwarded(
    proxy: Proxy,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    status: int,
) -> None:
    origin.script([faults.whole(b'{"input_tokens":7}', status=status)])
    response = ask(proxy, "POST", "/v1/messages/count_tokens", COUNT)
    assert (response.status, response.body) == (status, b'{"input_tokens":7}')


def test_a_count_for_a_model_that_is_not_routed_is_unchanged(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.script([faults.status(404, {"error": {"message": "Invalid URL"}})])
    body = {**COUNT, "model": "claude-opus-5"}
    assert ask(proxy, "POST", "/v1/messages/count_tokens", body).status == 404
    [received] = provider.received
    assert received.body == json.dumps(body).encode()
    assert received.header("x-api-key") == KEY
