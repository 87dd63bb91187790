"""The test that `wiremend.repro` writes, while the provider of the call still listens."""

import json
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import environment
from traffic.operation.test_commands import python
from traffic.proxy import KEY
from traffic.web import Web

ANTHROPIC = good.ANTHROPIC
BROKEN = steps.streamed(good.stream_with_blocks_from_index(1).events)
CONFIGURATION = """
[retry]
attempts = 2
backoff_initial = 0.01
"""
LOCAL_HOST = CONFIGURATION + '[intercept]\nhosts = ["{host}"]\n'
ROUTED = (
    CONFIGURATION
    + """
[[models]]
match = "claude-*"
provider = "local"
[providers.local]
base_url = "{address}"
protocol = "anthropic"
api_key = "sk-test-DO-NOT-LOG-local"
"""
)
WAYS = {
    "plain HTTP to an address": ("http://127.0.0.1:{port}", "", LOCAL_HOST),
    "plain HTTP to localhost": ("http://localhost:{port}", "", LOCAL_HOST),
    "plain HTTP to a name": ("http://llm.example.org", "", LOCAL_HOST),
    "TLS to an address": ("https://127.0.0.1:{port}", "", LOCAL_HOST),
    "TLS to localhost": ("https://localhost:{port}", "", LOCAL_HOST),
    "routed to plain HTTP": ("https://api.anthropic.com", "http://127.0.0.1:{port}", ROUTED),
    "routed to TLS": ("https://api.anthropic.com", "https://127.0.0.1:{port}", ROUTED),
}
"""By name: what the client asks, the provider it is routed to, and the configuration."""


@pytest.fixture
def real(authority: Authority, tmp_path: Path) -> Iterator[ScriptedProvider]:
    leaf = authority.leaf("localhost", "127.0.0.1")
    with ScriptedProvider(leaf, tmp_path) as provider:
        yield provider


def ask(web: Web, address: str) -> None:
    """Make a call through the proxy, whatever NO_PROXY contains."""
    body = {"model": "claude-opus-5", "max_tokens": 9, "stream": True}
    messages = [{"role": "user", "content": "Say hello."}]
    request = urllib.request.Request(
        f"{address}/v1/messages",
        json.dumps({**body, "messages": messages}).encode(),
        {
            "content-type": "application/json",
            "x-api-key": KEY,
            "host": urllib.parse.urlsplit(address).netloc,
        },
    )
    request.set_proxy(f"127.0.0.1:{web.port}", "http")
    trusted = ssl.create_default_context(cafile=web.ca_file)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted)
    )
    with opener.open(request, timeout=20) as response:
        assert b"message_stop" in response.read()


@pytest.mark.first_row
@pytest.mark.parametrize("way", WAYS)
def test_the_real_provider_is_not_connected_to(
    way: str, authority: Authority, real: ScriptedProvider, tmp_path: Path
) -> None:
    asked, routed, text = (part.replace("{port}", str(real.port)) for part in WAYS[way])
    host = urllib.parse.urlsplit(asked).hostname or ""
    configuration = text.replace("{host}", host).replace("{address}", routed)
    hosts = {"llm.example.org": real.port}
    folder = tmp_path / "repro"
    real.script([faults.overloaded(ANTHROPIC), BROKEN])
    with Web(tmp_path / "web", authority, hosts, configuration=configuration) as web:
        ask(web, asked)
        [row] = web.wait_for(lambda: web.flows, lambda rows: bool(rows and rows[0]["comment"]))
        web.run_command("wiremend.repro", f"@{row['id']}", str(folder))
    assert len(real.received) == 2
    before = real.connections
    with environment({"NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"}):
        tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder))
    assert "1 passed" in tested.stdout, tested.stdout
    assert (real.connections, len(real.received)) == (before, 2)
