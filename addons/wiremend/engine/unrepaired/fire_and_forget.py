"""A fire-and-forget call: the client gets a complete 204 without a body as early as possible.

WAITING      upstream has sent no head; after `ack_after_seconds` the client gets 204
PASSING      upstream answered with something other than 2xx, which is forwarded
BACKGROUND   the client has its 204; the upstream request is carried to its end
OVER         nothing more happens
"""

from enum import Enum, auto

from wiremend.call_record.outcomes import (
    CANCELLED,
    CUT,
    INTERNAL_FAULT,
    PLANNED,
    RUNNING,
    AttemptOutcome,
    CallState,
    Outcome,
    http_error,
)
from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    FinishResponse,
    Head,
    LogLine,
    ReleaseAttempt,
    Respond,
    ShowBody,
    ShowHead,
    StartAttempt,
    WakeAt,
)
from wiremend.engine.attempts import AttemptLog, AttemptRecord, OpenAttempt
from wiremend.engine.deadlines import DRAIN_SECONDS, LONGEST_SLEEP_SECONDS
from wiremend.protocols.base.usage import Usage
from wiremend.routing import fire_and_forget
from wiremend.rules.containment import Fault
from wiremend.rules.rule import CallPlace, Notes

NO_CONTENT = Respond(Head(204), b"")


class Phase(Enum):
    """The state of a fire-and-forget call; see the table above."""

    WAITING = auto()
    PASSING = auto()
    BACKGROUND = auto()
    OVER = auto()


