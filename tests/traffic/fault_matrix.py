"""The fault matrix: every fault at every place of every kind of call, with the expected result.

The provider of a cell fails twice in the same way and succeeds from the third request on.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import ConnectionFault, Framing, Reply, Script, Step

from . import faults, good

HTTP_VERSIONS = ("HTTP/1.1", "HTTP/2")
PLACES = ("before head", "after head", "preamble", "mid-text", "mid-tool-JSON", "after terminal")


class Sees(Enum):
    """What the client receives, and how many requests upstream receives."""

    ANSWER_OF_THIRD = ("the whole answer", 3)
    """The failures are hidden from the client."""
    ANSWER_OF_FIRST = ("the whole answer", 1)
    """The first answer was complete before the fault."""
    ERROR_OF_FIRST = ("a part of the answer, then the protocol's error", 1)
    """Content had been forwarded, so the call cannot be retried."""

    @property
    def calls(self) -> int:
        """The number of requests upstream."""
        return self.value[1]


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    fault: str
    place: str
    protocol: WireProtocol
    stream: bool
    http_version: str

    def __str__(self) -> str:
        kind = "stream" if self.stream else "json"
        return f"{self.fault}, {self.place}, {self.protocol}, {kind}, {self.http_version}"

    @property
    def calls_a_tool(self) -> bool:
        """Whether the answer is a tool call."""
        return self.place == "mid-tool-JSON"

    @property
    def good_stream(self) -> good.Stream:
        """The stream without the fault; also what the client should assemble."""
        kind = good.tool_stream if self.calls_a_tool else good.text_stream
        return kind(self.protocol)

    @property
    def good_body(self) -> bytes:
        """The JSON answer without the fault."""
        return (good.json_tool_body if self.calls_a_tool else good.json_body)(self.protocol)

    @property
    def shown_before_fault(self) -> bytes:
        """The last event that is forwarded before the fault; empty if there is none."""
        if self.sees() is Sees.ANSWER_OF_THIRD:
            return b""
        return self.good_stream.events[self.events_before_fault - 1]

    @property
    def events_before_fault(self) -> int:
        """The number of events sent before the fault."""
        places = self.good_stream.places
        return {
            "after head": 0,
            "preamble": places.get("preamble", 0),
            "mid-text": places["mid_content"],
            "mid-tool-JSON": places["mid_content"],
            "after terminal": places["end"],
        }[self.place]

    def script(self, gate: Step = faults.pass_on) -> list[Script]:
        """Return the replies to the requests of this cell; `gate` is the step before the fault."""
        fault = FAULTS[self.fault]
        broken = fault.make(self, gate)
        if self.stream:
            answer = faults.streamed(self.good_stream.events)
        else:
            answer = faults.whole(self.good_body)
        return [broken, broken, answer]

    def impossible(self) -> str:
        """Return why this cell cannot exist; empty if it can."""
        if not self.stream and self.place == "preamble":
            return "a JSON answer has no preamble"
        if not self.stream and self.place == "after terminal":
            return "a JSON answer ends with its last byte"
        if self.protocol is good.GEMINI and self.stream and self.place == "preamble":
            return "the first event of Gemini has content"
        if self.protocol is good.GEMINI and self.stream and self.place == "mid-tool-JSON":
            return "Gemini sends the arguments of a call in one event"
        return FAULTS[self.fault].impossible(self)

    def sees(self) -> Sees:
        """Return the expected result."""
        if not self.stream or self.place in ("before head", "after head", "preamble"):
            return Sees.ANSWER_OF_THIRD
        if self.place == "after terminal":
            return Sees.ANSWER_OF_FIRST
        return Sees.ERROR_OF_FIRST


@dataclass(frozen=True)
class Fault:
    """One way to fail."""

    make: Callable[[Cell, Step], Script]
    impossible: Callable[[Cell], str]


def _only_before_head(reason: str) -> Callable[[Cell], str]:
    return lambda cell: "" if cell.place == "before head" else reason


def _anywhere(cell: Cell) -> str:
    return ""


def _wrapped_where(cell: Cell) -> str:
    if cell.place == "before head":
        return "a wrapped error is part of a body"
    if not cell.stream and cell.place != "after head":
        return "a JSON body is either an error or an answer"
    if cell.protocol is good.GEMINI and cell.place == "after terminal":
        return "Gemini has no terminal event for an error to follow"
    return ""


def _broken_at_place(cell: Cell, gate: Step, step: Step) -> Reply:
    name = f"{cell.fault} {cell.place}"
    if cell.place == "before head":
        return Reply(name, (step,))
    if not cell.stream:
        return _broken_body(cell, step)
    return faults.broken(cell.good_stream, cell.events_before_fault, gate, step, name=name)


def _broken_body(cell: Cell, step: Step) -> Reply:
    body = cell.good_body
    sent = b"" if cell.place == "after head" else body[: len(body) // 2]
    headers = (*faults.JSON, ("content-length", str(len(body))))
    head = faults.head(200, headers, Framing.LENGTH)
    return Reply(f"{cell.fault} {cell.place}", (head, faults.chunks([sent]), step))


def _by_version(http1: Step, http2: Step) -> Callable[[Cell, Step], Script]:
    steps = {"HTTP/1.1": http1, "HTTP/2": http2}
    return lambda cell, gate: _broken_at_place(cell, gate, steps[cell.http_version])


def _wrapped(cell: Cell, gate: Step) -> Script:
    if not cell.stream:
        return faults.whole(faults.WRAPPED_ERROR)
    return _broken_at_place(cell, gate, faults.wrapped_error)


def _answers(make: Callable[[WireProtocol], Reply], what: str) -> Fault:
    return Fault(lambda cell, _: make(cell.protocol), _only_before_head(f"{what} is the head"))


def _fails_to_connect(fault: ConnectionFault) -> Fault:
    return Fault(lambda cell, _: fault, _only_before_head("there is no connection for a response"))


FAULTS: Mapping[str, Fault] = {
    "refused": _fails_to_connect(ConnectionFault.REFUSE),
    "TLS failure": _fails_to_connect(ConnectionFault.TLS_FAILURE),
    "RST": Fault(_by_version(faults.reset, faults.reset_stream()), _anywhere),
    "FIN": Fault(_by_version(faults.close, faults.close), _anywhere),
    "early end": Fault(
        _by_version(faults.end, faults.end),
        lambda cell: (
            "a body ends only after its head"
            if cell.place == "before head"
            else "the proper end"
            if cell.place == "after terminal"
            else ""
        ),
    ),
    "stall": Fault(_by_version(faults.stall, faults.stall), _anywhere),
    "wrapped error": Fault(_wrapped, _wrapped_where),
    "429 with Retry-After": _answers(faults.rate_limited, "a status"),
    "503": _answers(faults.unavailable, "a status"),
    "529": _answers(faults.overloaded, "a status"),
    "HTML 524": _answers(lambda protocol: faults.html_524(), "a status"),
}

CELLS = tuple(
    Cell(fault, place, protocol, stream, http_version)
    for fault, place, protocol, stream, http_version in itertools.product(
        FAULTS, PLACES, good.PROTOCOLS, (True, False), HTTP_VERSIONS
    )
)
POSSIBLE = tuple(cell for cell in CELLS if not cell.impossible())
