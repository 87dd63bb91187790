"""Tests of retry budgets and circuit breakers with an injected clock."""

from collections.abc import Hashable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.engine.health import (
    CircuitBreaker,
    FailureCause,
    HealthLimits,
    Permit,
    ProviderHealth,
    Refused,
    RetryBudget,
)

LIMITS = HealthLimits(
    retry_share=0.2,
    retry_floor=3.0,
    refill_seconds=60.0,
    failures=2,
    pause_seconds=10.0,
    pause_max_seconds=30.0,
)
CAUSE = FailureCause(503, "connection lost")


def admitted(breaker: CircuitBreaker, now: float, limits: HealthLimits = LIMITS) -> Permit:
    permit = breaker.admit(now, limits)
    assert isinstance(permit, Permit)
    return permit


def refused_seconds(breaker: CircuitBreaker, now: float) -> float:
    refused = breaker.admit(now, LIMITS)
    assert isinstance(refused, Refused)
    return refused.seconds


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(2):
        admitted(breaker, now).failed(now, CAUSE)
    return breaker


# Budgets


def test_a_budget_allows_its_floor_and_no_more() -> None:
    budget = RetryBudget()
    assert [budget.take(0.0, LIMITS) for _ in range(4)] == [True, True, True, False]


def test_a_budget_of_zero_limits_nothing() -> None:
    budget, unlimited = RetryBudget(), replace(LIMITS, retry_floor=0.0)
    budget.call_started(0.0, unlimited)
    assert all(budget.take(0.0, unlimited) for _ in range(1000))


def test_a_budget_grows_by_a_fifth_of_the_calls() -> None:
    budget = RetryBudget()
    for _ in range(3):
        budget.take(0.0, LIMITS)
    for _ in range(4):
        budget.call_started(0.0, LIMITS)
    assert not budget.take(0.0, LIMITS)
    budget.call_started(0.0, LIMITS)
    budget.call_started(0.0, LIMITS)
    assert budget.take(0.0, LIMITS)


def test_a_budget_refills_with_time_up_to_its_floor() -> None:
    budget = RetryBudget()
    for _ in range(3):
        budget.take(0.0, LIMITS)
    assert not budget.take(19.0, LIMITS)
    assert budget.take(21.0, LIMITS)
    assert [budget.take(10_000.0, LIMITS) for _ in range(4)] == [True, True, True, False]


# Breakers


def test_a_breaker_opens_only_on_consecutive_failures() -> None:
    breaker = CircuitBreaker()
    admitted(breaker, 0.0).failed(0.0, CAUSE)
    admitted(breaker, 0.0).succeeded()
    admitted(breaker, 0.0).failed(0.0, CAUSE)
    admitted(breaker, 0.0).failed(1.0, CAUSE)
    assert breaker.admit(2.0, LIMITS) == Refused(9.0, CAUSE)


def test_a_breaker_without_failures_never_opens() -> None:
    breaker, off = CircuitBreaker(), replace(LIMITS, failures=0)
    for _ in range(100):
        admitted(breaker, 0.0, off).failed(0.0, CAUSE)
    admitted(breaker, 0.0)


def test_an_open_breaker_admits_calls_whose_configuration_has_none() -> None:
    breaker = opened()
    admitted(breaker, 1.0, replace(LIMITS, failures=0)).succeeded()
    assert refused_seconds(breaker, 1.0) == 9.0


def test_an_open_breaker_lets_one_probe_through_after_its_pause() -> None:
    breaker = opened()
    assert refused_seconds(breaker, 9.5) == 0.5
    probe = admitted(breaker, 10.0)
    assert refused_seconds(breaker, 10.0) == 30.0
    probe.succeeded()
    admitted(breaker, 10.1)
    admitted(breaker, 10.1)


def test_a_probe_that_hangs_makes_room_for_the_next_one_after_the_longest_pause() -> None:
    breaker = opened()
    hanging = admitted(breaker, 10.0)
    assert refused_seconds(breaker, 39.0) == 1.0
    following = admitted(breaker, 40.0)
    assert refused_seconds(breaker, 40.0) == 30.0
    hanging.failed(41.0, CAUSE)
    hanging.abandoned()
    assert refused_seconds(breaker, 41.0) == 29.0
    following.succeeded()
    admitted(breaker, 41.0)


