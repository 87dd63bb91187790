"""Codex at a provider of each other protocol, with tools that its model must search for.

The tools of MCP servers are not in the requests of Codex until its tool `tool_search` finds them.
"""

import sys
from dataclasses import replace

import pytest
from traffic import good
from wiremend.protocols.base.names import WireProtocol

from agents import received_requests
from agents.received_requests import entries
from agents.runs import Runner
from agents.scripted_model import Answer, ToolCall
from agents.sessions import NAMES, Session
from agents.tool_users import CODEX_CLI

pytestmark = [pytest.mark.agents, pytest.mark.long]

_SERVER = """\
import json, sys

TOOL = {
    "name": "create_event",
    "description": "Creates an event in the calendar.",
    "inputSchema": {"type": "object", "properties": {"title": {"type": "string"}}},
}
for line in sys.stdin:
    request = json.loads(line)
    params = request.get("params") or {}
    match request["method"]:
        case "initialize":
            info = {"name": "calendar", "version": "1"}
            version = params["protocolVersion"]
            tools = {"tools": {}}
            result = {"protocolVersion": version, "capabilities": tools, "serverInfo": info}
        case "tools/list":
            result = {"tools": [TOOL]}
        case "tools/call":
            text = "created " + params["arguments"]["title"]
            result = {"content": [{"type": "text", "text": text}]}
        case _:
            result = {}
    if "id" in request:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
"""
"""A server of tools: the Model Context Protocol, over standard input and output."""
_FOUND = "mcp__calendar__create_event"


@pytest.mark.parametrize("protocol", [good.CHAT, good.ANTHROPIC, good.GEMINI], ids=NAMES.get)
def test_codex_calls_a_tool_that_its_search_found(runner: Runner, protocol: WireProtocol) -> None:
    with Session(runner, CODEX_CLI.agent, protocol) as session:
        script = session.directory / "calendar_server.py"
        script.write_text(_SERVER)
        settings = f'[mcp_servers.calendar]\ncommand = "{sys.executable}"\nargs = ["{script}"]\n'
        agent = replace(CODEX_CLI.agent, files={".codex/config.toml": settings})
        answers = [
            Answer("I search.", (ToolCall("tool_search", {"query": "calendar event"}),)),
            Answer("", (ToolCall(_FOUND, {"title": "lunch"}),)),
            Answer("The end."),
        ]
        with session.behind(routed=True) as proxy:
            run = session.run(agent, proxy, session.other, answers, "Plan it.")
        assert "The end." in run.stdout
        bodies = [received.json() for received in session.other.turns]
        offered = [received_requests.tool_names(protocol, body) for body in bodies]
        assert _FOUND not in offered[0]
        assert offered[1] == offered[2] == [*offered[0], _FOUND]
        results = [it.text for it in entries(protocol, bodies[2]) if it.kind == "result"]
        assert len(results) == 2
        assert f"Tool {_FOUND} is now available." in results[0]
        assert "created lunch" in results[1]
        for body in bodies:
            received_requests.validate(protocol, body)
