"""Adapting messages and parameters to targets: a table for each rule, then properties of all."""

import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.catalogue import catalogue
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.history import NO_CONTENT, NO_RESULT, RESULT_DROPPED, adapt_history
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.traits import CallIdLimit, TargetTraits
from wiremend.protocols.base.traits import MessageTraits as Traits
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import MESSAGE_CODES, PROTOCOLS
from wiremend.protocols.responses import RESPONSES
from wiremend.rules.rule import Finding, Notes, Rule

RULES = [rule for rule in catalogue() if rule.code.startswith("Q")]
SIGNED = "EqQBCgIYAhIM" + "x" * 100


LIMITS_OF_EXAMPLES: dict[str, dict[str, Any]] = {
    "Q207": {"efforts": ("low", "medium", "high")},
    "Q208": {"thinking_type": "adaptive"},
    "Q213": {"max_thinking_budget": 24576},
    "Q305": {"max_images": 1},
    "Q306": {"max_image_bytes": 8},
    "Q307": {"refused_images": ("all",)},
}
"""What the target of an example accepts, if that differs between targets."""


@dataclass(frozen=True)
class Adapted:
    body: bytes
    findings: list[Finding]


def adapt(
    protocol: Protocol, body: bytes, traits: Traits, *, disabled: Set[str] = frozenset()
) -> Adapted:
    notes = Notes(disabled)
    document = RequestDocument.of(protocol, "/", body)
    adapted = adapt_history(document, TargetTraits(messages=traits), notes)
    return Adapted(adapted.body, notes.findings)


def adapt_request(
    protocol: Protocol, request: Any, codes: set[str] | frozenset[str], **limits: Any
) -> Any:
    body = json.dumps(request).encode()
    traits = Traits(frozenset(codes), **limits)
    adapted = adapt(protocol, body, traits)
    assert {finding.code for finding in adapted.findings} <= codes
    assert (adapted.body is body) is (not adapted.findings)
    again = adapt(protocol, adapted.body, traits)
    assert again.body is adapted.body, "not idempotent"
    return json.loads(adapted.body)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.before], ids=lambda rule: rule.code
)
def test_the_example_of_each_rule_is_correct(rule: Any) -> None:
    traits = Traits(frozenset({rule.code}), **LIMITS_OF_EXAMPLES.get(rule.code, {}))
    adapted = adapt(PROTOCOLS[WireProtocol(rule.protocols[0])], rule.before.encode(), traits)
    assert adapted.body.decode() == rule.after
    assert [finding.code for finding in adapted.findings] == [rule.code]


def call(*ids: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": one, "name": "Bash", "input": {}} for one in ids],
    }


def results(*ids: str, text: str = "") -> dict[str, Any]:
    blocks = [{"type": "tool_result", "tool_use_id": one, "content": "ok"} for one in ids]
    return {"role": "user", "content": blocks + ([{"type": "text", "text": text}] if text else [])}


def error(call_id: str) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": call_id,
        "is_error": True,
        "content": NO_RESULT,
    }


ASK = {"role": "user", "content": "Hello"}
DROPPED = [{"type": "text", "text": RESULT_DROPPED}]

ANTHROPIC_PAIRS = {
    "a call without its result": (
        [ASK, call("a", "b"), results("b")],
        [ASK, call("a", "b"), {"role": "user", "content": [error("a"), *results("b")["content"]]}],
    ),
    "a call and then a string": (
        [ASK, call("a"), {"role": "user", "content": "Go on."}],
        [
            ASK,
            call("a"),
            {"role": "user", "content": [error("a"), {"type": "text", "text": "Go on."}]},
        ],
    ),
    "a call at the end": (
        [ASK, call("a")],
        [ASK, call("a"), {"role": "user", "content": [error("a")]}],
    ),
    "results in two messages": (
        [ASK, call("a", "b"), results("a"), results("b")],
        [ASK, call("a", "b"), results("a"), results("b")],
    ),
    "calls in two messages": (
        [ASK, call("a"), call("b"), results("a", "b")],
        [ASK, call("a"), call("b"), results("a", "b")],
    ),
    "a result without a call": (
        [ASK, call("a"), results("a", "x")],
        [ASK, call("a"), results("a")],
    ),
    "nothing but a result without a call": (
        [results("x"), {"role": "assistant", "content": "Hello"}],
        [{"role": "user", "content": DROPPED}, {"role": "assistant", "content": "Hello"}],
    ),
    "a result a turn too late": (
        [ASK, call("a"), ASK, {"role": "assistant", "content": "So?"}, results("a")],
        [
            ASK,
            call("a"),
            {"role": "user", "content": [error("a"), {"type": "text", "text": "Hello"}]},
            {"role": "assistant", "content": "So?"},
            {"role": "user", "content": DROPPED},
        ],
    ),
    "a result twice": (
        [ASK, call("a"), results("a", "a")],
        [ASK, call("a"), results("a")],
    ),
    "text before the result": (
        [ASK, call("a"), {"role": "user", "content": results("a", text="t")["content"][::-1]}],
        [ASK, call("a"), results("a", text="t")],
    ),
    "the result in the second message of the turn": (
        [ASK, call("a"), ASK, results("a")],
        [
            ASK,
            call("a"),
            {
                "role": "user",
                "content": [*results("a")["content"], {"type": "text", "text": "Hello"}],
            },
        ],
    ),
    "instructions between call and result": (
        [ASK, call("a"), {"role": "system", "content": "Be brief."}, results("a")],
        [ASK, call("a"), {"role": "system", "content": "Be brief."}, results("a")],
    ),
    "calls of the provider's tools": (
        [ASK, {"role": "assistant", "content": [{"type": "server_tool_use", "id": "srvtoolu_1"}]}],
        [ASK, {"role": "assistant", "content": [{"type": "server_tool_use", "id": "srvtoolu_1"}]}],
    ),
    "nothing wrong": (
        [ASK, call("a"), results("a", text="and"), {"role": "assistant", "content": "Done."}],
        [ASK, call("a"), results("a", text="and"), {"role": "assistant", "content": "Done."}],
    ),
}


