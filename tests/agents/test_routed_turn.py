"""Tests a turn of Claude Code with a tool, routed to another provider of its protocol."""

import pytest
from traffic import faults, good
from traffic.proxy import KEY, Proxy
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from agents.clis import CLAUDE_CODE, streams, tool_results
from agents.runs import Runner

pytestmark = pytest.mark.agents

HOST = "models.example.org"
OTHER_KEY = "sk-test-DO-NOT-LOG-other-provider"
MODEL = "kimi-k3"
CONFIGURATION = f"""
[[models]]
match = "claude-*"
model = "{MODEL}"
provider = "other"

[providers.other]
base_url = "https://{HOST}/anthropic"
api_key = "${{OTHER_API_KEY}}"
"""
WORD = "marmalade"
COMMAND = "tee copy.txt < note.txt"
CALL = good.stream_that_calls("Bash", {"command": COMMAND, "description": "Copy the note"})


def reply_to_routed_call(received: Received) -> Reply:
    """Return 401 for a wrong key, a tool call for the first request, the text after its result."""
    if OTHER_KEY not in (received.header("x-api-key"), received.header("authorization")[7:]):
        error = faults.native_error(good.ANTHROPIC, 401, "authentication_error", "invalid key")
        return faults.status(401, error)
    if not streams(received):
        return faults.none(good.ANTHROPIC, stream=False)
    if tool_results(received):
        return faults.none(good.ANTHROPIC)
    return faults.streamed(CALL.events)


def test_a_routed_claude_code_completes_a_turn_with_a_tool(runner: Runner) -> None:
    directory = runner.new_directory()
    (directory / "work").mkdir()
    (directory / "work" / "note.txt").write_text(f"The word is {WORD}.\n")
    own_host = good.HOSTS[good.ANTHROPIC]
    with (
        ScriptedProvider(runner.authority.leaf(own_host), directory) as own,
        ScriptedProvider(runner.authority.leaf(HOST), directory) as other,
    ):
        other.script([reply_to_routed_call])
        with Proxy(
            directory / "proxy",
            runner.authority,
            {own_host: own.port, HOST: other.port},
            configuration=CONFIGURATION,
            environment={"OTHER_API_KEY": OTHER_KEY},
        ) as proxy:
            run = runner.turn(
                CLAUDE_CODE,
                proxy,
                directory,
                60.0,
                "Copy note.txt. Which word is in it?",
                ("--allowedTools", "Bash(tee:*)"),
            )
        routed, direct = list(other.received), list(own.received)
    assert (run.status, run.stdout.strip()) == (0, good.TEXT), str(run)
    turns = [received for received in routed if streams(received)]
    assert [received.path.split("?")[0] for received in turns] == ["/anthropic/v1/messages"] * 2
    assert [len(tool_results(received)) for received in turns] == [0, 1]
    [result] = tool_results(turns[1])
    assert WORD in result
    assert WORD in (directory / "work" / "copy.txt").read_text()
    assert "toolu_01Test" in result
    assert {received.json()["model"] for received in routed} == {MODEL}
    for received in routed:
        everything = repr((received.path, received.headers, received.body))
        assert KEY not in everything
        assert OTHER_KEY in everything
    assert not [received for received in direct if "/v1/messages" in received.path]
    assert OTHER_KEY not in repr([(r.path, r.headers, r.body) for r in direct])
    assert not [text for text in (KEY, OTHER_KEY) if text in run.text]
