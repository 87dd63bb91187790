"""One call whose only attempt receives a given response."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wiremend.engine.actions import Action, Head, Respond, ShowBody, ShowHead
from wiremend.engine.call import Call, Target
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.registry import PROTOCOLS


@dataclass
class Received:
    """What the client received."""

    head: Head | None = None
    body: bytes = b""
    first_with_chunk: int | None = None
    """The number of the chunk with which the first bytes of the body were sent."""
    codes: list[str] = field(default_factory=list)
    outcome: Any = None

    @property
    def label(self) -> str:
        assert self.head is not None
        return self.head.get(b"content-type")

    def take(self, actions: Sequence[Action], chunk: int | None) -> None:
        for action in actions:
            if isinstance(action, ShowHead | Respond):
                self.head = action.head
            if isinstance(action, Respond):
                self.body = action.body
            elif isinstance(action, ShowBody):
                self.body += action.data
                self.first_with_chunk = (
                    chunk if self.first_with_chunk is None else (self.first_with_chunk)
                )


def receive(
    protocol: WireProtocol,
    head: Head,
    chunks: Sequence[bytes],
    *,
    streaming: bool = True,
    context: StreamContext | None = None,
    lost: str = "",
    beats_before_head: bool = False,
    **settings: Any,
) -> Received:
    """Return what the client receives if this response arrives, and then the end of the body.

    With `lost`, the connection is lost instead, for this reason.
    """
    machine = CallMachine(
        Call(
            protocol=PROTOCOLS[protocol],
            targets=(Target("api.example.com", "m"),),
            streaming=streaming,
            context=context or StreamContext(model="m"),
            retry=RetryPolicy(attempts=1),
            heartbeat=Heartbeat(after=0.5 if beats_before_head else 0.0),
            **settings,
        ),
        random=lambda: 1.0,
        wall_clock=lambda: 0.0,
    )
    received = Received()
    machine.start(0)
    machine.connected(0, reused=False)
    if beats_before_head:
        received.take(machine.wake(0.6), None)
    received.take(machine.head(1, head), None)
    for number, chunk in enumerate(chunks):
        received.take(machine.body(2, chunk), number)
    received.take(machine.attempt_failed(3, lost) if lost else machine.body_end(3), None)
    received.codes = [finding.code for finding in machine.findings]
    received.outcome = machine.outcome
    assert machine.faults == []
    return received
