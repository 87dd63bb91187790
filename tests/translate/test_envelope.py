"""The envelope of reasoning state: restored for its issuer, harmless in any other form."""

import base64
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.middle.state import (
    LIMIT_BYTES,
    MAGIC,
    PREFIX,
    Origin,
    State,
    is_sealed,
    read_state,
    seal,
    seal_base64,
    unseal,
)
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.chat import CHAT

from translate.directions import A_TO_C, sent, target_of, through, translated, whole

ORIGIN = Origin(WireProtocol.CHAT_COMPLETIONS, "provider.example", "m")
PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
SEALS = {"text": seal, "base64": seal_base64}
each_form = pytest.mark.parametrize("form", SEALS)


@each_form
@given(payload=PAYLOADS)
def test_an_envelope_contains_the_state(form: str, payload: Any) -> None:
    state = State(ORIGIN, payload)
    sealed = SEALS[form](state)
    assert sealed is not None
    assert SEALS[form](state) == sealed
    assert is_sealed(sealed)
    opened = unseal(sealed)
    assert opened == state
    assert opened is not None
    assert opened.payload == payload


def test_an_envelope_has_the_characters_of_every_protocol() -> None:
    sealed = seal(State(ORIGIN, {"text": "x" * 999 + "\u2713"}))
    assert sealed is not None
    assert set(sealed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")


@pytest.mark.parametrize("alphabet", ["urlsafe", "standard", "without padding"])
def test_the_base64_form_survives_a_client_that_encodes_it_anew(alphabet: str) -> None:
    """SDKs of Google decode the value and encode it in their own alphabet."""
    state = State(ORIGIN, {"text": "\u2713" * 40})
    sealed = seal_base64(state)
    assert sealed is not None
    data = base64.urlsafe_b64decode(sealed)
    again = {
        "urlsafe": sealed,
        "standard": base64.b64encode(data).decode(),
        "without padding": sealed.rstrip("="),
    }[alphabet]
    assert unseal(again) == state


@each_form
@given(data=st.data())
def test_a_changed_envelope_is_read_as_no_state_or_as_a_state(
    form: str, data: st.DataObject
) -> None:
    sealed = SEALS[form](State(ORIGIN, {"text": "hidden"}))
    assert sealed is not None
    at = data.draw(st.integers(0, len(sealed) - 1))
    letter = data.draw(st.characters())
    for changed in (sealed[:at], sealed[:at] + letter + sealed[at + 1 :], sealed + letter):
        opened = unseal(changed)
        assert opened is None or opened.payload == {"text": "hidden"}


def envelope(text: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(zlib.compress(text)).rstrip(b"=").decode()


def fields(**changed: Any) -> bytes:
    own = {"p": "chat-completions", "h": "h", "m": "m", "d": {}}
    return orjson.dumps({**own, **changed})


FORGED = {
    "nothing": PREFIX,
    "not base64": PREFIX + "!!!!",
    "not compressed": PREFIX + "AAAA",
    "not JSON": envelope(b"{"),
    "not UTF-8": envelope(b'{"p":"\xff"}'),
    "a list": envelope(b"[]"),
    "an unknown protocol": envelope(fields(p="telnet")),
    "a protocol that is no text": envelope(fields(p=["gemini"])),
    "a host that is no text": envelope(fields(h=1)),
    "no payload": envelope(b'{"p":"gemini","h":"h","m":"m"}'),
    "deep nesting": envelope(b"[" * 100_000),
    "more behind it": envelope(fields()) + base64.urlsafe_b64encode(b"more").decode(),
    "an inflating text": envelope(b" " * (LIMIT_BYTES * 40)),
    "an inflating payload": envelope(fields(d="x" * (LIMIT_BYTES * 40))),
    "a long text": PREFIX + "A" * (4 * LIMIT_BYTES),
    "only the magic bytes": base64.b64encode(MAGIC).decode(),
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_a_forged_envelope_is_no_state(text: str) -> None:
    assert is_sealed(text)
    assert unseal(text) is None
    assert read_state(text, WireProtocol.ANTHROPIC_MESSAGES) is None


def test_state_that_is_too_large_is_not_sealed() -> None:
    assert seal(State(ORIGIN, "x" * LIMIT_BYTES)) is None
    assert seal_base64(State(ORIGIN, "x" * LIMIT_BYTES)) is None


# On its way through a client

REASONED = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index"'
    b':0,"delta":{"role":"assistant","reasoning_content":"Hm."},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index"'
    b':0,"delta":{"tool_calls":[{"index":0,"id":"call_0","type":"function","function":{"name":'
    b'"read","arguments":"{}"}}]},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index"'
    b':0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'
)


def next_request(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """What a client of Anthropic's protocol sends after an answer with these blocks."""
    call = blocks[-1]["id"]
    result = {"type": "tool_result", "tool_use_id": call, "content": "ok"}
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": [result]},
    ]
    tool = {"name": "read", "input_schema": {"type": "object"}}
    return {"model": "m", "max_tokens": 9, "messages": messages, "tools": [tool]}


def answered() -> list[dict[str, Any]]:
    answer = whole(ANTHROPIC, through(A_TO_C, [REASONED])[0])
    blocks: list[dict[str, Any]] = answer["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    return blocks


def test_reasoning_returns_to_the_provider_that_gave_it() -> None:
    traits = {"returned_reasoning": "reasoning_content"}
    body = sent(ANTHROPIC, next_request(answered()), CHAT, **traits)
    assert body["messages"][1]["reasoning_content"] == "Hm."


def test_reasoning_is_not_shown_to_another_model_or_host() -> None:
    request = next_request(answered())
    for target in (
        target_of(CHAT, model="other", returned_reasoning="reasoning_content"),
        target_of(CHAT, returned_reasoning=""),
    ):
        result = translated(ANTHROPIC, request, CHAT, target)
        assert b"Hm." not in result.body
        assert b"wm1." not in result.body


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_a_forged_envelope_does_no_harm(text: str) -> None:
    thinking, call = answered()
    for block in ({**thinking, "signature": text}, {"type": "redacted_thinking", "data": text}):
        traits = {"returned_reasoning": "reasoning_content"}
        result = translated(ANTHROPIC, next_request([block, call]), CHAT, target_of(CHAT, **traits))
        assert "X106" in [finding.code for finding in result.findings]
        message = orjson.loads(result.body)["messages"][1]
        assert "reasoning_content" not in message
        assert len(message["tool_calls"]) == 1


def test_a_lost_reasoning_that_the_provider_requires_becomes_its_placeholder() -> None:
    _, call = answered()
    traits = {"returned_reasoning": "reasoning_content", "reasoning_placeholder": " "}
    body = sent(ANTHROPIC, next_request([call]), CHAT, **traits)
    assert body["messages"][1]["reasoning_content"] == " "


def test_a_native_signature_is_not_sent_to_a_provider_of_another_protocol() -> None:
    _, call = answered()
    thinking = {"type": "thinking", "thinking": "secret", "signature": "EqQBCgIYAhIM"}
    body = translated(ANTHROPIC, next_request([thinking, call]), CHAT).body
    assert b"EqQBCgIYAhIM" not in body
    assert b"secret" not in body
