"""Tests of the attempts that a machine records, with their times and outcomes."""

from typing import Any

import pytest
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.engine.actions import FinishResponse, Head, ReleaseAttempt, ShowBody
from wiremend.engine.attempts import AttemptLog, AttemptRecord, describe_attempts
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Timeouts
from wiremend.engine.unrepaired.fire_and_forget import Acknowledgement

from engine.test_call_machine import (
    BLOCK_START,
    BLOCK_STOP,
    DELTA,
    GOOD,
    HERE,
    MESSAGE_DELTA,
    MESSAGE_START,
    ONCE,
    SSE,
    THERE,
    Conversation,
    event,
)
from engine.test_refused_requests import FIELD, adapted_requests, refuse

_, ANSWERED, FAILED, REJECTED, STALE, CANCELLED = AttemptOutcome


def outcomes(call: Conversation) -> list[tuple[int, AttemptOutcome]]:
    return [(record.number, record.outcome) for record in call.machine.attempts]


def test_a_retried_call_records_each_attempt_and_the_wait_between() -> None:
    call = Conversation(targets=(HERE,))
    call.begin(head=None)
    assert call.machine.attempts == ()
    call.attempt_failed(2, "reset")
    lost = "Connection lost: api.anthropic.com closed it before answering: reset"
    first = AttemptRecord(1, HERE.provider, HERE.model, FAILED, lost, 0, 2)
    assert call.machine.attempts == (first,)
    call.again(3)
    call.body(4, GOOD)
    assert call.machine.attempts == (
        AttemptRecord(1, HERE.provider, HERE.model, FAILED, lost, 0, 2, wait_seconds=1),
        AttemptRecord(2, HERE.provider, HERE.model, ANSWERED, "ok", 3, 4),
    )


def test_a_fallback_starts_without_a_wait_and_records_its_target() -> None:
    call = Conversation(retry=ONCE, targets=(HERE, THERE))
    call.begin(head=None)
    call.attempt_failed(2, "reset")
    call.connected(2, reused=False)
    call.head(2, SSE)
    call.body(3, GOOD)
    first, second = call.machine.attempts
    assert (first.provider, first.wait_seconds) == (HERE.provider, 0)
    assert (second.provider, second.model) == (THERE.provider, THERE.model)


def test_a_rejected_request_and_its_changed_copy_are_two_attempts() -> None:
    call = Conversation(adapted=adapted_requests())
    call.begin(head=None)
    refuse(call, FIELD)
    call.connected(2, reused=False)
    call.head(2, SSE)
    call.body(3, GOOD)
    assert outcomes(call) == [(1, REJECTED), (2, ANSWERED)]


def test_the_replacement_of_a_stale_connection_keeps_the_attempt_number() -> None:
    call = Conversation()
    call.start(0)
    call.connected(0, reused=True)
    call.attempt_failed(1, "closed")
    call.connected(1, reused=False)
    call.head(1, SSE)
    call.body(2, GOOD)
    assert outcomes(call) == [(1, STALE), (1, ANSWERED)]


def test_an_attempt_ends_when_the_client_leaves() -> None:
    call = Conversation()
    call.begin()
    call.client_gone(1)
    assert outcomes(call) == [(1, CANCELLED)]


def test_a_client_that_leaves_during_a_backoff_changes_no_record() -> None:
    call = Conversation()
    call.begin(head=None)
    call.attempt_failed(1, "reset")
    call.client_gone(1.5)
    assert outcomes(call) == [(1, FAILED)]


def test_an_error_after_content_is_a_failed_attempt() -> None:
    call = Conversation(retry=RetryPolicy(attempts=3))
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START)
    call.attempt_failed(2, "reset")
    assert outcomes(call) == [(1, FAILED)]


