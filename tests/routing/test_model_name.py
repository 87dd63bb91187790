"""Reading the requested model, and replacing only its bytes."""

from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.config.routes import When
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.routing.match import match_model
from wiremend.routing.model_name import MODEL_ROUTED, requested_model, rewrite_model
from wiremend.routing.shape import CallShape
from wiremend.rules.rule import Finding, Notes

IN_BODY = (ANTHROPIC, CHAT, RESPONSES)


def rewrite(document: RequestDocument, model: str) -> tuple[RequestDocument, list[Finding]]:
    notes = Notes()
    return rewrite_model(document, model, notes), notes.findings


def shape(**fields: object) -> CallShape:
    return CallShape(RequestDocument.of(CHAT, "/", orjson.dumps(fields)), streaming=False)


UNTOUCHED_BODIES = [
    pytest.param(b'{"stream":true,"messages":[]}', id="no model"),
    pytest.param(b"{invalid}", id="invalid JSON"),
    pytest.param(b"", id="empty"),
    pytest.param(b'{"model":5}', id="number"),
    pytest.param(b'{"model":null}', id="null"),
    pytest.param(b'{"model":["claude"]}', id="list"),
    pytest.param(b'["model"]', id="no object"),
    pytest.param(b'{"x":{"model":"claude"}}', id="only a nested model"),
    pytest.param(b'{"model":"a"}trailing', id="trailing bytes"),
]

REWRITTEN_BODIES = [
    pytest.param(
        b'{"model":"claude-opus-4-8","stream":true,"messages":[]}',
        b'{"model":"minimax-m3","stream":true,"messages":[]}',
        id="plain",
    ),
    pytest.param(
        b'{ "model" : "claude-opus-4-8" , "stream" : true }',
        b'{ "model" : "minimax-m3" , "stream" : true }',
        id="with space",
    ),
    pytest.param(
        b'\xef\xbb\xbf{\r\n\t"model":\r\n"claude-opus-4-8"}',
        b'\xef\xbb\xbf{\r\n\t"model":\r\n"minimax-m3"}',
        id="byte order mark and line ends",
    ),
    pytest.param(
        b'{"mod\\u0065l":"claude\\u002dopus-4-8"}',
        b'{"mod\\u0065l":"minimax-m3"}',
        id="escapes in key and value",
    ),
    pytest.param(
        b'{"tools":[{"input_schema":{"properties":{"model":{"type":"string"}}}}],'
        b'"messages":[{"content":"\\"model\\":\\"claude-opus-4-8\\"","model":"claude-opus-4-8"}],'
        b'"model":"claude-opus-4-8","n":12345678901234567890.50,"z":"<\\u003e","a":1}',
        b'{"tools":[{"input_schema":{"properties":{"model":{"type":"string"}}}}],'
        b'"messages":[{"content":"\\"model\\":\\"claude-opus-4-8\\"","model":"claude-opus-4-8"}],'
        b'"model":"minimax-m3","n":12345678901234567890.50,"z":"<\\u003e","a":1}',
        id="namesakes, numbers, escapes and key order stay",
    ),
    pytest.param(
        b'{"model":"first","model":"claude-opus-4-8"}',
        b'{"model":"minimax-m3","model":"minimax-m3"}',
        id="duplicates are treated alike",
    ),
    pytest.param(
        b'{"messages":"\\ud83d","model":"claude-opus-4-8"}',
        b'{"messages":"\\ud83d","model":"minimax-m3"}',
        id="lone surrogate elsewhere",
    ),
]


@pytest.mark.parametrize("protocol", IN_BODY, ids=str)
@pytest.mark.parametrize("body", UNTOUCHED_BODIES)
def test_a_body_without_a_readable_model_is_untouched(protocol: Protocol, body: bytes) -> None:
    assert requested_model(RequestDocument.of(protocol, "/v1/messages", body)) is None
    rewritten, findings = rewrite(RequestDocument.of(protocol, "/v1/messages", body), "minimax-m3")
    assert rewritten.body is body
    assert rewritten.path == "/v1/messages"
    assert findings == []


