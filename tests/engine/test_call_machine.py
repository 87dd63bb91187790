"""Tests of the call machine: events in, actions out.

Wake-ups are left out of the comparisons: `wake_at` is the earliest one requested.
"""

import errno
import gzip
import os
import random
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import orjson
import pytest
import zstandard
from wiremend.call_record.outcomes import ANSWERED, CANCELLED, CallState, stream_error
from wiremend.engine import response_reader as reading
from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    FinishResponse,
    Head,
    ReleaseAttempt,
    Respond,
    ShowBody,
    ShowHead,
    StartAttempt,
    WakeAt,
)
from wiremend.engine.call import Call, Target
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.health import (
    CallHealth,
    CircuitBreaker,
    FailureCause,
    HealthLimits,
    Permit,
    RetryBudget,
)
from wiremend.engine.response_reader import HELD_LIMIT_BYTES
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat, Timeouts
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import PROTOCOLS

SSE = Head(200, ((b"content-type", b"text/event-stream"), (b"request-id", b"req_1")))
JSON = Head(200, ((b"content-type", b"application/json"),))
WRAPPED = b'data: {"error":{"code":"","message":"","type":"server_error"},"request_id":""}\n\n'


def event(kind: str, rest: str = "") -> bytes:
    return f'event: {kind}\ndata: {{"type":"{kind}"{rest}}}\n\n'.encode()


MESSAGE_START = event(
    "message_start",
    ',"message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],'
    '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}',
)
PING = event("ping")
BLOCK_START = event("content_block_start", ',"index":0,"content_block":{"type":"text","text":""}')
DELTA = event("content_block_delta", ',"index":0,"delta":{"type":"text_delta","text":"Hi"}')
BLOCK_STOP = event("content_block_stop", ',"index":0')
MESSAGE_DELTA = event(
    "message_delta",
    ',"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}',
)
MESSAGE_STOP = event("message_stop")
REST = BLOCK_START + DELTA + BLOCK_STOP + MESSAGE_DELTA + MESSAGE_STOP
GOOD = MESSAGE_START + PING + REST
GOOD_JSON = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":'
    b'[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"usage":{"input_tokens":3,"output_tokens":2}}'
)


class Conversation:
    """One machine; its methods forward an event with its time and return the actions."""

    def __init__(self, **settings: Any) -> None:
        values: dict[str, Any] = {
            "protocol": ANTHROPIC,
            "targets": (Target("api.anthropic.com", "m"),),
            "streaming": True,
            "context": StreamContext(model="m"),
            "retry": RetryPolicy(attempts=3, backoff_initial_seconds=1.0),
            "heartbeat": Heartbeat(after=0.0),
        }
        self.machine = CallMachine(
            Call(**{**values, **settings}), random=lambda: 1.0, wall_clock=lambda: 0.0
        )
        self.wake_at = float("inf")

    def __getattr__(self, name: str) -> Callable[..., list[Action]]:
        def forward(now: float, *args: Any, **kwargs: Any) -> list[Action]:
            actions = getattr(self.machine, name)(now, *args, **kwargs)
            wakes = [action.when for action in actions if isinstance(action, WakeAt)]
            if now >= self.wake_at:
                self.wake_at = float("inf")
            self.wake_at = min([self.wake_at, *wakes])
            return [action for action in actions if not isinstance(action, WakeAt)]

        return forward

    def begin(self, now: float = 0.0, head: Head | None = SSE) -> None:
        """Start and connect the call, and receive the head if there is one."""
        assert self.start(now) == [StartAttempt(1, fresh=False)]
        assert self.connected(now, reused=False) == []
        if head is not None:
            assert self.head(now, head) == []

    def again(self, now: float, head: Head | None = SSE) -> None:
        """End the backoff and connect the next attempt."""
        [action] = self.wake(now)
        assert isinstance(action, StartAttempt)
        assert action.fresh
        self.connected(now, reused=False)
        if head is not None:
            self.head(now, head)

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.machine.findings]


def the_response(actions: list[Action]) -> Respond:
    [response] = [action for action in actions if isinstance(action, Respond)]
    return response


def test_a_healthy_stream_is_forwarded_unchanged() -> None:
    call = Conversation()
    call.begin()
    assert call.body(1, MESSAGE_START) == []
    assert call.body(2, PING) == []
    assert call.body(3, BLOCK_START) == [
        ShowHead(SSE),
        ShowBody(MESSAGE_START + PING + BLOCK_START),
    ]
    assert call.body(4, DELTA) == [ShowBody(DELTA)]
    assert call.body(5, BLOCK_STOP + MESSAGE_DELTA) == [ShowBody(BLOCK_STOP)]
    assert call.body(5.5, MESSAGE_STOP) == [
        ShowBody(MESSAGE_DELTA + MESSAGE_STOP),
        FinishResponse(),
    ]
    assert call.body_end(6.1) == [ReleaseAttempt()]
    assert (call.machine.outcome, call.codes) == (ANSWERED, [])


def test_one_read_is_one_write() -> None:
    call = Conversation()
    call.begin()
    assert call.body(1, GOOD) == [ShowHead(SSE), ShowBody(GOOD), FinishResponse()]


def test_an_upstream_that_does_not_end_its_body_after_the_end_is_abandoned() -> None:
    call = Conversation()
    call.begin()
    call.body(1, GOOD)
    assert call.wake(call.wake_at) == [AbandonAttempt()]
    assert call.machine.over


def test_a_reset_after_the_end_is_ignored() -> None:
    call = Conversation()
    call.begin()
    call.body(1, GOOD)
    assert call.attempt_failed(1.1, "reset") == [ReleaseAttempt()]
    assert call.codes == []


