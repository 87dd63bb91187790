"""All known shapes of errors, their fields, and values that are not errors."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import (
    STATUS_BY_NAME,
    UNKNOWN_STATUS,
    ErrorPlace,
    ProviderError,
    error_from,
    error_of_text,
    make_error,
    read_error,
)
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.registry import PROTOCOLS
from wiremend.text import sse

Fields = dict[str, Any]

EXTRA = "context_management: Extra inputs are not permitted"

SHAPES: dict[str, tuple[str, Fields]] = {
    "an empty code and message (opencode#21979)": (
        '{"error":{"code":"","message":"","type":"server_error"},"request_id":""}',
        {"status": 500, "type": "server_error"},
    ),
    "a rate limit without code (opencode#18897)": (
        '{"error":{"type":"rate_limit_error","message":"Concurrency limit exceeded"}}',
        {"status": 429, "type": "rate_limit_error", "message": "Concurrency limit exceeded"},
    ),
    "a bare code and message (opencode#23960)": (
        '{"code":"InternalError","message":"peer closed connection","request_id":"r-1"}',
        {
            "status": 500,
            "code": "InternalError",
            "message": "peer closed connection",
            "request_id": "r-1",
        },
    ),
    "a Responses error event (opencode#25731)": (
        '{"type":"error","sequence_number":2,"error":{"type":"service_unavailable_error",'
        '"code":"server_is_overloaded","message":"Our servers are overloaded","param":null}}',
        {
            "status": 503,
            "type": "service_unavailable_error",
            "code": "server_is_overloaded",
            "message": "Our servers are overloaded",
        },
    ),
    "a flat Responses error event": (
        '{"type":"error","code":"rate_limit_exceeded","message":"Slow down","param":"input",'
        '"sequence_number":3}',
        {"status": 429, "code": "rate_limit_exceeded", "message": "Slow down", "param": "input"},
    ),
    "an Anthropic error event (litellm#24004)": (
        '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},'
        '"request_id":"req_1"}',
        {
            "status": 529,
            "type": "overloaded_error",
            "message": "Overloaded",
            "request_id": "req_1",
        },
    ),
    "an error beside choices (OmniRoute#8210)": (
        '{"id":"g","choices":[],"error":{"code":502,"message":"Provider returned error"}}',
        {"status": 502, "message": "Provider returned error"},
    ),
    "the provider's message in metadata (opencode#41469)": (
        '{"error":{"message":"Provider returned error","code":429,'
        '"metadata":{"raw":"model is rate-limited upstream"}}}',
        {
            "status": 429,
            "message": "Provider returned error: model is rate-limited upstream",
            "own_fields": {"metadata": {"raw": "model is rate-limited upstream"}},
        },
    ),
    "JSON in metadata": (
        '{"error":{"message":"Provider returned error","code":400,'
        '"metadata":{"raw":"{\\"error\\":{\\"message\\":\\"too long\\"}}"}}}',
        {
            "status": 400,
            "message": "Provider returned error: too long",
            "own_fields": {"metadata": {"raw": '{"error":{"message":"too long"}}'}},
        },
    ),
    "JSON in the message (claude-code#51700)": (
        '{"error":{"message":"{\\"message\\":\\"EXTRA\\"}","code":"400"}}'.replace("EXTRA", EXTRA),
        {"status": 400, "message": EXTRA},
    ),
    "JSON in the message, followed by text": (
        '{"error":{"message":"{\\"message\\":\\"no\\"}. Received Model Group=x"}}',
        {"status": 502, "message": "no. Received Model Group=x"},
    ),
    "JSON in JSON in the message": (
        orjson.dumps(
            {
                "error": {
                    "message": orjson.dumps(
                        {
                            "error": {
                                "message": '{"error":{"code":503,"message":"busy",'
                                '"status":"UNAVAILABLE"}}'
                            }
                        }
                    ).decode()
                }
            }
        ).decode(),
        {"status": 503, "type": "UNAVAILABLE", "message": "busy"},
    ),
    "a list in the message": (
        '{"error":{"code":429,"message":"[{\\"error\\":{\\"message\\":\\"quota\\"}}]"}}',
        {"status": 429, "message": "quota"},
    ),
    "an object as the message": (
        '{"error":{"message":{"message":"inner","code":"invalid_api_key"}}}',
        {"status": 401, "code": "invalid_api_key", "message": "inner"},
    ),
    "a body with msg (opencode#49414)": (
        '{"code":500,"msg":"404 NOT_FOUND","success":false}',
        {"status": 500, "message": "404 NOT_FOUND"},
    ),
    "no code but success: false": (
        '{"success":false,"message":"balance is empty"}',
        {"status": 502, "message": "balance is empty"},
    ),
    "Codex's detail (cindy#2351)": (
        '{"detail":"Stream must be set to true"}',
        {"status": 502, "message": "Stream must be set to true"},
    ),
    "FastAPI's list of details": (
        '{"detail":[{"loc":["body"],"msg":"field required","type":"value_error"}]}',
        {
            "status": 502,
            "type": "value_error",
            "message": "field required",
            "places": (ErrorPlace(("body",), "field required", "value_error"),),
        },
    ),
    "Gemini's envelope with a delay": (
        '{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED",'
        '"details":[{"@type":"x/google.rpc.Help"},{"retryDelay":"34.5s"}]}}',
        {
            "status": 429,
            "type": "RESOURCE_EXHAUSTED",
            "message": "Quota exceeded.",
            "retry_after_seconds": 34.5,
            "own_fields": {"details": [{"@type": "x/google.rpc.Help"}, {"retryDelay": "34.5s"}]},
        },
    ),
    "Gemini's envelope in an array": (
        '[{"error":{"code":503,"message":"Overloaded.","status":"UNAVAILABLE"}}]',
        {"status": 503, "type": "UNAVAILABLE", "message": "Overloaded."},
    ),
    "a gRPC number as the code": (
        '{"error":{"code":14,"message":"m","status":"UNAVAILABLE"}}',
        {"status": 503, "type": "UNAVAILABLE", "message": "m"},
    ),
    "the name of an HTTP status": (
        '{"error":{"code":503,"message":"m","status":"Service Unavailable"}}',
        {"status": 503, "type": "Service Unavailable", "message": "m"},
    ),
    "vLLM's object": (
        '{"object":"error","message":"m","type":"NotFoundError","param":null,"code":404}',
        {"status": 404, "type": "NotFoundError", "message": "m"},
    ),
    "a class name as the type": (
        '{"error":{"type":"InternalServerError","message":"m"}}',
        {"status": 500, "type": "InternalServerError", "message": "m"},
    ),
    "Spring's error": (
        '{"timestamp":"t","status":503,"error":"Service Unavailable","path":"/v1"}',
        {"status": 503, "type": "service_unavailable", "message": "Service Unavailable"},
    ),
    "NestJS's error": (
        '{"statusCode":401,"error":"Unauthorized","message":"bad key"}',
        {"status": 401, "type": "unauthorized", "message": "bad key"},
    ),
    "a text as the error": (
        '{"error":"something broke"}',
        {"status": 502, "message": "something broke"},
    ),
    "error: true": (
        '{"error":true,"message":"rate limited","code":429}',
        {"status": 429, "message": "rate limited"},
    ),
    "fields of the provider's own": (
        '{"error":{"message":"m","code":400,"failed_generation":"<f>","innererror":{"a":1},"x":null}}',
        {
            "status": 400,
            "message": "m",
            "own_fields": {"failed_generation": "<f>", "innererror": {"a": 1}},
        },
    ),
    "an object with unknown members": (
        '{"error":{"reason":"quota"}}',
        {"status": 502, "message": '{"reason": "quota"}'},
    ),
    "a lone surrogate": (
        '{"error":{"code":500,"message":"oops \\ud83d"}}',
        {"status": 500, "message": "oops ?"},
    ),
    "an error in an error": (
        '{"error":{"error":{"code":503,"message":"m"}},"request_id":"r"}',
        {"status": 503, "message": "m", "request_id": "r"},
    ),
    "type error and nothing else": ('{"type":"error"}', {"status": 502}),
}


@pytest.mark.parametrize(("text", "expected"), SHAPES.values(), ids=SHAPES.keys())
def test_an_error_is_read_from_its_shape(text: str, expected: Fields) -> None:
    error = read_error(json.loads(text))
    assert error == ProviderError(**expected)


NO_ERRORS: dict[str, str] = {
    "null": "null",
    "a number": "5",
    "text": '"error"',
    "an empty object": "{}",
    "an empty list": "[]",
    "error: null": '{"error":null}',
    "error: false": '{"error":false}',
    "error: {}": '{"error":{}}',
    "error: empty text": '{"error":" "}',
    "a Responses object": '{"id":"resp_1","object":"response","status":"completed","error":null}',
    "response.created": '{"type":"response.created","response":{"status":"in_progress",'
    '"error":null},"sequence_number":0}',
    "response.output_text.delta": '{"type":"response.output_text.delta","delta":"an error: {"}',
    "response.failed": '{"type":"response.failed","response":{"error":{"code":"server_error",'
    '"message":"m"}}}',
    "message_start": '{"type":"message_start","message":{"id":"msg_1","role":"assistant"}}',
    "content_block_delta": '{"type":"content_block_delta","index":0,"delta":'
    '{"type":"text_delta","text":"{\\"error\\":{\\"message\\":\\"x\\"}}"}}',
    "ping": '{"type":"ping"}',
    "a ping with a cost": '{"type":"ping","cost":"0.1"}',
    "keepalive": '{"type":"keepalive","sequence_number":5}',
    "a chat chunk": '{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,'
    '"delta":{"content":"error"},"finish_reason":null}]}',
    "a chat chunk with error: null": '{"id":"c","choices":[],"usage":null,"error":null}',
    "a Gemini response": '{"candidates":[{"content":{"parts":[{"text":"error"}]}}]}',
    "a foreign frame (opencode#36428)": '{"tool":"search_files","label":"*","status":"running"}',
    "a gateway's success": '{"code":0,"msg":"success"}',
    "a gateway's 200": '{"code":200,"message":"ok"}',
    "a status report": '{"status":"running","message":"Searching"}',
    "a typed report": '{"type":"status","message":"Thinking"}',
    "a message alone": '{"message":"hello"}',
    "two errors in a list": '[{"error":{"code":500}},{"error":{"code":500}}]',
}


@pytest.mark.parametrize("text", NO_ERRORS.values(), ids=NO_ERRORS.keys())
def test_other_values_are_not_errors(text: str) -> None:
    assert read_error(orjson.loads(text)) is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"code": "429"}, 429),
        ({"code": "503", "type": "rate_limit_error"}, 503),
        ({"status": 418}, 418),
        ({"status": "RESOURCE_EXHAUSTED"}, 429),
        ({"status": "Too Many Requests"}, 429),
        ({"code": "14", "status": "DEADLINE_EXCEEDED"}, 504),
        ({"type": "overloaded_error"}, 529),
        ({"type": "request_too_large"}, 413),
        ({"type": "RateLimitError"}, 429),
        ({"code": "insufficient_quota"}, 429),
        ({"code": "200"}, UNKNOWN_STATUS),
        ({"code": "999999"}, UNKNOWN_STATUS),
        ({"type": "a_new_error"}, UNKNOWN_STATUS),
        ({}, UNKNOWN_STATUS),
    ],
)
def test_the_status_comes_from_the_code_then_the_status_then_the_type(
    fields: Fields, status: int
) -> None:
    assert make_error(**fields).status == status


@pytest.mark.parametrize("name", STATUS_BY_NAME)
def test_names_are_case_insensitive(name: str) -> None:
    assert make_error(type=name.upper()).status == STATUS_BY_NAME[name]
    assert 400 <= STATUS_BY_NAME[name] <= 599


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 2s.", 2.0),
        ("please TRY AGAIN IN 1.5 seconds", 1.5),
        ("Please try again in 350ms.", 0.35),
        ("Please try again in 1m12.5s.", 72.5),
        ("Please try again in 1h0m3s.", 3603.0),
        ("Please try again in 5 minutes.", None),
        ("Please try again later.", None),
        ("", None),
    ],
)
def test_the_delay_is_read_from_the_message(message: str, seconds: float | None) -> None:
    """In every shape of a provider's error."""
    named = read_error({"error": "rate_limit_exceeded", "message": message})
    nested = read_error({"error": {"message": message, "code": "rate_limit_exceeded"}})
    shapes = [error_of_text(message), named, nested]
    assert [error and error.retry_after_seconds for error in shapes] == [seconds] * 3