@pytest.mark.parametrize("protocol", IN_BODY, ids=str)
@pytest.mark.parametrize(("body", "expected"), REWRITTEN_BODIES)
def test_only_the_bytes_of_the_model_change(
    protocol: Protocol, body: bytes, expected: bytes
) -> None:
    assert requested_model(RequestDocument.of(protocol, "/v1/x", body)) == "claude-opus-4-8"
    rewritten, findings = rewrite(RequestDocument.of(protocol, "/v1/x", body), "minimax-m3")
    assert rewritten.body == expected
    assert [str(finding) for finding in findings] == [
        "M001 model: requests 'claude-opus-4-8'; replaced with 'minimax-m3'"
    ]
    again, findings = rewrite(RequestDocument.of(protocol, "/v1/x", rewritten.body), "minimax-m3")
    assert again.body is rewritten.body
    assert findings == []


@given(st.text(), st.text())
def test_any_name_is_written_as_valid_json(asked: str, model: str) -> None:
    body = orjson.dumps({"model": asked, "x": 1})
    rewritten, _ = rewrite(RequestDocument.of(RESPONSES, "/v1/responses", body), model)
    assert orjson.loads(rewritten.body) == {"model": model, "x": 1}


GEMINI_PATHS = [
    pytest.param(
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        "gemini-2.5-pro",
        "/v1beta/models/NEW:streamGenerateContent?alt=sse",
        id="v1beta",
    ),
    pytest.param(
        "/v1/models/gemini-2.5-pro:generateContent",
        "gemini-2.5-pro",
        "/v1/models/NEW:generateContent",
        id="v1",
    ),
    pytest.param(
        "/v1beta/models/gemini-2.5-pro:countTokens?key=models/x:y",
        "gemini-2.5-pro",
        "/v1beta/models/NEW:countTokens?key=models/x:y",
        id="a query like a path",
    ),
    pytest.param(
        "/zen/google/v1beta/models/gemini-3-pro:generateContent",
        "gemini-3-pro",
        "/zen/google/v1beta/models/NEW:generateContent",
        id="provider prefix",
    ),
    pytest.param(
        "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro@001:generateContent",
        "gemini-2.5-pro@001",
        "/v1/projects/p/locations/l/publishers/google/models/NEW:generateContent",
        id="Vertex",
    ),
    pytest.param(
        "/v1beta/tunedModels/my-tune:generateContent",
        "tunedModels/my-tune",
        "/v1beta/models/NEW:generateContent",
        id="tuned model",
    ),
    pytest.param(
        "/v1beta/models/gemini%2D2.5-pro%3AstreamGenerateContent",
        "gemini-2.5-pro",
        "/v1beta/models/NEW%3AstreamGenerateContent",
        id="percent-encoded",
    ),
    pytest.param(
        "/v1beta/models/gemma3:27b:generateContent",
        "gemma3:27b",
        "/v1beta/models/NEW:generateContent",
        id="colon in the name",
    ),
    pytest.param(
        "/v1beta/models/google/gemini-2.5-pro:generateContent",
        "google/gemini-2.5-pro",
        "/v1beta/models/NEW:generateContent",
        id="slash in the name",
    ),
]


@pytest.mark.parametrize(("path", "model", "expected"), GEMINI_PATHS)
def test_in_gemini_the_model_is_in_the_path(path: str, model: str, expected: str) -> None:
    body = b'{"contents":[]}'
    assert requested_model(RequestDocument.of(GEMINI, path, body)) == model
    rewritten, findings = rewrite(RequestDocument.of(GEMINI, path, body), "NEW")
    assert rewritten.path == expected
    assert rewritten.body is body
    [finding] = findings
    assert (finding.code, str(finding.place)) == ("M001", "path")
    again, findings = rewrite(RequestDocument.of(GEMINI, expected, body), "NEW")
    assert again.path is expected
    assert findings == []


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("tunedModels/mine", "/v1beta/tunedModels/mine:generateContent"),
        ("models/gemini-3-pro", "/v1beta/models/gemini-3-pro:generateContent"),
        ("gemma3:27b", "/v1beta/models/gemma3%3A27b:generateContent"),
        ("a b?c#d", "/v1beta/models/a%20b%3Fc%23d:generateContent"),
        ("gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:generateContent"),
    ],
)
def test_a_gemini_name_is_encoded_as_one_path_segment(model: str, expected: str) -> None:
    path = "/v1beta/models/gemini-2.5-pro:generateContent"
    rewritten, _ = rewrite(RequestDocument.of(GEMINI, path, b"{}"), model)
    assert rewritten.path == expected
    assert requested_model(RequestDocument.of(GEMINI, expected, b"{}")) == model.removeprefix(
        "models/"
    )


