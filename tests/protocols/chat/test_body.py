"""Whole chat completions: valid ones are unchanged, the others are repaired or errors."""

import orjson
import pytest
from rule_codes import codes_between
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat.body import repair_body

VALID = (
    b'{"id":"chatcmpl-1", "object":"chat.completion","model":"gpt-5","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hi \\u00e9"},"finish_reason":"stop"}],"n":1e3}'
)
CALL = b'{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}'

CUT = CALL.replace(b'"{}"', b'"{\\"p\\":"')


def calling(call: bytes, reason: bytes = b'"tool_calls"') -> bytes:
    message = b'{"role":"assistant","content":null,"tool_calls":[%s]}' % call
    return b'{"id":"1","choices":[{"index":0,"message":%s,"finish_reason":%s}]}' % (message, reason)


@pytest.mark.parametrize(
    "body",
    [
        VALID,
        b" " + VALID + b"\n",
        calling(CALL),
        calling(CALL, b'"length"'),
        calling(CUT, b'"length"'),
        calling(CUT, b'"content_filter"'),
        VALID.replace(b'"stop"', b'"new_reason"'),
        VALID.replace(b'"n":1e3', b'"error":null,"base_resp":{"status_code":0}'),
        b'{"choices":[],"usage":{"completion_tokens":4}}',
        b'{"data":[]}',
        b"5",
    ],
)
def test_a_valid_body_is_unchanged(body: bytes) -> None:
    repaired = repair_body(body, StreamContext(shown_model="gpt-5"))
    assert (repaired.data, repaired.findings, repaired.error) == (body, [], None)


def test_only_the_model_name_changes() -> None:
    repaired = repair_body(VALID, StreamContext(shown_model="mine"))
    assert repaired.data == VALID.replace(b'"gpt-5"', b'"mine"')
    assert repaired.findings == []


REPAIRED: dict[str, tuple[bytes, bytes, list[str]]] = {
    "stop with a call": (calling(CALL, b'"stop"'), calling(CALL), ["S251"]),
    "no reason with a call": (calling(CALL, b"null"), calling(CALL), ["S251"]),
    "tool_calls without a call": (calling(b""), calling(b"", b'"stop"'), ["S251"]),
    "tool_use with a call": (calling(CALL, b'"tool_use"'), calling(CALL), ["S251"]),
    "end_turn with a call": (calling(CALL, b'"end_turn"'), calling(CALL), ["S251"]),
    "MAX_TOKENS": (calling(CUT, b'"MAX_TOKENS"'), calling(CUT, b'"length"'), ["S251"]),
    "end_turn": (calling(b"", b'"end_turn"'), calling(b"", b'"stop"'), ["S251"]),
    "arguments as an object": (calling(CALL.replace(b'"{}"', b"{}")), calling(CALL), ["S252"]),
    "arguments of white space": (calling(CALL.replace(b'"{}"', b'" "')), calling(CALL), ["S252"]),
    "arguments null": (calling(CALL.replace(b'"{}"', b"null")), calling(CALL), ["S252"]),
    "no type": (calling(CALL.replace(b'"type":"function",', b"")), calling(CALL), ["S253"]),
}


@pytest.mark.parametrize(("body", "expected", "codes"), REPAIRED.values(), ids=REPAIRED)
def test_a_broken_body_is_repaired(body: bytes, expected: bytes, codes: list[str]) -> None:
    repaired = repair_body(body, StreamContext())
    assert orjson.loads(repaired.data) == orjson.loads(expected)
    assert [finding.code for finding in repaired.findings] == codes
    off = StreamContext(disabled=codes_between("S251", "S299"))
    assert repair_body(body, off).data == body


FAILED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 502, "an empty body"),
    "not JSON": (b"<html>", 502, "a body that is not JSON"),
    "a wrapped error": (b'{"error":{"type":"server_error","message":"m"}}', 500, "m"),
    "no choices": (b'{"id":"1","choices":[]}', 502, "without choices"),
    "null choices": (b'{"id":"1","choices":null,"usage":null}', 502, "without choices"),
    "an error reason": (calling(b"", b'"error"'), 502, "finish reason 'error'"),
    "no resources": (calling(b"", b'"insufficient_system_resource"'), 503, "finish reason"),
    "MiniMax's base_resp": (
        b'{"choices":null,"base_resp":{"status_code":1002,"status_msg":"rate limit"}}',
        429,
        "rate limit (1002)",
    ),
    "MiniMax's base_resp without a message": (b'{"base_resp":{"status_code":9}}', 502, "(9)"),
}


@pytest.mark.parametrize(("body", "status", "excerpt"), FAILED.values(), ids=FAILED)
def test_a_body_without_a_response_is_an_error(body: bytes, status: int, excerpt: str) -> None:
    error = repair_body(body, StreamContext()).error
    assert error is not None
    assert error.status == status
    assert excerpt in error.message


@pytest.mark.parametrize("reason", [b'"tool_calls"', b'"stop"', b'"tool_use"', b"null"])
def test_a_truncated_call_is_an_error_unless_the_reason_explains_it(reason: bytes) -> None:
    body = calling(CUT, reason)
    repaired = repair_body(body, StreamContext())
    assert repaired.error is not None
    assert (repaired.error.status, repaired.findings[-1].code) == (502, "S254")
    off = StreamContext(disabled=frozenset({"S254"}))
    assert repair_body(body, off).error is None
