"""Tests the recipes of the README with the real agents and scripted providers."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from traffic import faults, good
from traffic.proxy import KEY, Proxy
from wiremend.targets.registry import PRESETS_BY_NAME
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from agents.clis import CLAUDE_CODE, CODEX, Agent, streams, tool_results
from agents.runs import Run, Runner

pytestmark = pytest.mark.agents

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
OTHER_KEY = "sk-test-DO-NOT-LOG-other-provider"
WORD = "marmalade"
COMMAND = "cat note.txt"
PROMPT = "Which word is in note.txt?"
RECIPES = re.findall(r"^```toml\n(providers\.other\..*?)^```$", README, re.MULTILINE | re.DOTALL)
VARIANTS = [
    ("kimi", "kimi-k3"),
    ("glm", "glm-5.3"),
    ("deepseek", "deepseek-v4-pro"),
    ("qwen", "qwen3.8-max"),
]


def with_choice(recipe: str, preset: str, model: str) -> str:
    """Return a recipe with another preset and model, which must be among its comments."""
    values = tomllib.loads(recipe)
    shown = (values["providers"]["other"]["preset"], values["models"][0]["model"])
    for old, new in zip(shown, (preset, model), strict=True):
        assert f'"{new}"' in recipe
        recipe = recipe.replace(f'= "{old}"', f'= "{new}"', 1)
    return recipe


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    fields = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**fields, "choices": [choice]}).encode() + b"\n\n"


def in_chat(received: Received) -> Reply:
    """Call the shell first, then answer with what it printed."""
    if not streams(received):
        return faults.none(good.CHAT, stream=False)
    results = [m["content"] for m in received.json()["messages"] if m["role"] == "tool"]
    if results:
        assert WORD in str(results[-1])
        deltas = [chunk({"role": "assistant", "content": f"The word is {WORD}."})]
        return faults.streamed([*deltas, chunk({}, "stop"), b"data: [DONE]\n\n"])
    arguments = json.dumps({"command": COMMAND, "description": "Read the note"})
    call = {"index": 0, "id": "call_1", "type": "function"}
    call |= {"function": {"name": "Bash", "arguments": arguments}}
    deltas = [chunk({"role": "assistant", "tool_calls": [call]}), chunk({}, "tool_calls")]
    return faults.streamed([*deltas, b"data: [DONE]\n\n"])


def with_the_word(event: bytes) -> bytes:
    """Return an event of the usual stream of text with a word of the answer instead."""
    words = dict(zip(good.WORDS, ("The ", "word ", "is ", f"{WORD}."), strict=True))
    name, _, data = event.decode().partition("data: ")
    fields = json.loads(data)
    if fields["type"] == "content_block_delta":
        fields["delta"]["text"] = words[fields["delta"]["text"]]
    return f"{name}data: {json.dumps(fields)}\n\n".encode()


def in_messages(received: Received) -> Reply:
    """Do the same with the tool of Codex."""
    if not streams(received):
        return faults.none(good.ANTHROPIC, stream=False)
    if results := tool_results(received):
        assert WORD in results[-1]
        return faults.streamed([*map(with_the_word, good.text_stream(good.ANTHROPIC).events)])
    tools = {tool["name"]: tool for tool in received.json()["tools"]}
    name = "exec_command" if "exec_command" in tools else "shell"
    argument = {"exec_command": {"cmd": COMMAND}, "shell": {"command": ["sh", "-c", COMMAND]}}
    return faults.streamed(good.stream_that_calls(name, argument[name]).events)


def run_recipe(
    runner: Runner,
    agent: Agent,
    recipe: str,
    reply: Callable[[Received], Reply],
    arguments: tuple[str, ...],
) -> tuple[Run, list[Received], list[Received]]:
    """Return the run, and what the other and the own provider of the agent received."""
    preset = PRESETS_BY_NAME[tomllib.loads(recipe)["providers"]["other"]["preset"]]
    host = urlsplit(preset.base_url).hostname or ""
    directory = runner.new_directory()
    (directory / "work").mkdir()
    (directory / "work" / "note.txt").write_text(f"The word is {WORD}.\n")
    own_host = good.HOSTS[agent.protocol]
    with (
        ScriptedProvider(runner.authority.leaf(own_host), directory) as own,
        ScriptedProvider(runner.authority.leaf(host), directory) as other,
    ):
        other.script([reply])
        with Proxy(
            directory / "proxy",
            runner.authority,
            {own_host: own.port, host: other.port},
            configuration=recipe,
            environment={preset.key_variable: OTHER_KEY},
        ) as proxy:
            run = runner.turn(agent, proxy, directory, 90.0, PROMPT, arguments)
            log = tuple(proxy.lines)
        return (
            Run(run.status, run.stdout, run.stderr, (), log),
            list(other.received),
            list(own.received),
        )


@pytest.mark.parametrize(("preset", "model"), VARIANTS, ids=[name for name, _ in VARIANTS])
def test_claude_code_completes_a_turn_with_a_tool(runner: Runner, preset: str, model: str) -> None:
    recipe = with_choice(RECIPES[0], preset, model)
    allowed = ("--allowedTools", "Bash(cat:*)")
    run, routed, direct = run_recipe(runner, CLAUDE_CODE, recipe, in_chat, allowed)
    assert (run.status, run.stdout.strip()) == (0, f"The word is {WORD}."), str(run)
    path = urlsplit(PRESETS_BY_NAME[preset].base_url).path
    path = path if re.search(r"/v\d+\Z", path) else f"{path}/v1"
    assert {received.path for received in routed} == {f"{path}/chat/completions"}
    assert {received.json()["model"] for received in routed} == {model}
    assert {received.header("authorization") for received in routed} == {f"Bearer {OTHER_KEY}"}
    assert not [received for received in direct if "/v1/messages" in received.path]
    assert not [text for text in (KEY, OTHER_KEY) if text in str(run)]
    assert f"```\n$ claude -p {json.dumps(PROMPT)}" in README
    assert f"\n{run.stdout.strip()}\n```" in README


def test_codex_completes_a_turn_with_a_tool(runner: Runner) -> None:
    run, routed, direct = run_recipe(runner, CODEX, RECIPES[1], in_messages, ())
    assert run.status == 0, str(run)
    assert run.stdout.strip() == f"The word is {WORD}.", str(run)
    assert f"codex\n{run.stdout.strip()}\n" in run.stderr
    assert f"\ncodex\n{run.stdout.strip()}\n```" in README
    assert {received.path.split("?")[0] for received in routed} == {"/v1/messages"}
    assert {received.header("x-api-key") for received in routed} == {OTHER_KEY}
    assert not [received for received in direct if "/responses" in received.path]
    assert not [text for text in (KEY, OTHER_KEY) if text in str(run)]