@pytest.mark.parametrize(
    ("shown_before", "failure"),
    [
        pytest.param(b"", ("attempt_failed", "reset"), id="reset after the head"),
        pytest.param(MESSAGE_START + PING, ("attempt_failed", "reset"), id="reset in the preamble"),
        pytest.param(MESSAGE_START, ("body_end",), id="clean end in the preamble"),
        pytest.param(b"", ("body_end",), id="empty body"),
        pytest.param(b"", ("body", WRAPPED), id="wrapped error first"),
        pytest.param(b": hi\n\n", ("body", WRAPPED), id="wrapped error after a comment"),
        pytest.param(b"data: {}\n\n", ("body", WRAPPED), id="wrapped error after an empty frame"),
        pytest.param(MESSAGE_START, ("body", WRAPPED), id="wrapped error in the preamble"),
    ],
)
def test_a_failure_before_content_is_retried_and_its_preamble_discarded(
    shown_before: bytes, failure: tuple[Any, ...]
) -> None:
    call = Conversation()
    call.begin()
    assert call.body(1, shown_before) == []
    method, *args = failure
    assert getattr(call, method)(2, *args) in ([], [AbandonAttempt()])
    assert call.wake_at == pytest.approx(3.0)
    call.again(3)
    assert call.body(4, GOOD) == [ShowHead(SSE), ShowBody(GOOD), FinishResponse()]
    assert len([code for code in call.codes if code[0] in "ER"]) == 1


@pytest.mark.parametrize("streaming", [True, False])
def test_a_failure_before_the_head_is_retried(streaming: bool) -> None:
    call = Conversation(streaming=streaming)
    call.begin(head=None)
    assert call.attempt_failed(0.5, "Connection reset") == []
    call.again(1.5, head=None)
    assert call.attempt_failed(1.6, "Connection reset") == []
    call.again(3.6, SSE if streaming else JSON)
    if streaming:
        assert FinishResponse() in call.body(4, GOOD)
    else:
        assert call.body(4, GOOD_JSON) == []
        assert the_response(call.body_end(4)).body == GOOD_JSON
    assert call.codes == ["R002", "R002"]


def test_a_refused_connection_is_retried() -> None:
    call = Conversation()
    call.start(0)
    assert call.attempt_failed(0.1, "Connection refused") == []
    call.again(1.1)
    assert FinishResponse() in call.body(2, GOOD)
    assert call.codes == ["R001"]


def test_a_stale_connection_is_replaced_at_once_and_uses_no_attempt() -> None:
    call = Conversation(retry=RetryPolicy(attempts=1))
    call.start(0)
    call.connected(0, reused=True)
    assert call.attempt_failed(0.1, "closed") == [StartAttempt(1, fresh=True)]
    call.connected(0.2, reused=False)
    call.head(0.3, SSE)
    assert FinishResponse() in call.body(0.4, GOOD)
    assert call.codes == ["R006"]


def test_after_the_last_attempt_a_wrapped_error_becomes_an_http_error() -> None:
    call = Conversation()
    call.begin()
    call.body(1, WRAPPED)
    call.again(2)
    call.body(2, WRAPPED)
    call.again(4)
    actions = call.body(4, WRAPPED)
    response = the_response(actions)
    assert actions == [AbandonAttempt(), response, ReleaseAttempt()]
    assert response.head.status == 500
    assert response.head.get(b"content-type") == "application/json"
    assert response.head.get(b"request-id") == "req_1"
    assert response.head.get(b"x-should-retry") == "true"
    assert (
        b"api.anthropic.com reported server_error without a message (3 attempts)" in response.body
    )
    assert call.codes == ["E001", "E001", "E001"]


def test_a_native_error_as_first_event_keeps_its_type_and_message() -> None:
    call = Conversation(retry=RetryPolicy(attempts=1))
    call.begin()
    error = event("error", ',"error":{"type":"overloaded_error","message":"Overloaded"}')
    response = the_response(call.body(1, error))
    assert response.head.status == 529
    assert b'"overloaded_error"' in response.body
    assert b'"Overloaded"' in response.body


def test_a_wrapped_error_after_content_ends_the_stream() -> None:
    call = Conversation()
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA)
    [shown, finish, abandon, release] = call.body(2, WRAPPED)
    assert isinstance(shown, ShowBody)
    assert b"event: error" in shown.data
    assert (finish, abandon, release) == (FinishResponse(), AbandonAttempt(), ReleaseAttempt())
    assert call.machine.over


def test_a_reset_after_content_ends_the_stream_with_an_error() -> None:
    call = Conversation()
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA)
    [shown, finish, release] = call.attempt_failed(2, "Connection reset")
    assert isinstance(shown, ShowBody)
    assert shown.data.count(b"event: error") == 1
    assert b"Connection reset" in shown.data
    assert (finish, release) == (FinishResponse(), ReleaseAttempt())


def test_a_reset_after_the_stop_reason_completes_the_stream() -> None:
    call = Conversation()
    call.begin()
    call.body(1, GOOD.removesuffix(MESSAGE_STOP))
    [shown, finish, _] = call.attempt_failed(2, "Connection reset")
    assert shown == ShowBody(MESSAGE_DELTA + MESSAGE_STOP)
    assert finish == FinishResponse()


def test_a_stream_with_a_stop_reason_is_completed_after_five_seconds() -> None:
    call = Conversation()
    call.begin()
    call.body(1, GOOD.removesuffix(MESSAGE_STOP))
    call.wake(2)
    assert call.wake_at == pytest.approx(6.0)
    assert call.wake(6) == [ShowBody(MESSAGE_STOP), FinishResponse()]


