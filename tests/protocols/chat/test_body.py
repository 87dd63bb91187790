"""Whole chat completions: fine ones keep their bytes, the others are repaired or an error."""

import orjson
import pytest
from rule_codes import codes_between
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat.body import repair_body

FINE = (
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
        FINE,
        b" " + FINE + b"\n",
        calling(CALL),
        calling(CALL, b'"length"'),
        calling(CUT, b'"length"'),
        calling(CUT, b'"content_filter"'),
        FINE.replace(b'"stop"', b'"of_tomorrow"'),
        FINE.replace(b'"n":1e3', b'"error":null,"base_resp":{"status_code":0}'),
        b'{"choices":[],"usage":{"completion_tokens":4}}',
        b'{"data":[]}',
        b"5",
    ],
)
def test_a_fine_body_keeps_its_bytes(body: bytes) -> None:
    repaired = repair_body(body, StreamContext(shown_model="gpt-5"))
    assert (repaired.data, repaired.findings, repaired.error) == (body, [], None)


def test_another_model_s_name_is_the_only_thing_that_changes() -> None:
    repaired = repair_body(FINE, StreamContext(shown_model="mine"))
    assert repaired.data == FINE.replace(b'"gpt-5"', b'"mine"')
    assert repaired.findings == []


MENDED: dict[str, tuple[bytes, bytes, list[str]]] = {
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


@pytest.mark.parametrize(("body", "expected", "codes"), MENDED.values(), ids=MENDED)
def test_a_broken_body_is_mended(body: bytes, expected: bytes, codes: list[str]) -> None:
    repaired = repair_body(body, StreamContext())
    assert orjson.loads(repaired.data) == orjson.loads(expected)
    assert [finding.code for finding in repaired.findings] == codes
    off = StreamContext(disabled=codes_between("S251", "S299"))
    assert repair_body(body, off).data == body


FAILED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 502, "an empty body"),
    "no JSON": (b"<html>", 502, "a body that is not JSON"),
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
    "MiniMax's base_resp without words": (b'{"base_resp":{"status_code":9}}', 502, "(9)"),
}


@pytest.mark.parametrize(("body", "status", "said"), FAILED.values(), ids=FAILED)
def test_a_body_that_is_no_answer_is_an_error(body: bytes, status: int, said: str) -> None:
    error = repair_body(body, StreamContext()).error
    assert error is not None
    assert error.status == status
    assert said in error.message


@pytest.mark.parametrize("reason", [b'"tool_calls"', b'"stop"', b'"tool_use"', b"null"])
def test_a_call_that_is_cut_is_an_error_where_all_is_said_to_be_well(reason: bytes) -> None:
    body = calling(CUT, reason)
    repaired = repair_body(body, StreamContext())
    assert repaired.error is not None
    assert (repaired.error.status, repaired.findings[-1].code) == (502, "S254")
    off = StreamContext(disabled=frozenset({"S254"}))
    assert repair_body(body, off).error is None
