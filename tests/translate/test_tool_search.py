"""The search of tools that Codex runs itself, served by providers of the other protocols.

The shapes of the items: codex-rs/protocol/src/models.rs and core/tests/suite/search_tool.rs.
"""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from openai.types.responses import ResponseToolSearchCall
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.translate.answer import Direction

from translate.directions import reread, through, violations, whole
from translate.test_responses_cases import chat_call, chat_stream, message, output
from translate.test_responses_requests import translated

type Json = dict[str, Any]

PROVIDERS = {"anthropic": ANTHROPIC, "chat": CHAT, "gemini": GEMINI}
each_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "Search query for deferred tools."},
        "limit": {"type": "number", "description": "Maximum number of tools to return."},
    },
    "required": ["query"],
    "additionalProperties": False,
}
SEARCH: Json = {
    "type": "tool_search",
    "execution": "client",
    "description": "Searches the tools of these sources: Calendar.",
    "parameters": SCHEMA,
}
SHELL: Json = {"type": "function", "name": "exec_command", "parameters": {"type": "object"}}


def found(*names: str) -> Json:
    """A namespace as Codex returns it."""
    tools = [
        {
            "type": "function",
            "name": name,
            "description": f"{name} of the calendar.",
            "strict": False,
            "defer_loading": True,
            "parameters": {"type": "object", "properties": {"title": {"type": "string"}}},
        }
        for name in names
    ]
    return {"type": "namespace", "name": "mcp__calendar", "description": "C.", "tools": tools}


def search(number: int, query: str = "events") -> Json:
    return {
        "type": "tool_search_call",
        "call_id": f"call_s{number}",
        "status": "completed",
        "execution": "client",
        "arguments": {"query": query},
    }


def search_output(number: int, *tools: Json) -> Json:
    return {
        "type": "tool_search_output",
        "call_id": f"call_s{number}",
        "status": "completed",
        "execution": "client",
        "tools": list(tools),
    }


def session(*items: Json, **more: Any) -> Json:
    user = message("user", "Plan it.")
    return {"model": "m", "input": [user, *items], "tools": [SHELL, SEARCH], **more}


def tools_of(provider: Protocol, body: bytes) -> list[Json]:
    tools = orjson.loads(body)["tools"]
    if provider is GEMINI:
        return [one for tool in tools for one in tool["functionDeclarations"]]
    return [tool.get("function", tool) for tool in tools]


def names_of(provider: Protocol, body: bytes) -> list[str]:
    return [tool["name"] for tool in tools_of(provider, body)]


@each_provider
def test_the_search_is_offered_as_a_function(provider: Protocol) -> None:
    result = translated(RESPONSES, session(), provider)
    shell, offered = tools_of(provider, result.body)
    assert (shell["name"], offered["name"]) == ("exec_command", "tool_search")
    assert offered["description"] == SEARCH["description"]
    keys = ("parameters", "input_schema", "parametersJsonSchema")
    schema = next(offered[key] for key in keys if key in offered)
    assert schema["required"] == ["query"]
    assert not any("execution" in finding.found for finding in result.findings)


@each_provider
def test_the_tools_that_were_found_are_offered_from_then_on(provider: Protocol) -> None:
    items = [
        search(1),
        search_output(1, found("create_event")),
        search(2),
        search_output(2, found("create_event", "list_events")),
    ]
    bodies = [translated(RESPONSES, session(*items[:end]), provider).body for end in (0, 2, 4)]
    assert names_of(provider, bodies[2]) == [
        "exec_command",
        "tool_search",
        "mcp__calendar__create_event",
        "mcp__calendar__list_events",
    ]
    for shorter, longer in pairwise(bodies):
        count = len(names_of(provider, shorter))
        assert tools_of(provider, longer)[:count] == tools_of(provider, shorter)
    text = bodies[2].decode()
    assert "Tool mcp__calendar__list_events is now available." in text


def test_a_search_and_what_it_found_are_a_call_and_its_result() -> None:
    items = [search(1), search_output(1, found("create_event")), search(2), search_output(2)]
    body = translated(RESPONSES, session(*items), CHAT).body
    _, call, result, *_, nothing = orjson.loads(body)["messages"]
    function = {"name": "tool_search", "arguments": '{"query":"events"}'}
    assert call["tool_calls"] == [{"id": "call_s1", "type": "function", "function": function}]
    assert result["tool_call_id"] == "call_s1"
    assert result["content"] == "Tool mcp__calendar__create_event is now available."
    assert nothing["content"] == "No tools were found."


def test_the_conversation_grows_between_two_searches() -> None:
    call = {"type": "function_call", "call_id": "call_1", "namespace": "mcp__calendar"}
    call |= {"name": "create_event", "arguments": "{}"}
    items = [search(1), search_output(1, found("create_event")), call, output(1)]
    first, second = (translated(RESPONSES, session(*items[:end]), CHAT).body for end in (2, 4))
    assert second.startswith(first.rstrip(b"]}"))
    assert b'"name":"mcp__calendar__create_event","arguments"' in second


def for_codex(name: str, arguments: str, body: Json) -> Json:
    """The item that Codex receives for a call of this function."""
    tools = dict(translated(RESPONSES, body, CHAT).tools)
    stream = chat_stream(*chat_call(name, arguments), finish="tool_calls")
    data, _ = through(Direction(CHAT, RESPONSES), [stream], tools=tools)
    assert violations(RESPONSES, data) == []
    (item,) = whole(RESPONSES, data)["output"]
    result: Json = item
    return result


def test_a_call_of_the_search_is_the_item_that_codex_runs() -> None:
    item = for_codex("tool_search", '{"query":"events","limit":3}', session())
    parsed = ResponseToolSearchCall.model_validate(item)
    assert (parsed.execution, parsed.status) == ("client", "completed")
    assert item["arguments"] == {"query": "events", "limit": 3}
    assert item["call_id"].startswith("call_")
    assert item["id"].startswith("tsc_")
    assert "name" not in item


def test_a_tool_that_was_found_is_called_by_its_namespace() -> None:
    body = session(search(1), search_output(1, found("create_event")))
    item = for_codex("mcp__calendar__create_event", "{}", body)
    assert (item["type"], item["namespace"], item["name"]) == (
        "function_call",
        "mcp__calendar",
        "create_event",
    )


@each_provider
@pytest.mark.parametrize("execution", [{}, {"execution": "server"}])
def test_a_search_that_the_provider_would_run_is_not_offered(
    provider: Protocol, execution: Json
) -> None:
    tools = [{**found("create_event")["tools"][0]}, {"type": "tool_search", **execution}]
    result = translated(RESPONSES, {**session(), "tools": tools}, provider)
    assert names_of(provider, result.body) == ["create_event"]
    assert any("tool_search" in finding.found for finding in result.findings)


@pytest.mark.parametrize("arguments", [{"query": "a"}, '{"query": "a"}'])
def test_the_search_is_restored_in_its_own_protocol(arguments: Any) -> None:
    items = [{**search(1), "arguments": arguments}, search_output(1, found("create_event"))]
    body = session(*items, tool_choice={"type": "tool_search"})
    assert reread(RESPONSES, body) == body
