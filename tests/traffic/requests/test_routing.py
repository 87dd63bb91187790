"""Tests of `[[models]]` with providers and fallbacks: the target, key and model of each request."""

import json
from collections.abc import Callable

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.provider import ScriptedProvider
from wiremend.text.content_coding import decode_whole

from traffic import clients, faults, good
from traffic.clients import HTTP_VERSIONS, complete, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, SUITE, Proxy

OTHER_KEY = "sk-test-DO-NOT-LOG-other-provider"
CONFIGURATION = f"""{QUICK_RETRIES}
[[models]]
match = "*"
model = "kimi-k3"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}/zen/go"
api_key = "${{OTHER_API_KEY}}"
headers = {{ user-agent = "opencode/1.0" }}
"""
FALLBACK = f"""{QUICK_RETRIES}
[[models]]
match = "*"
fallback = ["other/kimi-k3"]

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "${{OTHER_API_KEY}}"
"""
REWRITE = SUITE + "rewrite_models.py"
REPAIR = SUITE + "repair_streams.py"
LOADED = {
    "the suite": SHARED,
    "repair last": (REWRITE, SUITE + "sanitize_tools.py", REPAIR),
    "repair first": (REPAIR, REWRITE),
}
PROTOCOLS = [pytest.param(protocol, id=str(protocol)) for protocol in WireProtocol]


def start_routing(start_proxy: Callable[..., Proxy], configuration: str) -> Proxy:
    return start_proxy(
        scripts=SHARED, configuration=configuration, environment={"OTHER_API_KEY": OTHER_KEY}
    )


@pytest.mark.long
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_routed_call_has_the_key_of_its_provider_and_not_of_the_client(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    protocol: WireProtocol,
) -> None:
    proxy = start_routing(start_proxy, CONFIGURATION)
    origin.script([faults.none(protocol)])
    with clients.environment(clients.behind(proxy)):
        assert complete(protocol, True).text == good.TEXT
    [received] = origin.received
    everything = repr((received.path, received.headers, received.body))
    assert KEY not in everything
    assert OTHER_KEY in everything
    assert received.path.startswith("/zen/go/v1")
    assert received.header("host") == ORIGIN_HOST
    assert received.header("user-agent") == "opencode/1.0"
    assert "kimi-k3" in received.path + received.body.decode()
    assert provider.received == []


COMPACTED = (
    b'{"id":"resp_1", "object":"response.compaction","output":[{"type":"message","role":"user",'
    b'"content":[{"type":"input_text","text":"Hi"}]},{"type":"compaction","encrypted_content":"x"}]'
    b',"usage":null}',
    b'{"output":[{"type":"compaction","encrypted_content":"x"}]}',
)


@pytest.mark.long
@pytest.mark.parametrize("body", COMPACTED, ids=["OpenAI", "Codex"])
def test_a_compaction_goes_where_the_calls_go_and_its_result_is_unchanged(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    body: bytes,
) -> None:
    """Codex has no fallback if its history cannot be compacted."""
    proxy = start_routing(start_proxy, CONFIGURATION)
    origin.script([faults.status(503, {"error": {"message": "busy"}}), faults.whole(body)])
    history = [{"role": "user", "content": "Hello"}]
    asked = {"model": "gpt-5.2-codex", "instructions": "", "input": history, "tools": []}
    with HTTP_VERSIONS["HTTP/1.1"](proxy, good.HOSTS[good.RESPONSES]) as client:
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        client.send("POST", "/v1/responses/compact", headers, json.dumps(asked).encode())
        response = client.response()
    assert (response.status, response.body) == (200, body)
    assert [received.path for received in origin.received] == ["/zen/go/v1/responses/compact"] * 2
    received = origin.received[-1]
    assert received.json() == {**asked, "model": "kimi-k3"}
    assert received.header("authorization") == f"Bearer {OTHER_KEY}"
    assert provider.received == []


@pytest.mark.parametrize("http_version", ["HTTP/1.1", "HTTP/2"])
def test_the_response_contains_the_requested_model(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider, http_version: str
) -> None:
    proxy = start_routing(start_proxy, CONFIGURATION)
    origin.script([faults.none(good.ANTHROPIC)])
    with model_call(proxy, good.ANTHROPIC, True, http_version=http_version) as call:
        response = call.response()
    asked = good.request_body(good.ANTHROPIC, True)["model"]
    assert f'"{asked}"'.encode() in response.body


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", ["overloaded", "refused key", "unknown model"])
def test_a_failed_provider_falls_back_to_the_next_one(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    protocol: WireProtocol,
    fault: str,
) -> None:
    reply = {
        "overloaded": faults.overloaded(protocol),
        "refused key": faults.status(
            401, faults.native_error(protocol, 401, "authentication_error", "bad key")
        ),
        "unknown model": faults.status(
            404, faults.native_error(protocol, 404, "not_found_error", "no such model")
        ),
    }[fault]
    provider.script([reply])
    origin.script([faults.none(protocol)])
    proxy = start_routing(start_proxy, FALLBACK)
    with clients.environment(clients.behind(proxy)):
        assert complete(protocol, True).text == good.TEXT
    assert len(provider.received) == (4 if fault == "overloaded" else 1)
    [received] = origin.received
    everything = repr((received.path, received.headers, received.body))
    assert KEY not in everything
    assert OTHER_KEY not in repr([(r.path, r.headers, r.body) for r in provider.received])


