"""What a request says besides its messages' contents: sampling, limits, cache marks, call ids."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wiremend.protocols.base import request_rules as rules
from wiremend.protocols.base.document import RequestMending
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import MessageTraits
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import objects

_LIMITS: Mapping[str, tuple[Path, ...]] = {
    WireProtocol.ANTHROPIC_MESSAGES: (("max_tokens",),),
    WireProtocol.CHAT_COMPLETIONS: (("max_tokens",), ("max_completion_tokens",)),
    WireProtocol.RESPONSES: (("max_output_tokens",),),
    WireProtocol.GEMINI: (
        ("generationConfig", "maxOutputTokens"),
        ("generation_config", "max_output_tokens"),
        ("request", "generationConfig", "maxOutputTokens"),
    ),
}
_SMALLEST_BUDGET = 1024
"""Anthropic's least `budget_tokens`, which must stay below `max_tokens`."""


def drop_sampling_pair(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Keep one of the two ways to sample."""
    if request.get("temperature") is None or request.get("top_p") is None:
        return
    if mending.finds(rules.SAMPLING_PAIR, ("top_p",), "beside temperature", "removed"):
        mending.edits.remove(("top_p",))


def drop_refused_sampling(
    mending: RequestMending, request: dict[str, Any], _: MessageTraits
) -> None:
    """Leave the temperature to a model that takes no other than its own."""
    if "temperature" not in request or request["temperature"] == 1 or len(request) == 1:
        return
    found = f"{request['temperature']!r}"
    if mending.finds(rules.SAMPLING_REFUSED, ("temperature",), found, "removed"):
        mending.edits.remove(("temperature",))


def rename_token_limit(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Call the limit by the name that reasoning models know."""
    if "max_tokens" not in request:
        return
    path: Path = ("max_tokens",)
    if "max_completion_tokens" in request:
        if mending.finds(rules.TOKEN_LIMIT_NAME, path, "beside the new name", "removed"):
            mending.edits.remove(path)
    elif mending.finds(rules.TOKEN_LIMIT_NAME, path, "the old name", "renamed"):
        mending.edits.rename(path, "max_completion_tokens")


def lower_token_limit(
    mending: RequestMending, request: dict[str, Any], traits: MessageTraits
) -> None:
    """Ask for no more output than the configuration says that the provider gives."""
    most = traits.max_output_tokens
    if most is None:
        return
    for path in _LIMITS[mending.protocol]:
        asked = _value(request, path)
        if not isinstance(asked, int) or isinstance(asked, bool) or asked <= most:
            continue
        budget = _value(request, ("thinking", "budget_tokens"))
        too_much_thinking = isinstance(budget, int) and budget >= most
        if too_much_thinking and most <= _SMALLEST_BUDGET:
            continue
        if mending.finds(rules.TOKEN_LIMIT, path, f"{asked} tokens", f"{most} tokens"):
            mending.edits.replace(path, b"%d" % most)
            if too_much_thinking:
                mending.edits.replace(("thinking", "budget_tokens"), b"%d" % (most - 1))


def strip_cache_control(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Remove every mark for the prompt cache."""
    for path, owner in _cacheable(request):
        if "cache_control" in owner and mending.finds(
            rules.CACHE_CONTROL, path, "cache_control", "removed"
        ):
            mending.edits.remove((*path, "cache_control"))


def fit_call_ids(mending: RequestMending, request: dict[str, Any], traits: MessageTraits) -> None:
    """Give calls and results ids that the target takes."""
    for path, call_id in _CALL_IDS[mending.protocol](request):
        if not isinstance(call_id, str) or traits.call_ids.takes(call_id):
            continue
        fitted = traits.call_ids.fit(call_id)
        if mending.finds(rules.CALL_ID, path, f"{call_id!r}", f"now {fitted!r}"):
            mending.edits.replace(path, json_value.write(fitted))


def _cacheable(request: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Everything that may bear a mark; what the client's tools define or get stays unread."""
    yield (), request
    yield from objects(request.get("system"), ("system",))
    for path, tool in objects(request.get("tools"), ("tools",)):
        yield path, tool
        if isinstance(tool.get("function"), dict):
            yield (*path, "function"), tool["function"]
    for path, message in objects(request.get("messages"), ("messages",)):
        yield path, message
        for block_path, block in objects(message.get("content"), (*path, "content")):
            yield block_path, block
            yield from objects(block.get("content"), (*block_path, "content"))


def _anthropic_ids(request: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Ids of the provider's own tools (`srvtoolu_…`) have a form of their own."""
    keys = {"tool_use": "id", "tool_result": "tool_use_id"}
    for path, message in objects(request.get("messages"), ("messages",)):
        for block_path, block in objects(message.get("content"), (*path, "content")):
            key = keys.get(str(block.get("type")))
            if key is not None and key in block:
                yield (*block_path, key), block[key]


def _chat_ids(request: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    for path, message in objects(request.get("messages"), ("messages",)):
        for call_path, call in objects(message.get("tool_calls"), (*path, "tool_calls")):
            if "id" in call:
                yield (*call_path, "id"), call["id"]
        if message.get("role") == "tool" and "tool_call_id" in message:
            yield (*path, "tool_call_id"), message["tool_call_id"]


def _responses_ids(request: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """What the provider keeps itself would miss its other half."""
    if request.get("previous_response_id") or request.get("conversation"):
        return
    for path, item in objects(request.get("input"), ("input",)):
        if "call_id" in item:
            yield (*path, "call_id"), item["call_id"]


_CALL_IDS: Mapping[str, Callable[[dict[str, Any]], Iterator[tuple[Path, Any]]]] = {
    WireProtocol.ANTHROPIC_MESSAGES: _anthropic_ids,
    WireProtocol.CHAT_COMPLETIONS: _chat_ids,
    WireProtocol.RESPONSES: _responses_ids,
}


def _value(request: Any, path: Path) -> Any:
    for step in path:
        request = request.get(step) if isinstance(request, dict) else None
    return request
