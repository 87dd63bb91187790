"""The shape of a call, in each protocol."""

import json
from typing import Any

import pytest
from wiremend.config.routes import When
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import PROTOCOLS
from wiremend.protocols.responses import RESPONSES
from wiremend.routing.shape import CallShape, ends_in_tool_result, shape_of

ANTHROPIC = ANTHROPIC
CHAT = CHAT
RESPONSES = RESPONSES
GEMINI = GEMINI

BASE64 = "iVBORw0KGgo" * 1000


def shape(protocol: Protocol, request: Any) -> CallShape:
    return shape_of(
        RequestDocument.of(protocol, "/", json.dumps(request).encode()), streaming=False
    )


def image(protocol: Protocol) -> dict[str, Any]:
    url = f"data:image/png;base64,{BASE64}"
    source = {"type": "base64", "media_type": "image/png", "data": BASE64}
    return {
        ANTHROPIC: {
            "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]
        },
        CHAT: {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
            ]
        },
        RESPONSES: {
            "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
        },
        GEMINI: {
            "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": BASE64}}]}]
        },
    }[protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_an_image_has_a_fixed_number_of_tokens(protocol: Protocol) -> None:
    with_image = shape(protocol, image(protocol))
    assert with_image.has_images
    assert 1500 <= with_image.input_tokens < 1550


def test_an_image_in_a_tool_result_is_an_image() -> None:
    block = image(ANTHROPIC)["messages"][0]["content"][0]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    assert shape(ANTHROPIC, {"messages": [{"role": "user", "content": [result]}]}).has_images


@pytest.mark.parametrize(
    ("protocol", "request_body"),
    [
        (ANTHROPIC, {"messages": [{"role": "user", "content": "an image_url"}]}),
        (ANTHROPIC, {"tools": [{"input_schema": {"type": "image"}}]}),
        (GEMINI, {"contents": [{"parts": [{"fileData": {"mimeType": "application/pdf"}}]}]}),
    ],
)
def test_a_text_about_images_is_not_an_image(protocol: Protocol, request_body: Any) -> None:
    assert not shape(protocol, request_body).has_images


@pytest.mark.parametrize(
    ("protocol", "request_body", "tools"),
    [
        (ANTHROPIC, {"tools": [{"name": "a"}, {"type": "web_search_20250305"}]}, 2),
        (CHAT, {"tools": [{"type": "function", "function": {"name": "a"}}]}, 1),
        (CHAT, {"functions": [{"name": "a"}, {"name": "b"}]}, 2),
        (RESPONSES, {"tools": [{"type": "namespace", "tools": [{}, {}]}, {"type": "custom"}]}, 3),
        (GEMINI, {"tools": [{"functionDeclarations": [{}, {}]}, {"googleSearch": {}}]}, 3),
        (GEMINI, {"request": {"tools": [{"function_declarations": [{}]}]}}, 1),
        (CHAT, {"tools": None}, 0),
        (CHAT, {"tools": [7]}, 1),
        (CHAT, {}, 0),
    ],
)
def test_tools_are_counted(protocol: Protocol, request_body: Any, tools: int) -> None:
    assert shape(protocol, request_body).tools == tools


@pytest.mark.parametrize(
    ("protocol", "request_body", "thinking"),
    [
        (ANTHROPIC, {}, False),
        (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        (ANTHROPIC, {"thinking": {"type": "adaptive"}}, True),
        (ANTHROPIC, {"thinking": {"type": "disabled"}}, False),
        (CHAT, {"reasoning_effort": "high"}, True),
        (CHAT, {"reasoning_effort": "none"}, False),
        (CHAT, {"thinking": {"type": "enabled"}}, True),
        (CHAT, {"enable_thinking": True}, True),
        (CHAT, {"enable_thinking": False}, False),
        (CHAT, {"reasoning": {"enabled": False, "effort": "high"}}, False),
        (RESPONSES, {"reasoning": {"effort": "medium", "summary": "auto"}}, True),
        (RESPONSES, {"reasoning": {"effort": "none"}}, False),
        (RESPONSES, {"reasoning": None}, False),
        (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}}, True),
        (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, False),
        (GEMINI, {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}, True),
        (GEMINI, {"request": {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}},
         True),
        (GEMINI, {"generationConfig": {}}, False),
    ],
)  # fmt: skip
def test_thinking_is_true_if_the_request_asks_for_it(
    protocol: Protocol, request_body: Any, thinking: bool
) -> None:
    assert shape(protocol, request_body).thinking is thinking


