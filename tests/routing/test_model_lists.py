"""Lists of models: which bodies are recognised, and what is added to them."""

import json

import pytest
from wiremend.routing.model_lists import (
    ROUTED_NAMES_LISTED,
    RoutedName,
    extend_model_list,
    is_literal,
    is_model_list,
)
from wiremend.rules.rule import Notes

KIMI = [RoutedName("kimi-k3")]
ANTHROPIC_MODEL = '{"type":"model","id":"claude-opus-5","display_name":"Opus","created_at":"x"}'
OPENAI_ENTRY = '{"id":"kimi-k3","object":"model","created":0,"owned_by":"wiremend"}'
ANTHROPIC_ENTRY = (
    '{"type":"model","id":"kimi-k3","display_name":"kimi-k3","created_at":"1970-01-01T00:00:00Z"}'
)
GEMINI_ENTRY = (
    '{"name":"models/kimi-k3","displayName":"kimi-k3",'
    '"supportedGenerationMethods":["generateContent","countTokens"]}'
)


@pytest.mark.parametrize(
    ("before", "after", "added"),
    [
        pytest.param(
            '{"object": "list",\n "data": [ {"id": "gpt-5"} ] }',
            '{"object": "list",\n "data": [ {"id": "gpt-5"},ADDED ] }',
            OPENAI_ENTRY,
            id="OpenAI",
        ),
        pytest.param(
            '{"object":"list","data":[]}',
            '{"object":"list","data":[ADDED]}',
            OPENAI_ENTRY,
            id="OpenAI, empty",
        ),
        pytest.param(
            '{"data":[LISTED],"has_more":false,"first_id":"a","last_id":"claude-opus-5"}',
            '{"data":[LISTED,ADDED],"has_more":false,"first_id":"a","last_id":"kimi-k3"}',
            ANTHROPIC_ENTRY,
            id="Anthropic",
        ),
        pytest.param(
            '{"models":[{"name":"models/gemini-3-pro","version":"1"}]}',
            '{"models":[{"name":"models/gemini-3-pro","version":"1"},ADDED]}',
            GEMINI_ENTRY,
            id="Gemini",
        ),
    ],
)
def test_names_are_added_at_the_end_and_all_other_bytes_are_kept(
    before: str, after: str, added: str
) -> None:
    before = before.replace("LISTED", ANTHROPIC_MODEL)
    notes = Notes()
    extended = extend_model_list(before.encode(), KIMI, notes)
    assert extended.decode() == after.replace("LISTED", ANTHROPIC_MODEL).replace("ADDED", added)
    json.loads(extended)
    assert [finding.code for finding in notes.findings] == ["M004"]
    assert extend_model_list(extended, KIMI, Notes()) is extended


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"object":"list","data":[{"id":"KIMI-K3"}]}', id="listed in other letters"),
        pytest.param('{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}', id="not the last page"),
        pytest.param(
            '{"models":[{"name":"models/a"}],"nextPageToken":"t"}', id="not Gemini's last page"
        ),
        pytest.param('{"models":[{"slug":"gpt-5-codex","name":"x"}]}', id="Codex's own list"),
        pytest.param('{"models":[{"slug":"gpt-5-codex"}]}', id="Codex's own list without names"),
        pytest.param('{"error":{"message":"no"}}', id="an error"),
        pytest.param('{"object":"list","data":{"a":1}}', id="no list"),
        pytest.param('{"object":"list","data":["a"]}', id="names without objects"),
        pytest.param('{"object":"list","data":[{"name":"a"}]}', id="entries without ids"),
        pytest.param("[]", id="an array"),
        pytest.param("<html>", id="a web page"),
        pytest.param("", id="nothing"),
    ],
)
def test_other_bodies_keep_their_bytes(body: str) -> None:
    data = body.encode()
    notes = Notes()
    assert extend_model_list(data, KIMI, notes) is data
    assert notes.findings == []


def test_a_name_served_by_the_clients_provider_is_added_only_with_its_model() -> None:
    body = b'{"object":"list","data":[{"id":"GPT-5"}]}'
    routed = [RoutedName("fast", "gpt-5"), RoutedName("slow", "gpt-9"), RoutedName("fast")]
    listed = json.loads(extend_model_list(body, routed, Notes()))["data"]
    assert [model["id"] for model in listed] == ["GPT-5", "fast"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/models", True),
        ("GET", "/v1/models?limit=1000", True),
        ("GET", "/api/v1/models/", True),
        ("GET", "/v1beta/models?key=k&pageSize=50", True),
        ("POST", "/v1/models", False),
        ("GET", "/v1/models/gpt-5", False),
        ("GET", "/v1/messages?x=/models", False),
    ],
)
def test_a_request_for_a_list_is_recognised_by_method_and_path(
    method: str, path: str, expected: bool
) -> None:
    assert is_model_list(method, path) is expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("kimi-k3", True),
        ("claude-opus-4-8[1m]", True),
        ("claude-*", False),
        ("gpt-?", False),
        ("gpt-[45]", False),
    ],
)
def test_a_literal_name_is_a_match_without_wildcards(match: str, expected: bool) -> None:
    assert is_literal(match) is expected


def test_the_example_of_the_rule_is_correct() -> None:
    extended = extend_model_list(ROUTED_NAMES_LISTED.before.encode(), KIMI, Notes())
    assert extended.decode() == ROUTED_NAMES_LISTED.after
