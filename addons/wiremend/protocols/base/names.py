"""The four wire protocols by name."""

from collections.abc import Mapping
from enum import StrEnum


class WireProtocol(StrEnum):
    """A protocol between agents and providers; the value is its name in output."""

    ANTHROPIC_MESSAGES = "anthropic-messages"
    CHAT_COMPLETIONS = "chat-completions"
    RESPONSES = "responses"
    GEMINI = "gemini"

    @classmethod
    def parse(cls, text: str) -> "WireProtocol":
        """Return the protocol of a name that a user wrote, in its long or short form.

        Raises ValueError, with a message for the user that lists the valid names.
        """
        for protocol in cls:
            if text in (protocol.value, SHORT_NAMES.get(protocol)):
                return protocol
        raise ValueError(f"expected one of {valid_names()}, got {text!r}")


SHORT_NAMES: Mapping[WireProtocol, str] = {
    WireProtocol.ANTHROPIC_MESSAGES: "anthropic",
    WireProtocol.CHAT_COMPLETIONS: "chat",
}
"""Names that are accepted as input and never written."""


def valid_names() -> str:
    """Return every accepted name, for messages and help texts."""
    shown = [
        f"{protocol} (or {SHORT_NAMES[protocol]})" if protocol in SHORT_NAMES else str(protocol)
        for protocol in WireProtocol
    ]
    return ", ".join(shown)
