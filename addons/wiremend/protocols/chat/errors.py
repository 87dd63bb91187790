"""Errors of Chat Completions: in a chunk, in a finish reason, and the event that ends a stream."""

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
"""Finish reasons that report a failure, and the status they stand for: those of gateways, and
those of vendors."""


REASON_KEYS = ("native_finish_reason", "finish_reason")
"""OpenRouter may say `stop` over a failure that only its first one tells."""


def error_event(error: ProviderError) -> bytes:
    """The chunk that ends a stream in an error; SDKs raise on it and read no further."""
    return sse.encode(error_envelope(error))


def error_in(value: Any) -> ProviderError | None:
    """The error in a parsed chunk or completion, in any of its shapes; None if there is none."""
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
    """Why Groq stopped the stream early, beside a finish reason; empty if it did not.

    https://github.com/groq/groq-python, `ChatCompletionChunk.x_groq.error`.
    """
    own = chunk.get("x_groq")
    message = own.get("error") if isinstance(own, dict) else None
    return message.strip() if isinstance(message, str) else ""


def error_reason(choice: Mapping[str, Any]) -> str | None:
    """The failure that a choice's finish reasons report, as `ERROR_REASONS` spells it, or None."""
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
