"""Tests of retry budgets and circuit breakers with an injected clock."""

from wiremend.engine.health import CircuitBreaker, HealthLimits, ProviderHealth, RetryBudget

LIMITS = HealthLimits(
    retry_share=0.2,
    retry_floor=3.0,
    refill_seconds=60.0,
    failures=2,
    pause_seconds=10.0,
    pause_max_seconds=30.0,
)


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(LIMITS)
    breaker.failed(now)
    breaker.failed(now)
    return breaker


def test_a_budget_allows_its_floor_and_no_more() -> None:
    budget = RetryBudget(LIMITS)
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]


def test_a_budget_grows_by_a_fifth_of_the_calls() -> None:
    budget = RetryBudget(LIMITS)
    for _ in range(3):
        budget.take(0.0)
    for _ in range(4):
        budget.call_started(0.0)
    assert not budget.take(0.0)
    budget.call_started(0.0)
    budget.call_started(0.0)
    assert budget.take(0.0)


def test_a_budget_refills_with_time_up_to_its_floor() -> None:
    budget = RetryBudget(LIMITS)
    for _ in range(3):
        budget.take(0.0)
    assert not budget.take(19.0)
    assert budget.take(21.0)
    assert [budget.take(10_000.0) for _ in range(4)] == [True, True, True, False]


def test_a_breaker_opens_only_on_consecutive_failures() -> None:
    breaker = CircuitBreaker(LIMITS)
    breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    assert breaker.admit(0.0) is None
    breaker.failed(1.0)
    assert breaker.admit(2.0) == 9.0


def test_an_open_breaker_lets_one_probe_through_after_its_pause() -> None:
    breaker = opened()
    assert breaker.admit(10.0) is None
    assert breaker.admit(10.0) == 10.0
    breaker.succeeded()
    assert breaker.admit(10.1) is None


def test_the_first_content_of_a_probe_admits_other_calls_before_it_ends() -> None:
    breaker = opened()
    breaker.admit(10.0)
    breaker.answered()
    assert [breaker.admit(10.1), breaker.admit(10.1)] == [None, None]


def test_content_does_not_reset_the_count_of_failures() -> None:
    """A provider that breaks every stream in the middle sends content too."""
    breaker = CircuitBreaker(LIMITS)
    for _ in range(2):
        breaker.answered()
        breaker.failed(0.0)
    assert breaker.admit(0.0) is not None


def test_a_failed_probe_doubles_the_pause() -> None:
    breaker = opened()
    breaker.admit(10.0)
    breaker.failed(11.0)
    assert breaker.admit(11.0) == 20.0
    breaker.admit(31.0)
    breaker.failed(31.0)
    assert breaker.admit(31.0) == 30.0


def test_a_probe_whose_client_leaves_admits_the_next_one() -> None:
    breaker = opened()
    breaker.admit(10.0)
    breaker.abandoned()
    assert breaker.admit(10.0) is None


def test_a_client_that_leaves_is_not_a_failure() -> None:
    breaker = CircuitBreaker(LIMITS)
    breaker.failed(0.0)
    breaker.abandoned()
    assert breaker.admit(0.0) is None


def test_models_share_a_providers_budget_but_not_its_breaker() -> None:
    health = ProviderHealth(LIMITS)
    first, second = health.of("api.example.com", "a"), health.of("api.example.com", "b")
    assert first.budget is second.budget
    assert first.breaker is not second.breaker
    assert health.of("api.example.com", "a").breaker is first.breaker


def test_the_number_of_remembered_models_is_limited() -> None:
    """Clients may request any number of names; the oldest one is dropped."""
    health = ProviderHealth(LIMITS)
    first = health.of("api.example.com", "0").breaker
    for number in range(1, 1000):
        health.of("api.example.com", str(number))
    assert health.of("api.example.com", "0").breaker is first
    health.of("api.example.com", "1000")
    assert health.of("api.example.com", "0").breaker is not first