@pytest.mark.parametrize(("before", "after"), ANTHROPIC_PAIRS.values(), ids=ANTHROPIC_PAIRS.keys())
def test_every_call_of_anthropic_messages_has_its_result(before: Any, after: Any) -> None:
    codes = {"Q001", "Q002", "Q003"}
    assert adapt_request(ANTHROPIC, {"messages": before}, codes) == {"messages": after}


def chat_call(*ids: str) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [{"id": one} for one in ids]}


def chat_result(call_id: str, text: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


CHAT_PAIRS = {
    "a call without its result": (
        [ASK, chat_call("a", "b"), chat_result("b"), ASK],
        [ASK, chat_call("a", "b"), chat_result("b"), chat_result("a", NO_RESULT), ASK],
    ),
    "a call at the end": (
        [ASK, chat_call("a")],
        [ASK, chat_call("a"), chat_result("a", NO_RESULT)],
    ),
    "a result that comes late": (
        [chat_call("a", "b"), chat_result("b"), ASK, chat_result("a")],
        [chat_call("a", "b"), chat_result("b"), chat_result("a"), ASK],
    ),
    "a result without a call": ([chat_result("x"), ASK], [ASK]),
    "a result before its call": (
        [chat_result("a"), chat_call("a"), chat_result("a")],
        [chat_call("a"), chat_result("a")],
    ),
    "a result twice": (
        [chat_call("a"), chat_result("a"), chat_result("a"), ASK],
        [chat_call("a"), chat_result("a"), ASK],
    ),
    "an id that is used again": (
        [chat_call("a"), chat_result("a"), ASK, chat_call("a"), chat_result("a")],
        [chat_call("a"), chat_result("a"), ASK, chat_call("a"), chat_result("a")],
    ),
    "an id that is used again after a call without result": (
        [chat_call("a"), ASK, chat_call("a"), chat_result("a")],
        [chat_call("a"), chat_result("a", NO_RESULT), ASK, chat_call("a"), chat_result("a")],
    ),
    "one id for two calls": (
        [chat_call("a", "a"), chat_result("a", "1"), chat_result("a", "2"), ASK],
        [chat_call("a", "a"), chat_result("a", "1"), chat_result("a", "2"), ASK],
    ),
    "nothing wrong": (
        [ASK, chat_call("a", "b"), chat_result("b"), chat_result("a"), ASK],
        [ASK, chat_call("a", "b"), chat_result("b"), chat_result("a"), ASK],
    ),
}


@pytest.mark.parametrize(("before", "after"), CHAT_PAIRS.values(), ids=CHAT_PAIRS.keys())
def test_every_call_of_chat_completions_has_its_result(before: Any, after: Any) -> None:
    codes = {"Q001", "Q002", "Q003"}
    assert adapt_request(CHAT, {"messages": before}, codes) == {"messages": after}


def item(call_id: str, kind: str = "function_call", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "call_id": call_id, **fields}


RESPONSES_PAIRS = {
    "a call without its output": (
        {"input": [item("a"), {"role": "user", "content": "Go on."}]},
        {
            "input": [
                item("a"),
                item("a", "function_call_output", output=NO_RESULT),
                {"role": "user", "content": "Go on."},
            ]
        },
    ),
    "an output without its call": (
        {"input": [item("x", "function_call_output", output="ok"), {"role": "user"}]},
        {"input": [{"role": "user"}]},
    ),
    "a custom call without its output": (
        {"input": [item("a", "custom_tool_call")]},
        {
            "input": [
                item("a", "custom_tool_call"),
                item("a", "custom_tool_call_output", output=NO_RESULT),
            ]
        },
    ),
    "a call that the provider keeps": (
        {"previous_response_id": "r", "input": [item("x", "function_call_output", output="ok")]},
        {"previous_response_id": "r", "input": [item("x", "function_call_output", output="ok")]},
    ),
    "a call that is referred to": (
        {"input": [{"type": "item_reference"}, item("x", "function_call_output", output="ok")]},
        {"input": [{"type": "item_reference"}, item("x", "function_call_output", output="ok")]},
    ),
    "a call that was compacted": (
        {"input": [{"type": "compaction"}, item("x", "function_call_output", output="ok")]},
        {"input": [{"type": "compaction"}, item("x", "function_call_output", output="ok")]},
    ),
    "Codex's own shell, answered like a function": (
        {"input": [item("a", "local_shell_call"), item("a", "function_call_output", output="ok")]},
        {"input": [item("a", "local_shell_call"), item("a", "function_call_output", output="ok")]},
    ),
    "an id that is used again": (
        {"input": [item("a"), item("a", "function_call_output", output="1")] * 2},
        {"input": [item("a"), item("a", "function_call_output", output="1")] * 2},
    ),
    "an output twice": (
        {"input": [item("a"), *[item("a", "function_call_output", output="1")] * 2]},
        {"input": [item("a"), item("a", "function_call_output", output="1")]},
    ),
    "types and ids that are not strings": (
        {"input": [{"type": []}, {"type": "function_call", "call_id": {}}]},
        {"input": [{"type": []}, {"type": "function_call", "call_id": {}}]},
    ),
    "a string as input": ({"input": "Hello"}, {"input": "Hello"}),
}


@pytest.mark.parametrize(("before", "after"), RESPONSES_PAIRS.values(), ids=RESPONSES_PAIRS.keys())
def test_every_call_of_responses_has_its_output(before: Any, after: Any) -> None:
    assert adapt_request(RESPONSES, before, {"Q001", "Q002"}) == after


def reasoning(number: int) -> dict[str, Any]:
    return {"type": "reasoning", "id": f"rs_{number}", "summary": []}


ASSISTANT_MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
OUTPUT = item("a", "function_call_output", output="ok")
REASONING = {
    "before a user message": ([ASK, reasoning(1), ASK], [ASK, ASK]),
    "at the end, several": ([ASK, reasoning(1), reasoning(2)], [ASK]),
    "before an output": ([item("a"), reasoning(1), OUTPUT], [item("a"), OUTPUT]),
    "before a call": (
        [reasoning(1), reasoning(2), item("a"), OUTPUT],
        [reasoning(1), reasoning(2), item("a"), OUTPUT],
    ),
    "before a message of the assistant": (
        [reasoning(1), ASSISTANT_MESSAGE, ASK],
        [reasoning(1), ASSISTANT_MESSAGE, ASK],
    ),
    "before a message of the assistant without an id": (
        [reasoning(1), {"role": "assistant", "content": "a"}, ASK],
        [{"role": "assistant", "content": "a"}, ASK],
    ),
    "before a call of the provider's": (
        [reasoning(1), {"type": "web_search_call", "id": "ws_1"}, ASK],
        [reasoning(1), {"type": "web_search_call", "id": "ws_1"}, ASK],
    ),
    "without an id": (
        [{"type": "reasoning", "summary": []}, ASK],
        [{"type": "reasoning", "summary": []}, ASK],
    ),
    "nothing but reasoning": ([reasoning(1)], [reasoning(1)]),
}


@pytest.mark.parametrize(("before", "after"), REASONING.values(), ids=REASONING.keys())
def test_reasoning_of_responses_has_a_successor(before: Any, after: Any) -> None:
    assert adapt_request(RESPONSES, {"input": before}, {"Q108"}) == {"input": after}
    kept = {"previous_response_id": "r", "input": before}
    assert adapt_request(RESPONSES, kept, {"Q108"}) == kept


def test_system_messages_in_the_conversation_become_user_messages() -> None:
    system = {
        "role": "system",
        "content": [{**text("Be brief."), "cache_control": {}}, text("So.")],
    }
    reminder = "<system-reminder>\n{}\n</system-reminder>"
    assert adapt_request(ANTHROPIC, {"messages": [ASK, system]}, {"Q109"}) == {
        "messages": [
            ASK,
            {
                "role": "user",
                "content": [
                    {**text(reminder.format("Be brief.")), "cache_control": {}},
                    text(reminder.format("So.")),
                ],
            },
        ]
    }
    without = {"messages": [{"role": "system"}, {"role": "system", "content": None}]}
    assert adapt_request(ANTHROPIC, without, {"Q109"}) == without


def model(*names: str, **ids: str) -> dict[str, Any]:
    calls = [{"functionCall": {"name": name}} for name in names]
    calls += [{"functionCall": {"name": name, "id": one}} for name, one in ids.items()]
    return {"role": "model", "parts": calls}


def answer(*names: str, **ids: str) -> dict[str, Any]:
    parts = [{"functionResponse": {"name": name, "response": {}}} for name in names]
    parts += [
        {"functionResponse": {"name": name, "id": one, "response": {}}} for name, one in ids.items()
    ]
    return {"role": "user", "parts": parts}


def lost(name: str, **id: str) -> dict[str, Any]:
    return {"functionResponse": {**id, "name": name, "response": {"error": NO_RESULT}}}


def pictured(*contents: dict[str, Any] | str) -> dict[str, Any]:
    """A content with the parts of these contents and images with this data."""
    parts: list[dict[str, Any]] = []
    for one in contents:
        image = {"inlineData": {"mimeType": "image/png", "data": one}}
        parts += [image] if isinstance(one, str) else one["parts"]
    return {"role": "user", "parts": parts}


GEMINI_PAIRS = {
    "a call without its response": (
        [model("f", "g"), answer("g")],
        [model("f", "g"), {"role": "user", "parts": [lost("f"), *answer("g")["parts"]]}],
    ),
    "the same function twice, answered once": (
        [model("f", "f"), answer("f")],
        [model("f", "f"), {"role": "user", "parts": [lost("f"), *answer("f")["parts"]]}],
    ),
    "calls with ids": (
        [model(f="1", g="2"), answer(g="2")],
        [
            model(f="1", g="2"),
            {"role": "user", "parts": [lost("f", id="1"), *answer(g="2")["parts"]]},
        ],
    ),
    "a call at the end": ([model("f")], [model("f"), {"role": "user", "parts": [lost("f")]}]),
    "a response without its call": (
        [model("f"), answer("f", "x")],
        [model("f"), answer("f")],
    ),
    "nothing but a response without its call": (
        [answer("x")],
        [{"role": "user", "parts": [{"text": RESULT_DROPPED}]}],
    ),
    "a response that is repeated with its image": (
        [model("f"), pictured(answer("f"), "A", answer("f"), "A", {"parts": [{"text": "Hi"}]})],
        [model("f"), pictured(answer("f"), "A", {"parts": [{"text": "Hi"}]})],
    ),
    "a response that is repeated with another image": (
        [model("f"), pictured(answer("f"), "A", answer("f"), "B")],
        [model("f"), pictured(answer("f"), "A", "B")],
    ),
    "two responses with the same image": (
        [model("f", "g"), pictured(answer("f"), "A", answer("g"), "A")],
        [model("f", "g"), pictured(answer("f"), "A", answer("g"), "A")],
    ),
    "responses under a role of their own": (
        [model("f"), {**answer("f"), "role": "function"}],
        [model("f"), {**answer("f"), "role": "function"}],
    ),
}


@pytest.mark.parametrize(("before", "after"), GEMINI_PAIRS.values(), ids=GEMINI_PAIRS.keys())
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_call_of_gemini_has_its_response(before: Any, after: Any, wrapped: bool) -> None:
    request, expected = {"contents": before}, {"contents": after}
    if wrapped:
        request, expected = {"request": request}, {"request": expected}
    assert adapt_request(GEMINI, request, {"Q001", "Q002"}) == expected


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


EMPTY = {
    "an empty block": ([ASK, assistant([text(""), text("a")])], [ASK, assistant([text("a")])]),
    "nothing but white space": ([ASK, assistant([text(" "), text("\n")]), ASK], [ASK, ASK]),
    "white space at the end of a prefill": (
        [ASK, assistant([text("a "), text(" ")])],
        [ASK, assistant([text("a")])],
    ),
    "nothing but an empty block": ([ASK, assistant([text("")]), ASK], [ASK, ASK]),
    "an empty string": ([ASK, assistant(""), ASK], [ASK, ASK]),
    "an empty question": (
        [{"role": "user", "content": []}],
        [{"role": "user", "content": NO_CONTENT}],
    ),
    "a blank question": (
        [{"role": "user", "content": " "}],
        [{"role": "user", "content": NO_CONTENT}],
    ),
    "an empty last message of the assistant's": ([ASK, assistant([])], [ASK, assistant([])]),
    "a blank last message of the assistant's": ([ASK, assistant(" ")], [ASK]),
    "space at the end of a prefilled answer": (
        [ASK, assistant([text("a"), text("b \n")])],
        [ASK, assistant([text("a"), text("b")])],
    ),
    "space at the end of an earlier answer": (
        [ASK, assistant("a "), ASK],
        [ASK, assistant("a "), ASK],
    ),
    "white space between texts, and before a call": (
        [
            ASK,
            {"role": "assistant", "content": [text("a"), text(" "), text("b")]},
            ASK,
            {"role": "assistant", "content": [text("\n"), *call("a")["content"]]},
        ],
        [
            ASK,
            {"role": "assistant", "content": [text("a"), text(" "), text("b")]},
            ASK,
            {"role": "assistant", "content": [text("\n"), *call("a")["content"]]},
        ],
    ),
    "an empty text between texts": (
        [ASK, {"role": "assistant", "content": [text("a"), text(""), text("b")]}, ASK],
        [ASK, {"role": "assistant", "content": [text("a"), text("b")]}, ASK],
    ),
    "empty text in a result": (
        [ASK, call("a"), {"role": "user", "content": [{**error("a"), "content": [text("")]}]}],
        [ASK, call("a"), {"role": "user", "content": [{**error("a"), "content": [text("")]}]}],
    ),
}


@pytest.mark.parametrize(("before", "after"), EMPTY.values(), ids=EMPTY.keys())
def test_anthropic_messages_are_not_empty(before: Any, after: Any) -> None:
    assert adapt_request(ANTHROPIC, {"messages": before}, {"Q004", "Q005", "Q006"}) == {
        "messages": after
    }


@pytest.mark.parametrize(
    ("system", "expected"),
    [("", None), ([], []), ([text("")], None), ([text("a"), text(" ")], [text("a")]), ("a", "a")],
)
def test_a_system_prompt_is_not_empty(system: Any, expected: Any) -> None:
    adapted = adapt_request(ANTHROPIC, {"system": system, "messages": []}, {"Q007"})
    assert adapted.get("system") == expected


def test_gemini_parts_and_contents_are_not_empty() -> None:
    kept = {"text": "", "thoughtSignature": "s"}
    request = {
        "contents": [
            {"role": "user", "parts": [{"text": ""}, {"text": "a"}, {}]},
            {"role": "model", "parts": [{"text": ""}]},
            {"role": "model", "parts": [kept]},
            {"role": "user", "parts": []},
        ]
    }
    assert adapt_request(GEMINI, request, {"Q004", "Q005"}) == {
        "contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [kept]},
            {"role": "user", "parts": [{"text": NO_CONTENT}]},
        ]
    }