RUNS_CODE = (
    b'data: {"candidates":[{"content":{"parts":[{"executableCode":{"code":"1"}}]},'
    b'"finishReason":"STOP"}],"usageMetadata":{"totalTokenCount":9}}\n\n'
)
STOPS_AT_ONCE = (
    b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}\n\n'
)
HAS_COUNTS = b'data: {"usageMetadata":{"totalTokenCount":9}}\n\n'


@pytest.mark.parametrize("early", [RUNS_CODE, STOPS_AT_ONCE])
def test_a_stop_reason_that_may_not_be_the_last_one_does_not_end_a_stream(early: bytes) -> None:
    """Gemini runs code, or sends a stop reason with every event."""
    call = Conversation(protocol=GEMINI)
    call.begin()
    assert call.body(1, early) == [ShowHead(SSE), ShowBody(early)]
    assert call.wake(6) == []
    assert call.wake(60) == []
    shown, *ending = call.attempt_failed(61, "reset")
    assert isinstance(shown, ShowBody)
    assert b'{"error":{"code":502,' in shown.data
    assert ending == [FinishResponse(), ReleaseAttempt()]


def test_counts_behind_a_stop_reason_show_that_it_is_the_last_one() -> None:
    call = Conversation(protocol=GEMINI)
    call.begin()
    call.body(1, STOPS_AT_ONCE + HAS_COUNTS)
    assert call.attempt_failed(2, "reset") == [FinishResponse(), ReleaseAttempt()]
    assert call.machine.outcome == ANSWERED
    silent = Conversation(protocol=GEMINI)
    silent.begin()
    silent.body(1, STOPS_AT_ONCE + HAS_COUNTS)
    assert silent.wake(6) == [FinishResponse()]


def test_an_event_that_is_held_back_is_shown_after_one_second() -> None:
    call = Conversation()
    call.begin()
    assert call.body(1, MESSAGE_START + BLOCK_START + DELTA + BLOCK_STOP) == [
        ShowHead(SSE),
        ShowBody(MESSAGE_START + BLOCK_START + DELTA),
    ]
    assert call.wake_at == pytest.approx(2.0)
    assert call.wake(2) == [ShowBody(BLOCK_STOP)]
    assert call.body(3, MESSAGE_DELTA) == []
    assert call.wake_at == pytest.approx(4.0)
    assert call.wake(4) == [ShowBody(MESSAGE_DELTA)]
    assert call.body(5, MESSAGE_STOP) == [ShowBody(MESSAGE_STOP), FinishResponse()]


def test_pings_and_halves_of_events_do_not_prolong_the_second() -> None:
    call = Conversation()
    call.begin()
    call.body(1, GOOD.removesuffix(MESSAGE_STOP))
    assert call.body(1.6, PING + MESSAGE_STOP[:9]) == []
    assert call.wake(2) == [ShowBody(MESSAGE_DELTA + PING)]
    assert call.body(2.1, MESSAGE_STOP[9:]) == [ShowBody(MESSAGE_STOP), FinishResponse()]


def test_each_event_that_is_held_back_has_a_second_of_its_own() -> None:
    call = Conversation()
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA + BLOCK_STOP)
    assert call.body(1.9, MESSAGE_DELTA) == [ShowBody(BLOCK_STOP)]
    assert call.wake(2) == []
    assert call.wake(2.9) == [ShowBody(MESSAGE_DELTA)]


def test_the_end_of_the_second_can_end_a_stream_in_an_error() -> None:
    """The stop reason does not explain why the tool's input is cut."""
    tool = ',"index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}'
    half = ',"index":0,"delta":{"type":"input_json_delta","partial_json":"{"}'
    begun = event("content_block_start", tool) + event("content_block_delta", half)
    call = Conversation()
    call.begin()
    call.body(1, MESSAGE_START + begun + BLOCK_STOP + MESSAGE_DELTA)
    [shown, *rest] = call.wake(2)
    assert isinstance(shown, ShowBody)
    assert shown.data.startswith(b"event: error")
    assert rest == [FinishResponse(), AbandonAttempt(), ReleaseAttempt()]
    assert call.machine.outcome == stream_error(502, is_own=True)


def test_a_retryable_status_is_retried_and_then_forwarded_unchanged() -> None:
    call = Conversation(retry=RetryPolicy(attempts=2, backoff_initial_seconds=1.0))
    body = b'{ "type":"error", "error": {"type":"overloaded_error","message":"Overloaded"} }'
    busy = Head(529, ((b"content-type", b"application/json"), (b"content-length", b"79")))
    call.begin(head=busy)
    call.body(1, body)
    assert call.body_end(1) == []
    call.again(2, busy)
    call.body(2, body)
    assert call.body_end(2) == [Respond(busy, body), ReleaseAttempt()]
    assert call.codes == ["R005", "R005"]


def test_retry_after_sets_the_wait() -> None:
    call = Conversation()
    call.begin(head=Head(429, ((b"content-type", b"application/json"), (b"retry-after", b"7"))))
    call.body(1, b'{"error":{"type":"rate_limit_error","message":"slow"}}')
    call.body_end(1)
    assert call.wake_at == pytest.approx(8.0)


def test_a_bad_request_is_forwarded_at_once() -> None:
    call = Conversation()
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'
    bad = Head(400, ((b"content-type", b"application/json"), (b"content-length", b"72")))
    call.begin(head=bad)
    call.body(1, body)
    assert call.body_end(1) == [Respond(bad, body), ReleaseAttempt()]
    assert call.codes == []


