"""Tests of the choice of the next target."""

from collections.abc import Callable

import pytest
from wiremend.engine.call import Target
from wiremend.engine.fallback import TargetChoice
from wiremend.engine.health import (
    FailureCause,
    HealthLimits,
    Permit,
    ProviderHealth,
    Refused,
)
from wiremend.protocols.base.provider_error import ProviderError, make_error

ONE_FAILURE = HealthLimits(failures=1, retry_floor=1.0, pause_seconds=10.0)


def choice(*providers: str, health: ProviderHealth | None = None) -> TargetChoice:
    """Return a choice over one model per provider, moved on to the first target."""
    targets = tuple(
        Target(
            provider,
            f"model-{n}",
            health.of(provider, f"model-{n}", ONE_FAILURE) if health else None,
        )
        for n, provider in enumerate(providers)
    )
    made = TargetChoice(targets)
    made.move_on(0.0)
    return made


def is_open(health: ProviderHealth, provider: str, model: str, now: float) -> bool:
    return isinstance(health.of(provider, model, ONE_FAILURE).admit(now), Refused)


def open_breaker(health: ProviderHealth, provider: str, model: str) -> None:
    permit = health.of(provider, model, ONE_FAILURE).admit(0.0)
    assert isinstance(permit, Permit)
    permit.failed(0.0, FailureCause(502))


def test_targets_are_tried_in_order_and_once() -> None:
    chosen = choice("a", "b")
    assert chosen.target.provider == "a"
    assert chosen.move_on(0.0) == (True, [])
    assert chosen.target.provider == "b"
    assert chosen.move_on(0.0) == (False, [])
    assert chosen.target.provider == "b"


def test_a_target_with_an_open_breaker_is_skipped_and_returned() -> None:
    health = ProviderHealth()
    open_breaker(health, "b", "model-1")
    chosen = choice("a", "b", "c", health=health)
    has_target, refused = chosen.move_on(4.0)
    assert (has_target, [target.provider for target in refused]) == (True, ["b"])
    assert (chosen.target.provider, chosen.refused) == ("c", Refused(6.0, FailureCause(502)))


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
    chosen = choice("a", health=ProviderHealth())
    assert [chosen.take_retry(0.0), chosen.take_retry(0.0)] == [True, False]
    assert choice("a").take_retry(0.0)


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (make_error(status=400), False),
        (make_error(status=401), False),
        (make_error(status=403), False),
        (make_error(status=404), False),
        (make_error(status=408), False),
        (make_error(status=429), False),
        (make_error(status=499), False),
        (make_error(status=501), False),
        (make_error(status=503, code="insufficient_quota"), False),
        (make_error(status=500), True),
        (make_error(status=502), True),
        (make_error(status=529), True),
        (make_error(status=530), True),
    ],
    ids=lambda value: f"{value.status}{value.code}" if isinstance(value, ProviderError) else "",
)
def test_only_server_errors_count_as_failures_of_the_provider(
    error: ProviderError, opens: bool
) -> None:
    health = ProviderHealth()
    choice("a", health=health).failed(0.0, error, "reason")
    assert is_open(health, "a", "model-0", 1.0) is opens


@pytest.mark.parametrize("report", [TargetChoice.succeeded, TargetChoice.inconclusive])
def test_a_probe_that_does_not_fail_admits_the_next_call(
    report: Callable[[TargetChoice], None],
) -> None:
    health = ProviderHealth()
    open_breaker(health, "a", "model-0")
    chosen = TargetChoice((Target("a", "model-0", health.of("a", "model-0", ONE_FAILURE)),))
    assert chosen.move_on(10.0) == (True, [])
    assert is_open(health, "a", "model-0", 10.0)
    report(chosen)
    assert not is_open(health, "a", "model-0", 10.0)
