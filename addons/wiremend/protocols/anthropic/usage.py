"""The required fields and token counts at the start and at the end of an Anthropic message."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.anthropic.grammar import DELTA_COUNTS, START_COUNTS
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.usage import Usage, UsageFormat, count_in, total
from wiremend.rules.rule import Rule, start_of
from wiremend.text.json_value import JsonObject, is_number
from wiremend.text.patterns import linear_pattern

_P = ("anthropic-messages",)

MESSAGE_START_INCOMPLETE = Rule(
    code="S104",
    name="message-start-incomplete",
    detects="`message_start` lacks content, usage or one of its counts, or its stop reason is "
    '`""`.',
    impact="Zod and serde schemas reject it: AttributeError, `invalid_union`.",
    action="Fills in zero usage, empty content, a null stop reason and the role.",
    protocols=_P,
    seen=("maximhq/bifrost#5885", "Wei-Shaw/sub2api#4589"),
)
USAGE_MISSING = Rule(
    code="S117",
    name="usage-missing",
    detects="`message_delta` has no usage, null, or usage without a number of output tokens.",
    impact="AttributeError in SDKs; schemas reject it; the context display fails.",
    action="Fills in the number of `completion_tokens`, or zero output tokens.",
    protocols=_P,
)

_FOREIGN_COUNTS: Mapping[str, str] = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
}
"""The names of the counts in Chat Completions, which gateways leave in place."""
EMPTY_MESSAGE: Mapping[str, Any] = {
    "id": "",
    "type": "message",
    "role": "assistant",
    "model": "",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 0, "output_tokens": 0},
}


def fill_start(message: JsonObject, model: str, draft: Draft) -> bool:
    """Fill in the missing fields of a starting message; return whether anything changed."""
    missing = {key: EMPTY_MESSAGE[key] for key in missing_in(message)}
    if "usage" in missing:
        missing["usage"] = _with_counts(message.get("usage"), START_COUNTS)
    if not missing or not draft.note(
        MESSAGE_START_INCOMPLETE, f"no {', '.join(missing)}", "filled in"
    ):
        return False
    if "id" in missing:
        missing["id"] = "msg_unknown"
    if "model" in missing:
        missing["model"] = model
    message |= missing
    return True


def fill_final_usage(data: JsonObject, draft: Draft) -> bool:
    """Fill in the usage of a `message_delta`; return whether anything changed."""
    raw = data.get("usage")
    usage = _with_counts(raw, DELTA_COUNTS)
    if usage is raw or not draft.note(USAGE_MISSING, start_of(repr(raw).encode()), "filled in"):
        return False
    data["usage"] = usage
    return True


def merge_final(data: JsonObject, other: JsonObject) -> bool:
    """Add what only another `message_delta` has; return whether anything changed.

    Counts are cumulative, so the larger one is kept.
    """
    changed = False
    for key, value in other.items():
        own = data.get(key)
        if key == "usage":
            merged = _merged_usage(own, value)
        elif key == "delta" and isinstance(own, dict) and isinstance(value, dict):
            merged = _filled_in(own, value)
        else:
            merged = value if own is None else own
        if merged is not own and merged != own:
            data[key] = merged
            changed = True
    return changed


def _merged_usage(own: Any, other: Any) -> Any:
    if not isinstance(own, dict) or not isinstance(other, dict):
        return other if isinstance(other, dict) else own
    larger = {
        key: value
        for key, value in other.items()
        if is_number(value) and is_number(own.get(key)) and value > own[key]
    }
    return {**_filled_in(own, other), **larger}


def _filled_in(own: JsonObject, other: JsonObject) -> JsonObject:
    missing = {
        key: value for key, value in other.items() if value is not None and own.get(key) is None
    }
    return {**own, **missing}


def _with_counts(usage: Any, counts: tuple[str, ...]) -> JsonObject:
    """Return the usage with these counts as numbers; the same object if they are numbers."""
    existing = usage if isinstance(usage, dict) else {}
    missing = {
        key: _number(existing.get(key) or existing.get(_FOREIGN_COUNTS[key]))
        for key in counts
        if not is_number(existing.get(key))
    }
    return {**existing, **missing} if missing or existing is not usage else existing


def _number(value: Any) -> int | float:
    if is_number(value):
        return value  # type: ignore[no-any-return]
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else 0


def missing_in(message: JsonObject) -> list[str]:
    """Return the required fields that a starting message lacks, in the usual order."""
    usage = message.get("usage")
    has_counts = isinstance(usage, dict) and _with_counts(usage, START_COUNTS) is usage
    has_field = {
        "id": isinstance(message.get("id"), str),
        "type": message.get("type") == "message",
        "role": message.get("role") == "assistant",
        "model": isinstance(message.get("model"), str),
        "content": isinstance(message.get("content"), list),
        "stop_reason": message.get("stop_reason", "") != "",
        "usage": has_counts,
    }
    if all(has_field.values()):
        return []
    return [key for key, has_it in has_field.items() if not has_it]


def _read_usage(value: Mapping[str, Any]) -> Usage:
    """The counts of `message_start`, of `message_delta`, or of a whole message."""
    message = value.get("message")
    counts = value.get("usage") or (message.get("usage") if isinstance(message, dict) else None)
    cached = count_in(counts, "cache_read_input_tokens")
    written = count_in(counts, "cache_creation_input_tokens")
    return Usage(
        input_tokens=total(count_in(counts, "input_tokens"), cached, written),
        output_tokens=count_in(counts, "output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=count_in(counts, "output_tokens_details", "thinking_tokens"),
    )


USAGE_FORMAT = UsageFormat(linear_pattern(rb'"usage"\s*+:\s*+\{'), _read_usage)
