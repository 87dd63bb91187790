"""The shape of a call, in each protocol."""

import json
from typing import Any

import pytest
from wiremend.config.routes import When
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import Headers, RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import PROTOCOLS
from wiremend.protocols.responses import RESPONSES
from wiremend.routing.shape import CallShape, ends_in_tool_result

ANTHROPIC = ANTHROPIC
CHAT = CHAT
RESPONSES = RESPONSES
GEMINI = GEMINI

BASE64 = "iVBORw0KGgo" * 1000


def shape(
    protocol: Protocol, request: Any, headers: Headers = (), *, streaming: bool = False
) -> CallShape:
    body = json.dumps(request).encode()
    return CallShape(RequestDocument.of(protocol, "/", body, headers), streaming=streaming)


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
    assert CallShape(RequestDocument.of(protocol, "/", body), streaming=True).streaming


def test_a_body_may_be_nested_as_deeply_as_json_allows() -> None:
    body = b'{"a":' + b"[" * 500 + b'"text"' + b"]" * 500 + b"}"
    assert CallShape(RequestDocument.of(CHAT, "/", body), streaming=False).input_tokens == 1


THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
CLAUDE_CODE = ("User-Agent", "claude-cli/2.1.197 (external, cli)")
OPENCODE = ("User-Agent", "opencode/1.18.33 ai-sdk/provider-utils/4.0.46")
CODEX = ("originator", "codex_exec")
GEMINI_CLI = ("User-Agent", "GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)")
TOOLS = {"tools": [{"name": "read"}]}
FUNCTIONS = {"tools": [{"functionDeclarations": [{"name": "read_file"}]}]}


@pytest.mark.parametrize(
    ("protocol", "request_body", "budget"),
    [
        (ANTHROPIC, {}, 0),
        (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": 31999}}, 31999),
        (ANTHROPIC, {"thinking": {"type": "disabled", "budget_tokens": 31999}}, 0),
        (ANTHROPIC, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, 24576),
        (ANTHROPIC, {"thinking": {"type": "adaptive"}}, 0),
        (ANTHROPIC, {"output_config": {"effort": "high"}}, 0),
        (CHAT, {"reasoning_effort": "Medium"}, 8192),
        (CHAT, {"reasoning_effort": "none"}, 0),
        (CHAT, {"reasoning": {"max_tokens": 5000}}, 5000),
        (CHAT, {"enable_thinking": True, "thinking_budget": 700}, 700),
        (CHAT, {"thinking_budget": 700}, 0),
        (RESPONSES, {"reasoning": {"effort": "xhigh"}}, 32768),
        (RESPONSES, {"reasoning": {"effort": "a new one"}}, 0),
        (RESPONSES, {"reasoning": {"summary": "auto"}}, 0),
        (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 8192}}}, 8192),
        (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}}, 0),
        (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}, 1024),
        (ANTHROPIC, {"thinking": {"budget_tokens": True}}, 0),
        (ANTHROPIC, {"thinking": {"budget_tokens": "much"}}, 0),
    ],
)
def test_a_budget_is_that_of_the_request_or_of_its_effort(
    protocol: Protocol, request_body: Any, budget: int
) -> None:
    assert shape(protocol, request_body).thinking_budget == budget


@pytest.mark.parametrize(
    ("protocol", "request_body", "expected"),
    [
        (ANTHROPIC, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, True),
        (ANTHROPIC, {"tools": [{"name": "web_search", "input_schema": {}}]}, False),
        (ANTHROPIC, {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, False),
        (ANTHROPIC, {"messages": [{"role": "user", "content": "web_search"}]}, False),
        (CHAT, {"web_search_options": {}}, True),
        (CHAT, {"web_search_options": None}, False),
        (CHAT, {"enable_search": True}, True),
        (CHAT, {"tools": [{"type": "web_search", "web_search": {"enable": True}}]}, True),
        (CHAT, {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]},
         True),
        (CHAT, {"tools": [{"type": "function", "function": {"name": "web_search"}}]}, False),
        (RESPONSES, {"tools": [{"type": "web_search"}]}, True),
        (RESPONSES, {"tools": [{"type": "web_search_preview"}]}, True),
        (RESPONSES, {"tools": [{"type": "function", "name": "web_search"}]}, False),
        (RESPONSES, {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]},
         True),
        (GEMINI, {"tools": [{"googleSearch": {}}]}, True),
        (GEMINI, {"request": {"tools": [{"google_search": {}}]}}, True),
        (GEMINI, {"tools": [{"functionDeclarations": [{"name": "google_web_search"}]}]}, False),
        (CHAT, {"tools": [7, {"type": 7}, None]}, False),
    ],
)  # fmt: skip
def test_a_web_search_that_the_provider_runs_is_found(
    protocol: Protocol, request_body: Any, expected: bool
) -> None:
    assert shape(protocol, request_body).web_search is expected


@pytest.mark.parametrize(
    ("protocol", "headers", "request_body", "expected"),
    [
        (ANTHROPIC, (CLAUDE_CODE,), {}, True),
        (ANTHROPIC, (CLAUDE_CODE,), {"tools": []}, True),
        (ANTHROPIC, (CLAUDE_CODE,), TOOLS, False),
        (ANTHROPIC, (CLAUDE_CODE,), {"tools": [{"type": "web_search_20250305"}]}, False),
        (ANTHROPIC, (OPENCODE,), {}, True),
        (CHAT, (OPENCODE,), {}, True),
        (CHAT, (OPENCODE,), {"tools": [{"type": "function", "function": {"name": "a"}}]}, False),
        (RESPONSES, (OPENCODE,), {}, True),
        (RESPONSES, (CODEX,), TOOLS, False),
        (RESPONSES, (CODEX,), {"input": [{"type": "additional_tools", **TOOLS}]}, False),
        (RESPONSES, (CODEX, ("x-openai-subagent", "memory_consolidation")), TOOLS, True),
        (RESPONSES, (CODEX, ("x-openai-subagent", "compact")), TOOLS, False),
        (GEMINI, (GEMINI_CLI,), {}, True),
        (GEMINI, (GEMINI_CLI,), FUNCTIONS, False),
        (GEMINI, (GEMINI_CLI,), {"tools": [{"googleSearch": {}}]}, False),
        (ANTHROPIC, (), {}, False),
        (CHAT, (("User-Agent", "OpenAI/Python 3.52"),), {}, False),
    ],
)
def test_side_calls_of_agents_offer_no_tools(
    protocol: Protocol, headers: Headers, request_body: Any, expected: bool
) -> None:
    assert shape(protocol, request_body, headers).background is expected


