"""Tests of requests with coded bodies or with header values that are not ASCII."""

import gzip
import json
from collections.abc import Callable, Iterator

import pytest
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import Fields, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
ASKED = good.MODELS[ANTHROPIC]
BODY = json.dumps(good.request_body(ANTHROPIC, True)).encode()
ROUTES = f"""{QUICK_RETRIES}
[[models]]
match = "claude-renamed"
model = "{ASKED}"

[[models]]
match = "claude-routed"
provider = "other"

[[models]]
match = "claude-fallback"
fallback = ["other/claude-fallback"]

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "sk-test-DO-NOT-LOG-other"
"""


@pytest.fixture
def routing_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    proxy = start_proxy(scripts=SHARED, configuration=ROUTES)
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


def asking_for(model: str) -> bytes:
    return BODY.replace(ASKED.encode(), model.encode())


def bodies_without_change() -> dict[str, tuple[str, bytes]]:
    """Return content codings and bodies, some of which are not in that coding."""
    twice = gzip.compress(gzip.compress(BODY))
    return {
        "gzip": ("gzip", gzip.compress(BODY)),
        "zstd": ("zstd", faults.encode(BODY, "zstd")),
        "x-gzip": ("x-gzip", gzip.compress(BODY)),
        "gzip twice": ("gzip, gzip", twice),
        "an unknown coding": ("snappy", b"\xff\x06\x00\x00sNaPpY" + BODY),
        "an unknown coding of plain JSON": ("aws-chunked", BODY),
        "a text encoding": ("utf-8", BODY),
        "plain JSON that claims to be gzip": ("gzip", BODY),
        "plain JSON that claims to be brotli": ("br", BODY),
        "noise that claims to be gzip": ("gzip", bytes(range(256))),
        "truncated gzip": ("gzip", gzip.compress(BODY)[:40]),
        "an empty body": ("gzip", b""),
    }


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
@pytest.mark.parametrize(
    ("coding", "body"), bodies_without_change().values(), ids=bodies_without_change()
)
def test_a_coded_request_is_forwarded_byte_for_byte(
    proxy: Proxy, provider: ScriptedProvider, coding: str, body: bytes, http_version: str
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    headers = {"content-encoding": coding}
    with model_call(
        proxy, ANTHROPIC, True, headers=headers, body=body, http_version=http_version
    ) as call:
        response = call.response()
    assert (response.status, response.ended) == (200, "complete")
    [received] = provider.received
    assert received.body == body
    assert received.header("content-encoding") == coding


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "gzip, gzip", "zstd"])
@pytest.mark.parametrize(
    ("model", "is_other"), [("claude-renamed", False), ("claude-routed", True)]
)
def test_a_coded_request_that_is_changed_or_routed_is_sent_uncoded(
    routing_proxy: Proxy,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    coding: str,
    model: str,
    is_other: bool,
) -> None:
    target = origin if is_other else provider
    target.script([faults.none(ANTHROPIC)])
    coded = asking_for(model)
    for name in coding.split(", "):
        coded = faults.encode(coded, name.removeprefix("x-"))
    headers = {"content-encoding": coding}
    with model_call(routing_proxy, ANTHROPIC, True, headers=headers, body=coded) as call:
        response = call.response()
    assert (response.status, response.ended) == (200, "complete")
    [received] = target.received
    assert received.body == asking_for(model if is_other else ASKED)
    assert received.header("content-encoding") == ""
    assert received.header("content-length") == str(len(received.body))


@pytest.mark.parametrize("status", [200, 529])
def test_a_coded_request_with_a_fallback_is_coded_for_the_first_target_only(
    routing_proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider, status: int
) -> None:
    good_reply = faults.none(ANTHROPIC)
    provider.script([good_reply if status == 200 else faults.overloaded(ANTHROPIC)])
    origin.script([good_reply])
    plain = asking_for("claude-fallback")
    coded = gzip.compress(plain)
    headers = {"content-encoding": "gzip"}
    with model_call(routing_proxy, ANTHROPIC, True, headers=headers, body=coded) as call:
        assert call.response().status == 200
    assert {(r.body, r.header("content-encoding")) for r in provider.received} == {(coded, "gzip")}
    expected = [] if status == 200 else [(plain, "")]
    assert [(r.body, r.header("content-encoding")) for r in origin.received] == expected


