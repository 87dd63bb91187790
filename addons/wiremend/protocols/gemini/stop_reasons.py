"""The finish reasons of the API, and what they mean in the middle form."""

from collections.abc import Mapping

from wiremend.protocols.base.middle.answer import StopReason
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError, make_error

_G = WireProtocol.GEMINI
FINISH_REASONS: Mapping[StopReason, str] = {
    StopReason.END: "STOP",
    StopReason.CALLS: "STOP",
    StopReason.LIMIT: "MAX_TOKENS",
    StopReason.WINDOW: "MAX_TOKENS",
    StopReason.STOP_STRING: "STOP",
    StopReason.REFUSED: "SAFETY",
    StopReason.PAUSED: "STOP",
}
_REASONS: Mapping[str, StopReason] = {"STOP": StopReason.END, "MAX_TOKENS": StopReason.LIMIT}
FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "OTHER",
        "NO_IMAGE",
        "IMAGE_OTHER",
    }
)
"""The answer is not usable: other protocols report an error."""


def stop_reason(word: str) -> StopReason:
    """Return the meaning of a finish reason that is not in `FAILED`.

    All but two report a filter. So are the new ones of recent years, so an unknown one is, too.
    """
    return _REASONS.get(word, StopReason.REFUSED)


def failure(word: str, message: str) -> ProviderError:
    """Return the error for a finish reason in `FAILED`; its code is the reason."""
    text = message or f"The model ended the answer with finishReason {word}."
    return make_error(status=502, code=word, message=text)
