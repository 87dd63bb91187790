"""A retry budget and a circuit breaker limit the load on a target that fails.

A target is what calls are really sent to: a configured provider, or the address that a connection
was made to. What a client writes into a request, its `Host` header included, does not name it.

    closed     calls are admitted; consecutive failures are counted
    open       calls are refused until the pause is over; each opening doubles the pause
    half-open  one call is admitted as a probe; its first content or its success closes the
               breaker, its failure opens it again. A probe without a result after the longest
               pause no longer keeps other calls out: the next one is a probe too.

Only failures of the target count: not a client that leaves, not an error that the request caused.
A call that was admitted before the breaker last opened or closed has no effect on it.

Limits belong to the call: one that is running keeps its own when the configuration changes. `now`
is in monotonic seconds.
"""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

from wiremend.value_class import value_class


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """The parameters of budgets and breakers."""

    retry_share: float = 0.2
    """Retries that each call adds to its target's budget; a fraction."""
    retry_floor: float = 30.0
    """The capacity of a budget, which is full at the start; 0: retries are not limited."""
    refill_seconds: float = 60.0
    """Time in which an empty budget becomes full without any call."""
    failures: int = 5
    """Consecutive calls that must fail, after all their attempts, to open the breaker; 0: never."""
    pause_seconds: float = 5.0
    """How long the breaker stays open the first time."""
    pause_max_seconds: float = 10.0
    """The longest pause."""


@dataclass(frozen=True, slots=True)
class FailureCause:
    """What other clients may see of a failed call: no text of the provider."""

    status: int
    """The HTTP status; that of the error which stands for it if there was no response."""
    kind: str = ""
    """The name of the rule that found the failure, in words; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a call that an open breaker does not admit."""

    seconds: float
    """Time until the next call may be admitted."""
    last_failure: FailureCause | None


class RetryBudget:
    """A token bucket of retries per target, refilled by calls and by time."""

    def __init__(self) -> None:
        self._used = 0.0
        self._filled_at: float | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the budget is as good as new."""
        return self._used == 0

    def call_started(self, now: float, limits: HealthLimits) -> None:
        """Add the share of one call."""
        self._fill(now, limits)
        self._used = max(0.0, self._used - limits.retry_share)

    def take(self, now: float, limits: HealthLimits) -> bool:
        """Take one retry; False if there is none left."""
        if not limits.retry_floor:
            return True
        self._fill(now, limits)
        if limits.retry_floor - self._used < 1:
            return False
        self._used += 1
        return True

    def left(self, now: float, limits: HealthLimits) -> float:
        """Return the retries that may follow now. It changes nothing."""
        since = 0.0 if self._filled_at is None else max(0.0, now - self._filled_at)
        gained = since * limits.retry_floor / limits.refill_seconds
        return limits.retry_floor - max(0.0, self._used - gained)

    def _fill(self, now: float, limits: HealthLimits) -> None:
        if self._filled_at is not None:
            rate = limits.retry_floor / limits.refill_seconds
            gained = max(0.0, now - self._filled_at) * rate
            self._used = max(0.0, self._used - gained)
        self._filled_at = now


class CircuitBreaker:
    """The circuit breaker of one target and model; see the states above."""

    def __init__(self) -> None:
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._probe: Permit | None = None
        self._probe_expires = 0.0
        self._period = 0
        """Counts how often the breaker opened or closed."""
        self._last_failure: FailureCause | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the breaker is as good as new."""
        return self._open_until is None and not self._failures and not self._openings

    def admit(self, now: float, limits: HealthLimits) -> "Permit | Refused":
        """Admit one call, as a probe if the breaker was open, or refuse it.

        An admitted call reports its result to its permit.
        """
        if not limits.failures:
            return Permit(None, limits)
        permit = Permit(self, limits)
        if self._open_until is None:
            return permit
        until = self._open_until if self._probe is None else self._probe_expires
        if now < until:
            return Refused(until - now, self._last_failure)
        self._probe = permit
        self._probe_expires = now + limits.pause_max_seconds
        return permit

    def state(self, target: Hashable, model: str, now: float) -> "BreakerState":
        """Return what is known of this target and model."""
        until = self._open_until
        if until is not None and self._probe is not None:
            until = self._probe_expires
        seconds = None if until is None else max(0.0, until - now)
        return BreakerState(target, model, self._failures, seconds, self._last_failure)

    def _close(self) -> None:
        if self._open_until is not None:
            self._open_until = None
            self._probe = None
            self._period += 1
        self._failures = 0

    def _open(self, now: float, limits: HealthLimits) -> None:
        pause = limits.pause_seconds * 2.0 ** min(self._openings, 30)
        self._open_until = now + min(pause, limits.pause_max_seconds)
        self._openings += 1
        self._failures = 0
        self._probe = None
        self._period += 1


