"""What the seam asks of a machine that carries one call; see call_machine and acknowledgement."""

from typing import Protocol

from wiremend.engine.actions import Action, Head
from wiremend.rules.rule import Finding


class Machine(Protocol):
    """Hears what happened and when, in seconds of one steady clock; says what to do, in order."""

    findings: list[Finding]
    outcome: str

    @property
    def over(self) -> bool:
        """Nothing more will come of it."""
        ...

    @property
    def answered(self) -> bool:
        """The client has its whole response, or is gone."""
        ...

    @property
    def in_background(self) -> bool:
        """The client has its response, and upstream shall go on although the client leaves."""
        ...

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        ...

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The request goes out, over a fresh or a kept-alive connection."""
        ...

    def head(self, now: float, head: Head) -> list[Action]:
        """The head of the response arrived."""
        ...

    def body(self, now: float, data: bytes) -> list[Action]:
        """Bytes of the response's body arrived."""
        ...

    def body_end(self, now: float) -> list[Action]:
        """The response ended as its framing says it should."""
        ...

    def attempt_failed(self, now: float, reason: str) -> list[Action]:
        """Connecting failed, or the connection was reset or closed too early."""
        ...

    def client_gone(self, now: float) -> list[Action]:
        """The client went away."""
        ...

    def wake(self, now: float) -> list[Action]:
        """Time has passed."""
        ...

    def stop_mending(self, now: float, data: bytes = b"") -> list[Action]:
        """A fault of ours: pass the response on as it comes, `data` first."""
        ...
