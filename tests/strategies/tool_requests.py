"""Strategies for requests with tools in all protocols, valid and broken."""

import json
from typing import Any

from hypothesis import strategies as st
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES

PROTOCOLS = (ANTHROPIC, CHAT, RESPONSES, GEMINI)

_SMALL = st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["", " ", "object", "a"])
ROOT_SCHEMAS = st.one_of(
    _SMALL,
    st.just('{"type":"object"}'),
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "OBJECT", "string", ["object", "null"], None, 3]),
            "properties": st.sampled_from([{}, [], None, {"a": {"type": "string"}}]),
            "anyOf": st.just([{}]),
            "required": st.just(["a"]),
        },
    ),
    st.lists(_SMALL, max_size=1),
)
_NAMES = st.sampled_from(["", "  ", None, "Bash", "Read", 7, "a.b", "x" * 130])


def function_tools(schema_key: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "name": _NAMES,
            schema_key: ROOT_SCHEMAS,
            "type": st.sampled_from(["custom", "function", "other", None]),
            "description": st.just("d"),
        },
    )


_ANTHROPIC_TOOLS = function_tools("input_schema")
_CHAT_TOOLS = st.one_of(
    function_tools("parameters"),
    st.builds(
        lambda function, kind: {"type": kind, kind: function},
        function_tools("parameters"),
        st.sampled_from(["function", "custom"]),
    ),
)
_RESPONSES_TOOLS = st.one_of(
    function_tools("parameters"),
    st.builds(
        lambda tools: {"type": "namespace", "name": "n", "tools": tools},
        st.lists(function_tools("parameters"), max_size=2),
    ),
)
_GEMINI_TOOLS = st.dictionaries(
    st.sampled_from(["functionDeclarations", "function_declarations", "googleSearch"]),
    st.lists(function_tools("parameters"), max_size=3),
)
_CHOICES = st.one_of(
    st.sampled_from(["auto", "required"]),
    st.builds(lambda kind, name: {"type": kind, "name": name, kind: {"name": name}},
              st.sampled_from(["tool", "function", "custom", "any"]), _NAMES),
    st.builds(lambda tools: {"type": "allowed_tools", "mode": "auto", "tools": tools},
              st.lists(function_tools("x"), max_size=3)),
    st.builds(lambda tools: {"type": "allowed_tools", "allowed_tools": {"tools": tools}},
              st.lists(_CHAT_TOOLS, max_size=3)),
)  # fmt: skip


_MESSAGES = st.one_of(
    st.builds(lambda name: {"role": "assistant", "content": [
        {"type": "tool_use", "id": "t", "name": name, "input": {}}]}, _NAMES),
    st.builds(lambda name: {"role": "assistant", "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}]}, _NAMES),
    st.builds(lambda name: {"role": "tool", "tool_call_id": "c", "name": name}, _NAMES),
    _SMALL,
)  # fmt: skip
_ITEMS = st.builds(
    lambda kind, name: {"type": kind, "call_id": "c", "name": name},
    st.sampled_from(["function_call", "custom_tool_call", "message"]),
    _NAMES,
)
_CONTENTS = st.builds(
    lambda key, name: {"parts": [{key: {"name": name}}, "x"]},
    st.sampled_from(["functionCall", "functionResponse", "text"]),
    _NAMES,
)


@st.composite
def tool_requests(draw: st.DrawFn) -> tuple[Protocol, bytes]:
    protocol = draw(st.sampled_from(PROTOCOLS))
    tools = {
        ANTHROPIC: _ANTHROPIC_TOOLS,
        CHAT: _CHAT_TOOLS,
        RESPONSES: _RESPONSES_TOOLS,
        GEMINI: _GEMINI_TOOLS,
    }[protocol]
    request = draw(
        st.fixed_dictionaries(
            {"model": st.just("m")},
            optional={
                "tools": st.lists(tools | _SMALL, max_size=4),
                "messages": st.lists(_MESSAGES, max_size=3),
                "input": st.lists(_ITEMS, max_size=3) | st.just("hi"),
                "contents": st.lists(_CONTENTS, max_size=3),
                "functions": st.lists(function_tools("parameters"), max_size=2),
                "tool_choice": _CHOICES,
                "function_call": st.builds(lambda name: {"name": name}, _NAMES),
                "parallel_tool_calls": st.booleans(),
                "toolConfig": st.fixed_dictionaries(
                    {},
                    optional={
                        "functionCallingConfig": st.fixed_dictionaries(
                            {"mode": st.sampled_from(["ANY", "AUTO"])},
                            optional={"allowedFunctionNames": st.lists(_NAMES, max_size=2)},
                        )
                    },
                ),
            },
        )
    )
    return protocol, json.dumps(request, indent=draw(st.sampled_from([None, 1]))).encode()
