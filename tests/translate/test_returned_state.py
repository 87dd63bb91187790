"""Envelopes never reach a provider whose calls are not translated."""

from typing import Any

import orjson
import pytest
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.middle.state import Origin, State, seal, seal_base64
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import PROTOCOLS
from wiremend.rules.rule import Notes
from wiremend.translate.returned_state import without_envelopes

STATE = State(Origin(WireProtocol.CHAT_COMPLETIONS, "h", "m"), {"field": "reasoning_content"})
SEALED = seal(STATE)
AS_BASE64 = seal_base64(STATE)
TEXT = {"type": "text", "text": "Hi"}
CASES: dict[str, tuple[WireProtocol, Any, Any]] = {
    "Anthropic": (
        WireProtocol.ANTHROPIC_MESSAGES,
        [{"type": "thinking", "thinking": "Hm.", "signature": SEALED}, TEXT],
        [TEXT],
    ),
    "Anthropic, redacted": (
        WireProtocol.ANTHROPIC_MESSAGES,
        [TEXT, {"type": "redacted_thinking", "data": SEALED}, TEXT],
        [TEXT, TEXT],
    ),
    "Anthropic, native": (
        WireProtocol.ANTHROPIC_MESSAGES,
        [{"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}, TEXT],
        None,
    ),
    "Anthropic, in a text": (
        WireProtocol.ANTHROPIC_MESSAGES,
        [{"type": "text", "text": f"It was {SEALED}"}],
        None,
    ),
    "Anthropic, in arguments": (
        WireProtocol.ANTHROPIC_MESSAGES,
        [{"type": "tool_use", "id": "1", "name": "write", "input": {"data": SEALED}}],
        None,
    ),
    "Gemini": (
        WireProtocol.GEMINI,
        [{"functionCall": {"name": "read", "args": {}}, "thoughtSignature": AS_BASE64}],
        [{"functionCall": {"name": "read", "args": {}}}],
    ),
    "Chat Completions": (
        WireProtocol.CHAT_COMPLETIONS,
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": SEALED}], "content": "Hi"},
        {"reasoning_details": [], "content": "Hi"},
    ),
    "Responses": (
        WireProtocol.RESPONSES,
        [{"type": "reasoning", "summary": [], "encrypted_content": SEALED}, TEXT],
        [TEXT],
    ),
}


@pytest.mark.parametrize(("name", "before", "after"), CASES.values(), ids=CASES)
def test_an_envelope_is_removed(name: WireProtocol, before: Any, after: Any) -> None:
    document = RequestDocument.of(PROTOCOLS[name], "/", orjson.dumps({"items": before}))
    notes = Notes()
    sent = without_envelopes(document, notes)
    if after is None:
        assert sent is document
        assert notes.findings == []
        return
    assert orjson.loads(sent.body) == {"items": after}
    assert [finding.code for finding in notes.findings] == ["X106"]


def test_a_message_of_nothing_else_keeps_a_text() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": SEALED}
    message = {"role": "assistant", "content": [thinking, thinking]}
    body = orjson.dumps({"messages": [message]})
    anthropic = PROTOCOLS[WireProtocol.ANTHROPIC_MESSAGES]
    sent = without_envelopes(RequestDocument.of(anthropic, "/v1/messages", body), Notes())
    content = orjson.loads(sent.body)["messages"][0]["content"]
    assert content == [{"type": "text", "text": "(no content)"}]
