"""Whether a failed attempt is made again, and after how long.

A retry is bounded by a count and by the time since the first attempt. The wait is
exponential with full jitter (any time between nothing and the bound), or what the
provider asked for, up to a cap. Clock and randomness come in as arguments.
"""

import email.utils
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from wiremend.engine.actions import Head
from wiremend.protocols.base.provider_error import ProviderError

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?\Z")
_RESET_HEADERS = (
    b"x-ratelimit-reset-requests",
    b"x-ratelimit-reset-tokens",
    b"x-ratelimit-reset",
    b"anthropic-ratelimit-requests-reset",
    b"anthropic-ratelimit-tokens-reset",
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how long and how eagerly an attempt is made again."""

    attempts: int = 4
    """Tries per call, the first one included."""
    backoff_initial_seconds: float = 0.5
    backoff_max_seconds: float = 8.0
    max_elapsed_seconds: float = 120.0
    """No attempt starts later than this after the first one."""
    retry_after_max_seconds: float = 60.0
    """A provider that asks for a longer wait gets its error passed on."""

    def decide(
        self,
        error: ProviderError,
        *,
        attempts_made: int,
        elapsed_seconds: float,
        random: Callable[[], float],
    ) -> "Decision":
        """What follows an attempt that failed `elapsed_seconds` after the first one began."""
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
        """A time between nothing and `initial * 2^(attempts - 1)`, the latter at most `max`."""
        ceiling = self.backoff_initial_seconds * 2.0 ** min(attempts_made - 1, 30)
        return random() * min(self.backoff_max_seconds, ceiling)


@dataclass(frozen=True, slots=True)
class Decision:
    """Wait so long and try again, or (None) give up; and why."""

    wait_seconds: float | None
    reason: str


def read_retry_after(head: Head, wall_clock_seconds: float) -> float | None:
    """How long the provider asks to wait, from its headers; None when it does not say.

    `retry-after-ms`, then `retry-after` (seconds or an HTTP date), then the nearest
    rate-limit reset (a duration such as `6m0s`, epoch seconds, or an RFC 3339 time).
    """
    if milliseconds := _number(head.get(b"retry-after-ms")):
        return milliseconds / 1000
    if value := head.get(b"retry-after"):
        seconds = _number(value)
        if seconds is not None:
            return seconds
        try:
            when = email.utils.parsedate_to_datetime(value)
        except ValueError:
            pass
        else:
            return max(0.0, when.timestamp() - wall_clock_seconds)
    if head.status != 429:
        return None  # rate-limit headers come with every answer
    resets = [_reset_seconds(head.get(name), wall_clock_seconds) for name in _RESET_HEADERS]
    known = [seconds for seconds in resets if seconds is not None]
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
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - wall_clock_seconds)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
