"""Tests of fields that a provider refuses, and of fields that the configuration changes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

CHAT = good.CHAT
ASKED = good.MODELS[CHAT]
CONFIGURATION = f"""{QUICK_RETRIES}
[[models]]
match = "configured"
model = "{ASKED}"
set = {{ temperature = 0.2, "messages.*.tag" = 1, options = {{ mode = "fast" }} }}
drop = ["user"]
rename = {{ max_tokens = "max_completion_tokens" }}

[[models]]
match = "configured-elsewhere"
model = "{ASKED}"
provider = "other"
set = {{ temperature = 0.2 }}

[[models]]
match = "kept"
model = "{ASKED}"
provider = "keeping"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "sk-test-DO-NOT-LOG-other"
set = {{ temperature = 0.5, seed = 7 }}

[providers.keeping]
base_url = "https://{ORIGIN_HOST}"
api_key = "sk-test-DO-NOT-LOG-keeping"
on_unsupported = "error"
"""


@pytest.fixture
def configured(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION)
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


def body(**fields: Any) -> bytes:
    return json.dumps({**good.request_body(CHAT, True), **fields}).encode()


def refusal(field: str) -> Any:
    message = f"{field}: Extra inputs are not permitted"
    return faults.status(400, faults.native_error(CHAT, 400, "invalid_request_error", message))


def test_fields_are_changed_as_configured(configured: Proxy, provider: ScriptedProvider) -> None:
    provider.script([faults.none(CHAT)])
    request = body(model="configured", user="u", max_tokens=64, temperature=1)
    with model_call(configured, CHAT, True, body=request) as call:
        assert call.response().status == 200
    sent = provider.received[0].json()
    assert sent["model"] == ASKED
    assert (sent["temperature"], sent["options"]) == (0.2, {"mode": "fast"})
    assert {message["tag"] for message in sent["messages"]} == {1}
    assert sent["max_completion_tokens"] == 64
    assert not {"user", "max_tokens"} & sent.keys()


def test_what_the_entry_sets_replaces_what_the_provider_sets(
    configured: Proxy, origin: ScriptedProvider
) -> None:
    origin.script([faults.none(CHAT)])
    with model_call(configured, CHAT, True, body=body(model="configured-elsewhere")) as call:
        assert call.response().status == 200
    sent = origin.received[0].json()
    assert (sent["temperature"], sent["seed"]) == (0.2, 7)


def test_a_field_that_the_client_relies_on_is_not_dropped(
    configured: Proxy, provider: ScriptedProvider
) -> None:
    provider.script([refusal("response_format"), faults.none(CHAT)])
    request = body(response_format={"type": "json_object"})
    with model_call(configured, CHAT, True, body=request) as call:
        response = call.response()
        assert response.status == 400
        message = json.loads(response.body)["error"]["message"]
    assert message.startswith("response_format: Extra inputs are not permitted (")
    assert 'drop = ["response_format"]' in message
    assert [received.body for received in provider.received] == [request]


def test_a_provider_that_drops_nothing_gets_every_field_and_the_client_the_error(
    configured: Proxy, origin: ScriptedProvider
) -> None:
    origin.script([refusal("metadata"), faults.none(CHAT)])
    with model_call(configured, CHAT, True, body=body(model="kept", metadata={})) as call:
        response = call.response()
        assert response.status == 400
        message = json.loads(response.body)["error"]["message"]
    assert "on_unsupported" in message
    assert ["metadata" in received.json() for received in origin.received] == [True]
