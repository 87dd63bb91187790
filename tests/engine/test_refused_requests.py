"""Tests of requests that the provider rejects: changed and sent again at once."""

import json

import pytest
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.engine.actions import (
    Action,
    FinishResponse,
    Head,
    LogLine,
    ShowBody,
    ShowHead,
    StartAttempt,
)
from wiremend.engine.call import Target
from wiremend.engine.retry import RetryPolicy
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.traits import TargetTraits
from wiremend.targets.registry import NAMES_BY_DIALECT

from engine.test_call_machine import GOOD, JSON, PING, SSE, Conversation, the_response

REFUSED = Head(400, ((b"content-type", b"application/json"),))
FIELD = "context_management: Extra inputs are not permitted"
SCHEMA = "tools.0.custom.input_schema: JSON schema is invalid."
FINE = {"type": "object", "properties": {}}


def error(message: str, **fields: str) -> bytes:
    inner = {"type": "invalid_request_error", "message": message}
    return json.dumps({"type": "error", "error": inner, **fields}).encode()


ERROR_EVENT = b"event: error\ndata: " + error(FIELD) + b"\n\n"


def adapted_requests(*targets: str, name: str = "mcp__notion__create") -> AdaptedRequests:
    body = json.dumps(
        {"context_management": {}, "tools": [{"name": name, "input_schema": FINE}]}
    ).encode()
    requests = AdaptedRequests()
    traits = TargetTraits(names=NAMES_BY_DIALECT["anthropic"])
    for target in targets or ("api.anthropic.com",):
        document = RequestDocument.of(ANTHROPIC, "/v1/messages", body)
        outgoing = OutgoingRequest(target, "m", "https", target, 443, document)
        requests.add(outgoing, traits)
    return requests


def refuse(call: Conversation, message: str, now: float = 1.0) -> list[Action]:
    assert call.head(now, REFUSED) == []
    assert call.body(now, error(message)) == []
    return call.body_end(now)


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_rejected_request_is_changed_and_sent_again_at_once(attempts: int) -> None:
    requests = adapted_requests()
    call = Conversation(adapted=requests, retry=RetryPolicy(attempts=attempts))
    call.begin(head=None)
    assert refuse(call, FIELD) == [StartAttempt(2, fresh=True)]
    assert b"context_management" not in requests.at(0).request.body
    call.connected(2, reused=False)
    message = "anthropic-messages call to api.anthropic.com: learnt field context_management"
    assert call.head(2, SSE) == [LogLine(message, warning=False)]
    assert call.body(3, GOOD) == [ShowHead(SSE), ShowBody(GOOD), FinishResponse()]
    assert call.codes == ["T301"]
    assert [learnt.lesson.value for learnt in requests.book.learnt] == ["context_management"]


INNER = error(FIELD).decode()
WRAPPED = {
    "by OpenRouter": {
        "error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": INNER}}
    },
    "as JSON in the message": {"error": {"message": INNER, "type": "None", "code": "400"}},
    "as the error itself": {"code": "invalid-argument", "error": FIELD},
    "in a list": [{"error": {"code": 400, "message": FIELD, "status": "INVALID_ARGUMENT"}}],
}


@pytest.mark.parametrize("body", WRAPPED.values(), ids=WRAPPED.keys())
def test_a_rejection_is_recognised_in_any_envelope(body: object) -> None:
    call = Conversation(adapted=adapted_requests())
    call.begin(head=None)
    call.head(1, REFUSED)
    call.body(1, json.dumps(body).encode())
    assert call.body_end(1) == [StartAttempt(2, fresh=True)]


def test_a_changed_request_has_its_full_number_of_attempts() -> None:
    call = Conversation(adapted=adapted_requests(), retry=RetryPolicy(attempts=2))
    call.begin(head=None)
    refuse(call, FIELD)
    call.connected(2, reused=False)
    call.attempt_failed(2, "reset")
    call.again(99)
    assert call.body(99, GOOD) == [ShowHead(SSE), ShowBody(GOOD), FinishResponse()]


def test_a_rejection_inside_a_200_is_learnt_from_too() -> None:
    call = Conversation(adapted=adapted_requests(), streaming=False)
    call.begin(head=JSON)
    call.body(1, error(FIELD))
    assert call.body_end(1) == [StartAttempt(2, fresh=True)]
    stream = Conversation(adapted=adapted_requests())
    stream.begin()
    assert StartAttempt(2, fresh=True) in stream.body(1, PING + ERROR_EVENT)


def test_a_rejection_without_a_lesson_is_forwarded_with_the_name_of_the_tool() -> None:
    call = Conversation(adapted=adapted_requests())
    call.begin(head=None)
    response = the_response(refuse(call, SCHEMA))
    expected = f'{SCHEMA} (tools.0 is tool "mcp__notion__create" (MCP server "notion"))'
    assert json.loads(response.body)["error"]["message"] == expected
    assert response.head.get(b"content-length") == str(len(response.body))
    assert call.codes == ["E006"]


def test_a_tool_that_only_the_errors_parameter_mentions_is_named() -> None:
    call = Conversation(adapted=adapted_requests())
    call.begin(head=None)
    call.head(1.0, REFUSED)
    refusal = {"error": {"message": 'Only type:"function" tools …', "param": "tools.0.type"}}
    call.body(1.0, json.dumps(refusal).encode())
    response = json.loads(the_response(call.body_end(1.0)).body)
    assert response["error"]["message"] == (
        'Only type:"function" tools … (tools.0 is tool "mcp__notion__create" (MCP server "notion"))'
    )


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("prompt is too long: 203000 tokens > 200000 maximum", id="no tool mentioned"),
        pytest.param(
            '{"message":"tools.0.custom.name: bad"}', id="contains JSON that clients parse"
        ),
    ],
)
def test_an_error_that_mentions_no_tool_keeps_its_bytes(message: str) -> None:
    call = Conversation(adapted=adapted_requests())
    call.begin(head=None)
    assert the_response(refuse(call, message)).body == error(message)


def test_each_target_gets_its_own_request_and_its_tool_names_are_restored() -> None:
    requests = adapted_requests("here", "there", name="a.b")
    sent = next(iter(requests.at(1).tool_names_by_sent))
    here, there = Target("here", "m"), Target("there", "m")
    call = Conversation(
        adapted=requests, retry=RetryPolicy(attempts=1), targets=(here, there), streaming=False
    )
    call.begin(head=None)
    assert call.attempt_failed(1, "reset") == [StartAttempt(2, fresh=False, target=1)]
    assert "T005" in call.codes
    call.connected(1, reused=False)
    call.head(1, JSON)
    answer = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "tool_use", "id": "t", "name": sent, "input": {"name": sent}}],
        "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip
    call.body(1, json.dumps(answer).encode())
    response = json.loads(the_response(call.body_end(1)).body)
    answer["content"] = [{"type": "tool_use", "id": "t", "name": "a.b", "input": {"name": sent}}]
    assert response == answer


def test_nothing_is_sent_again_after_content_was_forwarded() -> None:
    call = Conversation(adapted=adapted_requests())
    call.begin()
    call.body(1, GOOD[: GOOD.index(b"event: content_block_stop")])
    assert not [a for a in call.body(2, ERROR_EVENT) if isinstance(a, StartAttempt)]
