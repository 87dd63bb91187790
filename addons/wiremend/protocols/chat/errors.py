"""Errors of Chat Completions: reading them from chunks and bodies, and ending a stream in one."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.openai_errors import error_envelope
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_from,
    error_of_text,
    make_error,
    read_error,
)
from wiremend.targets.registry import STATUS_BY_CODE, STATUS_BY_FINISH_REASON
from wiremend.text import sse

ERROR_REASONS: Mapping[str, int] = {
    "error": 502,
    "network_error": 502,
    **STATUS_BY_FINISH_REASON,
}
"""Finish reasons of gateways and vendors that report a failure, and the HTTP status of each."""


REASON_KEYS = ("native_finish_reason", "finish_reason")
"""In order: OpenRouter may report a failure only in the first, with `stop` in the second."""


def error_event(error: ProviderError) -> bytes:
    """Return the chunk that ends a stream in an error; SDKs raise on it and stop reading."""
    return sse.encode(error_envelope(error))


def error_in(value: Any) -> ProviderError | None:
    """Return the error in a parsed chunk or completion, in any of its shapes, or None."""
    if not isinstance(value, dict):
        return read_error(value)
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
        return error_of_text(message, status=502, type="server_error")
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        reason = error_reason(choice) if isinstance(choice, dict) else None
        if reason is not None:
            return _error_of_choice(choice, reason)
    return None


def groq_error(chunk: Mapping[str, Any]) -> str:
    """Return Groq's reason for ending a stream early, next to a finish reason; empty without one.

    https://github.com/groq/groq-python, `ChatCompletionChunk.x_groq.error`.
    """
    extension = chunk.get("x_groq")
    message = extension.get("error") if isinstance(extension, dict) else None
    return message.strip() if isinstance(message, str) else ""


def error_reason(choice: Mapping[str, Any]) -> str | None:
    """Return the failure in the finish reasons of a choice, a key of `ERROR_REASONS`, or None."""
    for key in REASON_KEYS:
        raw = choice.get(key)
        reason = raw.lower().replace("-", "_") if isinstance(raw, str) else ""
        if reason in ERROR_REASONS:
            return reason
    return None


def _error_of_choice(choice: dict[str, Any], reason: str) -> ProviderError:
    inner = choice.get("error")
    if isinstance(inner, dict) and inner:
        return error_from(inner)
    native = str(choice.get("native_finish_reason") or reason)
    message = f"The provider gave up: finish reason {native!r}."
    return make_error(status=ERROR_REASONS[reason], type="server_error", message=message)