@pytest.mark.parametrize("streaming", [True, False])
def test_a_web_page_becomes_an_error_with_the_same_status(streaming: bool) -> None:
    call = Conversation(streaming=streaming, retry=RetryPolicy(attempts=1))
    call.begin(head=Head(524, ((b"content-type", b"text/html"), (b"cf-ray", b"8f-AMS"))))
    call.body(1, b"<!DOCTYPE html><title>A timeout\n occurred</title>")
    response = the_response(call.body_end(1))
    assert response.head.status == 524
    assert response.head.get(b"request-id") == "8f-AMS"
    assert b"web page: A timeout occurred (HTTP 524)" in response.body
    assert call.codes == ["E004"]


def test_an_error_in_a_200_body_becomes_its_status() -> None:
    call = Conversation(streaming=False, retry=RetryPolicy(attempts=1))
    call.begin(head=JSON)
    call.body(1, b'{"error":{"message":"Provider returned error","code":429}}')
    response = the_response(call.body_end(1))
    assert response.head.status == 429
    assert b"Provider returned error" in response.body
    assert call.codes == ["E003"]


def test_a_healthy_body_keeps_its_bytes_and_head() -> None:
    call = Conversation(streaming=False)
    length = b"%d" % len(GOOD_JSON)
    head = Head(200, ((b"content-type", b"application/json"), (b"Content-Length", length)))
    call.begin(head=head)
    call.body(1, GOOD_JSON[:50])
    call.body(2, GOOD_JSON[50:])
    assert call.body_end(3) == [Respond(head, GOOD_JSON), ReleaseAttempt()]


def test_a_redirect_is_forwarded_unchanged() -> None:
    call = Conversation()
    moved = Head(307, ((b"location", b"https://elsewhere"),))
    call.begin(head=None)
    assert call.head(0, moved) == [ShowHead(moved)]
    assert call.body(1, b"over there") == [ShowBody(b"over there")]
    assert call.body_end(1) == [FinishResponse(), ReleaseAttempt()]


def test_a_body_in_an_unknown_coding_is_forwarded_unchanged() -> None:
    call = Conversation()
    coded = Head(200, ((b"content-type", b"text/event-stream"), (b"content-encoding", b"lzma")))
    call.begin(head=None)
    assert call.head(0, coded) == [ShowHead(coded)]
    assert call.body(1, b"\x00\x01") == [ShowBody(b"\x00\x01")]


def test_an_unread_body_that_fails_is_cut_and_not_ended() -> None:
    call = Conversation()
    call.begin(head=None)
    call.head(0, Head(307, ()))
    call.body(1, b"over")
    actions = call.attempt_failed(2, "reset")
    assert isinstance(actions[0], CutResponse)


def test_a_preamble_past_the_limit_is_forwarded() -> None:
    call = Conversation()
    call.begin()
    big = MESSAGE_START.replace(b'"id":"msg_1"', b'"id":"%s"' % (b"x" * HELD_LIMIT_BYTES))
    assert call.body(1, big) == [ShowHead(SSE), ShowBody(big)]


# Guarded and buffered streams


def test_a_guarded_stream_survives_an_early_failure_in_its_content() -> None:
    call = Conversation(showing="guarded")
    call.begin()
    assert call.body(1, MESSAGE_START + BLOCK_START + DELTA) == []
    assert call.attempt_failed(2, "reset") == []
    call.again(3)
    assert call.body(4, MESSAGE_START + BLOCK_START + DELTA) == []
    assert call.wake_at == pytest.approx(7.0)
    shown = ShowBody(MESSAGE_START + BLOCK_START + DELTA)
    assert call.wake(7) == [ShowHead(SSE), shown]
    assert call.body(8, DELTA) == [ShowBody(DELTA)]


def test_a_guarded_stream_is_forwarded_once_it_is_long_enough() -> None:
    call = Conversation(showing="guarded")
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START)
    long = DELTA.replace(b"Hi", b"x" * 5000)
    assert call.body(1.1, long) == []
    assert call.body(1.2, DELTA)[0] == ShowHead(SSE)


def test_a_buffered_stream_is_forwarded_when_it_is_complete() -> None:
    call = Conversation(showing="buffered", heartbeat=Heartbeat(after=15, interval=15))
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA)
    assert call.wake(15) == [ShowHead(SSE), ShowBody(b"\n")]
    assert call.attempt_failed(16, "reset") == []
    call.again(17)
    assert call.body(18, GOOD) == [ShowBody(GOOD), FinishResponse()]


# Keep-alives

PATIENT = Heartbeat(after=15.0, interval=10.0)


def test_a_silent_stream_is_kept_alive_and_still_retried() -> None:
    call = Conversation(heartbeat=PATIENT)
    call.begin()
    call.body(1, MESSAGE_START)
    assert call.wake(15) == [ShowHead(SSE), ShowBody(b"\n")]
    assert call.wake(25) == [ShowBody(b"\n")]
    call.attempt_failed(26, "reset")
    call.again(27)
    assert call.body(28, GOOD) == [ShowBody(GOOD), FinishResponse()]


@pytest.mark.parametrize("cut", [0, 2, 3, 10])
def test_a_byte_order_mark_is_forwarded_only_at_the_start_of_the_body(cut: int) -> None:
    stream = b"\xef\xbb\xbf" + GOOD
    call = Conversation(heartbeat=PATIENT)
    call.begin()
    call.body(1, stream[:cut])
    assert call.body(2, stream[cut:])[:2] == [ShowHead(SSE), ShowBody(stream)]
    call = Conversation(heartbeat=PATIENT)
    call.begin()
    call.body(1, stream[:cut])
    assert call.wake(15) == [ShowHead(SSE), ShowBody(b"\n")]
    assert call.body(16, stream[cut:])[0] == ShowBody(GOOD)


