"""Reading a Chat Completions request: facts, tools, references to tools, ids, limits.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.facts import facts_of_body
from wiremend.protocols.base.message_rules.conversation import CallOrResult
from wiremend.protocols.base.message_rules.images import Image, data_url_length, text_block
from wiremend.protocols.base.protocol import Endpoints, RequestFacts
from wiremend.protocols.base.tools import (
    ChoiceOfOne,
    ClientTool,
    Mention,
    mention_at,
    mention_in,
    objects_along,
    objects_at,
)
from wiremend.text.json_edits import Path
from wiremend.text.json_value import objects
from wiremend.text.patterns import text_pattern

ENDPOINTS = Endpoints(
    call=text_pattern(r"/chat/completions/?\Z"),
    unversioned=text_pattern(r"/chat/completions\Z"),
)
TOOL_CHOICE = ChoiceOfOne(("function", "custom", None))
EFFORT: Path = ("reasoning_effort",)
EFFORTS: tuple[Path, ...] = (EFFORT, ("reasoning", "effort"), ("output_config", "effort"))
"""Where the effort is: OpenAI's place, OpenRouter's, and Anthropic's at gateways."""
TOKEN_LIMITS: tuple[Path, ...] = (("max_tokens",), ("max_completion_tokens",))


def read_request(path: str, fields: Mapping[str, Any] | None) -> RequestFacts:
    """Return the facts of a parsed body; `fields` is None if it is not a JSON object."""
    facts = facts_of_body(path, fields)
    return replace(facts, forced_tool=True) if fields and _forces_tool(fields) else facts


def _forces_tool(request: Mapping[str, Any]) -> bool:
    """Return whether the choice is one tool, by its name; `function_call` is the legacy form."""
    choice = request.get("tool_choice")
    if isinstance(choice, dict):
        holder = choice.get("function", choice.get("custom", choice))
    else:
        holder = request.get("function_call")
    name = holder.get("name") if isinstance(holder, dict) else None
    return isinstance(name, str) and bool(name)


def client_tools(request: dict[str, Any]) -> Iterator[ClientTool]:
    """Yield the functions and custom tools in `tools`, then the legacy `functions`."""
    for entry, tool in objects_at(request, ("tools",)):
        kind = "function" if tool.get("type") is None else tool["type"]
        inner = tool.get(kind) if kind in ("function", "custom") else None
        if isinstance(inner, dict):
            schema_key = "parameters" if kind == "function" else None
            yield ClientTool(entry, (*entry, kind), inner, schema_key)
        elif tool.keys() == {"type"} and kind == "function":
            yield ClientTool(entry, entry, tool, None)
    for entry, function in objects_at(request, ("functions",)):
        yield ClientTool(entry, entry, function, "parameters")


def server_tool_names(_: dict[str, Any]) -> list[str]:
    """Return no names: tools that the provider runs have none in this protocol."""
    return []


def tool_mentions(request: Mapping[str, Any]) -> Iterator[Mention]:
    """Yield the tool names in the choice, the calls and their results."""
    for choice in (("tool_choice", "function"), ("tool_choice", "custom"), ("function_call",)):
        yield from mention_at(request, choice)
    for path, _ in objects_along(request, "tool_choice", "allowed_tools", "tools", "*"):
        yield from mention_at(request, (*path, "function"))
    for path, message in objects_along(request, "messages", "*"):
        if message.get("role") in ("tool", "function"):
            yield from mention_in(path, message)
        yield from mention_at(request, (*path, "function_call"))
    for path, _ in objects_along(request, "messages", "*", "tool_calls", "*"):
        yield from mention_at(request, (*path, "function"))
        yield from mention_at(request, (*path, "custom"))


MENTION_WORDS = frozenset({"tool_choice", "tool_calls", "function_call", "tool", "function"})


def call_ids(request: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the ids of calls and of their results."""
    for path, message in objects(request.get("messages"), ("messages",)):
        for call_path, call in objects(message.get("tool_calls"), (*path, "tool_calls")):
            if "id" in call:
                yield (*call_path, "id"), call["id"]
        if message.get("role") == "tool" and "tool_call_id" in message:
            yield (*path, "tool_call_id"), message["tool_call_id"]


def calls_and_results(request: dict[str, Any]) -> Iterator[CallOrResult | None]:
    """Yield calls and results in order, and None at each message of the assistant."""
    for path, message in objects(request.get("messages"), ("messages",)):
        if message.get("role") == "assistant":
            yield None
        for call_path, call in objects(message.get("tool_calls"), (*path, "tool_calls")):
            if isinstance(call.get("id"), str):
                identity = [call.get("function"), call.get("custom")]
                yield CallOrResult(call_path, "id", call["id"], identity)
        if message.get("role") == "tool" and isinstance(message.get("tool_call_id"), str):
            yield CallOrResult(path, "tool_call_id", message["tool_call_id"])


def call_arguments(request: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the functions in calls, each with the key of its arguments."""
    for path, call in objects_along(request, "messages", "*", "tool_calls", "*"):
        if isinstance(call.get("function"), dict):
            yield (*path, "function"), "arguments"


def images(request: dict[str, Any]) -> Iterator[Image]:
    """Yield the images in messages."""
    for path, part in objects_along(request, "messages", "*", "content", "*"):
        if part.get("type") != "image_url":
            continue
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        yield Image(path, text_block("text"), data_url_length(url))
