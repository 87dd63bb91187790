"""Tests Claude Code at a gateway that rejects its request for one fault after the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traffic import faults, good
from traffic.proxy import KEY, Proxy
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from agents.clis import CLAUDE_CODE, streams
from agents.runs import Run, Runner
from agents.test_routed_turn import CALL, WORD, tool_results

pytestmark = pytest.mark.agents

HOST = "gateway.example.org"
MODEL = "strict-model"
CONFIGURATION = f"""
[[models]]
match = "claude-*"
model = "{MODEL}"
provider = "gateway"

[providers.gateway]
base_url = "https://{HOST}"
api_key = "{KEY}"

[learning]
file = "{{file}}"
"""
ALL_TOOLS = {"ENABLE_TOOL_SEARCH": "false"}
FEWEST_TOOLS = 17


def rejections(body: dict[str, Any]) -> Iterator[str]:
    """Yield what the gateway says about a request: the tools, then six fields, then thinking."""
    for index, tool in enumerate(body["tools"]):
        if "$schema" in tool["input_schema"]:
            yield f"tools.{index}.custom.input_schema: JSON schema is invalid."
    yield from extra_inputs(body)
    if body.get("thinking", {}).get("type") == "enabled":
        yield (
            '"thinking.type.enabled" is not supported for this model. Use '
            '"thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )


def extra_inputs(body: dict[str, Any]) -> Iterator[str]:
    extra = "Extra inputs are not permitted"
    if "context_management" in body:
        yield f"context_management: {extra}"
    if "user_id" in body.get("metadata", {}):
        yield f"Unknown parameter: 'metadata.user_id'. {extra}"
    if "metadata" in body:
        yield "Unrecognized request argument supplied: metadata"
    for index, block in enumerate(body["system"]):
        if "scope" in block.get("cache_control", {}):
            yield f"system.{index}.cache_control.ephemeral.scope: {extra}"
        if "cache_control" in block:
            yield f"system[{index}].cache_control: {extra}"
    for index, message in enumerate(body["messages"]):
        for number, block in enumerate(message["content"]):
            if "cache_control" in block:
                yield f"{extra}, field: 'messages[{index}].content[{number}].cache_control'"


def strict_gateway(received: Received) -> Reply:
    """Reject one fault at a time; call the tool, and answer after its result."""
    body = received.json()
    if "tools" in body:
        for message in rejections(body):
            error = faults.native_error(good.ANTHROPIC, 400, "invalid_request_error", message)
            return faults.status(400, error)
    if not streams(received) or tool_results(received):
        return faults.none(good.ANTHROPIC, streams(received))
    return faults.streamed(CALL.events)


def turn(runner: Runner, file: Path) -> tuple[Run, list[Received]]:
    """Run one turn behind a new proxy; return it, and the streaming requests to the gateway."""
    directory = runner.new_directory()
    (directory / "work").mkdir()
    (directory / "work" / "note.txt").write_text(f"The word is {WORD}.\n")
    with ScriptedProvider(runner.authority.leaf(HOST), directory) as gateway:
        gateway.script([strict_gateway])
        with Proxy(
            directory / "proxy",
            runner.authority,
            {HOST: gateway.port},
            configuration=CONFIGURATION.format(file=file),
        ) as proxy:
            agent = CLAUDE_CODE.with_environment(ALL_TOOLS)
            arguments = ("--allowedTools", "Bash(tee:*)")
            run = runner.turn(agent, proxy, directory, 60.0, "Copy note.txt.", arguments)
        received = [r for r in gateway.received if "/v1/messages" in r.path and streams(r)]
    assert (run.status, run.stdout.strip()) == (0, good.TEXT), str(run)
    assert WORD in (directory / "work" / "copy.txt").read_text()
    return run, received


def test_claude_code_completes_its_turns_at_a_gateway_that_rejects_everything(
    runner: Runner, tmp_path: Path
) -> None:
    file = tmp_path / "lessons.jsonl"
    _, first = turn(runner, file)
    assert len(first[0].json()["tools"]) >= FEWEST_TOOLS
    assert len(list(rejections(first[0].json()))) > FEWEST_TOOLS + 6
    # two tools teach the schemas of all; six fields; thinking; the call; after its result one more
    assert [len(tool_results(received)) for received in first] == [0] * (2 + 6 + 1 + 1) + [1]
    _, second = turn(runner, file)
    assert [len(tool_results(received)) for received in second] == [0, 1]
