"""What a message must bear at its start and at its end, and what it bears when that is missing."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.anthropic.grammar import DELTA_COUNTS, START_COUNTS, is_count

Data = dict[str, Any]

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


def missing_fields(message: Data) -> Data:
    """The fields that a message lacks at its start, or has in no form that schemas accept."""
    missing = {key: value for key, value in EMPTY_MESSAGE.items() if not _has(message, key)}
    if "usage" in missing:
        missing["usage"] = with_counts(message.get("usage"), START_COUNTS)
    return missing


def final_usage(usage: Any, before: Any) -> Data:
    """A `message_delta`'s usage, with the counts of one before it where it has none itself."""
    return with_counts(usage if isinstance(usage, dict) else before, DELTA_COUNTS)


def with_counts(usage: Any, counts: tuple[str, ...]) -> Data:
    """The usage with each of these counts a number; the very same object if they are."""
    given = usage if isinstance(usage, dict) else {}
    missing = {key: _number(given.get(key)) for key in counts if not is_count(given.get(key))}
    return {**given, **missing} if missing or given is not usage else given


def _number(value: Any) -> int:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else 0


def _has(message: Data, key: str) -> bool:
    value = message.get(key)
    match key:
        case "stop_reason":
            return key in message and value != ""
        case "stop_sequence":
            return True
        case "content":
            return isinstance(value, list)
        case "usage":
            return isinstance(value, dict) and with_counts(value, START_COUNTS) is value
        case "id" | "model":
            return isinstance(value, str)
        case _:
            return bool(value == EMPTY_MESSAGE[key])
