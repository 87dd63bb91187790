"""The limit of a fire-and-forget call, in every phase."""

import pytest
from wiremend.call_record.outcomes import CUT
from wiremend.engine.actions import AbandonAttempt, Action, CutResponse, Head, LogLine, WakeAt
from wiremend.engine.unrepaired.fire_and_forget import Acknowledgement

LIMIT_SECONDS = 60.0


def started() -> Acknowledgement:
    machine = Acknowledgement(host="host", ack_after_seconds=5.0, limit_seconds=LIMIT_SECONDS)
    machine.start(0.0)
    machine.connected(0.0, reused=False)
    return machine


def kinds(actions: list[Action]) -> list[type[Action]]:
    return [type(action) for action in actions]


@pytest.mark.parametrize("status", [404, 503])
def test_a_forwarded_response_that_does_not_end_is_cut_at_the_limit(status: int) -> None:
    """Without an end, every wake-up asked for the next one at once, for ever."""
    machine = started()
    machine.head(1.0, Head(status))
    machine.body(2.0, b"the beg")
    [wake] = machine.wake(LIMIT_SECONDS - 1.0)
    assert wake == WakeAt(LIMIT_SECONDS)
    assert kinds(machine.wake(LIMIT_SECONDS)) == [CutResponse, AbandonAttempt]
    assert machine.over
    assert machine.outcome == CUT
    assert [attempt.detail for attempt in machine.attempts] == ["no answer within 60 s"]
    assert machine.wake(LIMIT_SECONDS + 1.0) == []


def test_a_call_in_the_background_is_given_up_at_the_limit() -> None:
    machine = started()
    machine.wake(5.0)
    assert kinds(machine.wake(LIMIT_SECONDS)) == [LogLine, AbandonAttempt]
    assert machine.over
