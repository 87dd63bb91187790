"""Scenarios: the replies of the provider to the streaming calls of one turn."""

from collections.abc import Callable
from dataclasses import dataclass

from traffic import faults, good
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Reply

TWICE: dict[str, faults.MadeFor] = {
    "wrapped error first": faults.wrapped_error_first,
    "reset after the head": faults.reset_after_head,
    "reset before the head": lambda protocol: faults.reset_before_head(),
    "HTML 524": lambda protocol: faults.html_524(),
}
"""Faults before any content: the proxy retries, and the agent does not notice."""

HEARTBEAT_SECONDS = 0.5
SILENCE_SECONDS = 3 * HEARTBEAT_SECONDS


def wrapped_error_after_content(protocol: WireProtocol) -> Reply:
    """Content, then a wrapped error in a later read: both in one read would be hidden."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"]
    return faults.broken(stream, count, faults.drip(SILENCE_SECONDS), faults.wrapped_error)


ONCE: dict[str, faults.MadeFor] = {
    "wrapped error mid-stream": wrapped_error_after_content,
    "reset mid-stream": faults.reset_mid_stream,
    "end without terminal event": faults.cut_without_terminal_event,
    "stall mid-stream": faults.stall_mid_stream,
    "stall after the head": faults.stall_after_head,
}
"""Faults that the agent itself must retry, and a stall hidden by keep-alives."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """The replies in order; the last one is repeated."""

    name: str
    replies: Callable[[WireProtocol], list[Reply]]
    calls: int = 1
    """The number of calls up to the first good reply."""
    protocols: tuple[WireProtocol, ...] = good.PROTOCOLS

    def __str__(self) -> str:
        return self.name


def always(name: str, fault: faults.MadeFor) -> Scenario:
    """Return a scenario with the same reply to every call."""
    return Scenario(name, lambda protocol: [fault(protocol)])


def then_good(name: str, fault: faults.MadeFor, times: int) -> Scenario:
    """Return a scenario with the fault `times` times, then good replies."""
    return Scenario(
        name, lambda protocol: [fault(protocol)] * times + [faults.none(protocol)], times + 1
    )


def slow(protocol: WireProtocol, place: str) -> Reply:
    """Return a good stream with a silence at this place."""
    stream = good.text_stream(protocol)
    count = stream.places.get(place, 0)
    rest = faults.chunks(stream.events[count:])
    return faults.broken(stream, count, faults.drip(SILENCE_SECONDS), rest, faults.end)


def blocks_from_one(protocol: WireProtocol) -> Reply:
    """Return a stream whose first content block has index 1."""
    return faults.streamed(good.stream_with_blocks_from_index(1).events)


PASSING = (
    always("nothing wrong", faults.none),
    *(then_good(f"{name}, twice", fault, 2) for name, fault in TWICE.items()),
    *(then_good(f"{name}, once", fault, 1) for name, fault in ONCE.items()),
    Scenario("first block has index 1", lambda p: [blocks_from_one(p)], 1, (good.ANTHROPIC,)),
    always("slow first event", lambda protocol: slow(protocol, "start")),
    always("silence mid-stream", lambda protocol: slow(protocol, "mid_content")),
)

LASTING = tuple(always(name, fault) for name, fault in (TWICE | ONCE).items())
"""Only the fault, for streaming calls; other calls get good replies."""
