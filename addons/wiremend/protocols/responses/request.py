"""Reading a Responses request: facts, tools, references to tools, ids, limits.

https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.facts import facts_of_body
from wiremend.protocols.base.message_rules.conversation import CallOrResult
from wiremend.protocols.base.message_rules.images import Image, data_url_length, text_block
from wiremend.protocols.base.protocol import Endpoints, RequestFacts, TokenCount
from wiremend.protocols.base.tools import (
    ChoiceOfOne,
    ClientTool,
    Mention,
    mention_in,
    objects_along,
    objects_at,
)
from wiremend.text.json_edits import Path
from wiremend.text.json_value import objects
from wiremend.text.patterns import text_pattern

ENDPOINTS = Endpoints(
    # Codex replaces a long history by what `compact` returns:
    # https://platform.openai.com/docs/api-reference/responses/compact
    call=text_pattern(r"/responses(?:/compact)?/?\Z"),
    unversioned=text_pattern(r"/responses(?:/compact)?\Z"),
    # https://platform.openai.com/docs/api-reference/responses/input-tokens
    count=text_pattern(r"/responses/input_tokens/?\Z"),
)
TOKEN_COUNT = TokenCount(
    answer=lambda count: {"object": "response.input_tokens", "input_tokens": count}
)
TOOL_CHOICE = ChoiceOfOne(("function", "custom"))
TOKEN_LIMITS: tuple[Path, ...] = (("max_output_tokens",),)


def read_request(path: str, fields: Mapping[str, Any] | None) -> RequestFacts:
    """Return the facts of a parsed body; `fields` is None if it is not a JSON object."""
    facts = facts_of_body(path, fields)
    is_compaction = path.partition("?")[0].rstrip("/").endswith("/compact")
    may_compact = bool((fields or {}).get("context_management"))
    if not (is_compaction or may_compact):
        return facts
    return replace(facts, compacts=may_compact, is_compaction=is_compaction)


def client_tools(request: dict[str, Any], path: Path = ()) -> Iterator[ClientTool]:
    """Yield functions and custom tools, including those inside a namespace (Codex)."""
    for entry, tool in objects_at(request, (*path, "tools")):
        kind = tool.get("type")
        if kind == "function" and not isinstance(tool.get("function"), dict):
            yield ClientTool(entry, entry, tool, "parameters")
        elif kind == "custom":
            yield ClientTool(entry, entry, tool, None)
        elif kind == "namespace" and not path:
            yield from client_tools(request, entry)


def server_tool_names(_: dict[str, Any]) -> list[str]:
    """Return no names: tools that the provider runs have none in this protocol."""
    return []


def tool_mentions(request: Mapping[str, Any]) -> Iterator[Mention]:
    """Yield the tool names in the choice and the calls."""
    for path, choice in objects_along(request, "tool_choice"):
        if choice.get("type") in ("function", "custom"):
            yield from mention_in(path, choice)
    for path, allowed in objects_along(request, "tool_choice", "tools", "*"):
        if allowed.get("type") in ("function", "custom"):
            yield from mention_in(path, allowed)
    for path, item in objects_along(request, "input", "*"):
        if item.get("type") in ("function_call", "custom_tool_call"):
            yield from mention_in(path, item)


MENTION_WORDS = frozenset({"tool_choice", "function_call", "custom_tool_call"})


def call_ids(request: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the ids of calls and outputs; none if the provider stores a part of the history."""
    if request.get("previous_response_id") or request.get("conversation"):
        return
    for path, item in objects(request.get("input"), ("input",)):
        if "call_id" in item:
            yield (*path, "call_id"), item["call_id"]


def calls_and_results(request: dict[str, Any]) -> Iterator[CallOrResult | None]:
    """Yield calls and outputs in order; none if the provider stores a part of the history."""
    if request.get("previous_response_id") or request.get("conversation"):
        return
    for path, item in objects(request.get("input"), ("input",)):
        if isinstance(item.get("call_id"), str):
            kind = str(item.get("type"))
            identity = [kind, item.get("name"), item.get("arguments", item.get("input"))]
            call = None if kind.endswith("_output") else identity
            yield CallOrResult(path, "call_id", item["call_id"], call)


def call_arguments(request: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the calls of functions, each with the key of its arguments."""
    for path, item in objects(request.get("input"), ("input",)):
        if item.get("type") == "function_call":
            yield path, "arguments"


def images(request: dict[str, Any]) -> Iterator[Image]:
    """Yield the images in messages and in outputs of calls."""
    for path, item in objects(request.get("input"), ("input",)):
        for key in ("content", "output"):
            for part_path, part in objects(item.get(key), (*path, key)):
                if part.get("type") == "input_image":
                    length = data_url_length(part.get("image_url"))
                    yield Image(part_path, text_block("input_text"), length)
