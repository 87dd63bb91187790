"""Tests that JavaScript clients on Node.js may use configured keys.

`fetch` in Node.js sends `Sec-Fetch-Mode`, but neither `Origin` nor another browser header.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from node_packages import why_no_node, why_not_installed
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Received
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

FOLDER = Path(__file__).parent / "node_clients"
NODE_MAJOR = 20
LIMIT_SECONDS = 60.0
OTHER_KEY = "sk-test-DO-NOT-LOG-node"
PASSWORD = "of-the-proxy-DO-NOT-LOG"
CONFIGURATION = f"""{QUICK_RETRIES}
[[models]]
match = "*"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "{OTHER_KEY}"
"""
CLIENTS = {
    "fetch": good.ANTHROPIC,
    "anthropic": good.ANTHROPIC,
    "vercel": good.ANTHROPIC,
    "chat": good.CHAT,
    "responses": good.RESPONSES,
    "gemini": good.GEMINI,
}
FETCH = """
const response = await fetch(process.argv[1], {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: '{"model":"m","max_tokens":64,"messages":[{"role":"user","content":"Say hello."}]}',
});
console.log(response.status, await response.text());
"""


def need(reason: str | None) -> None:
    """Skip the test for this reason if there is one; in CI, fail."""
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def run_node(*arguments: str, proxy: Proxy) -> str:
    values = clients.behind(proxy) | {"NODE_EXTRA_CA_CERTS": str(proxy.ca_file)}
    with clients.environment(values):
        done = subprocess.run(
            ["node", *arguments],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_looks_like_node(received: Received) -> None:
    """Check the headers by which wiremend distinguishes Node.js from a browser."""
    assert received.header("sec-fetch-mode") == "cors"
    for name in ("origin", "sec-fetch-site", "sec-fetch-dest"):
        assert received.header(name) == ""


def test_fetch_uses_a_configured_key_through_a_reverse_proxy(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    need(why_no_node(18))
    mode = ("--mode", "reverse:https://api.anthropic.com")
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION, arguments=mode)
    origin.script([faults.none(good.ANTHROPIC, stream=False)])
    script = ("--input-type=module", "-e", FETCH)
    assert run_node(*script, f"{proxy.url}/v1/messages", proxy=proxy).startswith("200 ")
    [received] = origin.received
    assert received.header("x-api-key") == OTHER_KEY
    assert_looks_like_node(received)


@pytest.mark.long
def test_fetch_to_the_port_of_a_forward_proxy_gets_instructions(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    need(why_no_node(18))
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION)
    script = ("--input-type=module", "-e", FETCH)
    printed = run_node(*script, f"{proxy.url}/v1/messages", proxy=proxy)
    assert printed.startswith("400 ")
    assert f"HTTPS_PROXY={proxy.url} " in printed
    assert origin.received == []


@pytest.mark.long  # installs the clients from npm
@pytest.mark.parametrize(("client", "protocol"), CLIENTS.items())
def test_a_javascript_client_uses_a_configured_key(
    start_proxy: Callable[..., Proxy],
    origin: ScriptedProvider,
    client: str,
    protocol: WireProtocol,
) -> None:
    need(why_not_installed(FOLDER, NODE_MAJOR))
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION, password=PASSWORD)
    origin.script([faults.none(protocol)])
    printed = run_node("call.mjs", client, good.MODELS[protocol], proxy=proxy)
    if client == "fetch":
        assert printed.startswith("200 event: message_start")
    else:
        assert printed == f"{good.TEXT}\n"
    [received] = origin.received
    assert OTHER_KEY in repr(received.headers)
    assert_looks_like_node(received)