def test_keep_alives_start_before_upstream_responds() -> None:
    call = Conversation(heartbeat=PATIENT)
    call.begin(head=None)
    [head, beat] = call.wake(15)
    assert isinstance(head, ShowHead)
    assert head.head.get(b"content-type") == "text/event-stream"
    assert beat == ShowBody(b"\n")


def test_after_a_keep_alive_an_http_error_becomes_an_error_event() -> None:
    call = Conversation(heartbeat=PATIENT, retry=RetryPolicy(attempts=1))
    call.begin(head=None)
    call.wake(15)
    call.head(16, Head(400, ((b"content-type", b"application/json"),)))
    call.body(16, b'{"error":{"type":"invalid_request_error","message":"prompt is too long"}}')
    [shown, finish, release] = call.body_end(16)
    assert isinstance(shown, ShowBody)
    assert shown.data.startswith(b"event: error\n")
    assert b"prompt is too long" in shown.data
    assert (finish, release) == (FinishResponse(), ReleaseAttempt())


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(Head(307, ((b"location", b"https://elsewhere"),)), id="redirect"),
        pytest.param(Head(200, (*SSE.fields, (b"content-encoding", b"lzma"))), id="unknown coding"),
    ],
)
def test_after_a_keep_alive_an_unreadable_response_sends_no_second_head(head: Head) -> None:
    call = Conversation(heartbeat=PATIENT, retry=RetryPolicy(attempts=1))
    call.begin(head=None)
    call.wake(15)
    [abandon, shown, finish, release] = call.head(16, head)
    assert isinstance(shown, ShowBody)
    assert shown.data.startswith(b"event: error\n")
    assert (abandon, finish, release) == (AbandonAttempt(), FinishResponse(), ReleaseAttempt())


def test_keep_alives_mid_stream_are_sent_only_between_events() -> None:
    call = Conversation(heartbeat=PATIENT)
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA[:20])
    assert call.wake(16) == [ShowBody(b"\n")]
    assert call.body(17, DELTA[20:]) == [ShowBody(DELTA)]


def test_a_call_that_does_not_stream_gets_no_keep_alives() -> None:
    call = Conversation(streaming=False, heartbeat=PATIENT)
    call.begin(head=None)
    assert call.wake(15) == []
    assert call.wake(500) == []


# Timeouts

LIMITS = Timeouts(connect=10, first_byte=20, answer=30, idle=40, progress=50, total=0)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("connect", 10), ("first_byte", 20), ("answer", 30), ("idle", 40), ("progress", 50)],
)
def test_each_limit_ends_its_attempt_and_is_in_the_message(name: str, seconds: float) -> None:
    call = Conversation(timeouts=LIMITS, streaming=name != "answer", retry=RetryPolicy(attempts=1))
    call.start(0)
    last = 0.0
    if name != "connect":
        call.connected(0, reused=False)
    if name in ("idle", "progress"):
        call.head(0, SSE)
    if name == "progress":
        while last + 30 < seconds:
            last += 30
            assert call.body(last, PING) == []
    assert call.wake(seconds - 0.1) == []
    response = the_response(call.wake(seconds))
    assert response.head.status == 504
    assert f"within {seconds} s (limit: {name})".encode() in response.body
    assert call.codes == ["R004"]


def test_a_stall_mid_stream_ends_with_the_error_of_the_protocol() -> None:
    call = Conversation(timeouts=LIMITS)
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START + DELTA)
    [abandon, shown, finish, release] = call.wake(41)
    assert isinstance(shown, ShowBody)
    assert b"event: error" in shown.data
    assert (abandon, finish, release) == (AbandonAttempt(), FinishResponse(), ReleaseAttempt())


def test_a_slow_stream_that_makes_progress_is_never_cut() -> None:
    call = Conversation(timeouts=LIMITS)
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START)
    for minute in range(1, 500):
        assert call.wake(minute * 39) == []
        assert call.body(minute * 39 + 0.5, DELTA) == [ShowBody(DELTA)]


def test_a_call_past_the_total_limit_is_not_retried() -> None:
    call = Conversation(timeouts=Timeouts(total=5.0))
    call.begin()
    assert the_response(call.wake(5)).head.status == 504


def test_a_timed_out_attempt_is_retried() -> None:
    call = Conversation(timeouts=LIMITS)
    call.begin(head=None)
    assert call.wake(20) == [AbandonAttempt()]
    call.again(21)
    assert FinishResponse() in call.body(22, GOOD)


# The client leaves


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param("connecting", [AbandonAttempt()], id="while connecting"),
        pytest.param("waiting", [AbandonAttempt()], id="while waiting for the head"),
        pytest.param("held", [AbandonAttempt()], id="while held"),
        pytest.param("backoff", [], id="in a backoff"),
        pytest.param("flowing", [AbandonAttempt()], id="while content flows"),
    ],
)
def test_a_client_that_leaves_ends_the_call(state: str, expected: list[Action]) -> None:
    call = Conversation()
    call.start(0)
    if state != "connecting":
        call.connected(0, reused=False)
    if state in ("held", "backoff", "flowing"):
        call.head(0, SSE)
        call.body(0, MESSAGE_START)
    if state == "backoff":
        call.attempt_failed(1, "reset")
    if state == "flowing":
        call.body(1, BLOCK_START)
    actions = call.client_gone(1.5)
    assert actions[: len(expected)] == expected
    assert call.machine.outcome == CANCELLED
    assert call.machine.over
    assert call.wake(100) == []
    assert call.body(100, GOOD) == []


