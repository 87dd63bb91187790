"""The token counts of a completion."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.usage import Usage, UsageFormat, count_in
from wiremend.text.json_value import dicts_in
from wiremend.text.patterns import linear_pattern


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
    return Usage(
        input_tokens=count_in(counts, "prompt_tokens"),
        output_tokens=count_in(counts, "completion_tokens"),
        cached_tokens=next((count for count in cached if count is not None), None),
        reasoning_tokens=count_in(counts, "completion_tokens_details", "reasoning_tokens"),
    )


USAGE_FORMAT = UsageFormat(linear_pattern(rb'"usage"\s*+:\s*+\{'), _read_usage)