@pytest.mark.long
@pytest.mark.parametrize("upstream", [("http/1.1",), ("h2",)], ids=["HTTP/1.1", "HTTP/2"])
def test_a_missing_model_falls_back_to_another_of_the_same_provider(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, upstream: tuple[str, ...]
) -> None:
    provider.alpn = upstream
    missing = faults.native_error(good.ANTHROPIC, 404, "not_found_error", "no such model")
    provider.script([faults.status(404, missing), faults.none(good.ANTHROPIC)])
    other_model = '[[models]]\nmatch = "*"\nfallback = ["claude-sonnet-5"]\n'
    proxy = start_proxy(scripts=SHARED, configuration=f"{QUICK_RETRIES}\n{other_model}")
    with model_call(proxy, good.ANTHROPIC, True) as call:
        assert call.response().body
    assert [json.loads(received.body)["model"] for received in provider.received] == [
        good.request_body(good.ANTHROPIC, True)["model"],
        "claude-sonnet-5",
    ]


def test_when_every_provider_fails_the_error_lists_every_attempt(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    provider.script([faults.reset_before_head()])
    origin.script([faults.overloaded(good.ANTHROPIC)])
    proxy = start_routing(start_proxy, FALLBACK)
    with clients.environment(clients.behind(proxy)):
        outcome = complete(good.ANTHROPIC, True)
    assert outcome.status == 529
    assert outcome.message is not None
    assert "at api.anthropic.com" in outcome.message
    assert "kimi-k3 at other" in outcome.message


@pytest.mark.parametrize("accepted", ["gzip, br, zstd", None])
@pytest.mark.parametrize("http_version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("loaded", LOADED)
def test_every_target_gets_accept_encoding_identity(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    loaded: str,
    http_version: str,
    accepted: str | None,
) -> None:
    """Both the first target and the fallback; a missing header is not added."""
    proxy = start_proxy(
        scripts=LOADED[loaded],
        configuration=FALLBACK,
        environment={"OTHER_API_KEY": OTHER_KEY},
    )
    missing = faults.native_error(good.ANTHROPIC, 404, "not_found_error", "no such model")
    provider.script([faults.status(404, missing)])
    origin.script([faults.none(good.ANTHROPIC)])
    headers = {} if accepted is None else {"accept-encoding": accepted}
    with model_call(
        proxy, good.ANTHROPIC, True, http_version=http_version, headers=headers
    ) as call:
        assert call.response().status == 200
    asked = [received.headers for received in (*provider.received, *origin.received)]
    values = [
        [value for name, value in fields if name.lower() == b"accept-encoding"] for fields in asked
    ]
    assert values == [[] if accepted is None else [b"identity"]] * 2


@pytest.mark.parametrize("coding", faults.CODINGS)
def test_a_coded_request_is_routed(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider, coding: str
) -> None:
    proxy = start_routing(start_proxy, CONFIGURATION)
    origin.script([faults.none(good.ANTHROPIC)])
    asked = good.request_body(good.ANTHROPIC, True)
    body = faults.encode(json.dumps(asked).encode(), coding)
    headers = {"content-encoding": coding}
    with model_call(proxy, good.ANTHROPIC, True, body=body, headers=headers) as call:
        assert call.response().status == 200
    [received] = origin.received
    decoded = decode_whole(received.header("content-encoding"), received.body, 1_000_000)
    assert json.loads(decoded) == {**asked, "model": "kimi-k3"}


@pytest.mark.long
@pytest.mark.parametrize("coding", faults.CODINGS)
def test_a_coded_request_is_changed_for_every_fallback(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, coding: str
) -> None:
    models = ["claude-opus-5", "claude-sonnet-5", "claude-haiku-5"]
    missing = faults.native_error(good.ANTHROPIC, 404, "not_found_error", "no such model")
    provider.script([*[faults.status(404, missing)] * 2, faults.none(good.ANTHROPIC)])
    route = f'[[models]]\nmatch = "*"\nmodel = "{models[0]}"\nfallback = {models[1:]}\n'
    proxy = start_proxy(scripts=SHARED, configuration=f"{QUICK_RETRIES}\n{route}")
    asked = good.request_body(good.ANTHROPIC, True)
    body = faults.encode(json.dumps(asked).encode(), coding)
    headers = {"content-encoding": coding}
    with model_call(proxy, good.ANTHROPIC, True, body=body, headers=headers) as call:
        assert call.response().status == 200
    decoded = [
        json.loads(decode_whole(request.header("content-encoding"), request.body, 1_000_000))
        for request in provider.received
    ]
    assert decoded == [{**asked, "model": model} for model in models]


@pytest.mark.parametrize("coding", faults.CODINGS)
def test_a_request_that_expands_too_much_is_not_routed(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    coding: str,
) -> None:
    """It is forwarded to the addressed provider unchanged, with the key of the client."""
    proxy = start_routing(start_proxy, CONFIGURATION)
    provider.script([faults.none(good.ANTHROPIC)])
    asked = json.dumps(good.request_body(good.ANTHROPIC, True)).encode()
    body = faults.encode(asked + b" " * 16_000_000, coding)
    headers = {"content-encoding": coding}
    with model_call(proxy, good.ANTHROPIC, True, body=body, headers=headers) as call:
        assert call.response().status == 200
    [received] = provider.received
    assert received.body == body
    assert KEY in received.header("authorization")
    assert origin.received == []
