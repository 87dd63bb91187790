"""A retry budget and a circuit breaker limit the load on a provider that fails.

    closed     calls are admitted; consecutive failures are counted
    open       calls are refused until the pause is over; each opening doubles the pause
    half-open  one call is admitted as a probe; its first content or its success closes the
               breaker, its failure opens it again

Only failures of the provider count: not a client that leaves, not an error that the request
caused. `now` is in monotonic seconds.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """The parameters of budgets and breakers."""

    retry_share: float = 0.2
    """Retries that each call adds to its provider's budget; a fraction."""
    retry_floor: float = 30.0
    """The capacity of a budget, which is full at the start."""
    refill_seconds: float = 60.0
    """Time in which an empty budget becomes full without any call."""
    failures: int = 5
    """Consecutive calls that must fail, after all their attempts, to open the breaker."""
    pause_seconds: float = 5.0
    """How long the breaker stays open the first time."""
    pause_max_seconds: float = 10.0
    """The longest pause."""


class RetryBudget:
    """A token bucket of retries per provider, refilled by calls and by time."""

    def __init__(self, limits: HealthLimits) -> None:
        self._limits = limits
        self._left = limits.retry_floor
        self._filled_at: float | None = None

    def call_started(self, now: float) -> None:
        """Add the share of one call."""
        self._fill(now)
        self._left = min(self._limits.retry_floor, self._left + self._limits.retry_share)

    def take(self, now: float) -> bool:
        """Take one retry; False if there is none left."""
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
    """The circuit breaker of one provider and model; see the states above."""

    def __init__(self, limits: HealthLimits) -> None:
        self.last_failure = ""
        """The error message of the last failed call."""
        self._limits = limits
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._probing = False

    def admit(self, now: float) -> float | None:
        """Admit one call, as the probe if the breaker was open, and return None.

        If the call is refused, return the seconds until the next one may be admitted. An admitted
        call must report its end: `succeeded`, `failed` or `abandoned`.
        """
        if self._open_until is None:
            return None
        if now < self._open_until:
            return self._open_until - now
        if self._probing:
            return self._limits.pause_seconds
        self._probing = True
        return None

    def answered(self) -> None:
        """Content arrived: close the breaker without waiting minutes for the probe's end."""
        if self._probing:
            self._failures = 0
            self._open_until = None
            self._probing = False

    def succeeded(self) -> None:
        """A call was completed."""
        self._failures = self._openings = 0
        self._open_until = None
        self._probing = False

    def failed(self, now: float, message: str = "") -> None:
        """A call failed after all its attempts; `message` is that of its error."""
        self.last_failure = message
        self._failures += 1
        if self._probing or self._failures >= self._limits.failures:
            pause = self._limits.pause_seconds * 2.0 ** min(self._openings, 30)
            self._open_until = now + min(pause, self._limits.pause_max_seconds)
            self._openings += 1
        self._probing = False

    def abandoned(self) -> None:
        """A call ended without evidence: the client left, or the request was at fault."""
        self._probing = False


_REMEMBERED = 1000
"""How many budgets, and breakers, are kept: clients can ask for any number of models."""


@dataclass
class ProviderHealth:
    """All budgets and breakers of one proxy; the oldest are dropped past a bound."""

    limits: HealthLimits = field(default_factory=HealthLimits)
    _budgets: dict[str, RetryBudget] = field(default_factory=dict)
    _breakers: dict[Hashable, CircuitBreaker] = field(default_factory=dict)

    def of(self, provider: str, model: str) -> "CallHealth":
        """Return the retry budget and circuit breaker of this provider and model."""
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
