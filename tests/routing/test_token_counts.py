"""Requests that count tokens: recognised, rewritten, and estimated if the provider cannot count."""

import json

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.routing.token_counts import estimated_answer, recognise_count, rewrite_counted_model
from wiremend.rules.rule import Notes

ANTHROPIC = ANTHROPIC
RESPONSES = RESPONSES
GEMINI = GEMINI


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/messages/count_tokens?beta=true", ANTHROPIC),
        ("POST", "/anthropic/v1/messages/count_tokens", ANTHROPIC),
        ("POST", "/v1/responses/input_tokens", RESPONSES),
        ("POST", "/v1beta/models/gemini-3-pro:countTokens?key=k", GEMINI),
        ("POST", "/v1internal:countTokens", GEMINI),
        ("GET", "/v1/messages/count_tokens", None),
        ("POST", "/v1/messages", None),
        ("POST", "/v1/messages/batches", None),
    ],
)
def test_a_request_for_a_count_is_recognised_by_method_and_path(
    method: str, path: str, expected: Protocol | None
) -> None:
    assert recognise_count(method, path) is expected


@pytest.mark.parametrize(
    ("protocol", "path", "body", "new_path", "new_body"),
    [
        pytest.param(
            ANTHROPIC,
            "/v1/messages/count_tokens",
            '{"model": "claude-opus-5", "messages": []}',
            "/v1/messages/count_tokens",
            '{"model": "kimi-k3", "messages": []}',
            id="Anthropic",
        ),
        pytest.param(
            GEMINI,
            "/v1beta/models/gemini-3-pro:countTokens?key=k",
            '{"generateContentRequest": {"model": "models/gemini-3-pro", "contents": []}}',
            "/v1beta/models/kimi-k3:countTokens?key=k",
            '{"generateContentRequest": {"model": "models/kimi-k3", "contents": []}}',
            id="Gemini, named twice",
        ),
        pytest.param(
            GEMINI,
            "/v1beta/models/gemini-3-pro:countTokens",
            '{"contents": []}',
            "/v1beta/models/kimi-k3:countTokens",
            '{"contents": []}',
            id="Gemini, named in the path",
        ),
    ],
)
def test_for_another_models_count_only_the_name_is_replaced(
    protocol: Protocol, path: str, body: str, new_path: str, new_body: str
) -> None:
    document = RequestDocument.of(protocol, path, body.encode())
    rewritten = rewrite_counted_model(document, "kimi-k3", Notes())
    assert (rewritten.path, rewritten.body.decode()) == (new_path, new_body)


@pytest.mark.parametrize(
    ("protocol", "body", "least", "answer"),
    [
        (ANTHROPIC, {"messages": [{"role": "user", "content": "x" * 4000}]}, 1000, "input_tokens"),
        (RESPONSES, {"input": "x" * 4000}, 1000, "input_tokens"),
        (GEMINI, {"contents": [{"parts": [{"text": "x" * 4000}]}]}, 1000, "totalTokens"),
        (
            GEMINI,
            {"generateContentRequest": {"contents": [{"parts": [{"text": "x" * 4000}]}]}},
            1000,
            "totalTokens",
        ),
    ],
)
def test_an_estimate_has_the_form_of_the_protocol(
    protocol: Protocol, body: object, least: int, answer: str
) -> None:
    document = RequestDocument.of(protocol, "/", json.dumps(body).encode())
    data, finding = estimated_answer(document)
    assert least <= json.loads(data)[answer] < least + 30
    assert finding.code == "M005"