@pytest.mark.parametrize(
    "path", ["/v1beta/models", "/v1beta/models/gemini-2.5-pro", "/v1/endpoints/7:generateContent"]
)
def test_a_gemini_path_without_model_and_method_is_untouched(path: str) -> None:
    assert requested_model(RequestDocument.of(GEMINI, path, b"{}")) is None
    rewritten, findings = rewrite(RequestDocument.of(GEMINI, path, b"{}"), "NEW")
    assert (rewritten.path, findings) == (path, [])


def test_in_code_assist_the_model_is_in_the_body() -> None:
    path = "/v1internal:streamGenerateContent?alt=sse"
    body = b'{"model":"gemini-2.5-pro","request":{"model":"x"}}'
    assert requested_model(RequestDocument.of(GEMINI, path, body)) == "gemini-2.5-pro"
    rewritten, _ = rewrite(RequestDocument.of(GEMINI, path, body), "NEW")
    assert rewritten.path is path
    assert rewritten.body == b'{"model":"NEW","request":{"model":"x"}}'


@dataclass(frozen=True)
class Route:
    match: str
    when: When | None = None


@pytest.mark.parametrize(
    ("model", "globs", "expected"),
    [
        pytest.param("claude-haiku-4-5", ["claude-haiku-*"], 0, id="glob"),
        pytest.param("Claude-HAIKU-4-5", ["claude-haiku-*"], 0, id="any case in the model"),
        pytest.param("deepseek-v4-pro", ["DeepSeek-V4-*"], 0, id="any case in the glob"),
        pytest.param("claude-opus-4-8", ["claude-haiku-*", "claude-*", "*"], 1, id="first wins"),
        pytest.param("gpt-5", ["claude-*"], None, id="none"),
        pytest.param("my-claude-opus", ["claude-*"], None, id="the whole name"),
        pytest.param("openai/gpt-5", ["*gpt-5"], 0, id="across slashes"),
        pytest.param("gpt-5", ["gpt-?"], 0, id="one character"),
        pytest.param("claude-opus-4-8[1m]", ["claude-opus-4-8[1m]"], 0, id="brackets as such"),
        pytest.param("gpt-5", [], None, id="no patterns"),
    ],
)
def test_the_first_pattern_that_matches_the_whole_name_is_returned(
    model: str, globs: list[str], expected: int | None
) -> None:
    routes = [Route(glob) for glob in globs]
    matched = match_model(model, routes, shape)
    assert matched is (None if expected is None else routes[expected])


def test_name_and_condition_must_both_match() -> None:
    routes = [
        Route("claude-haiku-*", When(thinking=True)),
        Route("claude-*", When(input_tokens_over=100)),
        Route("*"),
    ]
    large, small = shape(reasoning_effort="high", user="x" * 404), shape()
    assert match_model("claude-opus-5", routes, lambda: large) is routes[1]
    assert match_model("claude-opus-5", routes, lambda: small) is routes[2]
    assert match_model("claude-haiku-5", routes, lambda: large) is routes[0]


def test_the_shape_is_computed_at_most_once_and_only_for_a_condition() -> None:
    asked: list[int] = []

    def asked_shape() -> CallShape:
        asked.append(1)
        return shape()

    plain = [Route("gpt-*", When(streaming=True)), Route("*")]
    match_model("claude-opus-5", plain, asked_shape)
    assert asked == []
    match_model("gpt-5", [Route("*", When(streaming=True)), *plain], asked_shape)
    assert asked == [1]


def test_the_example_of_the_rule_is_correct() -> None:
    rule = MODEL_ROUTED
    rewritten, _ = rewrite(RequestDocument.of(ANTHROPIC, "/", rule.before.encode()), "minimax-m3")
    assert rewritten.body.decode() == rule.after