# A provider that is down


def health_with(limits: HealthLimits) -> CallHealth:
    return CallHealth(RetryBudget(), CircuitBreaker(), limits)


def open_breaker(health: CallHealth) -> None:
    """Let a call fail at 0.0, which opens the breaker if one failure does."""
    permit = health.breaker.admit(0.0, health.limits)
    assert isinstance(permit, Permit)
    permit.failed(0.0, FailureCause(502))


def watched(health: CallHealth) -> tuple[Target, ...]:
    return (Target("api.anthropic.com", "m", health),)


def test_consecutive_failures_open_the_breaker_and_one_probe_closes_it() -> None:
    health = health_with(HealthLimits(failures=2, pause_seconds=10.0))
    once = RetryPolicy(attempts=1)
    for now in (0, 1):
        call = Conversation(retry=once, targets=watched(health))
        call.begin(now, head=None)
        call.attempt_failed(now, "reset")
    refused = Conversation(retry=once, targets=watched(health))
    response = the_response(refused.start(2))
    assert response.head.status == 503
    assert (
        b"is asked again in 9 s. The last one failed with status 502 (connection lost)."
        in response.body
    )
    assert response.head.get(b"retry-after") == ""
    assert refused.codes == ["R007"]
    assert refused.machine.over
    probe = Conversation(retry=once, targets=watched(health))
    probe.begin(11)
    assert (
        the_response(Conversation(retry=once, targets=watched(health)).start(11)).head.status == 503
    )
    probe.body(12, GOOD)
    Conversation(retry=once, targets=watched(health)).begin(12)


RATE_LIMIT_MESSAGE = "Rate limited. Please try again in 20s."


def fails_with_an_error(call: Conversation, text: str) -> None:
    body = orjson.dumps({"error": {"type": "overloaded_error", "message": text}})
    call.begin(head=Head(503, ((b"content-type", b"application/json"),)))
    call.body(1, body)
    call.body_end(1)


def fails_with_a_web_page(call: Conversation, text: str) -> None:
    call.begin(head=Head(503, ((b"content-type", b"text/html"),)))
    call.body(1, f"<html><title>{text}</title></html>".encode())
    call.body_end(1)


def fails_with_a_lost_connection(call: Conversation, text: str) -> None:
    call.begin(head=None)
    call.attempt_failed(1, text)


@pytest.mark.parametrize(
    "fails", [fails_with_an_error, fails_with_a_web_page, fails_with_a_lost_connection]
)
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_a_refusal_quotes_nothing_of_another_clients_error(
    protocol: Protocol, fails: Callable[[Conversation, str], None]
) -> None:
    health = health_with(HealthLimits(failures=1))
    settings = {"protocol": protocol, "targets": watched(health)}
    fails(Conversation(retry=RetryPolicy(attempts=1), **settings), RATE_LIMIT_MESSAGE)
    refusal = the_response(Conversation(**settings).start(2))
    assert refusal.head.status == 503
    assert b"try again" not in refusal.body.lower()
    assert b"is asked again in" in refusal.body
    assert refusal.head.get(b"retry-after") == ""
    assert b"retryDelay" not in refusal.body


def test_an_error_from_a_web_page_that_contains_a_wait_has_no_retry_after() -> None:
    call = Conversation(retry=RetryPolicy(attempts=1))
    call.begin(head=Head(503, ((b"content-type", b"text/html"),)))
    call.body(1, f"<html><title>{RATE_LIMIT_MESSAGE}</title></html>".encode())
    response = the_response(call.body_end(1))
    assert RATE_LIMIT_MESSAGE.encode() in response.body
    assert response.head.get(b"retry-after") == ""


def test_the_wait_in_a_wrapped_error_becomes_its_retry_after() -> None:
    call = Conversation(retry=RetryPolicy(attempts=1))
    call.begin()
    error = {"error": {"type": "rate_limit_error", "message": RATE_LIMIT_MESSAGE}}
    response = the_response(call.body(1, b"data: %s\n\n" % orjson.dumps(error)))
    assert (response.head.status, response.head.get(b"retry-after")) == (429, "20")


def test_the_first_content_of_a_probe_admits_other_calls() -> None:
    health = health_with(HealthLimits(failures=1, pause_seconds=10.0))
    open_breaker(health)
    probe = Conversation(targets=watched(health))
    probe.begin(10)
    probe.body(11, MESSAGE_START)
    refused = Conversation(targets=watched(health))
    assert the_response(refused.start(12)).head.status == 503
    probe.body(13, BLOCK_START + DELTA)
    Conversation(targets=watched(health)).begin(13)


def test_bad_requests_and_cancelled_calls_do_not_open_the_breaker() -> None:
    health = health_with(HealthLimits(failures=1))
    rejected = Conversation(targets=watched(health))
    rejected.begin(0, Head(400, ((b"content-type", b"application/json"),)))
    rejected.body(0, b'{"error":{"type":"invalid_request_error","message":"no"}}')
    rejected.body_end(0)
    cancelled = Conversation(targets=watched(health))
    cancelled.begin(1)
    cancelled.client_gone(1)
    Conversation(targets=watched(health)).begin(2)


def test_a_stream_that_the_total_limit_ends_does_not_count() -> None:
    health = health_with(HealthLimits(failures=1))
    cut = Conversation(targets=watched(health), timeouts=Timeouts(total=30.0))
    cut.begin(0)
    cut.body(1, MESSAGE_START + BLOCK_START + DELTA)
    cut.wake(30)
    assert "R004" in cut.codes
    Conversation(targets=watched(health)).begin(31)


