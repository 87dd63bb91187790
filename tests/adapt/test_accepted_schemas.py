"""Schemas that a dialect accepts are checked once, however many requests contain them."""

from typing import Any

import orjson
import pytest
from wiremend.adapt import schemas
from wiremend.adapt.passes import adapt_request
from wiremend.adapt.schema_dialects import ANTHROPIC, OPENAI
from wiremend.adapt.schemas import AcceptedSchemas
from wiremend.protocols.anthropic import ANTHROPIC as MESSAGES
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.traits import TargetTraits

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
    accepted, traits = AcceptedSchemas(), TargetTraits(dialect="anthropic")
    for _ in range(3):
        original = request(FINE, {**FINE, "title": "t"})
        assert adapt_request(original, traits, accepted=accepted).request is original
    assert checks.count == 2


def test_a_schema_that_is_not_accepted_is_converted_each_time() -> None:
    accepted, traits = AcceptedSchemas(), TargetTraits(dialect="anthropic")
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
