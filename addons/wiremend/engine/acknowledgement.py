"""A fire-and-forget call: the client gets a complete, bodiless 204 as soon as it can be given.

    waiting      no head from upstream yet; after `ack_after` seconds the client gets 204
    passing      upstream answered with an error: it is passed on
    background   the client has its 204; upstream is carried to its end
    over

It answers the same questions as a CallMachine.
"""

from enum import Enum, auto

from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    FinishResponse,
    Head,
    Note,
    ReleaseAttempt,
    Respond,
    ShowBody,
    ShowHead,
    StartAttempt,
    WakeAt,
)
from wiremend.engine.call_machine import DRAIN_SECONDS, LONGEST_SLEEP_SECONDS
from wiremend.rules import fire_and_forget
from wiremend.rules.finding import Finding, Rule

NO_CONTENT = Respond(Head(204), b"")


class Phase(Enum):
    """Where a fire-and-forget call stands."""

    WAITING = auto()
    PASSING = auto()
    BACKGROUND = auto()
    OVER = auto()


class Acknowledgement:
    """One fire-and-forget call. Times are seconds of any steady clock."""

    def __init__(self, *, host: str, ack_after_seconds: float, limit_seconds: float) -> None:
        self.findings: list[Finding] = []
        self.outcome = ""
        self._host = host
        self._ack_after_seconds = ack_after_seconds
        self._limit_seconds = limit_seconds
        self._phase = Phase.WAITING
        self._ack_at = 0.0
        self._give_up_at = 0.0
        self._status = 0

    def __repr__(self) -> str:
        return f"Acknowledgement({self._phase.name})"

    @property
    def over(self) -> bool:
        """Upstream is let go."""
        return self._phase is Phase.OVER

    @property
    def answered(self) -> bool:
        """The client has its whole response."""
        return self._phase in (Phase.BACKGROUND, Phase.OVER)

    @property
    def in_background(self) -> bool:
        """The client has its 204, and upstream's own answer is still to come."""
        return self._phase is Phase.BACKGROUND

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        self._ack_at = now + self._ack_after_seconds
        self._give_up_at = now + self._limit_seconds if self._limit_seconds else float("inf")
        return [StartAttempt(1, fresh=False), self._next_wake(now)]

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The request goes out."""
        return []

    def head(self, now: float, head: Head) -> list[Action]:
        """Upstream's own verdict arrived."""
        self._status = head.status
        if self._phase is Phase.WAITING and 200 <= head.status < 300:
            self._find(fire_and_forget.ACKNOWLEDGED_BY_STATUS, f"status {head.status}", "204")
            self._acknowledge(now, "204")
            return [NO_CONTENT, self._next_wake(now)]
        if self._phase is Phase.WAITING:
            self._phase = Phase.PASSING
            return [ShowHead(head)]
        if head.status < 400:
            self._give_up_at = min(self._give_up_at, now + DRAIN_SECONDS)
            return [self._next_wake(now)]
        return [self._late_failure(f"status {head.status}")]

    def body(self, now: float, data: bytes) -> list[Action]:
        """A piece of upstream's body: worth passing on only if it explains an error."""
        return [ShowBody(data)] if self._phase is Phase.PASSING else []

    def body_end(self, now: float) -> list[Action]:
        """Upstream is done."""
        actions: list[Action] = [FinishResponse()] if self._phase is Phase.PASSING else []
        if self._phase is Phase.PASSING:
            self.outcome = f"error {self._status}"
        self._phase = Phase.OVER
        return [*actions, ReleaseAttempt()]

    def attempt_failed(self, now: float, reason: str) -> list[Action]:
        """Upstream cannot be reached, or broke off."""
        phase, self._phase = self._phase, Phase.OVER
        if phase is Phase.WAITING:
            self.outcome = "error 502"
            text = f"{self._host} could not be reached: {reason}\n".encode()
            fields = (
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(text)),
            )
            return [Respond(Head(502, fields), text), ReleaseAttempt()]
        if phase is Phase.PASSING:
            return [CutResponse(reason), ReleaseAttempt()]
        if self._status:
            return [ReleaseAttempt()]  # it had said yes; how its body ends does not matter
        return [self._late_failure(reason), ReleaseAttempt()]

    def client_gone(self, now: float) -> list[Action]:
        """The client left: before its answer that ends the call, afterwards it changes nothing."""
        if self.answered:
            return []
        self._phase = Phase.OVER
        self.outcome = "cancelled by client"
        return [AbandonAttempt()]

    def wake(self, now: float) -> list[Action]:
        """Time has passed."""
        if self._phase is Phase.WAITING and now >= self._ack_at:
            waited = f"no status within {self._ack_after_seconds:g} s"
            self._find(fire_and_forget.ACKNOWLEDGED_AFTER_WAIT, waited, "204")
            self._acknowledge(now, "204")
            return [NO_CONTENT, self._next_wake(now)]
        if self._phase is Phase.BACKGROUND and now >= self._give_up_at:
            self._phase = Phase.OVER
            notes: list[Action] = []
            if not self._status:
                notes.append(self._late_failure(f"no answer within {self._limit_seconds:g} s"))
            return [*notes, AbandonAttempt()]
        return [] if self._phase is Phase.OVER else [self._next_wake(now)]

    def stop_mending(self, now: float, data: bytes = b"") -> list[Action]:
        """After a fault in this code: end the call. What upstream still sends is not read."""
        return [AbandonAttempt(), *self.attempt_failed(now, "internal error")]

    def _acknowledge(self, now: float, outcome: str) -> None:
        self._phase = Phase.BACKGROUND
        self.outcome = outcome
        if self._status:
            self._give_up_at = now + DRAIN_SECONDS

    def _late_failure(self, reason: str) -> Note:
        self._find(fire_and_forget.LATE_FAILURE, reason, "logged; the client already had its 204")
        return Note(f"fire-and-forget call to {self._host} failed after its 204: {reason}")

    def _find(self, rule: Rule, found: str, done: str) -> None:
        self.findings.append(Finding(rule.code, "response", found, done))

    def _next_wake(self, now: float) -> WakeAt:
        due = self._ack_at if self._phase is Phase.WAITING else self._give_up_at
        return WakeAt(min(due, now + LONGEST_SLEEP_SECONDS))
