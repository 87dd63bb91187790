"""The clocks of one call: when it must act although nothing arrives.

`Deadlines` is given each event with its time and computes what is due. It does not act: the
machine asks at each wake-up which deadline has passed. All times and durations are in seconds
of the monotonic clock whose readings the machine receives.

    clock        starts                              restarts                        limit
    ----------   ---------------------------------   -----------------------------   ----------
    total        with the call                       never                           `timeouts`
    connect      with the attempt                    never                           `timeouts`
    first_byte   when the request is sent            never                           `timeouts`
    answer       when the request is sent            never                           `timeouts`
    idle         when the response head arrives      with each byte                  `timeouts`
    progress     when the response head arrives      with each event with content    `timeouts`
    heartbeat    with the call                       when the client is sent bytes   `heartbeat`
    tail         with the last byte                  with each byte                  constant
    hold         with an event that is held back     with each event                 constant
    drain        when the client has been answered   never                           constant

While the client is behind, nothing is read from upstream. The clocks of the response (first_byte to
progress, and tail) start again at each wake-up in that time, so they do not pass.

The limits are those of the target that is asked; `total` counts from the start of the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

from wiremend.engine.settings import Heartbeat, Timeouts

DRAIN_SECONDS = 1.0
"""Time for upstream to end its body once the client is answered; the connection is then reused."""
TAIL_SECONDS = 5.0
"""Silence after a stop reason that ends the wait for the terminal event (usage may still come)."""
HOLD_SECONDS = 1.0
"""How long a repairer may hold back an event until the next one, which may change its meaning."""
LONGEST_SLEEP_SECONDS = 10.0
"""A pending wake-up keeps the machine in memory, so none is requested further ahead than this."""
_TOLERANCE_SECONDS = 0.001


_CLOCKS = tuple(field.name for field in fields(Timeouts))


@dataclass(frozen=True, slots=True)
class PassedLimit:
    """A limit of `Timeouts` that has passed."""

    name: str
    seconds: float


class Deadlines:
    """The deadlines of one call; see the table above."""

    def __init__(self, timeouts: Timeouts, heartbeat: Heartbeat, *, streaming: bool) -> None:
        self._limits = _limits_of(timeouts)
        self._timeouts = timeouts
        self._heartbeat = heartbeat
        self._streaming = streaming
        self._running: dict[str, float] = {}
        """The clocks with a limit that run, and since when."""
        self._call_started = 0.0
        self._pause_until: float | None = None
        """The end of a backoff or of draining."""
        self._last_byte = 0.0
        self._last_shown = 0.0
        self.was_reading_paused = False
        """Whether upstream was left unread for a time in this attempt: it may give up the response
        because of that."""
        self._wake_at: float | None = None
        """The earliest wake-up that was requested and has not happened."""

    # What happened

    def call_started(self, now: float) -> None:
        """Start the clocks of the whole call."""
        self._last_shown = self._call_started = now
        self._start("total", now)

    def limit(self, timeouts: Timeouts) -> None:
        """Apply the limits of the target that is asked from now on."""
        if timeouts is not self._timeouts:
            self._timeouts, self._limits = timeouts, _limits_of(timeouts)
            self._running.clear()
            self._start("total", self._call_started)

    def attempt_started(self, now: float) -> None:
        """A connection was requested."""
        self.attempt_ended()
        self.was_reading_paused = False
        self._start("connect", now)

    def request_sent(self, now: float) -> None:
        """The connection was established and the request goes out."""
        self._running.pop("connect", None)
        self._start("first_byte" if self._streaming else "answer", now)

    def head_received(self, now: float, *, is_event_stream: bool) -> None:
        """The response head arrived."""
        self._last_byte = now
        self._running.pop("first_byte", None)
        self._start("idle", now)
        if is_event_stream:
            self._start("progress", now)

    def events_began(self, now: float) -> None:
        """The body turned out to be an event stream."""
        self._start("progress", now)

    def bytes_received(self, now: float) -> None:
        """Bytes of the response body arrived."""
        self._last_byte = now
        self._start("idle", now)

    def reading_paused(self, now: float) -> None:
        """Nothing is read from upstream, because the client is behind: start its clocks again."""
        self._last_byte = now
        self.was_reading_paused = True
        for clock in ("first_byte", "answer", "idle", "progress"):
            if clock in self._running:
                self._start(clock, now)

    def content_received(self, now: float) -> None:
        """An event that carries content arrived."""
        if "progress" in self._running:
            self._start("progress", now)

    def stop_watching_progress(self) -> None:
        """Events are no longer recognised: only bytes count from here on."""
        self._running.pop("progress", None)

    def attempt_ended(self) -> None:
        """Stop every clock but those of the whole call."""
        self._running = {name: since for name, since in self._running.items() if name == "total"}
        self._pause_until = None

    def back_off_until(self, when: float) -> None:
        """The next attempt starts at `when`."""
        self._pause_until = when

    def drain(self, now: float) -> None:
        """The client is answered: upstream gets `DRAIN_SECONDS` to end its body."""
        self._running.clear()
        self._pause_until = now + DRAIN_SECONDS

    def bytes_shown(self, now: float) -> None:
        """The client was sent something."""
        self._last_shown = now

    def woken(self, now: float) -> None:
        """A wake-up happened; it may be the one that was requested, or an earlier one."""
        if self._wake_at is not None and now >= self._wake_at - _TOLERANCE_SECONDS:
            self._wake_at = None

    # What is due

    def is_pause_over(self, now: float) -> bool:
        """Return whether the backoff, or draining, has lasted long enough."""
        return self._pause_until is not None and now >= self._pause_until

    def passed_limit(self, now: float) -> PassedLimit | None:
        """Return the limit that has passed; of several, the one that passed first."""
        due = [(since + self._limits[name], name) for name, since in self._running.items()]
        passed = [(when, name) for when, name in due if now >= when]
        if not passed:
            return None
        _, name = min(passed)
        return PassedLimit(name, self._limits[name])

    @property
    def tail_due(self) -> float:
        """When a response that lacks only its terminal event is completed without it."""
        return self._last_byte + TAIL_SECONDS

    def beat_due(self, *, is_first: bool) -> float | None:
        """Return when a silent client is sent the next keep-alive; None if it is sent none."""
        if not self._heartbeat.after:
            return None
        after = self._heartbeat.after
        return self._last_shown + (after if is_first else self._heartbeat.interval or after)

    def request_wake(self, now: float, *others: float | None) -> float | None:
        """Return when to wake the machine, or None if an earlier wake-up is pending.

        `others` are deadlines that depend on the response; None means not set.
        """
        due = [now + LONGEST_SLEEP_SECONDS]
        due += [since + self._limits[name] for name, since in self._running.items()]
        due += [when for when in (self._pause_until, *others) if when is not None]
        when = max(now, min(due))
        if self._wake_at is not None and when >= self._wake_at - _TOLERANCE_SECONDS:
            return None
        self._wake_at = when
        return when

    def _start(self, clock: str, now: float) -> None:
        if clock in self._limits:
            self._running[clock] = now


@lru_cache(maxsize=64)
def _limits_of(timeouts: Timeouts) -> Mapping[str, float]:
    return {name: seconds for name in _CLOCKS if (seconds := getattr(timeouts, name)) > 0}