def test_the_message_lists_all_attempts_except_stale_ones() -> None:
    log = AttemptLog()
    for now, outcome, detail in [(0, STALE, "closed"), (1, FAILED, "reset"), (4, FAILED, "late")]:
        log.start(now, "host", "m")
        log.end(now + 0.5, outcome, detail)
    text = "Tried m at host: reset (0.5 s); m at host: late (0.5 s)."
    assert describe_attempts(log.records) == text


@pytest.mark.parametrize(
    ("status", "ended_by", "outcome", "detail"),
    [
        pytest.param(200, "body_end", ANSWERED, "ok", id="accepted"),
        pytest.param(500, "body_end", FAILED, "status 500", id="refused"),
        pytest.param(0, "attempt_failed", FAILED, "reset", id="unreachable"),
        pytest.param(200, "attempt_failed", ANSWERED, "ok", id="accepted, then cut"),
        pytest.param(0, "client_gone", CANCELLED, "cancelled by client", id="cancelled"),
        pytest.param(0, "wake", FAILED, "no answer within 60 s", id="silent"),
    ],
)
def test_a_fire_and_forget_call_has_one_attempt(
    status: int, ended_by: str, outcome: AttemptOutcome, detail: str
) -> None:
    machine = Acknowledgement(host="host", ack_after_seconds=5.0, limit_seconds=60.0)
    machine.start(1.0)
    if status:
        machine.head(2.0, Head(status))
    if ended_by == "attempt_failed":
        machine.attempt_failed(70.0, "reset")
    elif ended_by == "wake":
        machine.wake(6.0)
        machine.wake(70.0)
    else:
        getattr(machine, ended_by)(70.0)
    assert machine.attempts == (AttemptRecord(1, "host", "", outcome, detail, 1.0, 70.0),)


OVERLOADED = event("error", ',"error":{"type":"overloaded_error","message":"Overloaded"}')
OWN = "wiremend ended the stream with error"
LATE_ENDS: dict[str, tuple[bytes, tuple[Any, ...], str, str]] = {
    "cut": (b"", ("body_end",), f"{OWN} 502", "Connection lost: the stream ended before"),
    "reset": (b"", ("attempt_failed", "reset"), f"{OWN} 502", "Connection lost: api.anthropic"),
    "not JSON": (b"data: {\n\n", ("body_end",), f"{OWN} 502", "The provider sent an event that"),
    "stopped": (b"", ("proxy_stops",), f"{OWN} 503", "wiremend was stopped before"),
    "stall": (b"", ("wake",), f"{OWN} 504", "Request timeout: api.anthropic.com"),
    "reported": (OVERLOADED, ("body_end",), "error 529 in the stream", "Overloaded"),
}
"""By name: what follows the content, the event after it, the outcome, and the attempt's reason."""


@pytest.mark.parametrize("event", [("attempt_failed", "reset"), ("proxy_stops",)])
def test_an_attempt_whose_end_alone_was_missing_is_answered(event: tuple[str, ...]) -> None:
    call = Conversation(targets=(HERE,))
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA + BLOCK_STOP + MESSAGE_DELTA)
    actions = getattr(call, event[0])(1.5, *event[1:])
    assert [type(action) for action in actions[-3:]] == [ShowBody, FinishResponse, ReleaseAttempt]
    assert call.machine.outcome.state is CallState.ANSWERED
    [attempt] = call.machine.attempts
    assert (attempt.outcome, attempt.detail) == (ANSWERED, "ok")
    first = call.machine.findings[0]
    assert first.done == "completed: only the end was missing"
    assert call.machine.usage is not None
    assert call.machine.usage.output_tokens == 2


@pytest.mark.parametrize("name", LATE_ENDS)
def test_who_ended_a_stream_and_why(name: str) -> None:
    data, (method, *arguments), outcome, reason = LATE_ENDS[name]
    call = Conversation(timeouts=Timeouts(idle=9))
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA)
    if data:
        call.body(2, data)
    getattr(call, method)(30, *arguments)
    assert call.machine.outcome.detail == outcome
    [attempt] = call.machine.attempts
    assert attempt.outcome is FAILED
    assert attempt.detail.startswith(reason)