def test_no_delay_is_read_from_a_message_that_quotes_a_provider() -> None:
    quoting = make_error(status=503, message="Last: Rate limited. Please try again in 20s.")
    assert quoting.retry_after_seconds is None


@pytest.mark.parametrize(
    ("fields", "retryable"),
    [
        ({"type": "server_error"}, True),
        ({"type": "overloaded_error"}, True),
        ({"code": "429"}, True),
        ({"code": "insufficient_quota", "status": 429}, False),
        ({"type": "insufficient_quota", "status": 429}, False),
        ({"code": "context_length_exceeded"}, False),
        ({"type": "invalid_request_error"}, False),
        ({"type": "authentication_error"}, False),
        ({}, True),
    ],
)
def test_an_error_is_retryable_unless_it_would_occur_again(fields: Fields, retryable: bool) -> None:
    assert make_error(**fields).retryable is retryable


def test_a_delay_in_a_field_takes_precedence_over_one_in_the_message() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9s"}]
    error = read_error({"error": {"message": "try again in 2s", "details": details}})
    assert error is not None
    assert error.retry_after_seconds == 9.0


def test_an_error_with_another_message_keeps_its_delay() -> None:
    error = make_error(message="try again in 2s", retry_after_seconds=9.0)
    assert error.with_message("x") == make_error(message="x", retry_after_seconds=9.0)


