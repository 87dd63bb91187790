"""The protocol names in configuration and command lines."""

import re

import pytest
from wiremend.protocols.base.names import SHORT_NAMES, WireProtocol


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("anthropic-messages", WireProtocol.ANTHROPIC_MESSAGES),
        ("anthropic", WireProtocol.ANTHROPIC_MESSAGES),
        ("chat-completions", WireProtocol.CHAT_COMPLETIONS),
        ("chat", WireProtocol.CHAT_COMPLETIONS),
        ("responses", WireProtocol.RESPONSES),
        ("gemini", WireProtocol.GEMINI),
    ],
)
def test_long_and_short_names_are_accepted(text: str, protocol: WireProtocol) -> None:
    assert WireProtocol.parse(text) is protocol


@pytest.mark.parametrize("text", ["", "openai", "Chat", "chat ", "anthropic-messages-2"])
def test_other_names_are_refused_with_the_valid_names(text: str) -> None:
    message = (
        "expected one of anthropic-messages (or anthropic), chat-completions (or chat), "
        f"responses, gemini, got {text!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WireProtocol.parse(text)


def test_the_long_name_is_written() -> None:
    assert str(WireProtocol.parse("chat")) == f"{WireProtocol.parse('chat')}" == "chat-completions"


def test_short_names_are_unambiguous() -> None:
    names = [*WireProtocol, *SHORT_NAMES.values()]
    assert len(set(names)) == len(names)