def test_content_of_a_late_probe_closes_the_breaker() -> None:
    breaker = opened()
    late = admitted(breaker, 10.0)
    admitted(breaker, 40.0)
    late.answered()
    admitted(breaker, 41.0)
    admitted(breaker, 41.0)


def test_the_first_content_of_a_probe_admits_other_calls_before_it_ends() -> None:
    breaker = opened()
    admitted(breaker, 10.0).answered()
    admitted(breaker, 10.1)
    admitted(breaker, 10.1)


def test_content_does_not_reset_the_count_of_failures() -> None:
    """A provider that breaks every stream in the middle sends content too."""
    breaker = CircuitBreaker()
    for _ in range(2):
        permit = admitted(breaker, 0.0)
        permit.answered()
        permit.failed(0.0, CAUSE)
    assert refused_seconds(breaker, 0.0) == 10.0


def test_a_probe_that_breaks_after_its_content_counts_as_a_failure() -> None:
    breaker = opened()
    probe = admitted(breaker, 10.0)
    probe.answered()
    probe.failed(11.0, CAUSE)
    admitted(breaker, 11.0).failed(11.0, CAUSE)
    assert refused_seconds(breaker, 11.0) == 20.0


def test_a_failed_probe_doubles_the_pause() -> None:
    breaker = opened()
    admitted(breaker, 10.0).failed(11.0, CAUSE)
    assert refused_seconds(breaker, 11.0) == 20.0
    admitted(breaker, 31.0).failed(31.0, CAUSE)
    assert refused_seconds(breaker, 31.0) == 30.0


def test_calls_that_fail_together_open_the_breaker_once() -> None:
    """The pause is not doubled by calls that were under way when it opened."""
    breaker = CircuitBreaker()
    permits = [admitted(breaker, 0.0) for _ in range(10)]
    for permit in permits:
        permit.failed(1.0, CAUSE)
    assert refused_seconds(breaker, 1.0) == 10.0


def test_a_call_from_before_the_opening_neither_closes_it_nor_takes_the_probes_place() -> None:
    breaker = CircuitBreaker()
    old = [admitted(breaker, 0.0) for _ in range(4)]
    for _ in range(2):
        admitted(breaker, 0.0).failed(0.0, CAUSE)
    admitted(breaker, 10.0)
    old[0].answered()
    old[1].succeeded()
    old[2].abandoned()
    old[3].failed(11.0, CAUSE)
    assert refused_seconds(breaker, 11.0) == 29.0


def test_a_probe_whose_client_leaves_admits_the_next_one() -> None:
    breaker = opened()
    admitted(breaker, 10.0).abandoned()
    admitted(breaker, 10.0)


def test_a_client_that_leaves_is_not_a_failure() -> None:
    breaker = CircuitBreaker()
    admitted(breaker, 0.0).failed(0.0, CAUSE)
    admitted(breaker, 0.0).abandoned()
    admitted(breaker, 0.0)


# All targets


def test_models_share_a_targets_budget_but_not_its_breaker() -> None:
    health = ProviderHealth()
    first, second = health.of("target", "a", LIMITS), health.of("target", "b", LIMITS)
    assert first.budget is second.budget
    assert first.breaker is not second.breaker
    assert health.of("target", "a", LIMITS).breaker is first.breaker


def test_invented_names_do_not_displace_what_is_known_of_a_failing_target() -> None:
    health = ProviderHealth()
    failing = health.of("target", "m", LIMITS)
    for _ in range(2):
        permit = failing.admit(0.0)
        assert isinstance(permit, Permit)
        permit.failed(0.0, CAUSE)
    assert failing.take_retry(0.0)
    for number in range(2000):
        health.of(f"target {number}", "m", LIMITS).admit(0.0)
    assert isinstance(health.of("target", "m", LIMITS).admit(1.0), Refused)
    assert health.of("target", "m", LIMITS).budget is failing.budget