_keys = st.sampled_from(
    ["error", "code", "message", "msg", "status", "type", "detail", "details", "retryDelay"]
) | st.sampled_from(["metadata", "raw", "request_id", "success", "object", "param"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=5),
)


@given(_json)
def test_any_value_is_accepted(value: Any) -> None:
    error = read_error(value)
    if error is not None:
        assert 400 <= error.status <= 599
        orjson.dumps([error.message, error.type, error.code, error.request_id, error.param])
    if isinstance(value, dict):
        assert 400 <= error_from(value).status <= 599


OWN_FIELDS = {
    "failed_generation": "<function",
    "innererror": {"code": "ResponsibleAIPolicyViolation"},
    "metadata": {"provider_name": "X", "raw": "busy"},
}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_every_envelope_contains_the_fields_of_the_providers_own(protocol: Protocol) -> None:
    error = read_error({"error": {"message": "m", "code": 400, **OWN_FIELDS}})
    assert error is not None
    body = orjson.loads(protocol.error_body(error))["error"]
    assert {name: body[name] for name in OWN_FIELDS} == OWN_FIELDS
    assert read_error(orjson.loads(protocol.error_body(error))) is not None
    repairer = protocol.make_repairer(StreamContext(model="m"))
    data = sse.Decoder().feed(repairer.fail(error))[-1].data
    assert data is not None
    event = orjson.loads(data)
    shown = event.get("response", event)["error"]
    assert {name: shown[name] for name in OWN_FIELDS} == OWN_FIELDS


def test_a_message_that_was_appended_is_not_appended_again() -> None:
    error = read_error({"error": {"message": "m", "code": 400, **OWN_FIELDS}})
    assert error is not None
    assert error.message == "m: busy"
    for protocol in PROTOCOLS.values():
        again = read_error(orjson.loads(protocol.error_body(error)))
        assert again is not None
        assert again.message == "m: busy"


def test_googles_details_keep_those_of_the_provider() -> None:
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    help_ = {"@type": "type.googleapis.com/google.rpc.Help", "links": []}
    error = read_error(
        {"error": {"code": 429, "message": "m", "details": [help_, delay]}, "request_id": "r"}
    )
    assert error is not None
    details = orjson.loads(PROTOCOLS[WireProtocol.GEMINI].error_body(error))["error"]["details"]
    assert details[:2] == [help_, delay]
    assert [detail["@type"].rpartition(".")[2] for detail in details] == [
        "Help",
        "RetryInfo",
        "RequestInfo",
    ]