MARK = {"cache_control": {"type": "ephemeral"}}


def test_every_cache_control_is_removed_except_in_schemas() -> None:
    schema = {"properties": {"cache_control": {"type": "string"}}}
    tool = {"name": "a", "input_schema": schema}
    function = {"type": "function", "function": {"name": "a", "parameters": schema}}
    arguments = {"type": "tool_use", "id": "a", "name": "a", "input": MARK}
    request = {
        **MARK,
        "system": [{**text("a"), **MARK}],
        "tools": [{**tool, **MARK}, {**function, **MARK}],
        "messages": [
            {**assistant([{**text("a"), **MARK}, {**arguments, **MARK}]), **MARK},
            {"role": "user", "content": [{**error("a"), "content": [{**text("b"), **MARK}]}]},
        ],
    }
    expected = {
        "system": [text("a")],
        "tools": [tool, function],
        "messages": [
            assistant([text("a"), arguments]),
            {"role": "user", "content": [{**error("a"), "content": [text("b")]}]},
        ],
    }
    for protocol in (ANTHROPIC, CHAT):
        assert adapt_request(protocol, request, {"Q101"}) == expected


def test_cache_control_is_removed_from_thinking_only() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": SIGNED}
    request = {"messages": [assistant([{**thinking, **MARK}, {**text("a"), **MARK}])]}
    assert adapt_request(ANTHROPIC, request, {"Q102"}) == {
        "messages": [assistant([thinking, {**text("a"), **MARK}])]
    }


