"""Whole Responses objects: valid ones are unchanged, the others are repaired or errors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_codes import codes_between
from strategies.responses import valid_steps
from wiremend.clients import traits_of_client
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses.body import repair_body

CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "name": "read",
    "call_id": "call_1",
    "arguments": '{"path":"a.txt"}',
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi \u2713", "annotations": []}],
}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": []}
CUSTOM = {"id": "c", "type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": ""}
CONTEXT = StreamContext()
LIMIT = {"reason": "max_output_tokens"}
CUT = CALL | {"arguments": '{"pa'}
EMPTY = CALL | {"arguments": ""}


def body_of(*output: Any, **fields: Any) -> bytes:
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5"}
    response |= {"status": "completed", "error": None, "output": list(output), "usage": None}
    return json.dumps(response | fields).encode()


def without(item: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in keys}


@pytest.mark.parametrize(
    "body",
    [
        body_of(MESSAGE),
        body_of(REASONING, CALL),
        body_of(CUSTOM),
        body_of(),
        body_of(status="queued"),
        body_of(CALL | {"status": "incomplete", "arguments": '{"pa'}, status="incomplete"),
        body_of(CALL | {"arguments": '{"pa'}, status="incomplete"),
        body_of(EMPTY, status="incomplete", incomplete_details=LIMIT),
        body_of(CALL, EMPTY, status="incomplete", incomplete_details=LIMIT),
        body_of(EMPTY | {"status": "incomplete"}, status="incomplete"),
        body_of(CALL | {"status": "in_progress", "caller": {"type": "program"}}),
        b'{"object":"response.compaction","output":[]}',
        body_of({"type": "an_unknown_item"}, {"id": "ws_1", "type": "web_search_call"}),
        body_of(MESSAGE, usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        b'  {"object":"response.input_tokens","input_tokens":11}\n',
        b'{"object":"list","data":[]}',
        b"[1,2]",
    ],
)
def test_a_valid_body_is_unchanged(body: bytes) -> None:
    repaired = repair_body(body, CONTEXT)
    assert (repaired.data, repaired.findings, repaired.error) == (body, [], None)


@pytest.mark.parametrize(
    ("received", "sent", "codes"),
    [
        (body_of(output=None), body_of(), ["S351"]),
        (body_of(MESSAGE | {"content": None}), body_of(MESSAGE | {"content": []}), ["S351"]),
        (body_of(without(REASONING, "summary")), body_of(REASONING), ["S351"]),
        (body_of(CALL | {"arguments": {"path": "a.txt"}}), body_of(CALL), ["S352"]),
        (body_of(CALL | {"arguments": None}), body_of(CALL | {"arguments": "{}"}), ["S352"]),
        (body_of(CALL | {"arguments": ""}), body_of(CALL | {"arguments": "{}"}), ["S352"]),
        (
            body_of(CALL | {"arguments": None}, status="incomplete"),
            body_of(EMPTY, status="incomplete"),
            ["S352"],
        ),
        (
            body_of(CUT, incomplete_details=LIMIT),
            body_of(CUT, status="incomplete", incomplete_details=LIMIT),
            ["S357"],
        ),
        (
            body_of(MESSAGE, incomplete_details={"reason": "content_filter"}),
            body_of(MESSAGE, status="incomplete", incomplete_details={"reason": "content_filter"}),
            ["S357"],
        ),
        (b'{"success":true,"data":%s}' % body_of(MESSAGE), body_of(MESSAGE), ["S356"]),
        (b'{"code":0,"result":{"body":%s}}' % body_of(CALL), body_of(CALL), ["S356"]),
        (
            b'{"type":"response.completed","response":%s}' % body_of(MESSAGE),
            body_of(MESSAGE),
            ["S356"],
        ),
        (json.dumps({"data": body_of(CALL).decode()}).encode(), body_of(CALL), ["S356"]),
        (b"[%s]" % body_of(MESSAGE), body_of(MESSAGE), ["S356"]),
        (body_of(CUSTOM | {"input": None}), body_of(CUSTOM), ["S352"]),
        (body_of(without(CALL, "status")), body_of(CALL), ["S354"]),
        (body_of(without(CALL, "call_id")), body_of(CALL | {"call_id": "fc_1"}), ["S354"]),
        (
            body_of(without(MESSAGE, "id", "role")),
            body_of(MESSAGE | {"id": "msg_1_0"}),
            ["S354", "S354"],
        ),
        (
            body_of(usage={"input_tokens": 1, "output_tokens": 2}),
            body_of(usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
            ["S355"],
        ),
    ],
)
def test_a_broken_body_is_repaired(received: bytes, sent: bytes, codes: list[str]) -> None:
    repaired = repair_body(received, CONTEXT)
    assert json.loads(repaired.data) == json.loads(sent)
    assert [finding.code for finding in repaired.findings] == codes
    assert repaired.error is None
    again = repair_body(repaired.data, CONTEXT)
    assert (again.data, again.findings) == (repaired.data, [])


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 502, "The provider sent an empty body."),
        (b" \n", 502, "The provider sent an empty body."),
        (b"<html>", 502, "The provider sent a body that is not JSON: '<html>'."),
        (
            b'{"object":"resp',
            502,
            'The provider sent a body that is not JSON: \'{"object":"resp\'.',
        ),
        (b'{"error":{"message":"No.","type":"server_error"}}', 500, "No."),
        (b'{"code":500,"msg":"404 NOT_FOUND","success":false}', 500, "404 NOT_FOUND"),
        (
            b'{"error":{"message":"Provider returned error","code":429,'
            b'"metadata":{"raw":"rate-limited upstream"}}}',
            429,
            "Provider returned error: rate-limited upstream",
        ),
        (body_of(status="failed", error={"code": "server_error", "message": "No."}), 500, "No."),
        (body_of(status="failed"), 502, ""),
        (body_of(MESSAGE, status="abort"), 502, "The provider ended the response as 'abort'."),
        (body_of(status="cancelled"), 502, "The provider ended the response as 'cancelled'."),
        (
            body_of(CUT, status="network-error"),
            502,
            "The provider ended the response as 'network-error'.",
        ),
        (
            body_of(MESSAGE, status="incomplete", incomplete_details={"reason": "abort"}),
            502,
            "The provider ended the response as 'abort'.",
        ),
        (
            b'{"success":true,"data":{"error":{"message":"No.","type":"rate_limit_error"}}}',
            429,
            "No.",
        ),
        (b'{"success":true,"data":{}}', 502, "The provider sent an envelope without a response."),
        (body_of(status=None, error={"code": "rate_limit_exceeded", "message": "x"}), 429, "x"),
        (
            body_of(CALL | {"arguments": '{"pa'}),
            502,
            "The provider's tool call has no name, or broken JSON arguments.",
        ),
        (
            body_of(without(CALL, "name")),
            502,
            "The provider's tool call has no name, or broken JSON arguments.",
        ),
    ],
)
def test_a_body_that_cannot_be_used_is_an_error(body: bytes, status: int, message: str) -> None:
    error = repair_body(body, CONTEXT).error
    assert error is not None
    assert (error.status, error.message) == (status, message)


def test_a_call_without_a_name_gets_the_only_offered_one() -> None:
    repaired = repair_body(body_of(without(CALL, "name")), StreamContext(tool_names=("read",)))
    assert json.loads(repaired.data)["output"] == [CALL]


def test_only_the_model_name_changes() -> None:
    repaired = repair_body(body_of(MESSAGE), StreamContext(shown_model="gpt-4"))
    assert json.loads(repaired.data) == json.loads(body_of(MESSAGE, model="gpt-4"))
    assert repaired.findings == []
    same = repair_body(body_of(MESSAGE), StreamContext(shown_model="gpt-5"))
    assert same.data == body_of(MESSAGE)


@pytest.mark.parametrize("code", sorted(codes_between("S351", "S399")))
def test_a_disabled_rule_changes_nothing(code: str) -> None:
    broken = {
        "S351": body_of(output=None),
        "S352": body_of(CALL | {"arguments": None}),
        "S353": body_of(CALL | {"arguments": '{"pa'}),
        "S354": body_of(without(MESSAGE, "role")),
        "S355": body_of(usage={"input_tokens": 1, "output_tokens": 2}),
        "S356": b'{"success":true,"data":%s}' % body_of(MESSAGE),
        "S357": body_of(MESSAGE, incomplete_details=LIMIT),
    }[code]
    repaired = repair_body(broken, StreamContext(disabled=frozenset({code})))
    assert (repaired.data, repaired.findings, repaired.error) == (broken, [], None)


@given(valid_steps())
def test_the_response_in_a_valid_terminal_event_is_a_valid_body(
    steps: list[dict[str, Any]],
) -> None:
    response = steps[-1].get("response", {})
    body = json.dumps(response).encode()
    repaired = repair_body(body, CONTEXT)
    assert (repaired.data, repaired.findings) == (body, [])
    assert (repaired.error is None) == (response.get("status") != "failed")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "object",
                        "output",
                        "type",
                        "id",
                        "name",
                        "status",
                        "arguments",
                        "content",
                        "usage",
                    ]
                ),
                inner | st.sampled_from(["response", "function_call", "message", "failed"]),
                max_size=6,
            )
        ),
    )
)
def test_any_body_is_accepted(value: Any) -> None:
    repaired = repair_body(json.dumps(value).encode(), CONTEXT)
    assert repaired.error is not None or json.loads(repaired.data) is not Ellipsis


def test_an_item_without_an_id_is_kept_for_a_client_that_needs_none() -> None:
    body = body_of(without(CALL, "id"))
    known = repair_body(body, StreamContext(client=traits_of_client("openai-python")))
    assert (known.data, known.findings) == (body, [])
    unknown = repair_body(body, CONTEXT)
    assert [finding.code for finding in unknown.findings] == ["S354"]
