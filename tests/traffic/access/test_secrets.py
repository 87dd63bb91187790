"""Tests that no key appears in the log, in saved flows or in exports."""

import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, RawResponse, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES
from traffic.proxy import Proxy

PROTOCOLS = tuple(WireProtocol)
CLIENT_KEYS = {
    protocol: f"sk-test-DO-NOT-LOG-{number}a+/b=" for number, protocol in enumerate(PROTOCOLS)
}
COOKIE = "sk-test-DO-NOT-LOG-cookie"
NEW_COOKIE = "sk-test-DO-NOT-LOG-set-cookie"
ACCOUNT = "sk-test-DO-NOT-LOG-account"
OTHER_KEY = "sk-test-DO-NOT-LOG-other+/provider="
SECRETS = (*CLIENT_KEYS.values(), COOKIE, NEW_COOKIE, ACCOUNT, OTHER_KEY)
FALLBACK = f"""{QUICK_RETRIES}
[shutdown]
grace = 0.2

[[models]]
match = "*"
fallback = ["other/kimi-k3"]

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key_file = "other.key"
"""


def key_headers(protocol: WireProtocol) -> dict[str, str]:
    """Return the key headers of the clients of this protocol; Gemini has its key in the query."""
    key = CLIENT_KEYS[protocol]
    return {
        WireProtocol.ANTHROPIC_MESSAGES: {"x-api-key": key, "authorization": ""},
        WireProtocol.CHAT_COMPLETIONS: {"authorization": f"Bearer {key}"},
        WireProtocol.RESPONSES: {
            "authorization": f"Bearer {key}",
            "cookie": f"session={COOKIE}",
            "chatgpt-account-id": ACCOUNT,
        },
        WireProtocol.GEMINI: {"authorization": ""},
    }[protocol]


def call(proxy: Proxy, protocol: WireProtocol, http_version: str = "HTTP/1.1") -> RawResponse:
    host, path = good.HOSTS[protocol], good.PATHS[protocol, True]
    if protocol is WireProtocol.GEMINI:
        path += f"&key={quote(CLIENT_KEYS[protocol], safe='')}"
    body = json.dumps(good.request_body(protocol, True)).encode()
    headers = {"content-type": "application/json", **key_headers(protocol)}
    with HTTP_VERSIONS[http_version](proxy, host) as client:
        client.send("POST", path, headers, body)
        return client.response()


