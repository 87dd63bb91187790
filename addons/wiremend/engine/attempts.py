"""What became of a call's attempts, for error messages and for whoever looks at the call later."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wiremend.call_record.outcomes import AttemptOutcome
from wiremend.rules.rule import AttemptPlace, Finding, Rule


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt that has ended. Times are monotonic seconds."""

    number: int
    """Counts from 1; the replacement of a stale connection keeps the number."""
    provider: str
    model: str
    """The model that this target was asked for; may be empty."""
    outcome: AttemptOutcome
    detail: str
    """The error's message, for people; "ok" for a complete response."""
    started: float
    """When a connection was requested."""
    ended: float
    """When the attempt's outcome was known."""
    wait_seconds: float | None = None
    """Time between this attempt and the next one; None for the last one."""

    @property
    def seconds(self) -> float:
        """How long the attempt took."""
        return self.ended - self.started


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that has not ended."""

    number: int
    provider: str
    model: str
    started: float
    """When a connection was requested, in monotonic seconds."""


class AttemptLog:
    """Counts and records the attempts of one call as they start and end."""

    def __init__(self) -> None:
        self.number = 0
        """The current attempt; 0 before the first one."""
        self.tries_here = 0
        """Attempts at the current target that count toward its limit."""
        self._records: list[AttemptRecord] = []
        self._open: OpenAttempt | None = None

    @property
    def records(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended, in order."""
        return tuple(self._records)

    @property
    def open(self) -> OpenAttempt | None:
        """The attempt that is under way."""
        return self._open

    def start(self, now: float, provider: str, model: str = "") -> None:
        """Record that an attempt starts; the wait since the previous one is now known."""
        if self._records:
            last = self._records[-1]
            self._records[-1] = replace(last, wait_seconds=now - last.ended)
            is_replacement = last.outcome is AttemptOutcome.STALE
        else:
            is_replacement = False
        if not is_replacement:
            self.number += 1
            self.tries_here += 1
        self._open = OpenAttempt(self.number, provider, model, now)

    def enter_target(self) -> None:
        """Count from 0 again at another target."""
        self.tries_here = 0

    def end(self, now: float, outcome: AttemptOutcome, detail: str) -> None:
        """Record how the current attempt ended; no effect if that is already known."""
        if self._open is None:
            return
        attempt, self._open = self._open, None
        if outcome is AttemptOutcome.REJECTED:
            self.tries_here -= 1  # the changed request gets the attempt of the rejected one
        self._records.append(
            AttemptRecord(
                attempt.number,
                attempt.provider,
                attempt.model,
                outcome,
                detail,
                attempt.started,
                now,
            )
        )

    def finding(self, rule: Rule, found: str, done: str, *, ahead: int = 0) -> Finding:
        """Return a finding on the current attempt, or on one that is so many `ahead` of it."""
        return Finding(rule.code, AttemptPlace(self.number + ahead), found, done)


def describe_attempts(records: Sequence[AttemptRecord]) -> str:
    """Return one sentence for an error message: each attempt, its error and its seconds."""
    tries = "; ".join(
        f"{record.model} at {record.provider}: {record.detail} ({record.seconds:.1f} s)"
        for record in records
        if record.outcome is not AttemptOutcome.STALE
    )
    return f"Tried {tries}."