IDS = [
    (CallIdLimit(), "toolu_01-a", True),
    (CallIdLimit(), "functions.Bash:0", False),
    (CallIdLimit(), "a" * 65, False),
    (CallIdLimit(), "", False),
    (CallIdLimit(), "a\n", False),
    (CallIdLimit("a-zA-Z0-9", 9, exact=True), "a1B2c3D4e", True),
    (CallIdLimit("a-zA-Z0-9", 9, exact=True), "short", False),
    (CallIdLimit("a-zA-Z0-9", 9, exact=True), "call_0123", False),
    (CallIdLimit(r"\x20-\x7e", 40), "functions.Bash:0", True),
]


@pytest.mark.parametrize(("limit", "call_id", "accepted"), IDS)
def test_an_accepted_id_is_kept_and_any_other_is_replaced(
    limit: CallIdLimit, call_id: str, accepted: bool
) -> None:
    assert limit.takes(call_id) is accepted
    assert (limit.fit(call_id) == call_id) is accepted
    assert limit.takes(limit.fit(call_id))
    assert limit.fit(call_id) == limit.fit(call_id)


@pytest.mark.parametrize(
    ("protocol", "request_body", "ids"),
    [
        (ANTHROPIC, {"messages": [call("a.b"), results("a.b")]}, 2),
        (CHAT, {"messages": [chat_call("a.b"), chat_result("a.b")]}, 2),
        (RESPONSES, {"input": [item("a.b"), item("a.b", "function_call_output")]}, 2),
        (RESPONSES, {"previous_response_id": "r", "input": [item("a.b")]}, 0),
    ],
)
def test_a_call_and_its_result_get_the_same_id(
    protocol: Protocol, request_body: Any, ids: int
) -> None:
    limit = CallIdLimit("a-zA-Z0-9", 9, exact=True)
    adapted = json.dumps(adapt_request(protocol, request_body, {"Q103"}, call_ids=limit))
    assert adapted.count(limit.fit("a.b")) == ids
    assert ("a.b" in adapted) is (ids == 0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, " "),
        ({"reasoning_content": ""}, " "),
        ({"reasoning_content": None}, " "),
        ({"reasoning_content": "Hm."}, "Hm."),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}, None),
        ({"reasoning_details": []}, " "),
    ],
)
def test_for_kimi_every_call_has_reasoning(fields: Any, expected: str | None) -> None:
    request = {"messages": [{**chat_call("a"), **fields}, assistant("no call")]}
    adapted = adapt_request(CHAT, request, {"Q104"})
    assert adapted["messages"][0].get("reasoning_content") == expected
    assert adapted["messages"][1] == assistant("no call")


