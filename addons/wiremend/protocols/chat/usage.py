"""The token counts of a completion."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.usage import Usage, UsageFormat, count_in
from wiremend.text.json_value import JsonObject, dicts_in, is_number
from wiremend.text.patterns import linear_pattern

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt_tokens": ("input_tokens", "promptTokens", "prompt_eval_count"),
    "completion_tokens": ("output_tokens", "completionTokens", "eval_count"),
    "total_tokens": ("totalTokens",),
}
"""Names of the counts elsewhere, which gateways leave in place."""


def broken_counts(usage: Any) -> list[str]:
    """Return the counts of a usage that are not numbers; missing ones are left out."""
    if not isinstance(usage, dict):
        return []
    return [key for key in COUNTS if key in usage and not is_number(usage[key])]


def fill_counts(usage: JsonObject) -> None:
    """Write the counts that are not numbers: from another name, from the others, or zero."""
    counts = {key: _count_of(usage, key) for key in COUNTS}
    prompt, completion, total = (counts[key] for key in COUNTS)
    if prompt is None and total is not None and completion is not None:
        prompt = max(0, total - completion)
    if completion is None and total is not None and prompt is not None:
        completion = max(0, total - prompt)
    prompt, completion = prompt or 0, completion or 0
    numbers = (prompt, completion, prompt + completion if total is None else total)
    usage |= {
        key: number
        for key, number in zip(COUNTS, numbers, strict=True)
        if not is_number(usage.get(key))
    }


def _count_of(usage: JsonObject, key: str) -> int | float | None:
    for name in (key, *_OTHER_NAMES[key]):
        value = usage.get(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
            return int(value)
        if is_number(value):
            return value
    return None


def _read_usage(value: Mapping[str, Any]) -> Usage:
    """The counts of a chunk, or of a whole completion.

    Moonshot writes them into the last choice of a stream, and cached tokens beside the others;
    DeepSeek has a name of its own for cached tokens.
    """
    counts = value.get("usage")
    for choice in dicts_in(value.get("choices")):
        counts = counts or choice.get("usage")
    cached = (
        count_in(counts, "prompt_tokens_details", "cached_tokens"),
        count_in(counts, "prompt_cache_hit_tokens"),
        count_in(counts, "cached_tokens"),
    )
    written = (
        count_in(counts, "prompt_tokens_details", "cache_write_tokens"),
        count_in(counts, "prompt_tokens_details", "cache_creation_input_tokens"),  # Qwen
    )
    return Usage(
        input_tokens=count_in(counts, "prompt_tokens"),
        output_tokens=count_in(counts, "completion_tokens"),
        cached_tokens=next((count for count in cached if count is not None), None),
        cache_write_tokens=next((count for count in written if count is not None), None),
        reasoning_tokens=count_in(counts, "completion_tokens_details", "reasoning_tokens"),
    )


USAGE_FORMAT = UsageFormat(linear_pattern(rb'"usage"\s*+:\s*+\{'), _read_usage)