def forms(secret: str) -> Iterable[bytes]:
    """Yield the secret as it might appear: plain, URL-encoded, in base64 at any offset, in JSON."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield quote(secret).encode()
    yield secret.replace("/", "\\/").encode()
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + secret.encode())
        yield encoded[4:-4]


def assert_contains_no_secret(name: str, data: bytes, secrets: Iterable[str] = SECRETS) -> None:
    assert data, f"{name} is empty"
    for secret in secrets:
        for form in forms(secret):
            assert form not in data, f"{form!r} in {name}"


def everything(received: Iterable[Received]) -> bytes:
    return repr([(r.path, r.headers, r.body) for r in received]).encode()


def key_file(directory: Path) -> None:
    path = directory / "other.key"
    path.write_text(OTHER_KEY + "\n")
    path.chmod(0o600)


def echoing(protocol: WireProtocol, status: int) -> Reply:
    """Return an error that repeats the rejected key in its message and in a header."""
    key = CLIENT_KEYS[protocol]
    error = faults.native_error(protocol, status, "authentication_error", f"bad key {key}")
    return faults.whole(
        json.dumps(error).encode(), (*faults.JSON, ("x-refused", key)), status=status
    )


@pytest.mark.first_row
@pytest.mark.parametrize("detail", ["1", "4"])
def test_no_key_is_printed_saved_or_exported(
    authority: Authority,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    tmp_path: Path,
    detail: str,
) -> None:
    flows, har = tmp_path / "flows.mitm", tmp_path / "flows.har"
    key_file(tmp_path)
    hosts = dict.fromkeys(good.HOSTS.values(), provider.port) | {ORIGIN_HOST: origin.port}
    arguments = ["-w", str(flows), "--set", f"hardump={har}", "--set", f"flow_detail={detail}"]
    cookie = ("set-cookie", f"sid={NEW_COOKIE}; path=/")
    with Proxy(
        tmp_path, authority, hosts, configuration=FALLBACK, arguments=[*arguments, "-v"]
    ) as proxy:
        for protocol in PROTOCOLS:
            for reply in (
                faults.streamed(good.text_stream(protocol).events, (*faults.EVENT_STREAM, cookie)),
                faults.reset_mid_stream(protocol),
                faults.rate_limited(protocol),
                faults.status(400, faults.native_error(protocol, 400, "invalid", "no")),
                echoing(protocol, 400),
                echoing(protocol, 401),
            ):
                provider.script([reply])
                origin.script([faults.none(protocol)])
                call(proxy, protocol)
        passing = (*faults.JSON, cookie)
        provider.script([faults.whole(b"{}", passing)])
        with HTTP_VERSIONS["HTTP/1.1"](proxy, good.HOSTS[WireProtocol.GEMINI]) as client:
            key = quote(CLIENT_KEYS[WireProtocol.GEMINI], safe="")
            client.send("GET", f"/v1beta/models?key={key}", key_headers(WireProtocol.RESPONSES))
            passed = client.response()
        before = len(provider.received)
        provider.script([faults.stall_before_head()])
        anthropic = WireProtocol.ANTHROPIC_MESSAGES
        headers = key_headers(anthropic)
        with (
            model_call(proxy, anthropic, True, headers=headers),
            HTTP_VERSIONS["HTTP/1.1"](proxy, good.HOSTS[anthropic]) as passing_call,
        ):
            passing_call.send("GET", "/v1/files", headers)
            assert len(provider.wait_for_requests(before + 2)) == before + 2
            proxy.terminate()
            assert proxy.wait(10) == 0
    assert passed.header("set-cookie") == cookie[1]
    assert (passed.status, passed.body) == (200, b"{}")
    assert_contains_no_secret("the terminal", "\n".join(proxy.lines).encode())
    assert_contains_no_secret("the flow file", flows.read_bytes())
    assert_contains_no_secret("the HAR file", har.read_bytes())
    with flows.open("rb") as file:
        saved = [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    assert len(saved) == 6 * len(PROTOCOLS) + 3
    assert {flow.request.query.get("key") for flow in saved} == {None, "REDACTED"}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("http_version", ["HTTP/1.1", "HTTP/2"])
def test_the_provider_gets_its_key_and_the_client_its_cookie(
    provider: ScriptedProvider,
    protocol: WireProtocol,
    http_version: str,
    start_proxy: Callable[..., Proxy],
) -> None:
    proxy = start_proxy(configuration=QUICK_RETRIES)
    cookie = ("set-cookie", f"sid={NEW_COOKIE}; path=/")
    refusal = faults.native_error(protocol, 400, "invalid_request_error", "no")
    head = (*faults.JSON, cookie, ("x-after", "1"))
    provider.script(
        [
            faults.whole(json.dumps(refusal).encode(), head, status=400),
            faults.streamed(good.text_stream(protocol).events, (*faults.EVENT_STREAM, cookie)),
        ]
    )
    for _ in range(2):
        response = call(proxy, protocol, http_version)
        assert response.header("set-cookie") == cookie[1]
    for received in provider.received:
        key = CLIENT_KEYS[protocol]
        sent = everything([received])
        assert key.encode() in sent or quote(key, safe="").encode() in sent
        assert b"REDACTED" not in sent


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_no_provider_gets_the_key_of_another(
    authority: Authority,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    tmp_path: Path,
    protocol: WireProtocol,
) -> None:
    key_file(tmp_path)
    hosts = dict.fromkeys(good.HOSTS.values(), provider.port) | {ORIGIN_HOST: origin.port}
    with Proxy(tmp_path, authority, hosts, configuration=FALLBACK) as proxy:
        for reply in (
            faults.overloaded(protocol),
            faults.reset_before_head(),
            echoing(protocol, 401),
        ):
            provider.script([reply])
            origin.script([faults.none(protocol)])
            assert call(proxy, protocol).status == 200
    assert_contains_no_secret(
        "the requests to the other provider", everything(origin.received), SECRETS[:-1]
    )
    assert OTHER_KEY.encode() in everything(origin.received)
    assert_contains_no_secret(
        "the requests to the first provider", everything(provider.received), [OTHER_KEY]
    )
