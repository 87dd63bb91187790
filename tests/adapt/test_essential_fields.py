"""Fields that a client relies on are never dropped, whatever the provider refuses."""

from typing import Any

import orjson
import pytest
from wiremend.adapt.essential_fields import ESSENTIAL, HARMLESS, EssentialField
from wiremend.adapt.lessons import Lesson
from wiremend.adapt.passes import adapt_request
from wiremend.adapt.refused_fields import advice_on_kept_fields, field_policy
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import TargetTraits
from wiremend.protocols.registry import PROTOCOLS

A = WireProtocol.ANTHROPIC_MESSAGES
C = WireProtocol.CHAT_COMPLETIONS
R = WireProtocol.RESPONSES
G = WireProtocol.GEMINI

SCHEMA = {"type": "json_schema", "schema": {"type": "object"}}


def outgoing(protocol: WireProtocol, body: dict[str, Any]) -> OutgoingRequest:
    document = RequestDocument.of(PROTOCOLS[protocol], "/v1/x", orjson.dumps(body))
    return OutgoingRequest("p", "m", "https", "p.example", 443, document)


def nested(path: str, value: Any) -> dict[str, Any]:
    for step in reversed(path.split(".")):
        value = {step: value}
    return {"other": 1, **value}


ROWS = [(protocol, row) for protocol, rows in ESSENTIAL.items() for row in rows]


@pytest.mark.parametrize(
    ("protocol", "row"), [pytest.param(*r, id=f"{r[0]} {r[1].path}") for r in ROWS]
)
def test_an_essential_field_is_kept_unless_its_value_is_the_default(
    protocol: WireProtocol, row: EssentialField
) -> None:
    parts = row.path.split(".")
    for depth in range(1, len(parts) + 1):
        lesson = Lesson("field", ".".join(parts[:depth]))
        request = outgoing(protocol, nested(row.path, "a value"))
        assert adapt_request(request, TargetTraits(), [lesson]).request is request
        for value in (None, *row.defaults):
            request = outgoing(protocol, nested(row.path, value))
            adapted = adapt_request(request, TargetTraits(), [lesson])
            assert [finding.code for finding in adapted.findings] == ["T303"]
    assert field_policy(protocol, row.path) == "essential"


KNOWN_HARMLESS = [(protocol, path) for protocol in HARMLESS for path in sorted(HARMLESS[protocol])]


@pytest.mark.parametrize(("protocol", "path"), KNOWN_HARMLESS)
def test_a_harmless_field_is_dropped(protocol: WireProtocol, path: str) -> None:
    request = outgoing(protocol, nested(path, "a value"))
    adapted = adapt_request(request, TargetTraits(), [Lesson("field", path)])
    assert [finding.code for finding in adapted.findings] == ["T303"]
    assert field_policy(protocol, path) == "harmless"


NAMED = [
    # protocol, the field that the provider names, its value, what stays although it is refused
    (A, "output_config.format", SCHEMA),
    (A, "output_config", {"format": SCHEMA, "effort": "low"}),
    (A, "stop_sequences", ["END"]),
    (A, "tool_choice", {"type": "tool", "name": "x"}),
    (A, "tool_choice", {"type": "auto", "disable_parallel_tool_use": True}),
    (A, "tool_choice", {"type": "none"}),
    (A, "messages.0.content.0.source", {"type": "base64", "data": "AA=="}),
    (A, "messages.1.content.0.tool_use.input.cache_control", "a value of the user's tool"),
    (A, "messages.1.content.0.input.user.seed", 1),
    (A, "tools.0.custom.input_schema.properties.default", {"type": "string"}),
    (A, "tools.0.custom.description", "what it does"),
    (A, "tools.0.allowed_domains", ["example.com"]),
    (C, "response_format", {"type": "json_object"}),
    (C, "response_format.json_schema.strict", True),
    (C, "stop", "END"),
    (C, "n", 2),
    (C, "store", True),
    (C, "parallel_tool_calls", False),
    (C, "tool_choice", "required"),
    (C, "tool_choice", {"type": "function", "function": {"name": "x"}}),
    (C, "messages.0.tool_calls.0.id", "call_1"),
    (C, "provider", {"data_collection": "deny"}),
    (R, "text.format", SCHEMA),
    (R, "text", {"format": SCHEMA, "verbosity": "low"}),
    (R, "previous_response_id", "resp_1"),
    (R, "store", False),
    (R, "parallel_tool_calls", False),
    (R, "tool_choice", {"type": "allowed_tools", "tools": []}),
    (R, "include", ["file_search_call.results"]),
    (R, "input.0.call_id", "call_1"),
    (R, "input.0.action.x", 12),
    (R, "input.0.arguments.seed", 1),
    (G, "generationConfig.responseSchema", {"type": "OBJECT"}),
    (G, "generation_config.response_schema", {"type": "OBJECT"}),
    (G, "generationConfig", {"stopSequences": ["END"], "topK": 1}),
    (G, "toolConfig", {"functionCallingConfig": {"mode": "ANY"}}),
    (G, "request.generationConfig.candidateCount", 2),
    (G, "safetySettings", [{"threshold": "BLOCK_NONE"}]),
    (G, "contents.0.parts.0.inlineData", {"data": "AA=="}),
    (G, "contents.0.parts.0.functionCall.args.seed", 1),
    (G, "contents.0.parts.0.function_response.response.labels", ["a"]),
]


