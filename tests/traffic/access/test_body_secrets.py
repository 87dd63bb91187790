"""Tests that credentials in bodies are neither kept nor sent to another provider."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.access.test_secrets import assert_contains_no_secret, everything
from traffic.clients import Http1Call, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

TOKEN = "mcp-test-DO-NOT-LOG-token+/="
MINTED = "sk-test-DO-NOT-LOG-minted+/="
HOST = good.HOSTS[good.ANTHROPIC]
SERVER = {"type": "url", "name": "s", "url": "https://mcp.example.com/"}
TOOL = {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example.com/"}
FIELDS: dict[WireProtocol, dict[str, Any]] = {
    good.ANTHROPIC: {"mcp_servers": [SERVER | {"authorization_token": TOKEN}]},
    good.RESPONSES: {
        "tools": [
            TOOL | {"authorization": TOKEN},
            TOOL | {"headers": {"authorization": f"Bearer {TOKEN}"}},
        ]
    },
}
FALLBACK = f"""{QUICK_RETRIES}
[[models]]
match = "*"
fallback = ["other/kimi-k3"]

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "of-the-other-provider"
"""


def body_of(protocol: WireProtocol) -> bytes:
    return json.dumps(good.request_body(protocol, True) | FIELDS[protocol]).encode()


def ask(
    proxy: Proxy, method: str, path: str, fields: Any = None, coding: str = ""
) -> tuple[int, bytes]:
    body = b"" if fields is None else json.dumps(fields).encode()
    headers = {"content-type": "application/json", "accept-encoding": "gzip"}
    if coding:
        body, headers["content-encoding"] = gzip.compress(body), coding
    with Http1Call(proxy, HOST) as client:
        client.send(method, path, headers, body)
        response = client.response()
    return response.status, response.body


def test_no_credential_of_a_body_is_printed_saved_or_exported(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    flows, har = tmp_path / "flows.mitm", tmp_path / "flows.har"
    arguments = ("-w", str(flows), "--set", f"hardump={har}", "--set", "flow_detail=4", "-v")
    hosts = dict.fromkeys(good.HOSTS.values(), provider.port)
    minted = json.dumps({"raw_key": MINTED, "copy": f"Bearer {MINTED}"}).encode()
    coded = (*faults.JSON, ("content-encoding", "gzip"))
    with Proxy(
        tmp_path, authority, hosts, configuration=QUICK_RETRIES, arguments=arguments
    ) as proxy:
        for protocol in FIELDS:
            echo = json.dumps(faults.native_error(protocol, 400, "invalid", f"bad {TOKEN}"))
            for reply in (
                faults.none(protocol),
                faults.whole(echo.encode(), faults.JSON, status=400),
                faults.reset_mid_stream(protocol),
            ):
                provider.script([reply])
                with model_call(proxy, protocol, True, body=body_of(protocol)) as client:
                    client.response()
        for reply, sent in (
            (faults.whole(minted, faults.JSON), minted),
            (faults.whole(gzip.compress(minted, mtime=0), coded), gzip.compress(minted, mtime=0)),
        ):
            for coding in ("", "gzip"):
                provider.script([reply])
                path = "/api/oauth/claude_cli/create_api_key"
                answer = ask(proxy, "POST", path, {"refresh_token": MINTED}, coding)
                assert answer == (200, sent)
    received = everything(provider.received)
    assert TOKEN.encode() in received
    assert MINTED.encode() in received
    secrets = (TOKEN, MINTED)
    assert_contains_no_secret("the terminal", "\n".join(proxy.lines).encode(), secrets)
    assert_contains_no_secret("the flow file", flows.read_bytes(), secrets)
    assert_contains_no_secret("the HAR file", har.read_bytes(), secrets)
    assert b"\x1f\x8b" not in flows.read_bytes()  # nothing is hidden by a coding


@pytest.mark.parametrize("protocol", FIELDS, ids=str)
def test_a_credential_for_an_mcp_server_stays_at_the_clients_provider(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    protocol: WireProtocol,
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=FALLBACK)
    proxy.forget()
    provider.script([faults.overloaded(protocol)])
    origin.script([faults.none(protocol)])
    with model_call(proxy, protocol, True, body=body_of(protocol)) as client:
        assert client.response().status == 200
    own, [other] = provider.received, origin.received
    assert {TOKEN in received.body.decode() for received in own} == {True}, proxy.calls
    assert_contains_no_secret("the other provider's request", everything([other]), [TOKEN])
    assert "mcp" in other.body.decode()
    places = [str(finding.place) for finding in proxy.findings if finding.code == "M002"]
    assert [place for place in places if "auth" in place or "headers" in place]
