"""Whether a failed attempt is made again, and after how long.

Retries are limited by a count and by the time since the first attempt. The backoff is exponential
with full jitter: uniform between 0 and the ceiling. If the provider requests a longer wait, that
is used, up to a cap.
"""

import email.utils
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from wiremend.engine.actions import Head
from wiremend.protocols.base.provider_error import ProviderError, is_wait
from wiremend.text.patterns import text_pattern

_DURATION = text_pattern(
    r"(?:(\d{1,20}+)h)?(?:(\d{1,20}+)m(?!s))?(?:(\d{1,20}+(?:\.\d{1,20}+)?)s)?(?:(\d{1,20}+(?:\.\d{1,20}+)?)ms)?\Z"
)
_RESET_HEADERS = (
    b"x-ratelimit-reset-requests",
    b"x-ratelimit-reset-tokens",
    b"x-ratelimit-reset",
    b"anthropic-ratelimit-requests-reset",
    b"anthropic-ratelimit-tokens-reset",
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The limits and the backoff of retries."""

    attempts: int = 4
    """Attempts per target, the first one included."""
    backoff_initial_seconds: float = 0.5
    """The ceiling of the first backoff; it doubles with each attempt."""
    backoff_max_seconds: float = 8.0
    """The highest ceiling."""
    max_elapsed_seconds: float = 120.0
    """No retry starts later than this after the first attempt."""
    retry_after_max_seconds: float = 60.0
    """If the provider requests a longer wait, its error goes to the client."""
    silent_stop: bool = False
    """Ask once more after a response without an answer."""

    def decide(
        self,
        error: ProviderError,
        *,
        attempts_made: int,
        elapsed_seconds: float,
        random: Callable[[], float],
    ) -> "Decision":
        """Decide on a retry after an attempt at a target that has made `attempts_made`.

        `elapsed_seconds` is the time since the call started, `random` returns numbers from 0 to
        below 1.
        """
        if not error.retryable:
            return Decision(None, "the same request would fail again")
        if attempts_made >= self.attempts:
            return Decision(None, f"all {self.attempts} attempts made")
        wait = self.backoff_seconds(attempts_made, random)
        asked = error.retry_after_seconds
        if asked is not None:
            if asked > self.retry_after_max_seconds:
                return Decision(None, f"the provider asks to wait {asked:g} s")
            wait = max(wait, asked)
        if elapsed_seconds + wait > self.max_elapsed_seconds:
            return Decision(None, f"{self.max_elapsed_seconds:g} s would be over")
        return Decision(wait, "retryable")

    def backoff_seconds(self, attempts_made: int, random: Callable[[], float]) -> float:
        """Return a time between 0 and `initial * 2^(attempts - 1)`, the latter at most `max`."""
        ceiling = self.backoff_initial_seconds * 2.0 ** min(attempts_made - 1, 30)
        return random() * min(self.backoff_max_seconds, ceiling)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to retry, and why."""

    wait_seconds: float | None
    """The backoff; None: give up."""
    reason: str


def read_retry_after(head: Head, wall_clock_seconds: float) -> float | None:
    """Return the seconds that the response headers request to wait; None if they do not.

    `retry-after-ms`, then `retry-after` (seconds or an HTTP date), then the nearest
    rate-limit reset (a duration such as `6m0s`, epoch seconds, or an RFC 3339 time).
    """
    if milliseconds := _number(head.get(b"retry-after-ms")):
        return _wait(milliseconds / 1000)
    if value := head.get(b"retry-after"):
        seconds = _number(value)
        if seconds is not None:
            return _wait(seconds)
        try:
            when = email.utils.parsedate_to_datetime(value).timestamp()
        except (ValueError, OverflowError):  # such as a year of twenty digits
            pass
        else:
            return _wait(max(0.0, when - wall_clock_seconds))
    if head.status != 429:
        return None  # rate-limit headers are part of every response
    resets = [_reset_seconds(head.get(name), wall_clock_seconds) for name in _RESET_HEADERS]
    known = [seconds for seconds in resets if is_wait(seconds)]
    return min(known) if known else None


def _reset_seconds(value: str, wall_clock_seconds: float) -> float | None:
    number = _number(value)
    if number is not None:
        # Some send seconds to wait, some the epoch in seconds or milliseconds.
        if number > 1e11:
            number /= 1000
        return max(0.0, number - wall_clock_seconds) if number > 1e9 else number
    if value and (match := _DURATION.match(value)):
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    try:
        when = datetime.fromisoformat(value)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, when.timestamp() - wall_clock_seconds)
    except (ValueError, OverflowError):
        return None


def _wait(seconds: float) -> float | None:
    return seconds if is_wait(seconds) else None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