@pytest.mark.parametrize("is_client_behind", [True, False])
def test_a_stream_that_upstream_closed_while_it_was_not_read_does_not_count(
    *, is_client_behind: bool
) -> None:
    health = health_with(HealthLimits(failures=1))
    cut = Conversation(retry=ONCE, targets=watched(health))
    cut.begin(0)
    cut.body(1, MESSAGE_START + BLOCK_START + DELTA)
    cut.machine.wake(2, is_client_behind=is_client_behind)
    cut.body(60, DELTA)
    cut.attempt_failed(61, "reset")
    assert "R002" in cut.codes
    actions = Conversation(targets=watched(health)).start(62)
    assert any(isinstance(action, StartAttempt) for action in actions) == is_client_behind


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        (f"[Errno 24] {os.strerror(errno.EMFILE)}", False),
        (f"[Errno 99] {os.strerror(errno.EADDRNOTAVAIL)}", False),
        (f"[Errno 111] {os.strerror(errno.ECONNREFUSED)}", True),
    ],
)
def test_a_lack_of_files_or_ports_on_this_machine_does_not_count(
    reason: str, *, counts: bool
) -> None:
    health = health_with(HealthLimits(failures=1))
    call = Conversation(retry=ONCE, targets=watched(health))
    call.start(0)
    call.attempt_failed(1, reason)
    actions = Conversation(targets=watched(health)).start(2)
    assert any(isinstance(action, StartAttempt) for action in actions) != counts


def test_a_provider_that_sends_nothing_until_the_total_limit_counts() -> None:
    health = health_with(HealthLimits(failures=1))
    call = Conversation(targets=watched(health), timeouts=Timeouts(total=30.0))
    call.begin(0, head=None)
    call.wake(30)
    assert the_response(Conversation(targets=watched(health)).start(31)).head.status == 503


def test_an_empty_retry_budget_leaves_one_attempt() -> None:
    health = health_with(HealthLimits(retry_floor=1.0, retry_share=0.0))
    first = Conversation(targets=watched(health))
    first.begin(0, head=None)
    assert first.attempt_failed(0, "reset") == []
    second = Conversation(targets=watched(health))
    second.begin(0, head=None)
    assert the_response(second.attempt_failed(0, "reset")).head.status == 502


# Fallback

HERE = Target("api.anthropic.com", "claude")
THERE = Target("opencode.ai", "minimax-m3")
THIRD = Target("opencode.ai", "qwen3.7-plus")
ONCE = RetryPolicy(attempts=1)


def answered(status: int, body: bytes) -> tuple[Head, bytes]:
    return Head(status, ((b"content-type", b"application/json"),)), body


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(529, b'{"error":{"type":"overloaded_error","message":"x"}}', id="exhausted"),
        pytest.param(
            404, b'{"error":{"type":"not_found_error","message":"model: claude"}}', id="unknown"
        ),
        pytest.param(
            400, b'{"error":{"message":"Model claude is not supported"}}', id="unknown, as a 400"
        ),
        pytest.param(
            429, b'{"error":{"code":"insufficient_quota","message":"x"}}', id="quota exhausted"
        ),
        pytest.param(401, b'{"error":{"message":"bad key"}}', id="invalid key"),
    ],
)
def test_a_failed_model_falls_back_to_the_next_one(status: int, body: bytes) -> None:
    call = Conversation(retry=ONCE, targets=(HERE, THERE))
    call.begin(head=None)
    call.head(0, Head(status, ((b"content-type", b"application/json"),)))
    call.body(0, body)
    assert call.body_end(1) == [StartAttempt(2, fresh=False, target=1)]
    call.connected(1, reused=False)
    call.head(1, SSE)
    assert FinishResponse() in call.body(2, GOOD)
    assert "M003" in call.codes


def test_an_invalid_request_does_not_fall_back() -> None:
    call = Conversation(retry=ONCE, targets=(HERE, THERE))
    call.begin(head=Head(400, ((b"content-type", b"application/json"),)))
    call.body(0, b'{"error":{"type":"invalid_request_error","message":"prompt is too long"}}')
    assert the_response(call.body_end(1)).head.status == 400


def test_each_model_gets_its_own_attempts() -> None:
    call = Conversation(retry=RetryPolicy(attempts=2), targets=(HERE, THERE))
    call.begin(head=None)
    call.attempt_failed(0, "reset")
    call.again(10, head=None)
    assert call.attempt_failed(10, "reset") == [StartAttempt(3, fresh=False, target=1)]
    call.connected(10, reused=False)
    call.attempt_failed(10, "reset")
    assert call.wake(20) == [StartAttempt(4, fresh=True, target=1)]


def test_a_rejected_key_excludes_its_provider_from_the_call() -> None:
    call = Conversation(retry=ONCE, targets=(THERE, THIRD, HERE))
    call.begin(head=Head(403, ((b"content-type", b"application/json"),)))
    call.body(0, b'{"error":{"message":"no"}}')
    assert call.body_end(1) == [StartAttempt(2, fresh=False, target=2)]


def test_an_open_breaker_sends_the_call_to_the_next_model() -> None:
    health = health_with(HealthLimits(failures=1))
    open_breaker(health)
    call = Conversation(targets=(Target("api.anthropic.com", "claude", health), THERE))
    assert call.start(1) == [StartAttempt(1, fresh=False, target=1)]


