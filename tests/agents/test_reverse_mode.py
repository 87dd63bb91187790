"""Tests that agents work with the address of a reverse proxy as base URL, without any CA.

This is the recipe in the README. Every host but the proxy is out of reach.
"""

import json
from collections.abc import Callable
from dataclasses import replace

import certifi
import pytest
from traffic import faults, good
from traffic.proxy import Proxy
from wiremend.testing.provider import ScriptedProvider

from agents.clis import CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, Agent, streams
from agents.runs import Runner

pytestmark = pytest.mark.agents

_WITHOUT_CA = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "SSL_CERT_FILE": certifi.where(),
    "NODE_EXTRA_CA_CERTS": "",
}


def _claude_code(url: str) -> Agent:
    return CLAUDE_CODE.with_environment({"ANTHROPIC_BASE_URL": url})


def _codex(url: str) -> Agent:
    provider = f'{{name = "w", base_url = "{url}/v1", env_key = "OPENAI_API_KEY"}}'
    options = ("-c", f"model_providers.w={provider}", "-c", 'model_provider="w"')
    return replace(CODEX, command=(*CODEX.command, *options))


def _gemini_cli(url: str) -> Agent:
    return GEMINI_CLI.with_environment({"GOOGLE_GEMINI_BASE_URL": url})


def _opencode(url: str) -> Agent:
    anthropic = {"options": {"baseURL": f"{url}/v1"}}
    settings = {"autoupdate": False, "share": "disabled", "provider": {"anthropic": anthropic}}
    return replace(OPENCODE, files={".config/opencode/opencode.json": json.dumps(settings)})


@pytest.mark.parametrize("agent_at", [_claude_code, _codex, _gemini_cli, _opencode])
def test_an_agent_behind_a_reverse_proxy_gets_a_repaired_answer(
    runner: Runner, agent_at: Callable[[str], Agent]
) -> None:
    directory = runner.new_directory()
    protocol = agent_at("").protocol
    host = good.HOSTS[protocol]
    with ScriptedProvider(runner.authority.leaf(host), directory) as provider:
        agent = agent_at("")
        provider.script(
            [faults.reset_before_head(), faults.none(protocol)], when=agent.is_streaming_call
        )
        provider.script([faults.none(protocol, stream=False)], when=agent.is_call)
        provider.script([lambda r: faults.none(protocol, streams(r))], when=agent.is_side_call)
        with Proxy(
            directory / "proxy",
            runner.authority,
            {host: provider.port},
            arguments=("--mode", f"reverse:https://{host}"),
        ) as proxy:
            agent = agent_at(proxy.url).with_environment(_WITHOUT_CA)
            run = runner.turn(agent, proxy, directory, 90.0)
            log = "\n".join(proxy.lines)
        calls = [received for received in provider.received if agent.is_streaming_call(received)]
    assert run.status == 0, str(run)
    assert good.TEXT in run.stdout
    assert len(calls) == 2
    assert "R002" in log or "R006" in log  # the reset may be on a connection that was kept open