@pytest.mark.parametrize(("protocol", "path", "value"), NAMED)
def test_a_field_that_changes_the_meaning_is_essential(
    protocol: WireProtocol, path: str, value: Any
) -> None:
    assert field_policy(protocol, path, value) == "essential"
    assert field_policy(protocol, path) == "essential"


WITHOUT_HARM = [
    # protocol, field, value
    (A, "output_config", {"effort": "low"}),
    (A, "output_config.effort", "low"),
    (A, "messages.3.content.0.thinking.cache_control", {"type": "ephemeral"}),
    (A, "system.0.cache_control", {"type": "ephemeral"}),
    (A, "tools.0.custom.eager_input_streaming", True),
    (A, "tools.0.custom.strict", True),
    (A, "tools.0.custom.input_schema.$schema", "http://json-schema.org/draft-07/schema#"),
    (A, "tools.0.custom.input_schema.additionalProperties", False),
    (A, "tool_choice", {"type": "auto"}),
    (C, "messages.1.reasoning_content", "…"),
    (C, "messages.1.name", "Alice"),
    (C, "tool_choice", "auto"),
    (C, "parallel_tool_calls", True),
    (C, "n", 1),
    (C, "store", False),
    (C, "response_format", {"type": "text"}),
    (C, "response_format", None),
    (R, "text", {"verbosity": "low"}),
    (R, "reasoning.effort", "high"),
    (R, "input.342.id", "item_1"),
    (R, "include", ["reasoning.encrypted_content"]),
    (G, "generationConfig", {"topK": 1}),
    (G, "contents.0.parts.0.function_call.id", "call_1"),  # vercel/ai#15664
    (G, "contents.1.parts.0.functionResponse.id", "call_1"),
    (G, "request.labels", {"a": "b"}),
    (C, "a_field_that_no_list_contains", 1),
]


@pytest.mark.parametrize(("protocol", "path", "value"), WITHOUT_HARM)
def test_a_call_can_do_without_a_harmless_field(
    protocol: WireProtocol, path: str, value: Any
) -> None:
    assert field_policy(protocol, path, value) == "harmless"


def test_an_error_about_the_model_gives_no_advice_on_the_field() -> None:
    requests = AdaptedRequests()
    requests.add(outgoing(C, {"model": "m", "messages": []}), TargetTraits())
    for message in ("Model is not supported", "model is not available in your region"):
        assert requests.amend(0, make_error(status=400, message=message)) == []
        assert requests.explain(0, message) == message


def test_the_client_gets_the_provider_s_error_and_advice() -> None:
    requests = AdaptedRequests()
    body = {"output_config": {"format": SCHEMA}, "max_tokens": 9, "messages": []}
    requests.add(outgoing(A, body), TargetTraits())
    message = "output_config.format: Extra inputs are not permitted"
    assert requests.amend(0, make_error(status=400, message=message)) == []
    assert orjson.loads(requests.at(0).request.body) == body
    explained = requests.explain(0, message)
    assert explained.startswith(message)
    assert "`output_config.format` was not dropped" in explained
    assert 'drop = ["output_config.format"]' in explained


def test_a_provider_that_drops_nothing_keeps_harmless_fields_too() -> None:
    request = outgoing(A, {"metadata": {"user_id": "u"}, "messages": []})
    traits = TargetTraits(refused_fields=("metadata",), drops_refused=False)
    assert adapt_request(request, traits).request is request
    advice = advice_on_kept_fields(request.document, traits, ["metadata", "absent"])
    assert advice.startswith("`metadata` was not dropped, since this provider has `on_unsupported")
    dropping = TargetTraits(refused_fields=("metadata",))
    assert advice_on_kept_fields(request.document, dropping, ["metadata"]) == ""


def test_the_id_of_an_item_reference_is_kept() -> None:
    items = [{"type": "item_reference", "id": "rs_1"}, {"type": "message", "id": "msg_1"}]
    request = outgoing(R, {"input": items})
    adapted = adapt_request(request, TargetTraits(), [Lesson("field", "input.*.id")]).request
    assert orjson.loads(adapted.body) == {"input": [items[0], {"type": "message"}]}
