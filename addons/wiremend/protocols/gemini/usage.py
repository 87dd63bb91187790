"""The token counts of a response."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.usage import Usage, UsageFormat, count_in, total
from wiremend.text.patterns import linear_pattern


def _read_usage(value: Mapping[str, Any]) -> Usage:
    """The counts of an event, or of a whole response; Code Assist wraps both into `response`."""
    response = value.get("response")
    counts = (response if isinstance(response, dict) else value).get("usageMetadata")
    thoughts = count_in(counts, "thoughtsTokenCount")
    return Usage(
        input_tokens=total(
            count_in(counts, "promptTokenCount"), count_in(counts, "toolUsePromptTokenCount")
        ),
        output_tokens=total(count_in(counts, "candidatesTokenCount"), thoughts),
        cached_tokens=count_in(counts, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )


USAGE_FORMAT = UsageFormat(linear_pattern(rb'"usageMetadata"\s*+:\s*+\{'), _read_usage)
