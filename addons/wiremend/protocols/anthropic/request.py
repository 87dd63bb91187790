"""Reading a Messages request: facts, tools, references to tools, ids, limits.

https://docs.anthropic.com/en/api/messages
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.facts import facts_of_body
from wiremend.protocols.base.message_rules.conversation import CallOrResult
from wiremend.protocols.base.message_rules.images import Image
from wiremend.protocols.base.protocol import (
    Endpoints,
    KeyHeader,
    ModelList,
    ThinkingBinding,
    TokenCount,
)
from wiremend.protocols.base.tools import (
    ChoiceOfOne,
    ClientTool,
    Mention,
    SchemaForm,
    mention_at,
    mention_in,
    objects_along,
    objects_at,
)
from wiremend.text.json_edits import Path
from wiremend.text.json_value import dicts_in, objects
from wiremend.text.patterns import text_pattern

ENDPOINTS = Endpoints(
    call=text_pattern(r"/v1/messages/?\Z"),
    unversioned=text_pattern(r"/messages\Z"),
    # https://docs.anthropic.com/en/api/messages-count-tokens
    count=text_pattern(r"/v1/messages/count_tokens/?\Z"),
)
KEY_HEADER = KeyHeader("x-api-key")
TOKEN_COUNT = TokenCount(answer=lambda count: {"input_tokens": count})
TOOL_CHOICE = ChoiceOfOne(("tool",), auto_is_object=True, may_offer_none=True)
SCHEMA_FORM = SchemaForm(b'{"type":"object","properties":{},"additionalProperties":false}')
EFFORT: Path = ("output_config", "effort")
IDENTIFIERS: Mapping[Path, int] = {("metadata", "user_id"): 256}
"""The identifiers that the client chooses, and their longest lengths."""
TOKEN_LIMITS: tuple[Path, ...] = (("max_tokens",),)
_ID_KEYS: Mapping[str, str] = {"tool_use": "id", "tool_result": "tool_use_id"}

read_request = facts_of_body


def client_tools(request: dict[str, Any]) -> Iterator[ClientTool]:
    """Yield the client's tools.

    Tools of other types (`web_search_…`, `bash_…`) are run or defined by the server.
    """
    for entry, tool in objects_at(request, ("tools",)):
        if tool.get("type") in (None, "custom"):
            yield ClientTool(entry, entry, tool, "input_schema")


def server_tool_names(request: dict[str, Any]) -> list[str]:
    """Return the names of the tools with a type other than `custom`."""
    return [
        tool["name"]
        for _, tool in objects_at(request, ("tools",))
        if tool.get("type") not in (None, "custom") and isinstance(tool.get("name"), str)
    ]


def tool_mentions(request: Mapping[str, Any]) -> Iterator[Mention]:
    """Yield the tool names in choice, calls and references; not those of `server_tool_use`."""
    yield from mention_at(request, ("tool_choice",))
    for path, block in objects_along(request, "messages", "*", "content", "*"):
        if block.get("type") == "tool_use":
            yield from mention_in(path, block)
        elif block.get("type") == "tool_result":
            for inner, reference in objects_along(block, "content", "*"):
                if reference.get("type") == "tool_reference":
                    yield from mention_in((*path, *inner), reference, "tool_name")


MENTION_WORDS = frozenset({"tool_choice", "tool_use", "tool_reference"})


def call_ids(request: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the ids of calls and results; not those of the provider's tools (`srvtoolu_…`)."""
    for path, block in objects_along(request, "messages", "*", "content", "*"):
        key = _ID_KEYS.get(str(block.get("type")))
        if key is not None and key in block:
            yield (*path, key), block[key]


def calls_and_results(request: dict[str, Any]) -> Iterator[CallOrResult | None]:
    """Yield calls and results in order, and None where a turn of the assistant starts."""
    last = None
    for path, message in objects(request.get("messages"), ("messages",)):
        role = message.get("role")
        if role == "assistant" and last != "assistant":
            yield None
        last = role if role in ("user", "assistant") else last
        for block_path, block in objects(message.get("content"), (*path, "content")):
            key = _ID_KEYS.get(str(block.get("type")))
            if key is not None and isinstance(block.get(key), str):
                call = [block.get("name"), block.get("input")] if key == "id" else None
                yield CallOrResult(block_path, key, block[key], call)


def call_arguments(request: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the calls of the client's tools, each with the key of its arguments."""
    for path, block in objects_along(request, "messages", "*", "content", "*"):
        if block.get("type") == "tool_use":
            yield path, "input"


def images(request: dict[str, Any]) -> Iterator[Image]:
    """Yield the images in messages and in results of tools."""
    for path, block in objects_along(request, "messages", "*", "content", "*"):
        yield from _image(path, block)
        if block.get("type") == "tool_result":
            for inner, result in objects(block.get("content"), (*path, "content")):
                yield from _image(inner, result)


def _image(path: Path, block: dict[str, Any]) -> Iterator[Image]:
    if block.get("type") != "image":
        return
    source = block.get("source")
    data = source.get("data") if isinstance(source, dict) else None
    kept = {key: block[key] for key in ("cache_control",) if key in block}
    yield Image(
        path,
        lambda text: {"type": "text", "text": text, **kept},
        len(data) if isinstance(data, str) else None,
    )


def conversation_start(request: Mapping[str, Any]) -> Any:
    """Return the session and the texts of the first message, without marks for the cache."""
    metadata, messages = request.get("metadata"), request.get("messages")
    session = metadata.get("user_id") if isinstance(metadata, dict) else None
    first = messages[0] if isinstance(messages, list) and messages else None
    content = first.get("content") if isinstance(first, dict) else None
    if isinstance(content, list):
        content = [block.get("text") for block in content if isinstance(block, dict)]
    return [session, content]


def has_signed_thinking(request: Mapping[str, Any]) -> bool:
    """Return whether the history contains thinking with a signature, or redacted thinking."""
    blocks = (
        block
        for message in dicts_in(request.get("messages"))
        for block in dicts_in(message.get("content"))
    )
    return any(
        block.get("type") == "redacted_thinking"
        or (block.get("type") == "thinking" and block.get("signature"))
        for block in blocks
    )


THINKING_BINDING = ThinkingBinding(
    prefix=("system", "tools", "messages"),
    start=conversation_start,
    is_bound=has_signed_thinking,
    words=frozenset({"thinking", "redacted_thinking"}),
)


def _entry(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
    }


# https://docs.anthropic.com/en/api/models-list
MODEL_LIST = ModelList("data", "id", lambda answer: answer.get("has_more") is False, _entry)