def test_a_compaction_of_codex_is_part_of_the_conversation() -> None:
    document = RequestDocument.of(RESPONSES, "/v1/responses/compact", b'{"input":[]}', (CODEX,))
    assert not CallShape(document, streaming=False).background


@pytest.mark.parametrize(
    ("protocol", "headers", "request_body", "expected"),
    [
        (ANTHROPIC, (CLAUDE_CODE, ("x-claude-code-agent-id", "ae98d6efa3493467e")), TOOLS, True),
        (ANTHROPIC, (CLAUDE_CODE, ("x-claude-code-agent-id", "")), TOOLS, False),
        (ANTHROPIC, (CLAUDE_CODE,), TOOLS, False),
        (CHAT, (OPENCODE, ("X-Parent-Session-Id", "ses_1")), TOOLS, True),
        (CHAT, (OPENCODE, ("X-Session-Id", "ses_1")), TOOLS, False),
        (RESPONSES, (CODEX, ("x-openai-subagent", "collab_spawn")), TOOLS, True),
        (RESPONSES, (CODEX, ("x-openai-subagent", "review")), TOOLS, True),
        (RESPONSES, (CODEX, ("x-openai-subagent", "compact")), TOOLS, False),
        (RESPONSES, (CODEX,), TOOLS, False),
        (GEMINI, (GEMINI_CLI,), {"tools": [{"functionDeclarations": [{"name": "complete_task"}]}]},
         True),
        (GEMINI, (GEMINI_CLI,), FUNCTIONS, False),
        (ANTHROPIC, (("x-claude-code-agent-id", "a"),), TOOLS, False),
        (ANTHROPIC, (CLAUDE_CODE,), {"tools": [{"name": "complete_task"}]}, False),
    ],
)  # fmt: skip
def test_sub_agents_are_recognised_by_the_marks_of_their_client(
    protocol: Protocol, headers: Headers, request_body: Any, expected: bool
) -> None:
    assert shape(protocol, request_body, headers).subagent is expected


MANY = {"messages": [{"role": "user", "content": "x" * 44}]}
FEW = {"messages": []}
SUBAGENT = (CLAUDE_CODE, ("x-claude-code-agent-id", "a"))


@pytest.mark.parametrize(
    ("when", "accepted", "refused"),
    [
        (When(), shape(ANTHROPIC, {}), None),
        (When(streaming=True), shape(ANTHROPIC, {}, streaming=True), shape(ANTHROPIC, {})),
        (When(streaming=False), shape(ANTHROPIC, {}), shape(ANTHROPIC, {}, streaming=True)),
        (When(tools_min=2), shape(ANTHROPIC, {"tools": [{}, {}]}), shape(ANTHROPIC, TOOLS)),
        (When(input_tokens_over=10), shape(ANTHROPIC, MANY), shape(ANTHROPIC, FEW)),
        (When(has_images=True), shape(ANTHROPIC, image(ANTHROPIC)), shape(ANTHROPIC, MANY)),
        (When(thinking=False), shape(ANTHROPIC, {}), shape(ANTHROPIC, THINKING)),
        (When(thinking_budget_over=1999), shape(ANTHROPIC, THINKING), shape(ANTHROPIC, {})),
        (When(thinking_budget_over=0), shape(ANTHROPIC, THINKING), shape(ANTHROPIC, {})),
        (When(background=True), shape(ANTHROPIC, {}, (CLAUDE_CODE,)), shape(ANTHROPIC, {})),
        (When(subagent=True), shape(ANTHROPIC, TOOLS, SUBAGENT), shape(ANTHROPIC, TOOLS)),
        (When(subagent=False), shape(ANTHROPIC, TOOLS), shape(ANTHROPIC, TOOLS, SUBAGENT)),
        (When(web_search=True), shape(CHAT, {"web_search_options": {}}), shape(CHAT, TOOLS)),
        (
            When(thinking=True, tools_min=1),
            shape(ANTHROPIC, THINKING | TOOLS),
            shape(ANTHROPIC, THINKING),
        ),
    ],
)
def test_all_parts_of_a_condition_must_hold(
    when: When, accepted: CallShape, refused: CallShape | None
) -> None:
    assert when.accepts(accepted)
    assert refused is None or not when.accepts(refused)


@pytest.mark.parametrize(
    ("when", "computed"),
    [
        (When(streaming=False), set()),
        (When(tools_min=1, background=True), {"tools", "_request"}),
        (When(thinking=False), {"thinking", "_request"}),
        (When(web_search=False, input_tokens_over=5), {"web_search", "_request", "input_tokens",
                                                       "_walk"}),
    ],
)  # fmt: skip
def test_only_what_a_condition_needs_is_computed(when: When, computed: set[str]) -> None:
    of = shape(ANTHROPIC, MANY, (CLAUDE_CODE,))
    when.accepts(of)
    assert vars(of).keys() - {"document", "streaming"} == computed


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
