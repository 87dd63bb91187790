"""Errors of Chat Completions: reading them from chunks and bodies, and ending a stream in one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.openai import error_envelope
from wiremend.protocols.base.provider_error import (
    UNKNOWN_STATUS,
    ProviderError,
    error_in_envelope,
    error_of_text,
    make_error,
    read_error,
)
from wiremend.targets.registry import STATUS_BY_CODE, STATUS_BY_FINISH_REASON
from wiremend.text import sse
from wiremend.text.json_envelope import is_envelope, unwrapped
from wiremend.text.patterns import text_pattern

ERROR_REASONS: Mapping[str, int] = {
    "error": 502,
    "network_error": 502,
    "abort": 502,
    "overloaded": 503,
    "rate_limit": 429,
    "rate_limited": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "throttling": 429,
    **STATUS_BY_FINISH_REASON,
}
"""Finish reasons of gateways and vendors that report a failure, and the HTTP status of each."""
_FAILURE_WORDS: Mapping[str, int] = {
    **dict.fromkeys(("overload", "overloaded", "unavailable"), 503),
    **dict.fromkeys(("timeout", "timedout", "timed"), 504),
    **dict.fromkeys(("error", "errors", "errored", "exception", "insufficient"), 502),
    **dict.fromkeys(("abort", "aborted", "aborting"), 502),
    **dict.fromkeys(("cancel", "canceled", "cancelled", "cancellation"), 502),
    **dict.fromkeys(("fail", "failed", "failure", "crash", "crashed", "killed"), 502),
    **dict.fromkeys(("interrupted", "disconnect", "disconnected", "preempted"), 502),
}
"""Words of other finish reasons that report a failure, and the HTTP status of each."""
_WORDS = text_pattern(r"[A-Z]?[a-z]++|[A-Z]++(?![a-z])")

REASON_KEYS = ("native_finish_reason", "finish_reason")
"""In order: OpenRouter may report a failure only in the first, with `stop` in the second."""


ERROR_MEMBERS = frozenset({"error", "base_resp", "x_groq"})
"""The members of a chunk in which errors are, apart from the reasons in its choices."""


def error_event(error: ProviderError) -> bytes:
    """Return the chunk that ends a stream in an error; SDKs raise on it and stop reading."""
    return sse.encode(error_envelope(error))


def error_in(value: Any) -> ProviderError | None:
    """Return the error in a parsed chunk or completion, in any of its shapes, or None."""
    if not isinstance(value, dict):
        return read_error(value)
    is_chunk = "choices" in value
    if not is_chunk or not ERROR_MEMBERS.isdisjoint(value):
        error = _error_outside_choices(value)
        if error is not None:
            return error
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        reason = error_reason(choice) if isinstance(choice, dict) else None
        if reason is not None:
            return _error_of_choice(choice, reason)
    return None if is_chunk else _error_inside(value)


def _error_outside_choices(value: Mapping[str, Any]) -> ProviderError | None:
    if value.get("error") or "choices" not in value:
        error = read_error(value)
        if error is not None:
            return error
    base = value.get("base_resp")  # MiniMax
    if isinstance(base, dict) and isinstance(base.get("status_code"), int) and base["status_code"]:
        code = base["status_code"]
        text = str(base.get("status_msg") or "").strip()
        message = f"{text or 'The provider reported an error'} ({code})"
        return error_of_text(message, status=STATUS_BY_CODE.get(code, 502))
    if message := groq_error(value):
        error = error_of_text(message, status=502, type="server_error")
        own_fields = {
            key: field
            for key, field in value["x_groq"].items()
            if key not in ("error", "id", "usage")
        }
        return replace(error, own_fields=own_fields)
    return None


def _error_inside(value: Mapping[str, Any]) -> ProviderError | None:
    """Return the error in the envelope of a gateway, such as `{"success": false, "data": {…}}`."""
    error = error_in_envelope(value)
    if error is not None or not is_envelope(value):
        return error
    return read_error(unwrapped(value, lambda inner: read_error(inner) is not None))


def groq_error(chunk: Mapping[str, Any]) -> str:
    """Return Groq's reason for ending a stream early, next to a finish reason; empty without one.

    https://github.com/groq/groq-python, `ChatCompletionChunk.x_groq.error`.
    """
    extension = chunk.get("x_groq")
    message = extension.get("error") if isinstance(extension, dict) else None
    return message.strip() if isinstance(message, str) else ""


def error_reason(choice: Mapping[str, Any]) -> str | None:
    """Return the failure in the finish reasons of a choice, as the provider wrote it, or None."""
    for key in REASON_KEYS:
        raw = choice.get(key)
        if isinstance(raw, str) and _failure_status(raw) is not None:
            return raw
    return None


def _failure_status(reason: str) -> int | None:
    """Return the HTTP status of a finish reason that reports a failure; None for other reasons."""
    words = [found[0].lower() for found in _WORDS.finditer(reason)]
    name = "_".join(words)
    if name in ERROR_REASONS:
        return ERROR_REASONS[name]
    statuses = (_FAILURE_WORDS[word] for word in words if word in _FAILURE_WORDS)
    return next(statuses, None)


def _error_of_choice(choice: dict[str, Any], reason: str) -> ProviderError:
    inner = choice.get("error")
    if isinstance(inner, dict) and inner:
        error = read_error({"error": inner})
        assert error is not None
        return error
    native = str(choice.get("native_finish_reason") or reason)
    message = f"The provider gave up: finish reason {native!r}."
    status = _failure_status(reason) or UNKNOWN_STATUS
    return make_error(status=status, type="server_error", message=message)
