"""Tests of the limits and timers of a call, with times in seconds as plain numbers."""

from collections.abc import Callable

import pytest
from wiremend.engine.deadlines import Deadlines, PassedLimit
from wiremend.engine.settings import Heartbeat, Timeouts

NONE = Timeouts(connect=0, first_byte=0, answer=0, idle=0, progress=0, total=0)
LIMITS = Timeouts(connect=10, first_byte=20, answer=30, idle=40, progress=50, total=1000)


def deadlines_with(
    timeouts: Timeouts = LIMITS,
    heartbeat: Heartbeat = Heartbeat(after=0.0),  # noqa: B008 (frozen)
    *,
    streaming: bool = True,
) -> Deadlines:
    """Return the deadlines of a call that started at 0."""
    deadlines = Deadlines(timeouts, heartbeat, streaming=streaming)
    deadlines.call_started(0.0)
    deadlines.attempt_started(0.0)
    return deadlines


def connect(deadlines: Deadlines) -> None:
    pass


def send(deadlines: Deadlines) -> None:
    deadlines.request_sent(5.0)


def read(deadlines: Deadlines) -> None:
    send(deadlines)
    deadlines.head_received(6.0, is_event_stream=True)


def read_bytes(deadlines: Deadlines) -> None:
    read(deadlines)
    deadlines.bytes_received(30.0)


def read_content(deadlines: Deadlines) -> None:
    read(deadlines)
    for now in (30.0, 60.0):
        deadlines.bytes_received(now)
    deadlines.content_received(60.0)


def read_plain(deadlines: Deadlines) -> None:
    send(deadlines)
    deadlines.head_received(6.0, is_event_stream=False)
    deadlines.bytes_received(30.0)


def read_plain_from_here(deadlines: Deadlines) -> None:
    read_bytes(deadlines)
    deadlines.stop_watching_progress()


def end(deadlines: Deadlines) -> None:
    read(deadlines)
    deadlines.attempt_ended()


@pytest.mark.parametrize(
    ("advance", "streaming", "name", "due"),
    [
        pytest.param(connect, True, "connect", 10.0, id="from the start of the attempt"),
        pytest.param(send, True, "first_byte", 25.0, id="from the end of the request"),
        pytest.param(send, False, "answer", 35.0, id="from the end of the request, not streaming"),
        pytest.param(read_plain, False, "answer", 35.0, id="reading the body counts"),
        pytest.param(read, True, "idle", 46.0, id="from the head"),
        pytest.param(read_bytes, True, "progress", 56.0, id="bytes without content"),
        pytest.param(read_content, True, "idle", 100.0, id="content restarts both"),
        pytest.param(read_plain, True, "idle", 70.0, id="progress applies to event streams only"),
        pytest.param(read_plain_from_here, True, "idle", 70.0, id="progress no longer watched"),
        pytest.param(end, True, "total", 1000.0, id="total applies between attempts"),
    ],
)
def test_the_next_limit_passes_when_it_is_due(
    advance: Callable[[Deadlines], None], streaming: bool, name: str, due: float
) -> None:
    deadlines = deadlines_with(streaming=streaming)
    advance(deadlines)
    assert deadlines.passed_limit(due - 0.5) is None
    passed = deadlines.passed_limit(due)
    assert passed == PassedLimit(name, getattr(LIMITS, name))


def test_a_limit_of_zero_is_off() -> None:
    deadlines = deadlines_with(NONE)
    read(deadlines)
    assert deadlines.passed_limit(1e9) is None


def test_of_several_passed_limits_the_earliest_is_returned() -> None:
    deadlines = deadlines_with()
    read(deadlines)
    assert deadlines.passed_limit(5000.0) == PassedLimit("idle", 40)


def test_a_new_attempt_restarts_its_own_limits_but_not_the_total() -> None:
    deadlines = deadlines_with()
    read(deadlines)
    deadlines.attempt_ended()
    deadlines.attempt_started(900.0)
    assert deadlines.passed_limit(909.0) is None
    assert deadlines.passed_limit(910.0) == PassedLimit("connect", 10)
    assert deadlines.passed_limit(1000.0) == PassedLimit("connect", 10)
    deadlines.request_sent(905.0)
    assert deadlines.passed_limit(1000.0) == PassedLimit("first_byte", 20)


