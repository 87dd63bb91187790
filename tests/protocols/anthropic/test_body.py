"""Whole Anthropic messages: fine ones keep their bytes, the others are repaired or an error."""

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


FINE = message(b'[{"type":"text","text":"Hi \\u00e9"}]')


@pytest.mark.parametrize(
    "body",
    [
        FINE,
        b"\n" + FINE,
        message(b"[]"),
        message(b"[%s]" % CALL, b'"tool_use"'),
        message(b"[%s]" % CALL, b'"max_tokens"'),
        message(b"[%s]" % CUT, b'"max_tokens"'),
        message(b'[{"type":"server_tool_use","id":"s","name":"w","input":{}}]', b'"pause_turn"'),
        message(b'[{"type":"made_up"}]', b'"refusal"'),
        b'{"input_tokens":7}',
    ],
)
def test_a_fine_body_keeps_its_bytes(body: bytes) -> None:
    repaired = repair_body(body, StreamContext(shown_model="claude-opus-5"))
    assert (repaired.data, repaired.findings, repaired.error) == (body, [], None)


def test_another_models_name_is_the_only_thing_that_changes() -> None:
    repaired = repair_body(FINE, StreamContext(shown_model="mine"))
    assert repaired.data == FINE.replace(b'"claude-opus-5"', b'"mine"')


MENDED: dict[str, tuple[bytes, bytes, list[str]]] = {
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


@pytest.mark.parametrize(("body", "expected", "codes"), MENDED.values(), ids=MENDED)
def test_a_broken_body_is_mended(body: bytes, expected: bytes, codes: list[str]) -> None:
    repaired = repair_body(body, StreamContext())
    assert orjson.loads(repaired.data) == orjson.loads(expected)
    assert [finding.code for finding in repaired.findings] == codes
    off = StreamContext(disabled=codes_between("S151", "S199"))
    assert repair_body(body, off).data == body


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 502, "an empty body"),
        (b"<html>", 502, "a body that is not JSON"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}', 529, "Busy"),
        (b'{"error":{"type":"server_error","message":"m"},"request_id":""}', 500, "m"),
        (b'{"code":500,"msg":"404 NOT_FOUND","success":false}', 500, "404 NOT_FOUND"),
    ],
)
def test_a_body_that_is_no_answer_is_an_error(body: bytes, status: int, said: str) -> None:
    error = repair_body(body, StreamContext()).error
    assert error is not None
    assert error.status == status
    assert said in error.message


@pytest.mark.parametrize("reason", [b'"tool_use"', b'"end_turn"', b'"tool_calls"', b"null"])
def test_a_call_that_is_cut_is_an_error_where_all_is_said_to_be_well(reason: bytes) -> None:
    body = message(b"[%s]" % CUT, reason)
    repaired = repair_body(body, StreamContext())
    assert repaired.error is not None
    assert (repaired.error.status, repaired.findings[-1].code) == (502, "S154")
    off = StreamContext(disabled=frozenset({"S154"}))
    assert repair_body(body, off).error is None
