"""Whole Gemini responses: valid ones are unchanged, the others are repaired or errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_codes import codes_between
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.gemini.body import repair_body

VALID = (
    b'{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},'
    b'"finishReason":"STOP","index":0}],"modelVersion":"gemini-3-pro"}'
)


def call(fields: bytes) -> bytes:
    return b'{"candidates":[{"content":{"parts":[{"functionCall":%s}]}}]}' % fields


@pytest.mark.parametrize(
    "body",
    [
        VALID,
        VALID.replace(b",", b" ,\n  "),
        b'\xef\xbb\xbf{"candidates":[]}',
        b'{"promptFeedback":{"blockReason":"SAFETY"}}',
        b'{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}',
        b'{"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}],"n":1e400}'.replace(
            b"1e400", b"12345678901234567890123"
        ),
        call(b'{"name":"f"}'),
        call(b'{"name":"f","args":{"a":[1]}}'),
        b'{"totalTokens":31}',
        b'[{"candidates":[]},{"candidates":[]}]',
        b'{"error":null,"candidates":[]}',
        b"5",
    ],
)
def test_a_valid_body_is_unchanged(body: bytes) -> None:
    repaired = repair_body(body, StreamContext(shown_model="gemini-3-pro"))
    assert (repaired.data, repaired.findings, repaired.error) == (body, [], None)


@pytest.mark.parametrize(
    ("body", "expected", "codes"),
    [
        (b'{"candidates":null}', b"{}", ["S403"]),
        (
            b'{"candidates":[{"content":null,"finishReason":""}]}',
            b'{"candidates":[{}]}',
            ["S402", "S403"],
        ),
        (
            b'{"candidates":[{"content":{"parts":{"text":"Hi"}},"finishReason":"stop"}]}',
            b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}',
            ["S414", "S403"],
        ),
        (call(b'{"name":"f","args":"{}"}'), call(b'{"name":"f","args":{}}'), ["S404"]),
        (call(b'{"name":"f","args":null}'), call(b'{"name":"f","args":{}}'), ["S404"]),
        (call(b'{"args":{}}'), call(b'{"args":{},"name":"only"}'), ["S405"]),
        (b'[{"candidates":[]}]', b'{"candidates":[]}', ["S416"]),
        (
            b'{"response":{"candidates":null},"traceId":"t"}',
            b'{"response":{},"traceId":"t"}',
            ["S403"],
        ),
    ],
)
def test_a_broken_body_is_repaired(body: bytes, expected: bytes, codes: list[str]) -> None:
    context = StreamContext(tool_names=("only",))
    repaired = repair_body(body, context)
    assert (repaired.data, repaired.error) == (expected, None)
    assert [finding.code for finding in repaired.findings] == codes
    again = repair_body(expected, context)
    assert (again.data, again.findings) == (expected, [])
    off = repair_body(body, StreamContext(disabled=codes_between("S401", "S499")))
    assert (off.data, off.findings) == (body, [])


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 502, "The provider sent an empty body."),
        (b" \n", 502, "The provider sent an empty body."),
        (b"<html>", 502, "The provider sent a body that is not JSON: '<html>'."),
        (b"{no", 502, "The provider sent a body that is not JSON: '{no'."),
        (b'{"error":{"code":429,"message":"m"}}', 429, "m"),
        (b'[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]', 503, "m"),
        (b'{"code":500,"msg":"404 NOT_FOUND","success":false}', 500, "404 NOT_FOUND"),
        (
            call(b'{"name":"f","args":"{\\"a"}'),
            502,
            "The provider sent a response that cannot be read: args is broken JSON text.",
        ),
        (
            call(b'{"args":{}}'),
            502,
            "The provider sent a response that cannot be read: a function call without a name.",
        ),
    ],
)
def test_a_body_that_cannot_be_used_is_an_error(body: bytes, status: int, message: str) -> None:
    repaired = repair_body(body, StreamContext())
    assert repaired.error is not None
    assert (repaired.error.status, repaired.error.message) == (status, message)
    assert repaired.data == body


def test_only_the_model_name_changes() -> None:
    repaired = repair_body(VALID, StreamContext(shown_model="gemini-2.5-pro"))
    assert repaired.data == VALID.replace(b"gemini-3-pro", b"gemini-2.5-pro")
    assert repaired.findings == []


@given(st.binary(max_size=80))
def test_any_body_is_accepted(body: bytes) -> None:
    repair_body(body, StreamContext())
