"""Tests of the choice of the next target."""

from collections.abc import Callable

import pytest
from wiremend.engine.call import Target
from wiremend.engine.fallback import TargetChoice
from wiremend.engine.health import HealthLimits, ProviderHealth
from wiremend.protocols.base.provider_error import ProviderError, make_error

ONE_FAILURE = HealthLimits(failures=1, retry_floor=1.0, pause_seconds=10.0)


def choice(*providers: str, health: ProviderHealth | None = None) -> TargetChoice:
    """Return a choice over one model per provider, moved on to the first target."""
    targets = tuple(
        Target(provider, f"model-{n}", health.of(provider, f"model-{n}") if health else None)
        for n, provider in enumerate(providers)
    )
    made = TargetChoice(targets)
    made.move_on(0.0)
    return made


def test_targets_are_tried_in_order_and_once() -> None:
    chosen = choice("a", "b")
    assert chosen.target.provider == "a"
    assert chosen.move_on(0.0) == (True, [])
    assert chosen.target.provider == "b"
    assert chosen.move_on(0.0) == (False, [])
    assert chosen.target.provider == "b"


def test_a_target_with_an_open_breaker_is_skipped_and_returned() -> None:
    health = ProviderHealth(ONE_FAILURE)
    health.of("b", "model-1").breaker.failed(0.0)
    chosen = choice("a", "b", "c", health=health)
    has_target, refused = chosen.move_on(4.0)
    assert (has_target, [target.provider for target in refused]) == (True, ["b"])
    assert (chosen.target.provider, chosen.refused_seconds) == ("c", 6.0)


@pytest.mark.parametrize("status", [401, 403])
def test_a_provider_that_rejects_the_key_is_skipped_for_other_models(status: int) -> None:
    chosen = choice("a", "a", "b")
    assert chosen.prepare_fallback(make_error(status=status))
    chosen.move_on(0.0)
    assert chosen.target.provider == "b"


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
        pytest.param(make_error(status=422), False, id="invalid request"),
    ],
)
def test_only_errors_that_another_target_may_not_have_fall_back(
    error: ProviderError, expected: bool
) -> None:
    assert choice("a", "b").prepare_fallback(error) is expected


def test_retries_use_the_budget_of_the_provider() -> None:
    chosen = choice("a", health=ProviderHealth(ONE_FAILURE))
    assert [chosen.take_retry(0.0), chosen.take_retry(0.0)] == [True, False]
    assert choice("a").take_retry(0.0)


@pytest.mark.parametrize(("status", "opens"), [(404, False), (500, True), (529, True)])
def test_only_server_errors_count_as_failures_of_the_provider(status: int, opens: bool) -> None:
    health = ProviderHealth(ONE_FAILURE)
    choice("a", health=health).failed(0.0, status, "reason")
    assert (health.of("a", "model-0").breaker.admit(1.0) is not None) is opens


@pytest.mark.parametrize("report", [TargetChoice.succeeded, TargetChoice.inconclusive])
def test_a_probe_that_does_not_fail_closes_the_breaker(
    report: Callable[[TargetChoice], None],
) -> None:
    health = ProviderHealth(ONE_FAILURE)
    breaker = health.of("a", "model-0").breaker
    breaker.failed(0.0)
    chosen = TargetChoice((Target("a", "model-0", health.of("a", "model-0")),))
    assert chosen.move_on(10.0) == (True, [])
    assert breaker.admit(10.0) is not None
    report(chosen)
    assert breaker.admit(10.0) is None