def test_the_last_error_lists_every_attempt() -> None:
    call = Conversation(retry=ONCE, targets=(HERE, THERE))
    call.begin(head=None)
    call.attempt_failed(2, "Connection reset")
    call.connected(2, reused=False)
    call.head(2, Head(529, ((b"content-type", b"application/json"),)))
    call.body(2, b'{"error":{"type":"overloaded_error","message":"Overloaded"}}')
    response = the_response(call.body_end(3))
    assert response.head.status == 529
    assert b'"overloaded_error"' in response.body
    for text in (
        b"Overloaded Tried claude at api.anthropic.com: ",
        b"Connection reset (2.0 s); minimax-m3 at opencode.ai: Overloaded (1.0 s).",
    ):
        assert text in response.body


# Codings


def test_a_coded_stream_is_decoded_and_its_head_corrected() -> None:
    call = Conversation()
    fields = ((b"content-encoding", b"gzip"), (b"content-length", b"99"))
    call.begin(head=Head(200, SSE.fields + fields))
    coded = gzip.compress(GOOD)
    assert call.body(1, coded[:10]) == []
    assert call.body(2, coded[10:]) == [ShowHead(SSE), ShowBody(GOOD), FinishResponse()]


def test_a_coded_body_is_decoded_and_its_length_corrected() -> None:
    call = Conversation(streaming=False)
    call.begin(head=Head(200, (*JSON.fields, (b"content-encoding", b"br"))))
    call.body(1, brotli.compress(GOOD_JSON))
    response = the_response(call.body_end(1))
    assert response.body == GOOD_JSON
    assert response.head.get(b"content-encoding") == ""
    assert response.head.get(b"content-length") == str(len(GOOD_JSON))


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
EVERY_CODING = pytest.mark.parametrize("coding", CODERS)


def in_coding(head: Head, coding: str) -> Head:
    return Head(head.status, (*head.fields, (b"content-encoding", coding.encode())))


@EVERY_CODING
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_a_body_that_expands_too_much_is_a_failed_attempt(
    protocol: Protocol, streaming: bool, coding: str
) -> None:
    """After the last attempt it becomes an error in the protocol of the client."""
    call = Conversation(
        protocol=protocol,
        streaming=streaming,
        retry=RetryPolicy(attempts=2, backoff_initial_seconds=1.0),
    )
    head, bomb = in_coding(SSE if streaming else JSON, coding), CODERS[coding](bytes(4_000_000))
    call.begin(head=head)
    assert call.body(1, bomb) == [AbandonAttempt()]
    call.again(2, head)
    response = the_response(call.body(2, bomb))
    assert response.head.status == 502
    message = orjson.loads(response.body)["error"]["message"]
    reason = f"sent a body that cannot be decoded: content coding {coding!r} expands"
    assert reason in message
    assert "(limit: 150)" in message
    assert call.machine.over


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_stream_that_expands_too_much_after_content_ends_with_an_error(
    coding: str,
) -> None:
    call = Conversation()
    call.begin(head=in_coding(SSE, coding))
    assert ShowBody(MESSAGE_START + BLOCK_START + DELTA) in call.body(
        1, CODERS[coding](MESSAGE_START + BLOCK_START + DELTA)
    )
    abandoned, shown, finished, released = call.body(2, CODERS[coding](bytes(4_000_000)))
    assert (abandoned, finished, released) == (
        AbandonAttempt(),
        FinishResponse(),
        ReleaseAttempt(),
    )
    assert isinstance(shown, ShowBody)
    assert shown.data.startswith(b"event: error\n")


@EVERY_CODING
def test_a_coded_body_past_the_buffer_limit_is_decoded_to_its_end(
    coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BODY_LIMIT_BYTES", 1000)
    body = random.Random(1).randbytes(20_000)
    coded = CODERS[coding](body)
    call = Conversation(streaming=False)
    call.begin(head=in_coding(JSON, coding))
    actions = [
        action
        for start in range(0, len(coded), 100)
        for action in call.body(1 + start, coded[start : start + 100])
    ]
    assert actions[0] == ShowHead(JSON)
    shown = [action.data for action in actions[1:] if isinstance(action, ShowBody)]
    assert len(shown) == len(actions) - 1
    assert b"".join(shown) == body
    assert call.body_end(300_000) == [FinishResponse(), ReleaseAttempt()]


# Internal faults


def test_after_a_fault_a_stream_ends_in_the_error_event_of_its_protocol() -> None:
    call = Conversation()
    call.begin()
    call.body(1, MESSAGE_START + BLOCK_START)
    assert call.machine.stop_after_fault(2).startswith(b'event: error\ndata: {"type":"error"')
    assert call.machine.over
    assert call.body(3, DELTA) == call.body_end(4) == call.wake(5) == []


def test_after_a_fault_behind_a_keep_alive_the_stream_ends_in_an_error_event() -> None:
    call = Conversation(heartbeat=Heartbeat(after=1.0))
    call.begin(head=None)
    call.wake(2)
    assert call.machine.stop_after_fault(3).startswith(b"event: error\n")


@pytest.mark.parametrize("head", [SSE, JSON])
def test_after_a_fault_nothing_is_written_behind_a_head_that_was_not_sent(head: Head) -> None:
    call = Conversation(streaming=head is SSE)
    call.begin(head=head)
    call.machine.stop_after_fault(2)
    assert call.machine.outcome.state is CallState.INTERNAL_FAULT


def test_after_a_fault_a_body_that_is_not_understood_can_only_be_cut() -> None:
    call = Conversation()
    call.begin(head=None)
    call.head(1, in_coding(SSE, "unknown"))
    call.body(1, b"anything")
    assert call.machine.stop_after_fault(2) == b""
