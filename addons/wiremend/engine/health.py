"""What keeps a broken provider from being hammered: a retry budget and a circuit breaker.

    closed     calls go through; failed ones in a row are counted
    open       calls are refused until the pause is over; each opening doubles the pause
    half-open  one call goes through as a probe; its first content, or its end, closes the breaker,
               its failure opens it again

Only real failures count: not the client's leaving, not an error that is the request's own
fault. The clock comes in as an argument, in seconds.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """When enough is enough."""

    retry_share: float = 0.2
    """Retries that each call adds to its provider's budget."""
    retry_floor: float = 30.0
    """Retries that a provider may have at once, however few calls there were."""
    refill_seconds: float = 60.0
    """In this time an empty budget fills up to the floor by itself."""
    failures: int = 5
    """Calls that must fail in a row, all their attempts made, to open the breaker."""
    pause_seconds: float = 5.0
    pause_max_seconds: float = 10.0


class RetryBudget:
    """A bucket of retries per provider: calls and time fill it, retries empty it."""

    def __init__(self, limits: HealthLimits) -> None:
        self._limits = limits
        self._left = limits.retry_floor
        self._filled_at: float | None = None

    def call_started(self, now: float) -> None:
        """A call adds its share."""
        self._fill(now)
        self._left = min(self._limits.retry_floor, self._left + self._limits.retry_share)

    def take(self, now: float) -> bool:
        """Take one retry out, if there is one."""
        self._fill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            rate = self._limits.retry_floor / self._limits.refill_seconds
            gained = max(0.0, now - self._filled_at) * rate
            self._left = min(self._limits.retry_floor, self._left + gained)
        self._filled_at = now


class CircuitBreaker:
    """One per provider and model."""

    def __init__(self, limits: HealthLimits) -> None:
        self.last_failure = ""
        """What the last failed call came to."""
        self._limits = limits
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._probing = False

    def admit(self, now: float) -> float | None:
        """Seconds until a call may be tried, or None when one may go now (and is counted on)."""
        if self._open_until is None:
            return None
        if now < self._open_until:
            return self._open_until - now
        if self._probing:
            return self._limits.pause_seconds
        self._probing = True
        return None

    def answered(self) -> None:
        """Content came: a probe need not be over (it may take minutes) to let others go too."""
        if self._probing:
            self._failures = 0
            self._open_until = None
            self._probing = False

    def succeeded(self) -> None:
        """A call came to a good end."""
        self._failures = self._openings = 0
        self._open_until = None
        self._probing = False

    def failed(self, now: float, told: str = "") -> None:
        """A call failed, all its attempts made; `told` says how."""
        self.last_failure = told
        self._failures += 1
        if self._probing or self._failures >= self._limits.failures:
            pause = self._limits.pause_seconds * 2.0 ** min(self._openings, 30)
            self._open_until = now + min(pause, self._limits.pause_max_seconds)
            self._openings += 1
        self._probing = False

    def abandoned(self) -> None:
        """A call ended without a verdict: the client left, or the request was at fault."""
        self._probing = False


_REMEMBERED = 1000
"""Providers, and models, whose past is kept; clients may ask for any number of names."""


@dataclass
class ProviderHealth:
    """All budgets and breakers of one proxy."""

    limits: HealthLimits = field(default_factory=HealthLimits)
    _budgets: dict[str, RetryBudget] = field(default_factory=dict)
    _breakers: dict[Hashable, CircuitBreaker] = field(default_factory=dict)

    def of(self, provider: str, model: str) -> "CallHealth":
        """What a call to this provider and model has to heed."""
        budget = self._budgets.setdefault(provider, RetryBudget(self.limits))
        key = (provider, model)
        breaker = self._breakers.setdefault(key, CircuitBreaker(self.limits))
        _forget_oldest(self._budgets)
        _forget_oldest(self._breakers)
        return CallHealth(budget, breaker)


@dataclass(frozen=True, slots=True)
class CallHealth:
    """The budget of a call's provider, and the breaker of its provider and model."""

    budget: RetryBudget
    breaker: CircuitBreaker


def _forget_oldest[Key](known: dict[Key, Any]) -> None:
    if len(known) > _REMEMBERED:
        known.pop(next(iter(known)))