def test_no_reasoning_is_added_if_thinking_is_disabled() -> None:
    request = {"thinking": {"type": "disabled"}, "messages": [chat_call("a")]}
    assert adapt_request(CHAT, request, {"Q104"}) == request


def test_for_deepseek_every_assistant_message_has_reasoning_if_there_are_calls() -> None:
    kept = {**assistant("b"), "reasoning_content": "Hm."}
    request = {"messages": [ASK, chat_call("a"), chat_result("a"), assistant("a"), kept]}
    space = {"reasoning_content": " "}
    assert adapt_request(CHAT, request, {"Q106"}) == {
        "messages": [
            ASK,
            {**chat_call("a"), **space},
            chat_result("a"),
            {**assistant("a"), **space},
            kept,
        ]
    }
    for untouched in (
        {"messages": [ASK, assistant("a")]},
        {"messages": [chat_call("a")], "thinking": {"type": "disabled"}},
    ):
        assert adapt_request(CHAT, untouched, {"Q106"}) == untouched


USER_TEXT = {"role": "user", "parts": [{"text": "Hello"}]}
UNSIGNED = {"thoughtSignature": "skip_thought_signature_validator"}


def calling(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": [{"functionCall": {"name": "f"}, **part} for part in parts]}


SIGNATURES = {
    "a call without a signature": ([USER_TEXT, calling({})], [USER_TEXT, calling(UNSIGNED)]),
    "parallel calls": ([USER_TEXT, calling({}, {})], [USER_TEXT, calling(UNSIGNED, {})]),
    "parallel calls, signed as Gemini does": (
        [USER_TEXT, calling({"thoughtSignature": "s"}, {})],
        [USER_TEXT, calling({"thoughtSignature": "s"}, {})],
    ),
    "the other spelling": (
        [USER_TEXT, calling({"thought_signature": "s"})],
        [USER_TEXT, calling({"thought_signature": "s"})],
    ),
    "an empty signature": (
        [USER_TEXT, calling({"thoughtSignature": ""})],
        [USER_TEXT, calling(UNSIGNED)],
    ),
    "every step since the last user text": (
        [USER_TEXT, calling({}), answer("f"), calling({"thoughtSignature": "s"}), answer("f")],
        [
            USER_TEXT,
            calling(UNSIGNED),
            answer("f"),
            calling({"thoughtSignature": "s"}),
            answer("f"),
        ],
    ),
    "calls before the last user text": (
        [USER_TEXT, calling({}), answer("f"), USER_TEXT],
        [USER_TEXT, calling({}), answer("f"), USER_TEXT],
    ),
    "no user text": ([calling({})], [calling({})]),
    "invalid parts": (
        [USER_TEXT, {"role": "model", "parts": [None, {"text": 5}]}, {"role": "user", "parts": 5}],
        [USER_TEXT, {"role": "model", "parts": [None, {"text": 5}]}, {"role": "user", "parts": 5}],
    ),
}


@pytest.mark.parametrize(("before", "after"), SIGNATURES.values(), ids=SIGNATURES.keys())
@pytest.mark.parametrize("wrapped", [False, True])
def test_for_gemini_unsigned_calls_are_marked(before: Any, after: Any, wrapped: bool) -> None:
    request, expected = {"contents": before}, {"contents": after}
    if wrapped:
        request, expected = {"request": request}, {"request": expected}
    assert adapt_request(GEMINI, request, {"Q107"}) == expected


def thought(signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "Hm.", "signature": signature}


@pytest.mark.parametrize(
    ("signature", "kept"),
    [
        (SIGNED, True),
        ("EqQB" + "a+/" * 40 + "==", True),
        ("", False),
        ("proxy-thinking-placeholder", False),
        ("0f" * 32, False),
        ("c1a1d2e3-4f56-7890-abcd-ef0123456789-c1a1d2e3-4f56-7890-abcd-ef0123456789", False),
    ],
)
def test_thinking_that_anthropic_did_not_sign_is_dropped(signature: str, kept: bool) -> None:
    request = {"messages": [assistant([thought(signature), text("a")]), ASK]}
    adapted = adapt_request(ANTHROPIC, request, {"Q105"})
    assert (len(adapted["messages"][0]["content"]) == 2) is kept


def test_thinking_is_disabled_for_a_call_whose_thinking_was_dropped() -> None:
    on = {"type": "enabled", "budget_tokens": 1024}
    calling = assistant([thought(""), *call("a")["content"]])
    adapted = adapt_request(
        ANTHROPIC, {"thinking": on, "messages": [calling, results("a")]}, {"Q105"}
    )
    assert adapted == {"thinking": {"type": "disabled"}, "messages": [call("a"), results("a")]}


def test_adaptive_thinking_stays_on_for_a_call_whose_thinking_was_dropped() -> None:
    """Newer models refuse to disable it, and their turns need not start with thinking."""
    messages = [ASK, assistant([thought(""), *call("a")["content"]]), results("a")]
    request = {"thinking": {"type": "adaptive"}, "messages": messages}
    adapted = adapt_request(ANTHROPIC, request, {"Q105"})
    assert adapted == {**request, "messages": [ASK, call("a"), results("a")]}


def test_a_budget_becomes_adaptive_before_foreign_thinking_is_dropped() -> None:
    messages = [ASK, assistant([thought(""), *call("a")["content"]]), results("a")]
    request = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": messages}
    adapted = adapt_request(ANTHROPIC, request, {"Q105", "Q208"}, thinking_type="adaptive")
    assert adapted["thinking"] == {"type": "adaptive"}
    assert adapted["output_config"] == {"effort": "low"}


def test_thinking_stays_enabled_after_the_last_call() -> None:
    on = {"type": "enabled", "budget_tokens": 1024}
    calling = assistant([thought(""), *call("a")["content"]])
    messages = [calling, results("a"), assistant([thought(SIGNED), text("Done.")]), ASK]
    adapted = adapt_request(ANTHROPIC, {"thinking": on, "messages": messages}, {"Q105"})
    assert adapted["thinking"] == on
    assert adapted["messages"][0] == call("a")


@pytest.mark.parametrize(
    ("protocol", "code", "request_body", "expected"),
    [
        (ANTHROPIC, "Q201", {"temperature": 1, "top_p": 0.9}, {"temperature": 1}),
        (ANTHROPIC, "Q201", {"temperature": None, "top_p": 1}, {"temperature": None, "top_p": 1}),
        (ANTHROPIC, "Q201", {"top_p": 0.9}, {"top_p": 0.9}),
        (CHAT, "Q202", {"model": "m", "temperature": 0.2}, {"model": "m"}),
        (CHAT, "Q202", {"model": "m", "temperature": 1}, {"model": "m", "temperature": 1}),
        (CHAT, "Q203", {"max_tokens": 5}, {"max_completion_tokens": 5}),
        (
            CHAT,
            "Q203",
            {"max_tokens": 5, "max_completion_tokens": 6},
            {"max_completion_tokens": 6},
        ),
        (CHAT, "Q203", {"max_completion_tokens": 6}, {"max_completion_tokens": 6}),
        (CHAT, "Q204", {"max_tokens": 9000}, {"max_tokens": 8192}),
        (CHAT, "Q204", {"max_tokens": 8192}, {"max_tokens": 8192}),
        (RESPONSES, "Q204", {"max_output_tokens": 9000}, {"max_output_tokens": 8192}),
        (
            GEMINI,
            "Q204",
            {"generationConfig": {"maxOutputTokens": 9000}},
            {"generationConfig": {"maxOutputTokens": 8192}},
        ),
        (
            ANTHROPIC,
            "Q204",
            {"max_tokens": 64000, "thinking": {"type": "enabled", "budget_tokens": 63999}},
            {"max_tokens": 8192, "thinking": {"type": "enabled", "budget_tokens": 8191}},
        ),
        (CHAT, "Q204", {"max_tokens": "many"}, {"max_tokens": "many"}),
    ],
)
def test_parameters_are_adapted_to_the_target(
    protocol: Protocol, code: str, request_body: Any, expected: Any
) -> None:
    assert adapt_request(protocol, request_body, {code}, max_output_tokens=8192) == expected


def test_other_bytes_are_unchanged() -> None:
    body = (
        b'{ "n": 1.0e0, "messages" : [\n {"role":"user","content":"\\u00e9 \\ud83d"} ,'
        b'{"role":"assistant","content":[ ]},{"role":"user" , "content":"x"}\t] }'
    )
    adapted = adapt(ANTHROPIC, body, Traits(frozenset({"Q005"})))
    assert adapted.body == body.replace(b' ,{"role":"assistant","content":[ ]}', b"")


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"messages":7,"input":{},"contents":null,"system":3,"tools":"x"}',
        b'{"messages":[7,null,{"role":7,"content":7}],"input":[7,{}],"contents":[{"parts":7}]}',
        b'{"messages":[{"role":"assistant","tool_calls":[7,{"id":7}],"content":[7,{"type":7}]}]}',
    ],
)
def test_invalid_requests_are_unchanged(protocol: Protocol, body: bytes) -> None:
    traits = Traits(MESSAGE_CODES, max_output_tokens=1)
    assert adapt(protocol, body, traits).body is body


