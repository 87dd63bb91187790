"""A call that passes unchanged: one attempt, and the client receives what the provider sends.

There are no timeouts, keep-alives or retries. Only a connection that was kept open here, and that
the provider had closed in the meantime, is replaced: the client has no part in it.
"""

from wiremend.call_record.outcomes import (
    ANSWERED,
    CANCELLED,
    CUT,
    INTERNAL_FAULT,
    PLANNED,
    RUNNING,
    AttemptOutcome,
    Outcome,
    http_error,
)
from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    FinishResponse,
    Head,
    ReleaseAttempt,
    ShowBody,
    ShowHead,
    StartAttempt,
)
from wiremend.engine.attempts import AttemptLog, AttemptRecord, OpenAttempt
from wiremend.engine.call import PassingCall
from wiremend.protocols.base.usage import Usage
from wiremend.rules.containment import Fault
from wiremend.rules.rule import Finding

_FIRST_ERROR = 400


class PassingMachine:
    """Implements `engine.machine.Machine` for a call that passes unchanged."""

    def __init__(self, call: PassingCall) -> None:
        self.findings: list[Finding] = []
        self.outcome = PLANNED
        self.faults: list[Fault] = list(call.faults)
        self.revision = 0
        self._target = call.targets[0]
        self._log = AttemptLog()
        self._status = 0
        """The status that was shown; 0: none yet."""
        self._is_reused = False
        self._is_over = False

    def __repr__(self) -> str:
        return f"PassingMachine({self.outcome.state})"

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended, in order."""
        return self._log.records

    @property
    def open_attempt(self) -> OpenAttempt | None:
        """The running attempt."""
        return self._log.open

    @property
    def target_number(self) -> int:
        """There is one target."""
        return 0

    @property
    def usage(self) -> Usage | None:
        """The response is not read."""
        return None

    @property
    def over(self) -> bool:
        """Return whether the client is answered or gone; upstream is released then, too."""
        return self._is_over

    @property
    def answered(self) -> bool:
        """Return whether the client has its whole response, or is gone."""
        return self._is_over

    @property
    def in_background(self) -> bool:
        """Nothing continues after the response."""
        return False

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        self._become(RUNNING)
        return self._start_attempt(now, fresh=False)

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The connection is established and the request goes out."""
        self._is_reused = reused
        return []

    def head(self, now: float, head: Head) -> list[Action]:
        """The head of the response arrived."""
        self._status = head.status
        return [ShowHead(head)]

    def body(self, now: float, data: bytes) -> list[Action]:
        """Bytes of the response body arrived, with their content coding."""
        return [ShowBody(data)]

    def body_end(self, now: float) -> list[Action]:
        """The response ended completely, according to its framing."""
        is_error = self._status >= _FIRST_ERROR
        outcome = AttemptOutcome.FAILED if is_error else AttemptOutcome.ANSWERED
        self._end(now, outcome, f"status {self._status}" if is_error else ANSWERED.detail)
        self._become(http_error(self._status) if is_error else ANSWERED)
        return [FinishResponse(with_trailers=True), ReleaseAttempt()]

    def attempt_failed(
        self, now: float, reason: str, *, is_too_large: bool = False
    ) -> list[Action]:
        """Connecting failed, or the connection was reset or closed too early."""
        if self._is_reused and not self._status and not is_too_large:
            self._log.end(now, AttemptOutcome.STALE, reason)
            self.revision += 1
            return self._start_attempt(now, fresh=True)
        self._end(now, AttemptOutcome.FAILED, reason)
        self._become(CUT)
        return [CutResponse(reason), ReleaseAttempt()]

    def client_gone(self, now: float) -> list[Action]:
        """The client closed its connection or reset its stream."""
        if self._is_over:
            return []
        self._end(now, AttemptOutcome.CANCELLED, CANCELLED.detail)
        self._become(CANCELLED)
        return [AbandonAttempt()]

    def wake(self, now: float, *, is_client_behind: bool = False) -> list[Action]:
        """Time has passed, which has no effect."""
        return []

    def proxy_stops(self, now: float) -> list[Action]:
        """The proxy ends: the response is cut, and upstream is left."""
        if self._is_over:
            return []
        reason = "wiremend was stopped"
        self._end(now, AttemptOutcome.FAILED, reason)
        self._become(CUT)
        return [CutResponse(reason), AbandonAttempt()]

    def stop_after_fault(self, now: float) -> bytes:
        """After a fault in this code or around it: the response can only be cut."""
        if not self._is_over:
            self._end(now, AttemptOutcome.FAILED, INTERNAL_FAULT.detail)
            self._become(INTERNAL_FAULT)
        return b""

    def _start_attempt(self, now: float, *, fresh: bool) -> list[Action]:
        self._is_reused = False
        self._log.start(now, self._target.provider, self._target.model)
        return [StartAttempt(self._log.number, fresh)]

    def _end(self, now: float, outcome: AttemptOutcome, detail: str) -> None:
        self._log.end(now, outcome, detail)
        self._is_over = True

    def _become(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.revision += 1
