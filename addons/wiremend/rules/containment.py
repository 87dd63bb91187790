"""Containment: what happens when code of wiremend raises, decided here for every place.

    what raises                            what happens
    ------------------------------------   --------------------------------------------------------
    repairing an event or a body           it passes unchanged (S001), and so does the rest of a
                                           stream; the stream is complete only if its terminal
                                           event arrived
    adapting a request                     the client's request is sent (T305)
    reading a provider's error             its HTTP status alone counts; the client gets its body
    reading or explaining a rejection      the provider's error reaches the client as it is
    counting tokens                        the call has no counts
    recording a call                       the call has no record
    planning, the engine, the seam         the call ends at once in its protocol's error, or is cut
                                           where no error can be written
    concealing                             the flow's content and record are dropped
    another hook of a shell                a request that may use a configured key is answered with
                                           an error; all else passes unchanged
    mitmproxy's layers                     the client's connection is closed

In every row one line is logged, a few times a minute for the same place (`FaultLog`). Other calls,
also those of the same connection, go on; only the last row ends them.

`KeyboardInterrupt`, `SystemExit`, `GeneratorExit` and `asyncio.CancelledError` are no faults: they
are not subclasses of `Exception`, and pass.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception that was contained, without its text, which may contain secrets."""

    step: str
    """What was being done, in a few words."""
    kind: str
    """The name of the exception's class."""
    place: str = ""
    """File and line that raised it."""
    trace: str = field(default="", compare=False, repr=False)
    """The stack, one call per line."""

    def __str__(self) -> str:
        return f"{self.kind} in {self.place}" if self.place else self.kind


def fault_of(step: str, exception: Exception) -> Fault:
    """Describe an exception that was raised during `step`."""
    frames = traceback.extract_tb(exception.__traceback__)
    lines = [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    place = lines[-1].partition(" ")[0] if lines else ""
    shown = lines if len(lines) <= _TRACE_LINES else ["…", *lines[-_TRACE_LINES:]]
    return Fault(step, type(exception).__name__, place, "\n".join(shown))


_TRACE_LINES = 20
"""The innermost calls of a trace; a RecursionError has a thousand."""


def contain[**P, T](
    step: str,
    otherwise: Callable[[Fault], T],
    function: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Return `function(*args, **kwargs)`, or `otherwise(fault)` if it raises an `Exception`."""
    try:
        return function(*args, **kwargs)
    except Exception as exception:
        return otherwise(fault_of(step, exception))


class FaultLog:
    """Limits how often a fault at one place is logged. Times are monotonic seconds."""

    def __init__(self, lines: int = 10, seconds: float = 60.0) -> None:
        self._lines = lines
        self._seconds = seconds
        self._logged: dict[str, list[float]] = {}
        """When each place was logged."""
        self._left_out: dict[str, int] = {}

    def line(self, fault: Fault, call: str, done: str, now: float) -> str | None:
        """Return the line for a fault in `call`, after which `done` was done; None to log none."""
        place = str(fault)
        logged = [when for when in self._logged.get(place, ()) if now - when < self._seconds]
        if len(logged) >= self._lines:
            self._left_out[place] = self._left_out.get(place, 0) + 1
            return None
        if len(self._logged) > _PLACES:
            self._logged.clear()
        self._logged[place] = [*logged, now]
        left_out = self._left_out.pop(place, 0)
        more = f" ({left_out} more like this were not logged)" if left_out else ""
        return f"wiremend: internal fault ({place}) while {fault.step}: {call}; {done}{more}"


_PLACES = 1000
"""More places than a program has faults; a bound for the table."""
