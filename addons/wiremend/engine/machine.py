"""The interface between the seam and the machine that carries out one call.

`call_machine` implements it for model calls; `unrepaired` has the machines of other calls.
"""

from enum import Enum
from typing import Protocol

from wiremend.call_record.outcomes import Outcome
from wiremend.engine.actions import Action, Head
from wiremend.engine.attempts import AttemptRecord, OpenAttempt
from wiremend.protocols.base.usage import Usage
from wiremend.rules.containment import Fault
from wiremend.rules.rule import Finding


class IllegalMove(Exception):
    """A bug in a machine: an event that is not legal in the state in which it happened.

    The seam contains it like any other fault of the engine.
    """

    def __init__(self, state: Enum, event: Enum) -> None:
        super().__init__(f"{event.name} is not legal in {type(state).__name__}.{state.name}")
        self.state = state
        self.event = event


class Machine(Protocol):
    """Carries out one call.

    Each method that takes `now` reports an event and returns the actions to perform, in order.
    `now` is in seconds of one monotonic clock. An event that no longer matters has no effect.
    """

    findings: list[Finding]
    outcome: Outcome
    """The state of the call."""
    revision: int
    """Grows with each change of what is recorded of the call: outcome, attempts, findings that came
    with a change of these."""

    faults: list[Fault]
    """The faults that were contained since the caller emptied this list."""

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended, in order."""
        ...

    @property
    def open_attempt(self) -> OpenAttempt | None:
        """The running attempt."""
        ...

    @property
    def target_number(self) -> int:
        """Index of the target of the last attempt."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The token counts of the response; None if it has none."""
        ...

    @property
    def over(self) -> bool:
        """Return whether the client is answered or gone, and upstream is released."""
        ...

    @property
    def answered(self) -> bool:
        """Return whether the client has its whole response, or is gone."""
        ...

    @property
    def in_background(self) -> bool:
        """Return whether upstream continues after the client is answered, even if it leaves."""
        ...

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        ...

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The connection is established and the request goes out.

        `reused`: the connection has carried a request before.
        """
        ...

    def head(self, now: float, head: Head) -> list[Action]:
        """The head of the response arrived."""
        ...

    def body(self, now: float, data: bytes) -> list[Action]:
        """Bytes of the response body arrived, with their content coding."""
        ...

    def body_end(self, now: float) -> list[Action]:
        """The response ended completely, according to its framing."""
        ...

    def attempt_failed(
        self, now: float, reason: str, *, is_too_large: bool = False
    ) -> list[Action]:
        """Connecting failed, or the connection was reset or closed too early.

        `is_too_large`: the connection was closed here, because of the response's head.
        """
        ...

    def client_gone(self, now: float) -> list[Action]:
        """The client closed its connection or reset its stream."""
        ...

    def wake(self, now: float, *, is_client_behind: bool = False) -> list[Action]:
        """Time has passed.

        `is_client_behind`: the client has not read what was sent to it, so upstream is not read.
        """
        ...

    def proxy_stops(self, now: float) -> list[Action]:
        """The proxy ends: end the response at once, in an error."""
        ...

    def stop_after_fault(self, now: float) -> bytes:
        """A method of this machine, or the code around it, raised: stop the call.

        Returns what ends a response, of which a part was sent, in the protocol's error; empty if
        it can only be cut. The caller ends the attempt and answers the client.
        """
        ...
