"""Which of a call's targets is asked: the first choice, then the fallbacks, in order."""

from collections.abc import Sequence
from dataclasses import replace

from wiremend.engine.call import Target
from wiremend.engine.health import FailureCause, Permit, Refused
from wiremend.protocols.base.provider_error import FINAL_CODES, ProviderError
from wiremend.targets.wordings import UNKNOWN_MODEL, UNKNOWN_MODEL_NAMES

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "usage_limit_reached",
        "usage_not_included",
        "billing_hard_limit_reached",
    }
)
_REFUSED_STATUS = frozenset({501, 505})
"""Statuses of 500 and above that refuse what the request asks for."""
_REFUSED_KEY_STATUS = frozenset({401, 403})
_NOT_FOUND = 404


def is_unknown_model(error: ProviderError) -> bool:
    """Return whether an error is about a model that the provider does not have.

    Its status does not count: OpenCode reports it with 401, others with 400, 403, 422 or 503.
    """
    names = {name.lower().replace("_", "") for name in (error.code, error.type)}
    if not names.isdisjoint(UNKNOWN_MODEL_NAMES):
        return True
    return any(pattern.search(error.message) for pattern in UNKNOWN_MODEL)


def with_status_of_model(error: ProviderError) -> ProviderError:
    """Return the error with the status 404 if it reports an unknown model as a refused key.

    A client asks its user for another key after 401.
    """
    if error.status in _REFUSED_KEY_STATUS and is_unknown_model(error):
        return replace(error, status=_NOT_FOUND)
    return error


class TargetChoice:
    """Goes through the targets once, in order, and applies their budgets and circuit breakers.

    Times are monotonic seconds. A target without health has neither budget nor breaker.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self.number = 0
        """Index of the current target."""
        self.refused: Refused | None = None
        """What the last breaker that refused the call answered."""
        self._permit: Permit | None = None
        self._targets = targets
        self._next = 0
        self._excluded_providers: set[str] = set()

    @property
    def target(self) -> Target:
        """The current target."""
        return self._targets[self.number]

    def move_on(self, now: float) -> tuple[bool, list[Target]]:
        """Make the next target that admits the call the current one.

        Returns whether there is one, and the targets whose breaker refused the call.
        """
        refused = []
        while self._next < len(self._targets):
            number, self._next = self._next, self._next + 1
            target = self._targets[number]
            if target.provider in self._excluded_providers:
                continue
            admission = target.health.admit(now) if target.health is not None else None
            if isinstance(admission, Refused):
                self.refused = admission
                refused.append(target)
                continue
            self._permit = admission
            self.number = number
            return True, refused
        return False, refused

    def prepare_fallback(self, error: ProviderError) -> bool:
        """Return whether another target may succeed where the current one failed.

        A provider that refused the credentials (401, 403) is excluded for the rest of the call,
        unless it only lacks the model.
        """
        if is_unknown_model(error):
            return True
        if error.status in _REFUSED_KEY_STATUS:
            self._excluded_providers.add(self.target.provider)
            return True
        return (
            error.retryable
            or error.status in (402, _NOT_FOUND)
            or error.code.lower() in QUOTA_CODES
        )

    def take_retry(self, now: float) -> bool:
        """Take one retry from the target's budget; False if the budget is used up."""
        health = self.target.health
        return health is None or health.take_retry(now)

    def answered(self) -> None:
        """Report to breaker and keys that content arrived."""
        if self._permit is not None:
            self._permit.answered()
        self._accept_key()

    def succeeded(self) -> None:
        """Report to breaker and keys that the call was completed."""
        if self._permit is not None:
            self._permit.succeeded()
        self._accept_key()

    def _accept_key(self) -> None:
        if self.target.keys is not None:
            self.target.keys.accepted()

    def failed(self, now: float, error: ProviderError, kind: str = "") -> None:
        """Report the final error at this target to the breaker; `kind` is that of `FailureCause`.

        A refusal of the request, or of the client's account, does not count against the provider.
        """
        if self._permit is None:
            return
        names = {error.code.lower(), error.type.lower()}
        is_refusal = error.status < 500 or error.status in _REFUSED_STATUS
        if is_refusal or not names.isdisjoint(FINAL_CODES | QUOTA_CODES):
            self._permit.abandoned()
        else:
            self._permit.failed(now, FailureCause(error.status, kind))

    def inconclusive(self) -> None:
        """Report to the breaker that the call ended without showing the provider's condition."""
        if self._permit is not None:
            self._permit.abandoned()