def test_a_disabled_rule_does_nothing() -> None:
    body = json.dumps({"messages": [ASK, call("a")]}).encode()
    traits = Traits(MESSAGE_CODES)
    assert adapt(ANTHROPIC, body, Traits()).body is body
    assert adapt(ANTHROPIC, body, traits, disabled=MESSAGE_CODES).body is body


# Properties of any history

ids = st.sampled_from(["a", "b", "call.1"])
anthropic_blocks = st.one_of(
    st.builds(text, st.sampled_from(["", " ", "Hello", "end "])),
    ids.map(lambda one: call(one)["content"][0]),
    ids.map(lambda one: results(one)["content"][0]),
    st.sampled_from(["", SIGNED]).map(thought),
)
anthropic_messages = st.lists(
    st.one_of(
        st.builds(
            lambda role, content: {"role": role, "content": content},
            st.sampled_from(["user", "assistant"]),
            st.one_of(st.sampled_from(["", " ", "Hello "]), st.lists(anthropic_blocks, max_size=4)),
        )
    ),
    max_size=6,
)
chat_messages = st.lists(
    st.one_of(
        st.just(ASK),
        st.just(assistant("")),
        st.lists(ids, min_size=1, max_size=2, unique=True).map(lambda some: chat_call(*some)),
        ids.map(chat_result),
    ),
    max_size=8,
)


