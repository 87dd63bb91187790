"""Which of a call's targets is asked: the first choice, then the fallbacks that may be asked."""

import re
from collections.abc import Sequence

from wiremend.engine.call_settings import Target
from wiremend.protocols.base.provider_error import ProviderError

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "usage_limit_reached",
        "usage_not_included",
        "billing_hard_limit_reached",
    }
)
_UNKNOWN_MODEL = re.compile(
    r"\bmodel\b.{0,80}\b(?:not found|does not exist|not supported|unknown|no access)",
    re.IGNORECASE,
)


class TargetChoice:
    """Walks the targets once, in order; heeds their budgets and circuit breakers."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.number = 0
        """The target that is asked now."""
        self.refused_seconds = 0.0
        """How long the last breaker that was met stays open."""
        self.last_failure = ""
        """What opened it."""
        self._targets = targets
        self._next = 0
        self._stopped_providers: set[str] = set()

    @property
    def target(self) -> Target:
        """Who is asked now."""
        return self._targets[self.number]

    def move_on(self, now: float) -> tuple[bool, list[Target]]:
        """Go to the next target that may be asked: whether there is one, and who was refused."""
        refused = []
        while self._next < len(self._targets):
            number, self._next = self._next, self._next + 1
            target = self._targets[number]
            if target.provider in self._stopped_providers:
                continue
            if target.health is not None:
                target.health.budget.call_started(now)
                seconds = target.health.breaker.refused_for(now)
                if seconds is not None:
                    self.refused_seconds = seconds
                    self.last_failure = target.health.breaker.last_failure
                    refused.append(target)
                    continue
            self.number = number
            return True, refused
        return False, refused

    def may_fall_back(self, error: ProviderError) -> bool:
        """Whether another target could do what this one could not."""
        if error.status in (401, 403):
            self._stopped_providers.add(self.target.provider)
            return True
        if error.retryable or error.status in (402, 404) or error.code.lower() in QUOTA_CODES:
            return True
        return _UNKNOWN_MODEL.search(error.message) is not None

    def may_retry(self, now: float) -> bool:
        """Take one retry from the provider's budget, if there is one."""
        health = self.target.health
        return health is None or health.budget.take(now)

    def answered(self) -> None:
        """Tell the breaker that content came."""
        if self.target.health is not None:
            self.target.health.breaker.answered()

    def judge(self, now: float, status: int | None, told: str = "") -> None:
        """Tell the breaker of the end: an error's status and message; 0: none; None: no verdict."""
        if self.target.health is None:
            return
        breaker = self.target.health.breaker
        if status == 0:
            breaker.succeeded()
        elif status is None or status < 500:
            breaker.abandoned()
        else:
            breaker.failed(now, told)
