"""Whole Anthropic messages: valid ones are unchanged, the others are repaired or errors."""

import orjson
import pytest
from rule_codes import codes_between
from wiremend.protocols.anthropic.body import repair_body
from wiremend.protocols.base.repairer import StreamContext

CALL = b'{"type":"tool_use","id":"toolu_1","name":"f","input":{"p":1}}'
BY_CODE = CALL.replace(b'"name"', b'"caller":{"type":"code_execution_20250825"},"name"')
DIRECT = CALL.replace(b'"name"', b'"caller":{"type":"direct"},"name"')
THINKING = b'{"type":"thinking","thinking":"Hm.","signature":"c2ln"}'
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
        message(b"[]", b'"refusal"'),
        message(b"[]", b'"model_context_window_exceeded"'),
        message(b"[%s]" % BY_CODE),
        message(b"[%s]" % BY_CODE, b'"tool_use"'),
        message(b'[%s,{"type":"text","text":"Hi"}]' % BY_CODE),
        message(b"[%s]" % THINKING),
        message(b"[%s]" % CALL.replace(b'{"p":1}', b'""'), b'"max_tokens"'),
        message(b"[%s]" % CALL.replace(b'{"p":1}', b"null"), b'"max_tokens"'),
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
    "end_turn with calls of code and of the model": (
        message(b"[%s,%s]" % (BY_CODE, DIRECT)),
        message(b"[%s,%s]" % (BY_CODE, DIRECT), b'"tool_use"'),
        ["S153"],
    ),
    "safety": (message(b"[]", b'"SAFETY"'), message(b"[]", b'"refusal"'), ["S153"]),
    "text as content": (
        message(b'"Hi"'),
        message(b'[{"type":"text","text":"Hi"}]'),
        ["S155"],
    ),
    "finish_reason": (
        message(b"[]").replace(b'"stop_reason"', b'"finish_reason"'),
        message(b"[]"),
        ["S155"],
    ),
    "no type": (VALID.replace(b'"type":"message",', b""), VALID, ["S155"]),
    "arguments": (
        message(b"[%s]" % CALL.replace(b'"input"', b'"arguments"'), b'"tool_use"'),
        message(b"[%s]" % CALL, b'"tool_use"'),
        ["S155"],
    ),
    "a call in the words of Chat Completions": (
        message(
            b'[{"type":"tool_use","call_id":"toolu_1",'
            b'"function":{"name":"f","arguments":"{\\"p\\":1}"}}]',
            b'"tool_calls"',
        ),
        message(b"[%s]" % CALL, b'"tool_use"'),
        ["S155", "S152", "S153"],
    ),
    "text under another name": (
        message(b'[{"type":"text","content":"Hi"}]'),
        message(b'[{"type":"text","text":"Hi"}]'),
        ["S155"],
    ),
    "data in an envelope": (b'{"success":true,"data":%s}' % VALID, VALID, ["S156"]),
    "an envelope with a code": (b'{"code":0,"msg":"ok","result":%s}' % VALID, VALID, ["S156"]),
    "an envelope in an envelope": (b'{"data":{"response":%s}}' % VALID, VALID, ["S156"]),
    "an envelope with text": (orjson.dumps({"data": VALID.decode()}), VALID, ["S156"]),
    "a list": (b"[%s]" % VALID, VALID, ["S156"]),
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
        (b'{"code":429,"msg":"Slow down.","success":false,"data":null}', 429, "Slow down."),
        (b'{"success":false,"data":{"type":"error","error":{"type":"overloaded_error"}}}', 529, ""),
        (b'{"success":true,"data":{"answer":"Hi"}}', 502, "an envelope without a message"),
        (b'{"success":true,"data":[]}', 502, "an envelope without a message"),
        (message(b'[{"type":"text","text":"Hi"}]', b'"abort"'), 502, "'abort'"),
        (message(b"[%s]" % CUT, b'"network_error"'), 502, "'network_error'"),
        (message(b"[]", b'"insufficient_system_resource"'), 503, "insufficient"),
        (message(b"[%s]" % CALL, b'"MALFORMED_FUNCTION_CALL"'), 502, "MALFORMED"),
        (message(b"[%s]" % THINKING, b"null"), 502, "thinking alone"),
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