def assert_anthropic_accepts(messages: list[Any]) -> None:
    """Assert the requirements of the API that the rules cover."""
    turns: list[tuple[str, list[Any]]] = []
    for number, message in enumerate(messages):
        role, content = message["role"], message["content"]
        blocks = [text(content)] if isinstance(content, str) else content
        is_last = number == len(messages) - 1
        assert blocks or (is_last and role == "assistant")
        is_optional = is_last and role == "assistant" and content == ""
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        assert all(texts) or is_optional
        assert len(texts) < len(blocks) or "".join(texts).strip() or not blocks or is_optional
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, list(blocks)))
    if messages and messages[-1]["role"] == "assistant" and turns[-1][1]:
        last = turns[-1][1][-1]
        assert last["type"] != "text" or last["text"] == last["text"].rstrip()
    for number, (role, blocks) in enumerate(turns):
        if role != "assistant":
            continue
        calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
        following = turns[number + 1][1] if number + 1 < len(turns) else []
        kinds = [block["type"] == "tool_result" for block in following]
        answered = [block["tool_use_id"] for block in following if block["type"] == "tool_result"]
        assert set(answered) == calls
        assert len(answered) == len(calls)
        assert not calls or kinds == sorted(kinds, reverse=True)


PAIRS_AND_CONTENT = frozenset({"Q001", "Q002", "Q003", "Q004", "Q005", "Q006", "Q105"})


@given(anthropic_messages.filter(lambda some: any(one["role"] == "user" for one in some)))
def test_any_anthropic_history_becomes_a_valid_one(messages: list[Any]) -> None:
    messages = [
        {
            **one,
            "content": one["content"]
            if isinstance(one["content"], str)
            else [
                block
                for block in one["content"]
                if (block["type"] == "tool_result") <= (one["role"] == "user")
                and (block["type"] in ("tool_use", "thinking")) <= (one["role"] == "assistant")
            ],
        }
        for one in messages
    ]
    adapted = adapt_request(ANTHROPIC, {"messages": messages}, PAIRS_AND_CONTENT)
    assert_anthropic_accepts(adapted["messages"])


@given(chat_messages)
def test_any_chat_history_becomes_a_valid_one(messages: list[Any]) -> None:
    adapted = adapt_request(CHAT, {"messages": messages}, {"Q001", "Q002", "Q003", "Q005"})[
        "messages"
    ]
    expected: list[str] = []
    for message in adapted:
        if message["role"] == "tool":
            expected.remove(message["tool_call_id"])
        else:
            assert not expected
            expected = [one["id"] for one in message.get("tool_calls", ())]
    assert not expected


def test_a_part_that_is_more_than_an_image_is_unchanged() -> None:
    """A note in its place would remove the call."""
    blob = {"mimeType": "image/png", "data": "aGk="}
    nested = {"functionResponse": {"name": "f", "parts": [{"inlineData": blob}]}}
    parts = [{"functionCall": {"name": "f"}, "inlineData": blob}, {**nested, "inlineData": blob}]
    adapted = adapt_request(GEMINI, {"contents": [{"role": "model", "parts": parts}]}, {"Q304"})
    note = {"text": "(an image was left out: the model accepts only text)"}
    response = {"functionResponse": {"name": "f", "parts": [note]}, "inlineData": blob}
    assert adapted["contents"][0]["parts"] == [parts[0], response]


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def record(kinds: tuple[Any, ...], key: str = "type", **members: Any) -> Any:
    return st.one_of(
        st.fixed_dictionaries({}, optional={key: some(*kinds), **members}), some(None, 7, "x")
    )


