"""The token counts of a response."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.usage import Usage, UsageFormat, count_in, total
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject
from wiremend.text.patterns import linear_pattern

USAGE_COUNTS = Rule(
    code="S423",
    name="usage-counts",
    detects="`usageMetadata` or one of its token counts is null, or a count is text.",
    impact="Clients add the counts up and fail, or show NaN.",
    action="Replaces a count with the number that the other counts give, else with 0, "
    "and null by an empty object.",
    protocols=("gemini",),
    before='{"promptTokenCount":7,"candidatesTokenCount":null,"totalTokenCount":12}',
    after='{"promptTokenCount":7,"candidatesTokenCount":5,"totalTokenCount":12}',
)

_PROMPT = "promptTokenCount"
_CANDIDATES = "candidatesTokenCount"
_TOTAL = "totalTokenCount"
_SUMMANDS = (_PROMPT, _CANDIDATES, "thoughtsTokenCount", "toolUsePromptTokenCount")
_ENDING = "TokenCount"


def repair_usage(response: JsonObject, draft: Draft) -> None:
    """Make the token counts of a response numbers."""
    usage = response.get("usageMetadata")
    if usage is None:
        if "usageMetadata" in response and draft.change(USAGE_COUNTS, "null", "{}"):
            response["usageMetadata"] = {}
        return
    if not isinstance(usage, dict):
        return
    odd = odd_counts(usage)
    if odd and draft.change(USAGE_COUNTS, ", ".join(sorted(odd)), "a number", once="counts"):
        usage |= _as_numbers(usage, odd)


def odd_counts(usage: Mapping[str, Any]) -> list[str]:
    """Return the names of the counts that are null or text."""
    return [
        key
        for key, value in usage.items()
        if (value is None or isinstance(value, str)) and key.endswith(_ENDING)
    ]


def _as_numbers(usage: Mapping[str, Any], odd: list[str]) -> dict[str, int]:
    """Return these counts as numbers."""
    known = {key: count_in(usage, key) for key in usage if key.endswith(_ENDING)}
    for key in odd:
        text = usage[key]
        if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 16:
            known[key] = int(text)
    missing = [key for key in sorted(odd) if known[key] is None]
    summands = sum(known.get(key) or 0 for key in _SUMMANDS)
    for key in missing:
        of_total = known.get(_TOTAL)
        is_derived = key in (_PROMPT, _CANDIDATES) and of_total is not None
        known[key] = max(0, (of_total or 0) - summands) if is_derived else 0
        if is_derived:
            summands += known[key] or 0
    if _TOTAL in missing:
        known[_TOTAL] = sum(known.get(key) or 0 for key in _SUMMANDS)
    return {key: known[key] or 0 for key in odd}


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