class Acknowledgement:
    """Implements `engine.machine.Machine` for one fire-and-forget call.

    After `limit_seconds` the upstream request is abandoned; 0 means no limit.
    """

    def __init__(self, *, host: str, ack_after_seconds: float, limit_seconds: float) -> None:
        self._notes = Notes()
        self.findings = self._notes.findings
        self.outcome = PLANNED
        self.faults: list[Fault] = []
        self.revision = 0
        self._host = host
        self._log = AttemptLog()
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
        """Return whether upstream is released."""
        return self._phase is Phase.OVER

    @property
    def answered(self) -> bool:
        """Return whether the client has its whole response, or is gone."""
        return self._phase in (Phase.BACKGROUND, Phase.OVER)

    @property
    def in_background(self) -> bool:
        """Return whether the client has its 204 while the upstream request continues."""
        return self._phase is Phase.BACKGROUND

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The one attempt, once it has ended."""
        return self._log.records

    @property
    def open_attempt(self) -> OpenAttempt | None:
        """The one attempt, while it is under way."""
        return self._log.open

    @property
    def target_number(self) -> int:
        """There is one target."""
        return 0

    @property
    def usage(self) -> Usage | None:
        """Nothing is known about the response."""
        return None

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        self._become(RUNNING)
        self._log.start(now, self._host)
        self._ack_at = now + self._ack_after_seconds
        self._give_up_at = now + self._limit_seconds if self._limit_seconds else float("inf")
        return [StartAttempt(1, fresh=False), self._next_wake(now)]

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The connection is established and the request goes out."""
        return []

    def head(self, now: float, head: Head) -> list[Action]:
        """The head of upstream's response arrived."""
        self._status = head.status
        if self._phase is Phase.WAITING and 200 <= head.status < 300:
            self._notes.note(
                fire_and_forget.ACKNOWLEDGED_BY_STATUS,
                CallPlace.RESPONSE,
                f"status {head.status}",
                "204",
            )
            self._acknowledge(now)
            return [NO_CONTENT, self._next_wake(now)]
        if self._phase is Phase.WAITING:
            self._phase = Phase.PASSING
            return [ShowHead(head)]
        if head.status < 400:
            self._give_up_at = min(self._give_up_at, now + DRAIN_SECONDS)
            return [self._next_wake(now)]
        return [self._late_failure(f"status {head.status}")]

    def body(self, now: float, data: bytes) -> list[Action]:
        """Bytes of the response body arrived; they are forwarded if the head was."""
        return [ShowBody(data)] if self._phase is Phase.PASSING else []

    def body_end(self, now: float) -> list[Action]:
        """The response ended completely, according to its framing."""
        self._end_attempt(now, f"status {self._status}")
        actions: list[Action] = [FinishResponse()] if self._phase is Phase.PASSING else []
        if self._phase is Phase.PASSING:
            self._become(http_error(self._status))
        self._phase = Phase.OVER
        return [*actions, ReleaseAttempt()]

    def attempt_failed(
        self, now: float, reason: str, *, is_too_large: bool = False
    ) -> list[Action]:
        """Connecting failed, or the connection was reset or closed too early."""
        self._end_attempt(now, reason)
        phase, self._phase = self._phase, Phase.OVER
        if phase is Phase.WAITING:
            self._become(http_error(502))
            text = f"{self._host} could not be reached: {reason}\n".encode()
            fields = (
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(text)),
            )
            return [Respond(Head(502, fields), text), ReleaseAttempt()]
        if phase is Phase.PASSING:
            self._become(CUT)
            return [CutResponse(reason), ReleaseAttempt()]
        if self._status:
            return [ReleaseAttempt()]  # the response was 2xx; how its body ends is irrelevant
        return [self._late_failure(reason), ReleaseAttempt()]

    def client_gone(self, now: float) -> list[Action]:
        """The client left: that ends a call without an answer, and no other."""
        if self.answered:
            return []
        self._log.end(now, AttemptOutcome.CANCELLED, CANCELLED.detail)
        self._phase = Phase.OVER
        self._become(CANCELLED)
        return [AbandonAttempt()]

    def wake(self, now: float, *, is_client_behind: bool = False) -> list[Action]:
        """Time has passed."""
        if self._phase is Phase.WAITING and now >= self._ack_at:
            waited = f"no status within {self._ack_after_seconds:g} s"
            self._notes.note(
                fire_and_forget.ACKNOWLEDGED_AFTER_WAIT, CallPlace.RESPONSE, waited, "204"
            )
            self._acknowledge(now)
            return [NO_CONTENT, self._next_wake(now)]
        if self._phase in (Phase.PASSING, Phase.BACKGROUND) and now >= self._give_up_at:
            return [*self._give_up(now), AbandonAttempt()]
        return [] if self._phase is Phase.OVER else [self._next_wake(now)]

    def proxy_stops(self, now: float) -> list[Action]:
        """The proxy ends: a client without a response receives an error, and upstream is left."""
        if self._phase is Phase.OVER:
            return []
        ended = self.attempt_failed(now, "wiremend was stopped")
        return [AbandonAttempt() if action == ReleaseAttempt() else action for action in ended]

    def stop_after_fault(self, now: float) -> bytes:
        """After a fault in this code: end the call. A response can only be cut."""
        was_answered, self._phase = self.answered, Phase.OVER
        if not was_answered:
            self._become(INTERNAL_FAULT)
        self._log.end(now, AttemptOutcome.FAILED, INTERNAL_FAULT.detail)
        return b""

    def _give_up(self, now: float) -> list[Action]:
        """Return the actions when the limit has passed before upstream ended."""
        phase, self._phase = self._phase, Phase.OVER
        reason = f"no answer within {self._limit_seconds:g} s"
        self._end_attempt(now, reason)
        if phase is Phase.PASSING:
            self._become(CUT)
            return [CutResponse(reason)]
        return [] if self._status else [self._late_failure(reason)]

    def _become(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.revision += 1

    def _acknowledge(self, now: float) -> None:
        self._phase = Phase.BACKGROUND
        self._become(Outcome(CallState.ACKNOWLEDGED, "204"))
        if self._status:
            self._give_up_at = now + DRAIN_SECONDS

    def _end_attempt(self, now: float, reason: str) -> None:
        self.revision += 1
        if 0 < self._status < 400:
            self._log.end(now, AttemptOutcome.ANSWERED, "ok")
        else:
            self._log.end(now, AttemptOutcome.FAILED, reason)

    def _late_failure(self, reason: str) -> LogLine:
        self._notes.note(
            fire_and_forget.LATE_FAILURE,
            CallPlace.RESPONSE,
            reason,
            "logged; the client already had its 204",
        )
        self._become(Outcome(CallState.ACKNOWLEDGED, f"204; later: {reason}"))
        return LogLine(f"fire-and-forget call to {self._host} failed after its 204: {reason}")

    def _next_wake(self, now: float) -> WakeAt:
        due = self._ack_at if self._phase is Phase.WAITING else self._give_up_at
        return WakeAt(min(due, now + LONGEST_SLEEP_SECONDS))
