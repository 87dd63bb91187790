"""Who is asked next."""

from collections.abc import Callable

import pytest
from wiremend.engine.call import Target
from wiremend.engine.fallback import TargetChoice
from wiremend.engine.health import HealthLimits, ProviderHealth
from wiremend.protocols.base.provider_error import ProviderError, make_error

ONE_FAILURE = HealthLimits(failures=1, retry_floor=1.0, pause_seconds=10.0)


def choice(*providers: str, health: ProviderHealth | None = None) -> TargetChoice:
    """Targets at these providers, each with a model of its own; the first one is asked."""
    targets = tuple(
        Target(provider, f"model-{n}", health.of(provider, f"model-{n}") if health else None)
        for n, provider in enumerate(providers)
    )
    made = TargetChoice(targets)
    made.move_on(0.0)
    return made


def test_targets_are_asked_in_order_and_once() -> None:
    asked = choice("a", "b")
    assert asked.target.provider == "a"
    assert asked.move_on(0.0) == (True, [])
    assert asked.target.provider == "b"
    assert asked.move_on(0.0) == (False, [])
    assert asked.target.provider == "b"


def test_an_open_breaker_is_passed_over_and_named() -> None:
    health = ProviderHealth(ONE_FAILURE)
    health.of("b", "model-1").breaker.failed(0.0)
    asked = choice("a", "b", "c", health=health)
    found, refused = asked.move_on(4.0)
    assert (found, [one.provider for one in refused]) == (True, ["b"])
    assert (asked.target.provider, asked.refused_seconds) == ("c", 6.0)


@pytest.mark.parametrize("status", [401, 403])
def test_a_provider_that_refuses_the_key_is_not_asked_for_another_model(status: int) -> None:
    asked = choice("a", "a", "b")
    assert asked.prepare_fallback(make_error(status=status))
    asked.move_on(0.0)
    assert asked.target.provider == "b"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(make_error(status=503), True, id="unavailable"),
        pytest.param(make_error(status=402), True, id="payment required"),
        pytest.param(make_error(status=404), True, id="not found"),
        pytest.param(make_error(status=400, code="insufficient_quota"), True, id="quota"),
        pytest.param(
            make_error(status=400, message="The model `x` does not exist"), True, id="no model"
        ),
        pytest.param(make_error(status=400, message="prompt is too long"), False, id="too long"),
        pytest.param(make_error(status=422), False, id="the request's fault"),
    ],
)
def test_only_what_another_target_may_do_better_falls_back(
    error: ProviderError, expected: bool
) -> None:
    assert choice("a", "b").prepare_fallback(error) is expected


def test_retries_come_out_of_the_providers_budget() -> None:
    asked = choice("a", health=ProviderHealth(ONE_FAILURE))
    assert [asked.take_retry(0.0), asked.take_retry(0.0)] == [True, False]
    assert choice("a").take_retry(0.0)


@pytest.mark.parametrize(("status", "opens"), [(404, False), (500, True), (529, True)])
def test_only_a_providers_own_failure_counts_against_it(status: int, opens: bool) -> None:
    health = ProviderHealth(ONE_FAILURE)
    choice("a", health=health).failed(0.0, status, "reason")
    assert (health.of("a", "model-0").breaker.admit(1.0) is not None) is opens


@pytest.mark.parametrize("report", [TargetChoice.succeeded, TargetChoice.inconclusive])
def test_a_probe_without_a_failure_lets_the_next_call_through(
    report: Callable[[TargetChoice], None],
) -> None:
    health = ProviderHealth(ONE_FAILURE)
    breaker = health.of("a", "model-0").breaker
    breaker.failed(0.0)
    asked = TargetChoice((Target("a", "model-0", health.of("a", "model-0")),))
    assert asked.move_on(10.0) == (True, [])
    assert breaker.admit(10.0) is not None
    report(asked)
    assert breaker.admit(10.0) is None
