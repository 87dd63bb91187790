"""What a request says besides its messages' contents: sampling, limits, cache marks, call ids."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wiremend.protocols.base import request_rules as rules
from wiremend.protocols.base.document import RequestMending
from wiremend.protocols.base.protocol import HistoryPass
from wiremend.protocols.base.tools import value_at
from wiremend.protocols.base.traits import MessageTraits
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import objects

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


def lower_token_limit(limits: tuple[Path, ...]) -> HistoryPass:
    """Cap the output limit, which may be at these paths, at the provider's maximum."""

    def lower(mending: RequestMending, request: dict[str, Any], traits: MessageTraits) -> None:
        if traits.max_output_tokens is not None:
            _lower_limits(mending, request, limits, traits.max_output_tokens)

    return lower


def _lower_limits(
    mending: RequestMending, request: dict[str, Any], limits: tuple[Path, ...], most: int
) -> None:
    for path in limits:
        asked = value_at(request, path)
        if not isinstance(asked, int) or isinstance(asked, bool) or asked <= most:
            continue
        budget = value_at(request, ("thinking", "budget_tokens"))
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


def fit_call_ids(call_ids: Callable[[dict[str, Any]], Iterable[tuple[Path, Any]]]) -> HistoryPass:
    """Replace the ids of calls and results, found by `call_ids`, that the target refuses."""

    def fit(mending: RequestMending, request: dict[str, Any], traits: MessageTraits) -> None:
        for path, call_id in call_ids(request):
            if not isinstance(call_id, str) or traits.call_ids.takes(call_id):
                continue
            fitted = traits.call_ids.fit(call_id)
            if mending.finds(rules.CALL_ID, path, f"{call_id!r}", f"now {fitted!r}"):
                mending.edits.replace(path, json_value.write(fitted))

    return fit


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