class Permit:
    """The admission of one call. It takes one result; later ones have no effect."""

    def __init__(self, breaker: CircuitBreaker | None, limits: HealthLimits) -> None:
        self._breaker = breaker
        self._limits = limits
        self._period = breaker._period if breaker is not None else 0

    def answered(self) -> None:
        """Content arrived: close an open breaker without waiting minutes for the probe's end."""
        breaker = self._counting()
        if breaker is not None and breaker._open_until is not None:
            breaker._close()
            self._period = breaker._period

    def succeeded(self) -> None:
        """The call was completed."""
        breaker = self._counting()
        if breaker is not None:
            breaker._close()
            breaker._openings = 0
        self._breaker = None

    def failed(self, now: float, cause: FailureCause) -> None:
        """The call failed after all its attempts."""
        breaker, self._breaker = self._counting(), None
        if breaker is None or breaker._probe not in (None, self):
            return  # another probe has the place of one that took too long
        breaker._last_failure = cause
        breaker._failures += 1
        is_probe = breaker._open_until is not None
        if is_probe or breaker._failures >= self._limits.failures:
            breaker._open(now, self._limits)

    def abandoned(self) -> None:
        """The call ended without evidence: the client left, or the request was at fault."""
        breaker, self._breaker = self._counting(), None
        if breaker is not None and breaker._probe is self:
            breaker._probe = None

    def _counting(self) -> CircuitBreaker | None:
        """Return the breaker, unless it opened or closed since the call was admitted."""
        breaker = self._breaker
        return breaker if breaker is not None and breaker._period == self._period else None


_REMEMBERED = 1000
"""How many budgets, and breakers, are kept: clients can ask for any number of models."""
_LONGEST_NAME = 256
"""Longer model names are kept as digests."""


@dataclass(frozen=True, slots=True)
class BreakerState:
    """One circuit breaker that is not as good as new."""

    target: Hashable
    model: str
    failures: int
    """Consecutive failures since it was closed."""
    open_seconds: float | None
    """Seconds until the next call may be admitted; 0: the next one is. None: it is closed."""
    last_failure: FailureCause | None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One retry budget of which something is used."""

    target: Hashable
    left: float
    """Retries that may follow now."""


@dataclass
class ProviderHealth:
    """All budgets and breakers of one proxy."""

    _budgets: dict[Hashable, RetryBudget] = field(default_factory=dict)
    _breakers: dict[Hashable, CircuitBreaker] = field(default_factory=dict)

    def of(self, target: Hashable, model: str, limits: HealthLimits) -> "CallHealth":
        """Return the retry budget and circuit breaker of this target and model.

        `target` identifies what the call is really sent to; models share its budget.
        """
        if len(model) > _LONGEST_NAME:
            model = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()
        budget = _take(self._budgets, target, RetryBudget)
        breaker = _take(self._breakers, (target, model), CircuitBreaker)
        return CallHealth(budget, breaker, limits)

    def breakers(self, now: float) -> list[BreakerState]:
        """Return the breakers that have counted failures or are open."""
        states = []
        for key, breaker in self._breakers.items():
            if isinstance(key, tuple) and not breaker.is_idle:
                target, model = key
                states.append(breaker.state(target, model, now))
        return states

    def budgets(self, now: float, limits: HealthLimits) -> list[BudgetState]:
        """Return the budgets of which something is used; none if retries are not limited."""
        if not limits.retry_floor:
            return []
        left = ((target, it.left(now, limits)) for target, it in self._budgets.items())
        return [BudgetState(target, n) for target, n in left if n < limits.retry_floor]

    def forget_breakers(self) -> int:
        """Close all breakers for the calls that follow; return how many had counted failures."""
        known = sum(not breaker.is_idle for breaker in self._breakers.values())
        self._breakers.clear()
        return known

    def forget_budgets(self) -> int:
        """Fill all budgets for the calls that follow; return how many were used."""
        known = sum(not budget.is_idle for budget in self._budgets.values())
        self._budgets.clear()
        return known


@value_class
class CallHealth:
    """The budget of a call's target, the breaker of its target and model, and their limits."""

    budget: RetryBudget
    breaker: CircuitBreaker
    limits: HealthLimits

    def admit(self, now: float) -> Permit | Refused:
        """Count the call for the budget, and admit it or not."""
        self.budget.call_started(now, self.limits)
        return self.breaker.admit(now, self.limits)

    def take_retry(self, now: float) -> bool:
        """Take one retry from the budget; False if it is used up."""
        return self.budget.take(now, self.limits)


class _Remembered(Protocol):
    @property
    def is_idle(self) -> bool: ...


def _take[Value: _Remembered](
    known: dict[Hashable, Value], key: Hashable, make: type[Value]
) -> Value:
    """Return the value of this key, which becomes the last one; make it if there is none.

    Past the bound, the first idle one is dropped, or the first if all are in use: names that
    clients invent do not displace what is known of a target that fails.
    """
    value = known.pop(key, None) or make()
    if len(known) >= _REMEMBERED:
        del known[next((other for other in known if known[other].is_idle), next(iter(known)))]
    known[key] = value
    return value