def test_the_next_attempt_clears_a_finished_backoff() -> None:
    deadlines = deadlines_with(NONE)
    deadlines.attempt_ended()
    deadlines.back_off_until(8.0)
    assert [deadlines.is_pause_over(now) for now in (7.9, 8.0)] == [False, True]
    deadlines.attempt_started(8.0)
    assert not deadlines.is_pause_over(9.0)


def test_draining_has_one_second_and_no_other_limit() -> None:
    deadlines = deadlines_with()
    read(deadlines)
    deadlines.drain(10.0)
    assert [deadlines.is_pause_over(now) for now in (10.9, 11.0)] == [False, True]
    assert deadlines.passed_limit(5000.0) is None


def test_the_tail_is_due_five_seconds_after_the_last_byte() -> None:
    deadlines = deadlines_with()
    read(deadlines)
    assert deadlines.tail_due == 11.0
    deadlines.bytes_received(7.5)
    assert deadlines.tail_due == 12.5


@pytest.mark.parametrize(
    ("heartbeat", "first", "later"),
    [
        (Heartbeat(after=15.0, interval=10.0), 15.0, 30.0),
        (Heartbeat(after=15.0, interval=0.0), 15.0, 35.0),
        (Heartbeat(after=0.0, interval=10.0), None, None),
    ],
)
def test_keep_alives_are_due_after_silence(
    heartbeat: Heartbeat, first: float | None, later: float | None
) -> None:
    deadlines = deadlines_with(heartbeat=heartbeat)
    assert deadlines.beat_due(is_first=True) == first
    deadlines.bytes_shown(20.0)
    assert deadlines.beat_due(is_first=False) == later


def test_a_wake_up_is_requested_for_the_nearest_deadline() -> None:
    deadlines = deadlines_with(Timeouts(connect=4.0))
    assert deadlines.request_wake(0.0, None, 5.0) == 4.0


def test_a_wake_up_is_at_most_ten_seconds_ahead() -> None:
    assert deadlines_with(NONE).request_wake(3.0) == 13.0


def test_an_overdue_deadline_is_requested_for_now() -> None:
    assert deadlines_with(NONE).request_wake(3.0, 1.0) == 3.0


def test_only_an_earlier_wake_up_replaces_a_pending_one() -> None:
    deadlines = deadlines_with(NONE)
    assert deadlines.request_wake(0.0, 6.0) == 6.0
    assert deadlines.request_wake(1.0, 7.0) is None
    assert deadlines.request_wake(1.0, 5.0) == 5.0
    deadlines.woken(4.0)
    assert deadlines.request_wake(4.0) is None
    deadlines.woken(5.0)
    assert deadlines.request_wake(5.0) == 15.0


def test_backoffs_limits_and_drains_request_a_wake_up() -> None:
    deadlines = deadlines_with(Timeouts(total=7.0))
    deadlines.attempt_ended()
    deadlines.back_off_until(9.0)
    assert deadlines.request_wake(0.0) == 7.0
    deadlines.woken(7.0)
    deadlines.drain(7.0)
    assert deadlines.request_wake(7.0) == 8.0


@pytest.mark.parametrize("step", [connect, send, read, read_bytes, read_content, read_plain])
def test_no_limit_of_a_response_passes_while_the_client_is_behind(
    step: Callable[[Deadlines], None],
) -> None:
    deadlines = deadlines_with()
    step(deadlines)
    is_connecting = step is connect
    now = 5.0
    while now < 900.0:
        deadlines.reading_paused(now)
        now += 9.0
        passed = deadlines.passed_limit(now)
        assert passed is None or (is_connecting and passed.name == "connect")
    deadlines.reading_paused(now)
    passed = deadlines.passed_limit(now + 60.0)
    assert passed is not None
    assert passed.name != "total"
    assert deadlines.passed_limit(1000.0) is not None
