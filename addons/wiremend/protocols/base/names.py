"""The four wire protocols by name."""

from enum import StrEnum


class WireProtocol(StrEnum):
    """A protocol between agents and providers; the value is what people read and write."""

    ANTHROPIC_MESSAGES = "anthropic-messages"
    CHAT_COMPLETIONS = "chat-completions"
    RESPONSES = "responses"
    GEMINI = "gemini"
