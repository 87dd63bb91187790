"""Whole Anthropic messages: valid ones are unchanged, the others are repaired or errors."""

import orjson
import pytest
from rule_codes import codes_between
from wiremend.protocols.anthropic.body import repair_body
from wiremend.protocols.base.repairer import StreamContext

CALL = b'{"type":"tool_use","id":"toolu_1","name":"f","input":{"p":1}}'
CUT = CALL.replace(b'{"p":1}', b'"{\\"p\\":"')


def message(content: bytes, reason: bytes = b'"end_turn"') -> bytes:
    return (
        b'{"id":"msg_1", "type":"message","role":"assistant","model":"claude-opus-5",'
        b'"content":%s,"stop_reason":%s,"stop_sequence":null,'
        b'"usage":{"input_tokens":1e1,"output_tokens":1}}' % (content, reason)
    )


VALID = message(b'[{"type":"text","text":"Hi \\u00e9"}]')


@pytest.mark.parametrize(
    "body",
    [
        VALID,
        b"\n" + VALID,
        message(b"[]"),
        message(b"[%s]" % CALL, b'"tool_use"'),
        message(b"[%s]" % CALL, b'"max_tokens"'),
        message(b"[%s]" % CUT, b'"max_tokens"'),
        message(b'[{"type":"server_tool_use","id":"s","name":"w","input":{}}]', b'"pause_turn"'),
        message(b'[{"type":"unknown"}]', b'"refusal"'),
        b'{"input_tokens":7}',
    ],
)
def test_a_valid_body_is_unchanged(body: bytes) -> None:
    repaired = repair_body(body, StreamContext(shown_model="claude-opus-5"))
    assert (repaired.data, repaired.findings, repaired.error) == (body, [], None)


def test_only_the_model_name_changes() -> None:
    repaired = repair_body(VALID, StreamContext(shown_model="mine"))
    assert repaired.data == VALID.replace(b'"claude-opus-5"', b'"mine"')


REPAIRED: dict[str, tuple[bytes, bytes, list[str]]] = {
    "content null": (message(b"null"), message(b"[]"), ["S151"]),
    "input as text": (
        message(b"[%s]" % CALL.replace(b'{"p":1}', b'"{\\"p\\":1}"'), b'"tool_use"'),
        message(b"[%s]" % CALL, b'"tool_use"'),
        ["S152"],
    ),
    "input as white space": (
        message(b"[%s]" % CALL.replace(b'{"p":1}', b'" "'), b'"tool_use"'),
        message(b"[%s]" % CALL.replace(b'{"p":1}', b"{}"), b'"tool_use"'),
        ["S152"],
    ),
    "input null": (
        message(b"[%s]" % CALL.replace(b'{"p":1}', b"null"), b'"tool_use"'),
        message(b"[%s]" % CALL.replace(b'{"p":1}', b"{}"), b'"tool_use"'),
        ["S152"],
    ),
    "end_turn with a call": (
        message(b"[%s]" % CALL),
        message(b"[%s]" % CALL, b'"tool_use"'),
        ["S153"],
    ),
    "no reason with a call": (
        message(b"[%s]" % CALL, b"null"),
        message(b"[%s]" % CALL, b'"tool_use"'),
        ["S153"],
    ),
    "tool_calls with a call": (
        message(b"[%s]" % CALL, b'"tool_calls"'),
        message(b"[%s]" % CALL, b'"tool_use"'),
        ["S153"],
    ),
    "length": (message(b"[]", b'"length"'), message(b"[]", b'"max_tokens"'), ["S153"]),
    "tool_use without a call": (message(b"[]", b'"tool_use"'), message(b"[]"), ["S153"]),
}


@pytest.mark.parametrize(("body", "expected", "codes"), REPAIRED.values(), ids=REPAIRED)
def test_a_broken_body_is_repaired(body: bytes, expected: bytes, codes: list[str]) -> None:
    repaired = repair_body(body, StreamContext())
    assert orjson.loads(repaired.data) == orjson.loads(expected)
    assert [finding.code for finding in repaired.findings] == codes
    off = StreamContext(disabled=codes_between("S151", "S199"))
    assert repair_body(body, off).data == body


@pytest.mark.parametrize(
    ("body", "status", "excerpt"),
    [
        (b"", 502, "an empty body"),
        (b"<html>", 502, "a body that is not JSON"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}', 529, "Busy"),
        (b'{"error":{"type":"server_error","message":"m"},"request_id":""}', 500, "m"),
        (b'{"code":500,"msg":"404 NOT_FOUND","success":false}', 500, "404 NOT_FOUND"),
    ],
)
def test_a_body_without_a_response_is_an_error(body: bytes, status: int, excerpt: str) -> None:
    error = repair_body(body, StreamContext()).error
    assert error is not None
    assert error.status == status
    assert excerpt in error.message


@pytest.mark.parametrize("reason", [b'"tool_use"', b'"end_turn"', b'"tool_calls"', b"null"])
def test_a_truncated_call_is_an_error_unless_the_reason_explains_it(reason: bytes) -> None:
    body = message(b"[%s]" % CUT, reason)
    repaired = repair_body(body, StreamContext())
    assert repaired.error is not None
    assert (repaired.error.status, repaired.findings[-1].code) == (502, "S154")
    off = StreamContext(disabled=frozenset({"S154"}))
    assert repair_body(body, off).error is None