@pytest.mark.parametrize(
    ("request_body", "least", "most"),
    [
        ({"messages": [{"role": "user", "content": "x" * 4000}]}, 1000, 1020),
        ({"system": [{"type": "text", "text": "é" * 2000}]}, 1000, 1020),
        ({"tools": [{"name": "n", "input_schema": {"description": "d" * 4000}}]}, 1000, 1020),
        ({"content": [{"type": "thinking", "thinking": "", "signature": "s" * 9000}]}, 0, 20),
        ({}, 0, 0),
    ],
)
def test_tokens_are_estimated_as_bytes_of_text_divided_by_four(
    request_body: Any, least: int, most: int
) -> None:
    assert least <= shape(ANTHROPIC, request_body).input_tokens <= most


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"{", b'{"messages":null,"tools":3,"thinking":"x","reasoning":[]}']
)
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_any_body_has_a_shape(protocol: Protocol, body: bytes) -> None:
    assert shape_of(RequestDocument.of(protocol, "/", body), streaming=True).streaming


def test_a_body_may_be_nested_as_deeply_as_json_allows() -> None:
    body = b'{"a":' + b"[" * 500 + b'"text"' + b"]" * 500 + b"}"
    assert shape_of(RequestDocument.of(CHAT, "/", body), streaming=False).input_tokens == 1


@pytest.mark.parametrize(
    ("when", "accepted", "refused"),
    [
        (When(), CallShape(), None),
        (When(streaming=True), CallShape(streaming=True), CallShape()),
        (When(streaming=False), CallShape(), CallShape(streaming=True)),
        (When(tools_min=2), CallShape(tools=2), CallShape(tools=1)),
        (When(input_tokens_over=10), CallShape(input_tokens=11), CallShape(input_tokens=10)),
        (When(has_images=True), CallShape(has_images=True), CallShape()),
        (When(thinking=False), CallShape(), CallShape(thinking=True)),
        (
            When(thinking=True, tools_min=1),
            CallShape(thinking=True, tools=1),
            CallShape(thinking=True),
        ),
    ],
)
def test_all_parts_of_a_condition_must_hold(
    when: When, accepted: CallShape, refused: CallShape | None
) -> None:
    assert when.accepts(accepted)
    assert refused is None or not when.accepts(refused)


USER = {"role": "user", "content": "Go on."}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}
ENDS = [
    (ANTHROPIC, {"messages": [USER]}, False),
    (ANTHROPIC, {"messages": [{"role": "user", "content": [RESULT]}]}, True),
    (
        ANTHROPIC,
        {"messages": [{"role": "user", "content": [RESULT, {"type": "text", "text": "x"}]}]},
        True,
    ),
    (ANTHROPIC, {"messages": [{"role": "user", "content": [RESULT]}, USER]}, False),
    (CHAT, {"messages": [{"role": "tool", "tool_call_id": "t", "content": "ok"}]}, True),
    (CHAT, {"messages": [{"role": "function", "name": "f", "content": "ok"}]}, True),
    (CHAT, {"messages": [{"role": "tool", "content": "ok"}, USER]}, False),
    (RESPONSES, {"input": "Go on."}, False),
    (RESPONSES, {"input": [{"type": "function_call_output", "output": "ok"}]}, True),
    (RESPONSES, {"input": [{"type": "custom_tool_call_output", "output": "ok"}]}, True),
    (RESPONSES, {"input": [{"type": "function_call_output", "output": "ok"}, USER]}, False),
    (GEMINI, {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}, False),
    (GEMINI, {"contents": [{"role": "user", "parts": [{"functionResponse": {}}]}]}, True),
    (GEMINI, {"request": {"contents": [{"parts": [{"functionResponse": {}}]}]}}, True),
    (GEMINI, {"contents": []}, False),
    (CHAT, {"messages": ["x"]}, False),
    (CHAT, [], False),
]


@pytest.mark.parametrize(("protocol", "request_", "expected"), ENDS)
def test_a_tool_result_at_the_end_is_found(
    protocol: Protocol, request_: Any, expected: bool
) -> None:
    document = RequestDocument.of(protocol, "/", json.dumps(request_).encode())
    assert ends_in_tool_result(document) is expected
