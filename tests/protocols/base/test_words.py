import json
from typing import Any

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestBody
from wiremend.protocols.base.message_rules.words import BLANK, LONE_SURROGATES, last_steps, words_of
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES

WORDS: dict[str, tuple[Any, set[str]]] = {
    "names of members": ({"a": 1, "b": {"c": None}}, {"a", "b", "c"}),
    "types and roles": ({"type": "image", "role": "user"}, {"type", "role", "image", "user"}),
    "a type that is no text": ({"type": ["image"]}, {"type"}),
    "a blank text": ({"text": " \n"}, {"text", BLANK}),
    "an empty text": ({"text": ""}, {"text", BLANK}),
    "an empty list": ({"content": []}, {"content", BLANK}),
    "an empty object": ({"parts": [{}]}, {"parts", BLANK}),
    "another text": ({"text": " x"}, {"text"}),
    "lists in lists": ({"a": [[{"b": 1}]]}, {"a", "b"}),
    "texts in lists": ({"a": ["type", ""]}, {"a"}),
    "tools": ({"tools": [{"name": "f", "x": {"y": 1}}, 7]}, {"tools", "name", "x"}),
    "functions": ({"tools": [{"function": {"x": {"y": 1}}}]}, {"tools", "x"}),
    "roles that are names of members": ({"a": [{"role": "function"}]}, {"a", "role", "function"}),
    "tools that are no list": ({"tools": {"x": {"y": 1}}}, {"tools"}),
}


@pytest.mark.parametrize(("request_body", "expected"), WORDS.values(), ids=WORDS.keys())
def test_the_words_of_a_request(request_body: Any, expected: set[str]) -> None:
    assert words_of(request_body) == expected
    assert RequestBody(json.dumps(request_body).encode()).words == expected


def test_a_request_that_may_contain_lone_surrogates() -> None:
    assert RequestBody(rb'{"a":"\ud83d"}').words == {"a", LONE_SURROGATES}


def test_a_body_that_is_no_object_has_no_words() -> None:
    assert RequestBody(b'[{"a":1}]').words == frozenset()
    assert RequestBody(b"{").words == frozenset()


def test_a_deep_request_has_words() -> None:
    request: Any = {"innermost": 1}
    for _ in range(10_000):
        request = {"a": [request]}
    assert words_of(request) == {"a", "innermost"}


def test_the_last_steps_of_paths() -> None:
    assert last_steps([("a", "b"), ("c",)]) == {"b", "c"}


def message(role: str, **members: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, **members}]}


def content(**block: Any) -> dict[str, Any]:
    return message("user", content=[block])


def part(key: str) -> dict[str, Any]:
    return {"contents": [{"parts": [{key: {"name": "f"}}]}]}


NAMED = {"name": "f"}
REFERENCE = {"type": "tool_reference", "tool_name": "f"}
MENTIONS: list[tuple[Protocol, dict[str, Any]]] = [
    (ANTHROPIC, {"tool_choice": {"type": "tool", "name": "f"}}),
    (ANTHROPIC, content(type="tool_use", name="f")),
    (ANTHROPIC, content(type="tool_result", content=[REFERENCE])),
    (CHAT, {"tool_choice": {"type": "function", "function": NAMED}}),
    (CHAT, {"tool_choice": {"type": "custom", "custom": NAMED}}),
    (CHAT, {"tool_choice": {"allowed_tools": {"tools": [{"function": NAMED}]}}}),
    (CHAT, {"function_call": NAMED}),
    (CHAT, message("tool", name="f")),
    (CHAT, message("function", name="f")),
    (CHAT, message("assistant", function_call=NAMED)),
    (CHAT, message("assistant", tool_calls=[{"function": NAMED}])),
    (CHAT, message("assistant", tool_calls=[{"custom": NAMED}])),
    (RESPONSES, {"tool_choice": {"type": "function", "name": "f"}}),
    (RESPONSES, {"tool_choice": {"tools": [{"type": "custom", "name": "f"}]}}),
    (RESPONSES, {"input": [{"type": "function_call", "name": "f"}]}),
    (RESPONSES, {"input": [{"type": "custom_tool_call", "name": "f"}]}),
    (GEMINI, part("functionCall")),
    (GEMINI, part("function_response")),
    (GEMINI, {"request": part("function_call")}),
    (GEMINI, part("functionResponse")),
    (GEMINI, {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}}),
    (GEMINI, {"tool_config": {"function_calling_config": {"allowed_function_names": ["f"]}}}),
]


@pytest.mark.parametrize(("protocol", "request_body"), MENTIONS, ids=str)
def test_a_request_that_mentions_a_tool_has_a_word_for_it(
    protocol: Protocol, request_body: dict[str, Any]
) -> None:
    assert [name for _, name in protocol.tool_mentions(request_body)] == ["f"]
    assert not protocol.mention_words.isdisjoint(words_of(request_body))
