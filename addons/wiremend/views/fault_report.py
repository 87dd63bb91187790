"""The report on injected faults: which calls they were injected into, and how each one ended."""

from collections import Counter

from pydantic import BaseModel, ConfigDict

from wiremend.call_record.outcomes import CUT, AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord
from wiremend.faults.schedule import FaultSchedule
from wiremend.text.counted import counted
from wiremend.views.outcome import is_repaired

REPORT_PREFIX = "wiremend: faults: "
"""The beginning of each line of the report in the log."""
_SHOWN_CALLS = 100
_SHOWN_HOSTS = 5
_ENDINGS = {
    CallState.FAILED: "failed",
    CallState.INTERNAL_FAULT: "failed",
    CallState.CANCELLED: "cancelled",
    CallState.REFUSED: "refused",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Injection(_Part):
    """A fault that was injected into one attempt."""

    attempt: int
    """The first one is 1."""
    fault: str
    """Such as `fault 1, reset before-head`; the number is that of the entry in the fault file."""


class FaultyCall(_Part):
    """A call with at least one injected fault."""

    number: int
    """Counts all calls, from 1, in the order of their ends."""
    host: str
    path: str
    """Without query."""
    model: str
    """The model that the client asked for."""
    injected: list[Injection]
    attempts: int
    ending: str
    """`passed` (answered, with nothing done), `retried`, `repaired`, `retried and repaired`,
    `failed` (the client received an error), `cut`, `cancelled` (by the client), `refused` or
    `running`."""
    detail: str
    """Such as `ok` or `wiremend ended the stream with error 502`."""
    codes: list[str]
    """The rules that applied, in alphabetical order."""


class FaultReport(_Part):
    """All calls with injected faults."""

    calls: int
    """How many calls there were, with and without faults."""
    hosts: list[str] = []
    """Some of the hosts that the calls were sent to."""
    faulty: list[FaultyCall]
    without_effect: dict[int, int]
    """By number of the fault: in how many attempts it could not be injected, for example because
    the answer had no tool call."""

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        endings = Counter(call.ending for call in self.faulty)
        counts = ", ".join(f"{times} {ending}" for ending, times in sorted(endings.items()))
        first = f"injected into {len(self.faulty)} of {self.calls} calls"
        lines = [f"{first}: {counts}" if counts else first]
        if self.hosts and not self.faulty and not self.without_effect:
            lines.append(
                f"no fault was chosen: calls were sent to {', '.join(self.hosts)}; the `host` and"
                " `model` of a fault are those after routing"
            )
        lines += [_line(call) for call in self.faulty[:_SHOWN_CALLS]]
        if len(self.faulty) > _SHOWN_CALLS:
            lines.append(f"… and {counted(len(self.faulty) - _SHOWN_CALLS, 'more call')}")
        lines += [
            f"fault {number} had no effect on {counted(times, 'answer')}"
            for number, times in sorted(self.without_effect.items())
        ]
        return lines


def _line(call: FaultyCall) -> str:
    faults = "; ".join(f"attempt {item.attempt}: {item.fault}" for item in call.injected)
    codes = f" ({', '.join(call.codes)})" if call.codes else ""
    detail = f": {call.detail}" if call.detail not in ("", "ok", call.ending) else ""
    return f"call {call.number}, {call.host}{call.path}: {faults} → {call.ending}{detail}{codes}"


class FaultLedger:
    """Collects the calls that have ended."""

    def __init__(self) -> None:
        self._calls = 0
        self._faulty: list[FaultyCall] = []
        self._hosts: list[str] = []

    def add(self, record: CallRecord, host: str, path: str) -> None:
        """Add a call. Requests that are not calls are not counted."""
        if not record.protocol or record.outcome in (None, CallState.PASSED):
            return
        self._calls += 1
        sent_to = record.host or host
        if sent_to not in self._hosts and len(self._hosts) < _SHOWN_HOSTS:
            self._hosts.append(sent_to)
        injected = [
            Injection(attempt=attempt.number, fault=attempt.injected)
            for attempt in record.attempts
            if attempt.injected
        ]
        if injected:
            call = FaultyCall(
                number=self._calls,
                host=host,
                path=path.partition("?")[0],
                model=record.model_asked,
                injected=injected,
                attempts=len(record.attempts),
                ending=_ending(record),
                detail=record.detail,
                codes=sorted({finding.code for finding in record.findings}),
            )
            self._faulty.append(call)

    def report(self, schedule: FaultSchedule) -> FaultReport:
        """Return the report on the calls so far."""
        return FaultReport(
            calls=self._calls,
            hosts=list(self._hosts),
            faulty=list(self._faulty),
            without_effect=dict(schedule.without_effect),
        )


def _ending(record: CallRecord) -> str:
    if record.outcome is CallState.FAILED and record.detail == CUT.detail:
        return "cut"
    if record.outcome in _ENDINGS:
        return _ENDINGS[record.outcome]
    if record.outcome is None or not record.outcome.is_final:
        return "running"
    tries = [attempt for attempt in record.attempts if attempt.outcome is not AttemptOutcome.STALE]
    done = ["retried"] if len(tries) > 1 else []
    if any(map(is_repaired, record.findings)):
        done.append("repaired")
    return " and ".join(done) or "passed"
