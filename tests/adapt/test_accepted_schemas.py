"""Tools that a target accepts are checked once, however many requests contain them."""

from typing import Any

import orjson
import pytest
from wiremend.adapt import schemas
from wiremend.adapt.passes import adapt_request
from wiremend.adapt.schema_dialects import ANTHROPIC, OPENAI
from wiremend.adapt.schemas import AcceptedSchemas, AcceptedTools
from wiremend.protocols.anthropic import ANTHROPIC as MESSAGES
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.traits import TargetTraits
from wiremend.protocols.gemini import GEMINI

FINE: dict[str, Any] = {"type": "object", "properties": {"path": {"type": "string"}}}
COMPOSED: dict[str, Any] = {"type": "object", "properties": {}, "anyOf": [{"required": []}]}
UNTYPED: dict[str, Any] = {"type": "object", "properties": {"paths": {"type": "array"}}}


class Checks:
    """Counts the schemas that are checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = schemas.violations

        def counted(*arguments: Any) -> list[str]:
            self.count += 1
            return original(*arguments)

        monkeypatch.setattr(schemas, "violations", counted)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    return Checks(monkeypatch)


def request(*tool_schemas: dict[str, Any]) -> OutgoingRequest:
    tools = [
        {"name": f"tool_{number}", "input_schema": schema}
        for number, schema in enumerate(tool_schemas)
    ]
    body = orjson.dumps({"model": "m", "tools": tools, "messages": []})
    document = RequestDocument.of(MESSAGES, "/v1/messages", body)
    return OutgoingRequest("p", "m", "https", "p", 443, document)


def test_the_tools_of_a_session_are_checked_once(checks: Checks) -> None:
    accepted, traits = AcceptedTools(), TargetTraits(dialect="anthropic")
    for _ in range(3):
        original = request(FINE, {**FINE, "title": "t"})
        assert adapt_request(original, traits, accepted=accepted).request is original
    assert checks.count == 2


def test_a_schema_that_is_not_accepted_is_converted_each_time() -> None:
    accepted, traits = AcceptedTools(), TargetTraits(dialect="anthropic")
    bodies = {
        adapt_request(request(COMPOSED), traits, accepted=accepted).request.body for _ in range(3)
    }
    (body,) = bodies
    assert b"anyOf" not in body


def test_each_dialect_decides_for_itself() -> None:
    accepted = AcceptedSchemas()
    assert accepted.contains(UNTYPED, ANTHROPIC)
    assert not accepted.contains(UNTYPED, OPENAI)
    assert accepted.contains(UNTYPED, ANTHROPIC)


def test_the_oldest_are_forgotten(checks: Checks) -> None:
    accepted = AcceptedSchemas(limit=2)
    for title in "abcac":
        assert accepted.contains({**FINE, "title": title}, ANTHROPIC)
    assert checks.count == 4


STRICT = TargetTraits(dialect="anthropic", names=NameLimit("a-z", "a-z_0-9"), unique_names=True)


def with_body(**members: Any) -> OutgoingRequest:
    body = orjson.dumps({"model": "m", "messages": [], **members})
    document = RequestDocument.of(MESSAGES, "/v1/messages", body)
    return OutgoingRequest("p", "m", "https", "p", 443, document)


def tool(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": FINE, **members}


def test_a_list_of_tools_is_checked_once(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = AcceptedTools()
    adapt_request(with_body(tools=[tool("a")]), STRICT, accepted=accepted)
    monkeypatch.delattr(schemas, "adapt_tool_list")  # is not called again
    original = with_body(tools=[tool("a")], stream=True)
    assert adapt_request(original, STRICT, accepted=accepted).request is original
    assert checks.count == 1


LISTS: dict[str, tuple[list[Any], TargetTraits, str]] = {
    "another list": ([tool("a"), tool("b.c")], STRICT, "T005"),
    "a list with a repetition": ([tool("a"), tool("a")], STRICT, "T006"),
    "a tool without a name": ([tool("")], STRICT, "T001"),
    "a schema without a type": ([tool("a", input_schema={"properties": {}})], STRICT, "T104"),
    "a target that refuses the type": (
        [tool("a", type="custom")],
        TargetTraits(strip_custom_type=True),
        "T004",
    ),
}


@pytest.mark.parametrize(("tools", "traits", "code"), LISTS.values(), ids=LISTS.keys())
def test_a_list_that_is_not_accepted_is_adapted_each_time(
    tools: list[Any], traits: TargetTraits, code: str
) -> None:
    accepted = AcceptedTools()
    adapt_request(with_body(tools=[tool("a")]), STRICT, accepted=accepted)
    adapt_request(with_body(tools=tools), TargetTraits(), accepted=accepted)
    for _ in range(2):
        adapted = adapt_request(with_body(tools=tools), traits, accepted=accepted)
        assert [finding.code for finding in adapted.findings] == [code]


def test_each_set_of_disabled_rules_decides_for_itself() -> None:
    accepted, original = AcceptedTools(), with_body(tools=[tool("a.b")])
    off = adapt_request(original, STRICT, accepted=accepted, disabled={"T005"})
    assert off.request is original
    assert adapt_request(original, STRICT, accepted=accepted).request is not original


def test_a_wrapped_list_is_a_list_of_its_own() -> None:
    accepted = AcceptedTools()
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    traits = TargetTraits(dialect="gemini")

    def wrapped(*declarations: dict[str, Any]) -> OutgoingRequest:
        inner = {"contents": [], "tools": [{"functionDeclarations": [*declarations]}]}
        document = RequestDocument.of(GEMINI, "/v1internal", orjson.dumps({"request": inner}))
        return OutgoingRequest("p", "m", "https", "p", 443, document)

    fine, other = wrapped({"name": "a"}), wrapped({"name": "a", "parameters": schema})
    assert adapt_request(fine, traits, accepted=accepted).request is fine
    assert adapt_request(other, traits, accepted=accepted).request is not other


@pytest.mark.parametrize("tools", [{}, {"tools": [tool("a")]}], ids=["no tools", "accepted ones"])
def test_names_in_the_history_are_adapted_all_the_same(tools: dict[str, Any]) -> None:
    accepted = AcceptedTools()
    adapt_request(with_body(**tools), STRICT, accepted=accepted)
    call = {"type": "tool_use", "id": "t", "name": "b.c", "input": {}}
    messages = [{"role": "assistant", "content": [call]}]
    adapted = adapt_request(with_body(**tools, messages=messages), STRICT, accepted=accepted)
    assert list(adapted.tool_names_by_sent.values()) == ["b.c"]


def test_the_oldest_lists_are_forgotten() -> None:
    accepted = AcceptedTools(limit=2)
    for key in "abc":
        accepted.add(key)
    assert [accepted.contains(key) for key in "abc"] == [False, True, True]
