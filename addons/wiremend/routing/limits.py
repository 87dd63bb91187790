"""What the configuration of a provider or a route changes of the limits on attempts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanges:
    """New values of limits; None leaves a limit as it is. All times are in seconds.

    The names are those of `engine.settings.Timeouts`, `engine.retry.RetryPolicy` and
    `engine.health.HealthLimits`, which document them.
    """

    connect: float | None = None
    first_byte: float | None = None
    answer: float | None = None
    idle: float | None = None
    progress: float | None = None
    total: float | None = None
    attempts: int | None = None
    backoff_initial_seconds: float | None = None
    backoff_max_seconds: float | None = None
    max_elapsed_seconds: float | None = None
    retry_after_max_seconds: float | None = None
    silent_stop: bool | None = None
    retry_floor: float | None = None


NO_CHANGES = LimitChanges()
