"""Tests that clients may use the configured keys and web pages may not."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import Http1Call, RawResponse
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
OTHER_KEY = "sk-test-DO-NOT-LOG-access"
PAGE = "https://evil.example"
ALLOWED = "https://app.example"
CONFIGURATION = f"""{QUICK_RETRIES}
[access]
origins = ["{ALLOWED}", "http://127.0.0.1:3000"]

[[models]]
match = "routed"
provider = "other"

[[models]]
match = "falls-back"
fallback = ["other/kimi-k3"]

[[models]]
match = "header-key"
provider = "with-header"

[[models]]
match = "no-key"
provider = "keyless"

[[models]]
match = "renamed"
model = "{good.MODELS[ANTHROPIC]}"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "{OTHER_KEY}"

[providers.with-header]
base_url = "https://{ORIGIN_HOST}"
headers = {{ x-portkey-api-key = "{OTHER_KEY}" }}

[providers.keyless]
base_url = "https://{ORIGIN_HOST}"
headers = {{ user-agent = "opencode/1.0" }}
"""
KEYED = ("routed", "falls-back", "header-key")
FROM_A_PAGE: dict[str, dict[str, str]] = {
    "a cross-origin fetch": {
        "origin": PAGE,
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "cors",
        "sec-fetch-dest": "empty",
    },
    "a form in an old browser": {"origin": PAGE},
    "a sandboxed frame": {"origin": "null"},
    "an origin that is part of an allowed one": {"origin": "https://app.exampl"},
    "an allowed origin with another port": {"origin": "https://app.example:8443"},
    "an allowed origin and another one": {"origin": f"{ALLOWED}, {PAGE}"},
    "an empty origin": {"origin": ""},
    "an image": {"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"},
    "only sec-fetch-site": {"sec-fetch-site": "same-origin"},
    "only sec-fetch-dest": {"sec-fetch-dest": "empty"},
}
NOT_FROM_A_PAGE: dict[str, dict[str, str]] = {
    "no browser headers": {},
    "the fetch of Node.js": {"sec-fetch-mode": "cors"},
    "an allowed page": FROM_A_PAGE["a cross-origin fetch"] | {"origin": ALLOWED},
    "an allowed page on loopback": {"origin": "http://127.0.0.1:3000"},
}


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    return start_proxy(scripts=SHARED, configuration=CONFIGURATION)


def start_reverse(start_proxy: Callable[..., Proxy]) -> Proxy:
    mode = ("--mode", "reverse:https://api.anthropic.com")
    return start_proxy(scripts=SHARED, configuration=CONFIGURATION, arguments=mode)


def body_for(protocol: WireProtocol, model: str) -> bytes:
    fields = good.request_body(protocol, False)
    return json.dumps(fields if protocol is good.GEMINI else {**fields, "model": model}).encode()


def path_for(protocol: WireProtocol, model: str) -> str:
    return good.PATHS[protocol, False].replace(good.MODELS[good.GEMINI], model)


def ask(
    proxy: Proxy,
    protocol: WireProtocol,
    model: str,
    headers: Mapping[str, str],
    *,
    http_version: str = "HTTP/1.1",
    tunnel: bool = True,
    path: str = "",
) -> RawResponse:
    fields = {"content-type": "application/json", "authorization": f"Bearer {KEY}", **headers}
    version = clients.HTTP_VERSIONS[http_version]
    with version(proxy, good.HOSTS[protocol], tunnel=tunnel) as client:
        target = path or path_for(protocol, model)
        client.send("POST", target, fields, body_for(protocol, model))
        return client.response()


def message_of(response: RawResponse) -> str:
    """Return the message of an error response."""
    error: dict[str, Any] = json.loads(response.body)["error"]
    return str(error["message"])


@pytest.mark.parametrize("headers", FROM_A_PAGE.values(), ids=FROM_A_PAGE)
@pytest.mark.parametrize("model", KEYED)
def test_a_page_gets_no_configured_key(
    proxy: Proxy,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    model: str,
    headers: Mapping[str, str],
) -> None:
    start = len(proxy.lines)
    response = ask(proxy, ANTHROPIC, model, headers)
    assert (response.status, response.ended) == (403, "complete")
    assert json.loads(response.body)["error"]["type"] == "permission_error"
    assert "[access] origins" in message_of(response)
    assert (provider.received, origin.received) == ([], [])
    proxy.wait_for_line("refused.*/v1/messages", start=start)


@pytest.mark.parametrize("protocol", good.PROTOCOLS)
@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
def test_the_403_is_an_error_of_the_clients_protocol(
    proxy: Proxy, origin: ScriptedProvider, protocol: WireProtocol, http_version: str
) -> None:
    response = ask(proxy, protocol, "routed", {"origin": PAGE}, http_version=http_version)
    assert response.status == 403
    assert f'`[access] origins = ["{PAGE}"]`' in message_of(response)
    error = json.loads(response.body)["error"]
    kind = error["status"] if protocol is good.GEMINI else error["type"]
    assert kind == ("PERMISSION_DENIED" if protocol is good.GEMINI else "permission_error")
    assert origin.received == []


@pytest.mark.parametrize("headers", NOT_FROM_A_PAGE.values(), ids=NOT_FROM_A_PAGE)
@pytest.mark.parametrize("model", ["routed", "header-key"])
def test_other_clients_and_allowed_pages_are_routed(
    proxy: Proxy, origin: ScriptedProvider, model: str, headers: Mapping[str, str]
) -> None:
    origin.script([faults.none(ANTHROPIC, stream=False)])
    assert ask(proxy, ANTHROPIC, model, headers).status == 200
    [received] = origin.received
    assert OTHER_KEY in repr(received.headers)


@pytest.mark.parametrize("headers", FROM_A_PAGE.values(), ids=FROM_A_PAGE)
def test_a_page_may_make_calls_that_use_no_configured_key(
    proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider, headers: Mapping[str, str]
) -> None:
    provider.script([faults.none(ANTHROPIC, stream=False)])
    origin.script([faults.none(ANTHROPIC, stream=False)])
    assert ask(proxy, ANTHROPIC, "claude-opus-5", headers).body == good.json_body(ANTHROPIC)
    assert ask(proxy, ANTHROPIC, "renamed", headers).status == 200
    assert ask(proxy, ANTHROPIC, "no-key", headers).status == 200
    unrouted, renamed = provider.received
    assert unrouted.body == body_for(ANTHROPIC, "claude-opus-5")
    assert renamed.body == body_for(ANTHROPIC, "claude-opus-5")
    for name, value in headers.items():
        assert unrouted.header(name) == value
    assert unrouted.header("authorization") == f"Bearer {KEY}"
    [keyless] = origin.received
    assert KEY not in repr(keyless.headers)


COUNT_PATHS = {
    ANTHROPIC: "/v1/messages/count_tokens",
    good.GEMINI: "/v1beta/models/routed:countTokens",
}


@pytest.mark.parametrize(("protocol", "path"), COUNT_PATHS.items())
def test_a_page_cannot_count_tokens_with_a_configured_key(
    proxy: Proxy,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    protocol: WireProtocol,
    path: str,
) -> None:
    response = ask(proxy, protocol, "routed", {"origin": PAGE}, path=path)
    assert response.status == 403
    assert "[access] origins" in message_of(response)
    assert (provider.received, origin.received) == ([], [])
    origin.script([faults.whole(b'{"input_tokens":7}')])
    assert ask(proxy, protocol, "routed", {"origin": ALLOWED}, path=path).status == 200
    assert OTHER_KEY in repr(origin.received[0].headers)


def test_a_page_may_count_tokens_if_only_the_fallback_has_a_key(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    """A count is never sent to a fallback, so it uses no configured key."""
    provider.script([faults.whole(b'{"input_tokens":7}')])
    path = COUNT_PATHS[ANTHROPIC]
    assert ask(proxy, ANTHROPIC, "falls-back", {"origin": PAGE}, path=path).status == 200


def test_a_page_that_lists_models_uses_no_configured_key(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.script([faults.whole(b'{"object":"list","data":[{"id":"gpt-5"}]}')])
    with Http1Call(proxy, good.HOSTS[good.CHAT]) as client:
        client.send("GET", "/v1/models", {"origin": PAGE, "authorization": f"Bearer {KEY}"})
        assert client.response().status == 200
    [received] = provider.received
    assert OTHER_KEY not in repr(received.headers)
    assert received.header("authorization") == f"Bearer {KEY}"


@pytest.mark.long
def test_a_page_gets_no_configured_key_through_a_reverse_proxy(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    proxy = start_reverse(start_proxy)
    for headers in FROM_A_PAGE.values():
        assert ask(proxy, ANTHROPIC, "routed", headers, tunnel=False).status == 403
    assert origin.received == []


def test_a_page_gets_no_configured_key_in_absolute_form(
    proxy: Proxy, origin: ScriptedProvider
) -> None:
    """A browser that is configured to use the proxy sends absolute form."""
    url = "http://api.anthropic.com/v1/messages"
    page = {"origin": PAGE}
    assert ask(proxy, ANTHROPIC, "routed", page, tunnel=False, path=url).status == 403
    assert origin.received == []


@pytest.mark.long
def test_the_list_of_origins_is_read_again_while_the_proxy_runs(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION + "# reloaded\n")
    origin.script([faults.none(ANTHROPIC, stream=False)])
    assert ask(proxy, ANTHROPIC, "routed", {"origin": PAGE}).status == 403
    start = len(proxy.lines)
    proxy.configuration_file.write_text(CONFIGURATION.replace(ALLOWED, PAGE))
    proxy.wait_for_line("reloaded", start=start)
    assert ask(proxy, ANTHROPIC, "routed", {"origin": PAGE}).status == 200
    assert ask(proxy, ANTHROPIC, "routed", {"origin": ALLOWED}).status == 403
