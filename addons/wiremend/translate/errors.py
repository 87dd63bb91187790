"""Errors of a provider in the words of another protocol.

Clients act on words: Claude Code compacts a conversation only on "prompt is too long", Codex only
on the code `context_length_exceeded`. So what a provider reports is classified by status and
message, and written with the type and code that the client's protocol has for it. The message is
kept.
"""

from collections.abc import Mapping
from dataclasses import replace

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.text.patterns import text_pattern

_A = WireProtocol.ANTHROPIC_MESSAGES
_GEMINI = WireProtocol.GEMINI
_OVERFLOW_CODES = frozenset({"context_length_exceeded", "context_window_exceeded"})
_OVERFLOW = text_pattern(
    r"prompt is too long"
    r"|(?:maximum|max|available|model'?s?)\s++(?:input\s++|allowed\s++)?context\s*+(?:length|size|window)"
    r"|context_length_exceeded"
    r"|exceed(?:s|ed|ing)?\s++(?:the\s++)?(?:model'?s?\s++)?(?:maximum\s++)?(?:available\s++)?"
    r"context\s*+(?:window|length|size|limit)"
    r"|context\s*+(?:window|length)\s++exceed"
    r"|exceed(?:s|ed)?\s++(?:the\s++)?model\s++token\s++limit"
    r"|maximum\s++prompt\s++length\s++is"
    r"|reduce\s++the\s++length\s++of\s++the\s++(?:messages|prompt|input)"
    r"|too\s++large\s++for\s++model"
    r"|greater\s++than\s++the\s++context\s++length"
    r"|input\s++token\s++count.{0,40}?exceed"
    r"|(?:prompt|input|request)\s++(?:is\s++)?too\s++(?:long|many\s++tokens)"
    r"|too\s++many\s++(?:input\s++|prompt\s++)?tokens",
    ignore_case=True,
)
"""What providers write if a prompt does not fit into the context window."""
_NUMBER = text_pattern(r"(?<![\d.,])\d{1,3}(?:,\d{3})++(?![\d,])|(?<![\d.,])\d{3,9}(?![\d.,]*\d)")
_WINDOW = text_pattern(
    r"(?:length\s++is|limit:|limit\s++is|limit\s++of|size\s++\(|allowed\s++\(|model\s++with|tokens?\s++>"
    r"|maximum\s++of|at\s++most|up\s++to)\s*+(\d[\d,]{2,12}+)",
    ignore_case=True,
)
"""The size of the window, in such a message."""
_OPENAI_CODES: Mapping[int, str] = {
    401: "invalid_api_key",
    402: "insufficient_quota",
    404: "model_not_found",
    429: "rate_limit_exceeded",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}
_ANTHROPIC_TYPES: Mapping[int, str] = {
    408: "timeout_error",
    502: "api_error",
    503: "overloaded_error",
}
"""Those of the statuses that `errors.error_type` has no own type for."""


def is_overflow(error: ProviderError) -> bool:
    """Return whether a provider rejected a prompt that is too long for the model."""
    if error.status not in (400, 413, 422, 500, 502) and error.code not in _OVERFLOW_CODES:
        return False
    return error.code in _OVERFLOW_CODES or _OVERFLOW.search(error.message) is not None


def translated_error(
    error: ProviderError,
    provider: WireProtocol,
    client: WireProtocol,
    *,
    prompt_tokens: int | None = None,
    window_tokens: int | None = None,
) -> ProviderError:
    """Return the error as a provider of the client's protocol would report it.

    `prompt_tokens` and `window_tokens` are used where the message has no numbers. An error in a
    protocol of the same vendor keeps its type and code.
    """
    if provider is client:
        return error
    if is_overflow(error):
        return _overflow(error, client, prompt_tokens, window_tokens)
    error = replace(error, type="")
    if client is _A:
        return replace(error, type=_ANTHROPIC_TYPES.get(error.status, ""), code="")
    if client is _GEMINI:
        return replace(error, code="", status=_without_529(error.status))
    is_of_openai = provider not in (_A, _GEMINI)
    code = error.code if is_of_openai and error.code else _OPENAI_CODES.get(error.status, "")
    return replace(error, code=code, status=_without_529(error.status))


def _without_529(status: int) -> int:
    """Return the status that others than Anthropic have for an overloaded provider."""
    return 503 if status == 529 else status


def _overflow(
    error: ProviderError, client: WireProtocol, prompt: int | None, window: int | None
) -> ProviderError:
    window = _window_in(error.message) or window or 0
    if window:
        prompt = max((one for one in _numbers(error.message) if one > window), default=prompt)
    prompt = max(prompt or 0, window + 1)
    error = replace(error, status=400, type="", code="")
    if client is _A:
        text = f"prompt is too long: {prompt} tokens > {window} maximum"
        return replace(error, type="invalid_request_error", message=_with(text, error.message))
    if client is _GEMINI:
        text = (
            f"The input token count ({prompt}) exceeds the maximum number of tokens allowed "
            f"({window})."
        )
        return replace(error, message=_with(text, error.message))
    return replace(error, type="invalid_request_error", code="context_length_exceeded")


def _with(text: str, message: str) -> str:
    if not message.strip() or message.startswith(text):
        return text
    return f"{text} ({message})"


def _window_in(message: str) -> int | None:
    match = _WINDOW.search(message)
    return int(match[1].replace(",", "")) if match is not None else None


def _numbers(message: str) -> set[int]:
    return {int(match[0].replace(",", "")) for match in _NUMBER.finditer(message)}
