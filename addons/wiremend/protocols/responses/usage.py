"""The token counts of a response that Codex and the SDKs require."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.usage import Usage, UsageFormat, count_in
from wiremend.protocols.responses.grammar import USAGE_COUNTS, USAGE_DETAILS
from wiremend.text.json_value import JsonObject, is_integer
from wiremend.text.patterns import linear_pattern

_CHAT_COUNTS = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
"""The names of Chat Completions, which some gateways leave in place."""


def repaired_usage(usage: Any) -> JsonObject | None:
    """Return the usage with all counts as integers; None if it contains no counts."""
    if not isinstance(usage, dict):
        return None
    counts = {key: _count(usage.get(key)) for key in USAGE_COUNTS}
    for key, chat_key in _CHAT_COUNTS.items():
        if counts[key] is None:
            counts[key] = _count(usage.get(chat_key))
    read, written, total = counts.values()
    if read is None and written is None and total is None:
        return None
    if read is None:
        read = max(0, total - written) if total is not None and written is not None else 0
    if written is None:
        written = max(0, total - read) if total is not None else 0
    total = read + written if total is None else total
    repaired = usage | dict(zip(USAGE_COUNTS, (read, written, total), strict=True))
    for key, count in USAGE_DETAILS.items():
        details = usage.get(key)
        if isinstance(details, dict):
            repaired[key] = details | {count: _count(details.get(count)) or 0}
        elif details is not None:
            repaired[key] = {count: 0}
    return repaired


def no_usage() -> JsonObject:
    """Return usage with zero counts, for clients that skip a terminal event without usage.

    Codex accepts null as unknown usage and does not need it.
    """
    counts: JsonObject = dict.fromkeys(USAGE_COUNTS, 0)
    return counts | {key: {count: 0} for key, count in USAGE_DETAILS.items()}


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value if is_integer(value) else None


def _read_usage(value: Mapping[str, Any]) -> Usage:
    """The counts of a terminal event, or of a whole response."""
    response = value.get("response")
    counts = (response if isinstance(response, dict) else value).get("usage")
    return Usage(
        input_tokens=count_in(counts, "input_tokens"),
        output_tokens=count_in(counts, "output_tokens"),
        cached_tokens=count_in(counts, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=count_in(counts, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=count_in(counts, "output_tokens_details", "reasoning_tokens"),
    )


USAGE_FORMAT = UsageFormat(linear_pattern(rb'"usage"\s*+:\s*+\{'), _read_usage)