def test_the_number_of_remembered_names_is_limited_even_if_all_fail() -> None:
    health = ProviderHealth()
    first = health.of("target", "0", LIMITS)
    for number in range(1001):
        permit = health.of("target", str(number), LIMITS).admit(0.0)
        assert isinstance(permit, Permit)
        permit.failed(0.0, CAUSE)
    assert health.of("target", "0", LIMITS).breaker is not first.breaker


def test_names_of_any_length_are_distinguished() -> None:
    health = ProviderHealth()
    names = ["m" * 300, "m" * 300 + "n", "\ud800" * 300]
    breakers = {id(health.of("target", name, LIMITS).breaker) for name in names}
    assert len(breakers) == 3


# Properties

KEYS: list[tuple[Hashable, str]] = [("x", "m"), ("x", "n"), ("y", "m")]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(range(len(KEYS))),
        st.sampled_from(["admit", "answered", "succeeded", "failed", "abandoned", "hang"]),
        st.sampled_from([0.0, 1.0, 9.0, 31.0]),
    ),
    max_size=60,
)


class Crowd:
    """Calls to several targets; each event is that of the oldest running call there."""

    def __init__(self) -> None:
        self.health = ProviderHealth()
        self.now = 0.0
        self.running: dict[int, list[Permit]] = {}

    def do(self, target: int, event: str) -> object:
        """Do one thing, and return what other calls to the target can see of it."""
        name, model = KEYS[target]
        running = self.running.setdefault(target, [])
        if event == "admit":
            admission = self.health.of(name, model, LIMITS).admit(self.now)
            if isinstance(admission, Refused):
                return admission
            running.append(admission)
        elif running:
            permit = running.pop(0)
            if event == "failed":
                permit.failed(self.now, CAUSE)
            elif event != "hang":
                getattr(permit, event)()
        return None


@given(EVENTS, st.sampled_from(range(len(KEYS))))
def test_a_breaker_is_influenced_by_its_own_target_and_model_only(
    events: list[tuple[int, str, float]], observed: int
) -> None:
    together, alone = Crowd(), Crowd()
    for target, event, seconds in events:
        together.now = alone.now = alone.now + seconds
        seen = together.do(target, event)
        if target == observed:
            assert seen == alone.do(target, event)


@given(EVENTS)
def test_after_any_history_a_call_is_admitted_within_the_longest_pause(
    events: list[tuple[int, str, float]],
) -> None:
    crowd = Crowd()
    for target, event, seconds in events:
        crowd.now += seconds
        seen = crowd.do(target, event)
        if isinstance(seen, Refused):
            assert 0 < seen.seconds <= LIMITS.pause_max_seconds
    crowd.now += LIMITS.pause_max_seconds
    for target in range(len(KEYS)):
        assert crowd.do(target, "admit") is None


@given(EVENTS)
def test_a_breaker_that_is_not_closed_admits_one_call_at_a_time(
    events: list[tuple[int, str, float]],
) -> None:
    """Between two admissions of a breaker that refuses lies a result, or the longest pause."""
    crowd = Crowd()
    for target, event, seconds in events:
        crowd.now += seconds
        crowd.do(target, event)
    for name, model in KEYS:
        call = crowd.health.of(name, model, LIMITS)
        admissions = [call.admit(crowd.now) for _ in range(3)]
        is_closed = not any(isinstance(admission, Refused) for admission in admissions)
        assert is_closed or sum(isinstance(admission, Permit) for admission in admissions) <= 1


@pytest.mark.parametrize("share", [0.0, 0.2])
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 5.0])), max_size=80))
def test_retries_stay_within_the_budget(share: float, steps: list[tuple[bool, float]]) -> None:
    limits = replace(LIMITS, retry_share=share)
    budget, now, calls, retries = RetryBudget(), 0.0, 0, 0
    for is_call, seconds in steps:
        now += seconds
        if is_call:
            budget.call_started(now, limits)
            calls += 1
        else:
            retries += budget.take(now, limits)
    allowed = limits.retry_floor * (1 + now / limits.refill_seconds) + share * calls
    assert retries <= allowed + 1e-6