ODD = some(None, True, 0, 7, "", "a", "{}", "[1", "\ud83d", {}, [])
ANY_ID = some("a", "b", "item_1", "x" * 70, 7)
IMAGE = {"mimeType": "image/png", "data": "aGk="}
SOURCES = some({"data": "aGk="}, {"url": "x"}, 7)
ANY_MARK = some({"type": "ephemeral"}, {"ttl": "1h"}, None)
INNER = record(("text", "image"), text=ODD, source=SOURCES, cache_control=ANY_MARK)
BLOCK = record(
    ("text", "image", "tool_use", "tool_result", "thinking", "image_url", "input_image", 7),
    text=ODD,
    id=ANY_ID,
    tool_use_id=ANY_ID,
    input=ODD,
    signature=ODD,
    source=SOURCES,
    image_url=some("data:image/png;base64,aGk=", {"url": "x"}, 7),
    content=st.one_of(ODD, st.lists(INNER, max_size=2)),
    cache_control=ANY_MARK,
)
CALLS = st.lists(
    record(("x",), "x", id=ANY_ID, function=some(7, {"arguments": ""}, {})), max_size=2
)
MESSAGE = record(
    ("user", "assistant", "system", "developer", "tool"),
    "role",
    content=st.one_of(ODD, st.lists(BLOCK, max_size=3)),
    tool_calls=CALLS,
    tool_call_id=ANY_ID,
    cache_control=ANY_MARK,
    reasoning_details=ODD,
)
ITEM = record(
    ("message", "reasoning", "function_call", "function_call_output", "item_reference", 7),
    id=ANY_ID,
    call_id=ANY_ID,
    role=some("user", "assistant", "developer"),
    arguments=ODD,
    output=st.one_of(ODD, st.lists(BLOCK, max_size=2)),
)
PART = record(
    ("x",),
    "x",
    text=ODD,
    functionCall=some(7, {"name": "f"}),
    functionResponse=some(7, {"name": "f", "parts": [{"inlineData": IMAGE}]}),
    thoughtSignature=ODD,
    inlineData=some(7, IMAGE),
)
REQUEST = st.fixed_dictionaries(
    {
        "messages": st.lists(MESSAGE, max_size=4),
        "input": st.lists(ITEM, max_size=5),
        "contents": st.lists(
            record(("user", "model"), "role", parts=st.lists(PART, max_size=3)), max_size=3
        ),
    },
    optional={
        "system": st.lists(BLOCK, max_size=2),
        "thinking": some(7, {"type": "enabled", "budget_tokens": 9999}, {"type": "adaptive"}),
        "output_config": some(7, {}, {"effort": "xhigh"}, {"effort": None, "format": 1}),
        "reasoning_effort": some(7, "xhigh"),
        "tool_choice": some(7, [], "required", {"type": "any"}, {"type": "allowed_tools"}),
        "max_tokens": some("x", 100, 64000),
        "temperature": some("x", None, 0.5),
        "top_p": some("x", None, 0.5),
        "store": some(False),
        "prompt_cache_key": some("k" * 70),
        "generationConfig": some(7, {"thinkingConfig": {"thinkingBudget": 99999}}),
    },
)
ANY_LIMITS: dict[str, Any] = {
    "efforts": ("low", "high"),
    "max_output_tokens": 2000,
    "max_thinking_budget": 1024,
    "max_images": 0,
    "max_image_bytes": 1,
    "refused_images": ("all",),
}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
@given(
    request_body=REQUEST,
    codes=st.one_of(st.just(MESSAGE_CODES), st.sets(some(*sorted(MESSAGE_CODES)), max_size=4)),
    thinking_type=some("enabled", "adaptive"),
)
def test_no_pass_fails_on_any_request(
    protocol: Protocol, request_body: dict[str, Any], codes: Set[str], thinking_type: str
) -> None:
    traits = Traits(frozenset(codes), **ANY_LIMITS, thinking_type=thinking_type)
    adapted = adapt(protocol, json.dumps(request_body).encode(), traits)
    assert isinstance(json.loads(adapted.body), dict)


LISTS = {ANTHROPIC: "messages", CHAT: "messages", RESPONSES: "input", GEMINI: "contents"}
TOOL = record(
    ("custom",),
    cache_control=ANY_MARK,
    defer_loading=some(True),
    function=some(7, {"cache_control": {}}),
)


def adapt_by_every_pass(
    protocol: Protocol, body: bytes, traits: Traits, disabled: Set[str]
) -> Adapted:
    """Do what `adapt` does, but run the passes that concern nothing in the request, too."""
    document, notes = RequestDocument.of(protocol, "/", body), Notes(disabled)
    for step in protocol.history_passes:
        if step.rule.code not in traits.rules - disabled or document.fields is None:
            continue
        edits = document.content.edits()
        step.adapt(document.fields, edits, traits, notes)
        document = document.edited(edits)
    return Adapted(document.body, notes.findings)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
@given(
    request_body=REQUEST,
    tools=st.lists(TOOL, max_size=2),
    disabled=st.sets(some(*sorted(MESSAGE_CODES)), max_size=4),
    thinking_type=some("enabled", "adaptive"),
    is_wrapped=st.booleans(),
)
def test_a_pass_that_is_left_out_would_change_nothing(
    protocol: Protocol,
    request_body: dict[str, Any],
    tools: list[Any],
    disabled: set[str],
    thinking_type: str,
    is_wrapped: bool,
) -> None:
    others = {*LISTS.values()} - {LISTS[protocol]}
    request = {name: value for name, value in request_body.items() if name not in others}
    if tools:
        request["tools"] = tools
    body = json.dumps({"request": request} if is_wrapped else request).encode()
    traits = Traits(MESSAGE_CODES, **ANY_LIMITS, thinking_type=thinking_type)
    adapted = adapt(protocol, body, traits, disabled=disabled)
    assert adapted == adapt_by_every_pass(protocol, body, traits, disabled)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.before], ids=lambda r: r.code)
def test_a_pass_is_not_left_out_if_its_rule_applies(rule: Rule) -> None:
    traits = Traits(frozenset({rule.code}), **LIMITS_OF_EXAMPLES.get(rule.code, {}))
    protocol, body = PROTOCOLS[WireProtocol(rule.protocols[0])], rule.before.encode()
    assert adapt(protocol, body, traits).findings
    assert adapt(protocol, body, traits) == adapt_by_every_pass(protocol, body, traits, set())
