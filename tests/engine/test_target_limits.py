"""The limits and the keys of each target of a call."""

from dataclasses import replace

import pytest
from wiremend.engine.actions import Head, StartAttempt
from wiremend.engine.call import Call
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.deadlines import Deadlines, PassedLimit
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Feature, Heartbeat, Knowledge, Settings, Timeouts
from wiremend.routing.limits import LimitChanges
from wiremend.routing.match import Route
from wiremend.routing.providers import ProviderAddress

from engine.test_plan import RECEIVED, planned

FIRST = ProviderAddress("first", "https://a.example", "key-a-1", more_keys=("key-a-2",))
SECOND = ProviderAddress("second", "https://b.example", "key-b")
BASE = Settings(
    timeouts=Timeouts(connect=1.0, idle=2.0),
    retry=RetryPolicy(attempts=3),
    routes=(Route("*", model="m", provider="first", fallback=("second/n",)),),
    providers={"first": FIRST, "second": SECOND},
)
IDLE_9, ONE_ATTEMPT = LimitChanges(idle=9.0), LimitChanges(attempts=1)
ROWS = [
    # changes of the route, the first provider, the second; idle and attempts at each target
    (None, None, None, (2.0, 3), (2.0, 3)),
    (None, IDLE_9, None, (9.0, 3), (2.0, 3)),
    (None, None, IDLE_9, (2.0, 3), (9.0, 3)),
    (ONE_ATTEMPT, None, None, (2.0, 1), (2.0, 1)),
    (ONE_ATTEMPT, LimitChanges(attempts=2, idle=9.0), None, (9.0, 1), (2.0, 1)),
    (LimitChanges(idle=0.0), IDLE_9, None, (0.0, 3), (0.0, 3)),
]


def settings(
    of_route: LimitChanges | None, of_first: LimitChanges | None, of_second: LimitChanges | None
) -> Settings:
    none = LimitChanges()
    return replace(
        BASE,
        routes=(replace(BASE.routes[0], limits=of_route or none),),
        providers={
            "first": replace(FIRST, limits=of_first or none),
            "second": replace(SECOND, limits=of_second or none),
        },
    )


@pytest.mark.parametrize(("of_route", "of_first", "of_second", "at_first", "at_second"), ROWS)
def test_a_target_has_the_limits_of_its_provider_and_then_those_of_the_route(
    of_route: LimitChanges | None,
    of_first: LimitChanges | None,
    of_second: LimitChanges | None,
    at_first: tuple[float, int],
    at_second: tuple[float, int],
) -> None:
    call = planned(*Feature, settings=settings(of_route, of_first, of_second))
    found = [(call.timeouts_at(n).idle, call.retry_at(n).attempts) for n in (0, 1)]
    assert found == [at_first, at_second]
    assert {call.timeouts_at(n).connect for n in (0, 1)} == {1.0}


def test_a_budget_of_retries_belongs_to_its_provider() -> None:
    call = planned(*Feature, settings=settings(None, LimitChanges(retry_floor=1.0), None))
    first, second = (target.health for target in call.targets)
    assert first is not None
    assert second is not None
    assert (first.limits.retry_floor, second.limits.retry_floor) == (1.0, 30.0)


def test_a_silent_stop_is_asked_for_again_only_where_it_is_configured() -> None:
    call = planned(*Feature, settings=settings(None, None, LimitChanges(silent_stop=True)))
    assert [call.asks_again_at(n) for n in (0, 1)] == [False, True]


def test_the_limits_change_with_the_target_and_the_total_counts_from_the_start() -> None:
    deadlines = Deadlines(Timeouts(connect=5, total=0), Heartbeat(0.0), streaming=True)
    deadlines.call_started(0.0)
    deadlines.attempt_started(0.0)
    assert deadlines.passed_limit(5.0) == PassedLimit("connect", 5)
    deadlines.limit(Timeouts(connect=50, total=8))
    deadlines.attempt_started(6.0)
    assert deadlines.passed_limit(7.9) is None
    assert deadlines.passed_limit(8.0) == PassedLimit("total", 8)
    deadlines.limit(Timeouts(connect=50, total=0))
    deadlines.attempt_started(9.0)
    assert deadlines.passed_limit(20.0) is None


# Keys


def machine_of(call: Call) -> CallMachine:
    return CallMachine(call, random=lambda: 0.0, wall_clock=lambda: 0.0)


def answer(machine: CallMachine, now: float, status: int, body: bytes) -> list[StartAttempt]:
    """Answer the current attempt; return the attempts that follow at once."""
    machine.connected(now, reused=False)
    actions = machine.head(now, Head(status, ((b"content-type", b"application/json"),)))
    actions += machine.body(now, body)
    actions += machine.body_end(now)
    return [action for action in actions if isinstance(action, StartAttempt)]


def sent_key(call: Call, target: int = 0) -> str:
    return dict(call.request_for(target).headers)["x-api-key"]


UNKNOWN_MODEL = b'{"error":{"type":"ModelError","message":"Model m is not supported"}}'
BAD_KEY = b'{"type":"error","error":{"type":"authentication_error","message":"bad key-a-1"}}'
ANSWER = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text",'
    b'"text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,'
    b'"output_tokens":1}}'
)
REFUSALS = [
    # status, body, is the other key used
    (401, BAD_KEY, True),
    (402, BAD_KEY, True),
    (403, BAD_KEY, False),
    (400, BAD_KEY, False),
    (401, UNKNOWN_MODEL, False),
]


@pytest.mark.parametrize(("status", "body", "is_switched"), REFUSALS)
def test_only_a_rejected_key_is_replaced(status: int, body: bytes, is_switched: bool) -> None:
    call = planned(*Feature, settings=replace(BASE, retry=RetryPolicy(attempts=1)))
    machine = machine_of(call)
    machine.start(0.0)
    before = sent_key(call)
    started = answer(machine, 1.0, status, body)
    assert (sent_key(call) != before) is is_switched
    codes = [finding.code for finding in machine.findings]
    assert ("R011" in codes) is is_switched
    if is_switched:
        assert [attempt.target for attempt in started] == [0]
        assert "key-a" not in repr(machine.findings)
        assert "bad" not in machine.attempts[0].detail


def test_when_all_keys_are_rejected_the_fallback_is_asked() -> None:
    call = planned(*Feature, settings=BASE)
    machine = machine_of(call)
    machine.start(0.0)
    targets = [
        attempt.target for now in (1.0, 2.0) for attempt in answer(machine, now, 401, BAD_KEY)
    ]
    assert targets == [0, 1]
    assert sent_key(call, 1) == "key-b"


def test_later_calls_use_the_key_that_was_accepted() -> None:
    knowledge, fallbackless = Knowledge(), replace(BASE.routes[0], fallback=())
    used = replace(BASE, routes=(fallbackless,))
    call = planned(*Feature, settings=used, knowledge=knowledge)
    machine = machine_of(call)
    machine.start(0.0)
    answer(machine, 1.0, 401, BAD_KEY)
    unproven = planned(*Feature, settings=used, knowledge=knowledge)
    answer(machine, 2.0, 200, ANSWER)
    later = planned(*Feature, settings=used, knowledge=knowledge)
    reloaded = planned(
        *Feature, settings=replace(used, providers={**used.providers}), knowledge=knowledge
    )
    assert sent_key(unproven) == sent_key(reloaded) != sent_key(later) == sent_key(call)


def test_the_received_request_has_none_of_the_keys() -> None:
    assert "key-a" not in repr(RECEIVED)