@pytest.mark.parametrize("coding", ["aws-chunked", "gzip"])
def test_a_request_that_cannot_be_read_is_not_routed(
    routing_proxy: Proxy, provider: ScriptedProvider, coding: str
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    headers = {"content-encoding": coding}
    body = asking_for("claude-renamed")
    with model_call(routing_proxy, ANTHROPIC, True, headers=headers, body=body) as call:
        assert call.response().status == 200
    [received] = provider.received
    assert (received.body, received.header("content-encoding")) == (body, coding)


@pytest.mark.parametrize("coding", ["aws-chunked", "gzip"])
def test_a_list_of_models_that_cannot_be_read_is_forwarded_byte_for_byte(
    routing_proxy: Proxy, provider: ScriptedProvider, coding: str
) -> None:
    data = b'{"object":"list","data":[{"id":"gpt-5","object":"model"}]}'
    provider.script([faults.whole(data, (*faults.JSON, ("content-encoding", coding)))])
    with clients.Http1Call(routing_proxy, good.HOSTS[good.CHAT]) as call:
        call.send("GET", "/v1/models", {"authorization": f"Bearer {KEY}"})
        response = call.response()
    assert (response.body, response.header("content-encoding")) == (data, coding)


def fields_of(received: Received, names: set[bytes]) -> Fields:
    return tuple((name, value) for name, value in received.headers if name.lower() in names)


ODD_HEADERS: dict[str, str | bytes] = {
    "X-Title": b"caf\xe9",
    "x-utf8": "café".encode(),
    "X-Bytes": bytes(range(0xA0, 0x100)),
    "x-quoted": b'"a", b;c=\xff',
}


@pytest.mark.parametrize("model", ["claude-routed", "claude-fallback", "claude-renamed", ASKED])
@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
def test_header_values_keep_their_bytes(
    routing_proxy: Proxy,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    model: str,
    http_version: str,
) -> None:
    provider.script([faults.overloaded(ANTHROPIC)])
    origin.script([faults.none(ANTHROPIC)])
    with model_call(
        routing_proxy,
        ANTHROPIC,
        True,
        headers=ODD_HEADERS,
        body=asking_for(model),
        http_version=http_version,
    ) as call:
        response = call.response()
    assert response.status == (529 if model in ("claude-renamed", ASKED) else 200)
    everything = provider.received + origin.received
    assert len(everything) == {"claude-routed": 1, "claude-fallback": 5}.get(model, 4)
    expected = tuple(
        (name.lower().encode() if http_version == "HTTP/2" else name.encode(), value)
        for name, value in ODD_HEADERS.items()
    )
    names = {name.lower().encode() for name in ODD_HEADERS}
    assert {fields_of(received, names) for received in everything} == {expected}


def test_header_values_keep_their_bytes_in_a_request_that_is_amended(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    # A separate proxy, since it learns to send no metadata.
    proxy = start_proxy(scripts=SHARED, configuration=f"{QUICK_RETRIES}# amended\n")
    message = "metadata: Extra inputs are not permitted"
    refusal = faults.native_error(ANTHROPIC, 400, "invalid_request_error", message)
    provider.script([faults.status(400, refusal), faults.none(ANTHROPIC)])
    body = json.dumps({**good.request_body(ANTHROPIC, True), "metadata": {}}).encode()
    with model_call(proxy, ANTHROPIC, True, headers=ODD_HEADERS, body=body) as call:
        assert call.response().status == 200
    first, second = provider.received
    assert first.body == body
    assert b"metadata" not in second.body
    names = {name.lower().encode() for name in ODD_HEADERS}
    expected = tuple((name.encode(), value) for name, value in ODD_HEADERS.items())
    assert fields_of(first, names) == fields_of(second, names) == expected


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("path", [good.PATHS[ANTHROPIC, True], "/v1/files"])
def test_a_response_without_a_body_leaves_nothing_to_the_next_one(
    proxy: Proxy, provider: ScriptedProvider, path: str, alpn: str
) -> None:
    """In HTTP/1.1 a 304 may say how its body would be coded; an HTTP/2 server sends a body."""
    provider.alpn = (alpn,)
    body = [faults.chunks([b"a body"])] if alpn == "h2" else []
    unmodified = Reply("", (faults.head(304, faults.JSON), *body, faults.end))
    provider.script([unmodified, faults.whole(b"{}")])
    host = good.HOSTS[ANTHROPIC]
    head = f"Host: {host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    requests = f"POST {path} HTTP/1.1\r\n{head}\r\n{{}}POST /v1/files HTTP/1.1\r\n{head}\r\n{{}}"
    with clients.Http1Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        call._socket.sendall(requests.encode())
        received = b""
        while not received.endswith(b"{}"):
            received += call._socket.recv(1)
    first, second, body_of_second = received.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 304 ")
    assert second.startswith(b"HTTP/1.1 200 ")
    assert body_of_second == b"{}"
