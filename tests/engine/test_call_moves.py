"""Tests that any order of events makes only legal transitions and ends a call once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.call_record.outcomes import CANCELLED
from wiremend.engine.actions import (
    Action,
    CutResponse,
    FinishResponse,
    Head,
    Respond,
    ShowBody,
    ShowHead,
    StartAttempt,
)
from wiremend.engine.attempt_states import TRANSITIONS, AttemptEvent, AttemptState
from wiremend.engine.call import Call, Target
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.health import (
    CallHealth,
    CircuitBreaker,
    FailureCause,
    HealthLimits,
    Permit,
    ProviderHealth,
    Refused,
    RetryBudget,
)
from wiremend.engine.machine import IllegalMove
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat, Timeouts
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.repairer import StreamContext

from engine.test_call_machine import (
    BLOCK_START,
    DELTA,
    GOOD,
    GOOD_JSON,
    JSON,
    MESSAGE_START,
    MESSAGE_STOP,
    PING,
    SSE,
    WRAPPED,
)
from engine.test_refused_requests import FIELD, REFUSED, adapted_requests, error

Move = tuple[AttemptState, AttemptEvent]


class RecordingMachine(CallMachine):
    """A call machine that records the transitions requested of it."""

    def __init__(self, settings: Call) -> None:
        self.moves: list[Move] = []
        super().__init__(settings, random=lambda: 0.5, wall_clock=lambda: 0.0)

    def _move(self, event: AttemptEvent) -> None:
        self.moves.append((self._state, event))
        super()._move(event)


@dataclass(frozen=True)
class Step:
    """A method of the machine, its arguments, and the seconds that pass before the call."""

    method: str
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()
    seconds: float = 0.0


HEADS = (
    SSE,
    JSON,
    REFUSED,
    Head(429, ((b"content-type", b"application/json"), (b"retry-after", b"500"))),
    Head(503, ((b"content-type", b"text/html"),)),
    Head(307, ()),
    Head(200, ((b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip"))),
)
BODIES = (
    MESSAGE_START,
    PING,
    BLOCK_START + DELTA,
    DELTA[:20],
    GOOD,
    GOOD.removesuffix(MESSAGE_STOP),
    WRAPPED,
    GOOD_JSON,
    error(FIELD),
    b"",
)


def _step(method: str, *arguments: Any, seconds: float = 0.0, **keywords: Any) -> Step:
    return Step(method, arguments, tuple(keywords.items()), seconds)


STEPS = (
    _step("connected", reused=False),
    _step("connected", reused=True),
    *(_step("head", head, seconds=0.5) for head in HEADS),
    *(_step("body", data, seconds=0.1) for data in BODIES),
    _step("body_end"),
    _step("attempt_failed", "reset", seconds=1.0),
    _step("client_gone"),
    *(_step("wake", seconds=seconds) for seconds in (0.0, 1.0, 6.0, 16.0, 70.0)),
)


def settings_of(random: Random) -> Call:
    streaming = random.random() < 0.7
    limits = HealthLimits(failures=1, retry_floor=2.0)
    health = CallHealth(RetryBudget(), CircuitBreaker(), limits)
    permit = health.breaker.admit(100.0, limits)
    if random.random() < 0.1 and isinstance(permit, Permit):
        permit.failed(100.0, FailureCause(502))
    targets = [Target("api.anthropic.com", "m", health)]
    if random.random() < 0.5:
        targets.append(Target("opencode.ai", "minimax-m3"))
    return Call(
        protocol=ANTHROPIC,
        targets=tuple(targets),
        streaming=streaming,
        context=StreamContext(model="m"),
        adapted=adapted_requests(*(target.provider for target in targets))
        if random.random() < 0.4
        else None,
        showing=random.choice(("live", "guarded", "buffered")),
        raise_errors=random.random() < 0.8,
        retry=RetryPolicy(attempts=random.choice((1, 2, 4)), backoff_initial_seconds=20.0),
        timeouts=Timeouts(
            connect=60, first_byte=60, answer=60, idle=60, progress=65, total=random.choice((0, 30))
        ),
        heartbeat=Heartbeat(after=random.choice((0.0, 15.0))),
    )


def walk(machine: RecordingMachine, steps: Sequence[Step]) -> list[Action]:
    now = 100.0
    actions = machine.start(now)
    for step in steps:
        now += step.seconds
        actions += getattr(machine, step.method)(now, *step.arguments, **dict(step.keywords))
    return actions


def check(machine: RecordingMachine, actions: Sequence[Action]) -> None:
    """The client gets one response at most; each attempt is started, ended and recorded once."""
    sent = [a for a in actions if isinstance(a, ShowHead | ShowBody | FinishResponse | Respond)]
    ends = [a for a in actions if isinstance(a, FinishResponse | Respond | CutResponse)]
    assert len(ends) <= 1
    assert sum(isinstance(action, ShowHead) for action in sent) <= 1
    if sent and not isinstance(sent[0], Respond):
        assert isinstance(sent[0], ShowHead)
    if ends:
        after_the_end = actions[actions.index(ends[0]) + 1 :]
        assert not any(isinstance(action, ShowHead | ShowBody) for action in after_the_end)
        assert machine.answered
    started = [action.number for action in actions if isinstance(action, StartAttempt)]
    recorded = [record.number for record in machine.attempts]
    assert recorded == started[: len(recorded)]
    if machine.answered:
        assert recorded == started


@given(seed=st.integers(0, 10_000), steps=st.lists(st.sampled_from(STEPS), max_size=30))
def test_no_order_of_events_makes_an_illegal_transition(seed: int, steps: list[Step]) -> None:
    machine = RecordingMachine(settings_of(Random(seed)))
    check(machine, walk(machine, steps))


LIKELY = {
    AttemptState.CONNECTING: ("connected",) * 4 + ("attempt_failed", "wake", "client_gone"),
    AttemptState.WAITING: ("head",) * 4 + ("attempt_failed", "wake", "client_gone"),
    AttemptState.READING: ("body",) * 4 + ("body_end", "attempt_failed", "wake", "client_gone"),
    AttemptState.BACKING_OFF: ("wake",) * 4 + ("client_gone",),
    AttemptState.DRAINING: ("body_end", "attempt_failed", "wake", "client_gone"),
}
"""Events that fit the state reach more transitions than events at random."""


def test_every_transition_of_the_table_is_reached() -> None:
    seen: set[Move] = set()
    for seed in range(1500):
        random = Random(seed)
        machine = RecordingMachine(settings_of(random))
        now = 100.0
        actions = machine.start(now)
        for _ in range(12):
            methods = LIKELY.get(machine._state)
            if methods is None:
                break
            method = random.choice(methods)
            step = random.choice([step for step in STEPS if step.method == method])
            now += step.seconds
            actions += getattr(machine, method)(now, *step.arguments, **dict(step.keywords))
        check(machine, actions)
        seen.update(machine.moves)
    excluded = {
        (AttemptState.NEW, AttemptEvent.CLIENT_LEFT),
        (AttemptState.ENDED, AttemptEvent.CLIENT_LEFT),
    }
    faulted = {move for move in TRANSITIONS if move[1] is AttemptEvent.FAULTED}
    assert seen == set(TRANSITIONS) - excluded - faulted


@given(seed=st.integers(0, 10_000), steps=st.lists(st.sampled_from(STEPS), max_size=30))
def test_a_machine_stops_after_a_fault_in_any_state(seed: int, steps: list[Step]) -> None:
    machine = RecordingMachine(settings_of(Random(seed)))
    actions = walk(machine, steps)
    was_over = machine.over
    last = machine.stop_after_fault(200.0)
    shown = [a for a in actions if isinstance(a, ShowHead | Respond | CutResponse | FinishResponse)]
    if last and [type(action) for action in shown] == [ShowHead]:
        assert last.startswith(b"event: error\ndata: ")
    assert machine.over
    assert machine.answered
    assert len(machine.attempts) == sum(isinstance(action, StartAttempt) for action in actions)
    assert was_over or machine.moves[-1][1] is AttemptEvent.FAULTED
    assert machine.stop_after_fault(201.0) == b""


def test_a_fault_frees_the_circuit_breaker_that_its_call_was_to_close() -> None:
    health = ProviderHealth().of("api.anthropic.com", "m", HealthLimits(failures=1))
    before = health.admit(0.0)
    assert isinstance(before, Permit)
    before.failed(0.0, FailureCause(500, "error"))
    targets = (Target("api.anthropic.com", "m", health),)
    machine = RecordingMachine(replace(settings_of(Random(1)), targets=targets, adapted=None))
    walk(machine, [])
    assert isinstance(health.admit(101.0), Refused)
    machine.stop_after_fault(101.0)
    assert isinstance(health.admit(101.0), Permit)


def test_a_client_may_leave_before_the_first_attempt() -> None:
    machine = RecordingMachine(settings_of(Random(1)))
    machine.client_gone(0.0)
    assert machine.over
    assert (machine.outcome, machine.attempts) == (CANCELLED, ())


def test_an_illegal_transition_names_state_and_event() -> None:
    machine = RecordingMachine(settings_of(Random(1)))
    with pytest.raises(IllegalMove, match=r"^CONNECTED is not legal in AttemptState\.NEW$"):
        machine._move(AttemptEvent.CONNECTED)


@pytest.mark.parametrize("event", AttemptEvent)
def test_a_finished_call_has_no_transitions(event: AttemptEvent) -> None:
    assert (AttemptState.OVER, event) not in TRANSITIONS
