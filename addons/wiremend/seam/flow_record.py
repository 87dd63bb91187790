"""Writes the record of a call into the metadata of its flow.

No other code writes it, and the live proxy does not depend on its content. `wiremend.call_record`
documents the schema.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Concatenate
from weakref import finalize, ref

from mitmproxy import http

from wiremend.call_record.kept_traffic import DROPPED, CallTraffic, TrafficShare, TrafficStore
from wiremend.call_record.outcomes import AttemptOutcome, CallState, Outcome
from wiremend.call_record.plain import Plain, plain_finding, plain_text, plain_usage
from wiremend.call_record.schema import METADATA_KEY, SCHEMA_VERSION
from wiremend.engine.attempts import AttemptRecord, OpenAttempt
from wiremend.engine.call import AcknowledgedCall, Call, PassingCall
from wiremend.engine.machine import Machine
from wiremend.protocols.base.protocol import Protocol
from wiremend.rules.containment import Fault, contain, fault_of
from wiremend.rules.rule import FINDINGS_LIMIT, Finding
from wiremend.seam.flows import is_dropped
from wiremend.secrets import SHORTEST_SECRET

logger = logging.getLogger("wiremend")

type Mask = Callable[[Plain], Plain]
"""Returns plain data without secrets."""


def _apart[**P](
    method: Callable[Concatenate["FlowRecord", P], None],
) -> Callable[Concatenate["FlowRecord", P], None]:
    """Wrap a method of `FlowRecord` so that a fault in it drops the record, and nothing else."""

    def contained(record: "FlowRecord", /, *args: P.args, **kwargs: P.kwargs) -> None:
        if record.fault is None:
            try:
                method(record, *args, **kwargs)
            except Exception as exception:
                record.drop(fault_of("recording", exception))

    return update_wrapper(contained, method)


class FlowRecord:
    """The record of one call, rewritten at each change of the call's state.

    What has been written is kept as plain data, so that the cost of a change depends only on what
    is new.
    """

    fault: Fault | None = None
    """The exception after which nothing more was recorded."""
    keeps_traffic = False
    """Whether the messages of the call are to be passed to this record."""
    _share: TrafficShare | None = None
    _traffic: CallTraffic | None = None
    _kept: Plain | None = None
    """The traffic as it is written; None until `write_traffic`."""

    def __init__(self, flow: http.HTTPFlow) -> None:
        self._flow = flow
        self._record: Plain = {}
        self._begin()

    @_apart
    def _begin(self) -> None:
        self._start = time.monotonic()
        self._record = _empty_record(started_at=time.time())
        self._mask: Mask = _unmasked
        self._findings: list[Plain] = []
        self._ended_attempts: list[tuple[AttemptRecord, Plain]] = []
        """Those that were recorded, and as what."""
        self._opened: tuple[OpenAttempt, Plain] | None = None
        """The last attempt that was recorded, while it was running."""
        self._injected: dict[int, str] = {}
        """By index of the attempt: the fault that was injected into it."""
        self._revision: int | None = None
        self._state: tuple[object, ...] = ()
        """What was recorded of the machine."""
        self._target = 0
        """Number of the recorded target."""
        self._ended = False

    def drop(self, fault: Fault) -> None:
        """Record nothing more, and remove what was recorded."""
        self.fault = fault
        self.keeps_traffic = False
        self._traffic = self._kept = None
        self._flow.metadata.pop(METADATA_KEY, None)
        if self._share is not None:
            self._share.release()

    @_apart
    def plan(
        self, call: Call | AcknowledgedCall, protocol: Protocol | None, mask: Mask | None
    ) -> None:
        """Record that the call was planned."""
        if mask is not None:
            self._mask = mask
        if protocol is not None:
            self._record["protocol"] = str(protocol.name)
        if isinstance(call, Call):
            self._record["protocol"] = str(call.protocol.name)
            self._record["client"] = call.context.client.family
            model = {"model_asked": plain_text(call.context.model)}
            self._record |= self._mask(model | _target_of(call, 0))
            self._record["request_findings"] = self._plain(call.findings[:FINDINGS_LIMIT])
            reports_only = isinstance(call, PassingCall) and call.observed is not None
            self._record["reports_only"] = reports_only
        else:
            self._name_host()
        self._write()

    def renew(self, call: Call | AcknowledgedCall, machine: Machine) -> None:
        """Record the call's state if it has changed."""
        if machine.revision != self._revision:
            self._renew(call, machine)

    @_apart
    def _renew(self, call: Call | AcknowledgedCall, machine: Machine) -> None:
        self._revision = machine.revision
        outcome, number = machine.outcome, machine.target_number
        usage = machine.usage if outcome.state.is_final else None
        count = len(machine.findings)
        state = (outcome, machine.attempts, machine.open_attempt, number, count, usage)
        if state == self._state:
            return  # the attempt proceeds, which is not recorded
        self._state = state
        if count > len(self._findings):
            self._findings += self._plain(machine.findings[len(self._findings) :])
            self._record["response_findings"] = list(self._findings)
        self._record["attempts"] = self._attempts_of(machine)
        if number != self._target:
            self._target = number
            self._record |= self._mask(_target_of(call, number))
        if not self._ended:
            self._set_outcome(outcome)
        if usage is not None:
            self._record["usage"] = plain_usage(usage)
        self._write()

    @_apart
    def head_shown(self) -> None:
        """Record that the head of a response is sent to the client."""
        if self._record["head_seconds"] is None:
            end = self._record["end_seconds"]
            self._record["head_seconds"] = self._seconds(time.monotonic()) if end is None else end
            self._write()

    @_apart
    def end(self, outcome: Outcome, protocol: Protocol | None = None) -> None:
        """Record an outcome that no machine reports: a refusal, a kill, an internal fault."""
        self._ended = True
        self._name_host()
        self._set_outcome(outcome)
        if protocol is not None:
            self._record["protocol"] = str(protocol.name)
        end = {
            "outcome": str(AttemptOutcome.FAILED),
            "detail": outcome.detail,
            "end_seconds": self._record["end_seconds"],
        }
        self._record["attempts"] = [
            attempt | end if attempt["end_seconds"] is None else attempt
            for attempt in self._record["attempts"]
        ]
        self._write()

    @_apart
    def note_injected(self, text: str) -> None:
        """Record that a fault was injected into the current attempt; `text` describes it."""
        index = len(self._record["attempts"]) - 1
        self._injected[index] = text
        self._record["attempts"] = [
            attempt | {"injected": self._injected.get(at, "")}
            for at, attempt in enumerate(self._record["attempts"])
        ]
        self._write()

    # Traffic

    @_apart
    def keep_traffic(self, store: TrafficStore, request: http.Request) -> None:
        """Keep the messages of this call, starting with the client's request."""
        self._share = store.share(_writing(self))
        # An exception would be printed with its stack.
        finalize(self._flow, contain, "releasing kept traffic", _log_fault, self._share.release)
        self._traffic = CallTraffic(self._share)
        self._traffic.client_sent(_request_head(request), request.raw_content or b"")
        self.keeps_traffic = True

    @_apart
    def keep_attempt(self) -> None:
        """The messages that follow belong to the next attempt."""
        if self._traffic is not None:
            self._traffic.attempt_started()

    @_apart
    def keep_sent(self, request: http.Request) -> None:
        """Keep the request of an attempt."""
        if self._traffic is not None:
            self._traffic.attempt_sent(_request_head(request), request.raw_content or b"")

    @_apart
    def keep_upstream_head(self, response: http.Response) -> None:
        """Keep the head of an attempt's response."""
        if self._traffic is not None:
            self._traffic.upstream_head(_response_head(response))

    @_apart
    def keep_upstream_data(self, data: bytes) -> None:
        """Keep a part of the body of an attempt's response."""
        if self._traffic is not None:
            self._traffic.upstream_data(data, self._seconds(time.monotonic()))

    @_apart
    def keep_client_head(self, response: http.Response) -> None:
        """Keep the head of the response that the client receives."""
        if self._traffic is not None:
            self._traffic.client_head(_response_head(response))

    @_apart
    def keep_client_data(self, data: bytes) -> None:
        """Keep a part of the body that the client receives."""
        if self._traffic is not None:
            self._traffic.client_data(data, self._seconds(time.monotonic()))

    @_apart
    def write_traffic(self) -> None:
        """Write what was kept into the flow, which is about to be saved; keep nothing more."""
        if self._traffic is None or self._share is None:
            return
        self._kept = self._mask(self._traffic.plain())
        self._traffic = None
        self.keeps_traffic = False
        self._write()
        self._share.end(_dropping(self._flow))

    def _set_outcome(self, outcome: Outcome) -> None:
        self._record["outcome"] = str(outcome.state)
        self._record["detail"] = self._text(outcome.detail)
        if outcome.state.is_final and self._record["end_seconds"] is None:
            self._record["end_seconds"] = self._seconds(time.monotonic())

    def _text(self, text: str) -> str:
        """Return a text as it is recorded. A short one, such as `ok`, contains no secret."""
        if len(text) < SHORTEST_SECRET:
            return text
        masked: str = self._mask({"": plain_text(text)})[""]
        return masked

    def _plain(self, findings: Sequence[Finding]) -> list[Plain]:
        return [self._mask(plain_finding(finding)) for finding in findings]

    def _name_host(self) -> None:
        """Record the host that the client addressed, if no target is recorded."""
        if not self._record["host"]:
            self._record |= _named(self._flow)

    def _attempts_of(self, machine: Machine) -> list[Plain]:
        recorded = self._ended_attempts
        for index, ended in enumerate(machine.attempts):
            if index < len(recorded) and recorded[index][0] is ended:
                continue  # it has not changed
            recorded[index:] = [(ended, self._ended_attempt(ended))]
        attempts = [attempt for _, attempt in recorded]
        if (running := machine.open_attempt) is not None:
            attempts.append(self._opened_attempt(running))
        for index, text in self._injected.items():
            if index < len(attempts):
                attempts[index] = attempts[index] | {"injected": text}
        return attempts

    def _opened_attempt(self, opened: OpenAttempt) -> Plain:
        if self._opened is None or self._opened[0] != opened:
            names = {"provider": opened.provider, "model": plain_text(opened.model)}
            attempt = {
                "outcome": str(AttemptOutcome.RUNNING),
                "detail": "",
                "end_seconds": None,
                "wait_seconds": None,
                "injected": "",
                **_NO_MESSAGES,
                "number": opened.number,
                **self._mask(names),
                "start_seconds": self._seconds(opened.started),
            }
            self._opened = opened, attempt
        return self._opened[1]

    def _ended_attempt(self, ended: AttemptRecord) -> Plain:
        opened = OpenAttempt(ended.number, ended.provider, ended.model, ended.started)
        wait = ended.wait_seconds
        return self._opened_attempt(opened) | {
            "outcome": str(ended.outcome),
            "detail": self._text(ended.detail),
            "end_seconds": self._seconds(ended.ended),
            "wait_seconds": None if wait is None else round(wait, 6),
        }

    def _seconds(self, when: float) -> float:
        """Convert monotonic seconds to seconds since the start of the call."""
        return round(when - self._start, 6)

    def _write(self) -> None:
        record = dict(self._record)
        if self._share is not None and self._share.is_dropped:
            record["not_kept"] = DROPPED
        elif self._kept is not None:
            kept = self._kept["attempts"]
            record |= self._kept
            record["attempts"] = [
                attempt | (kept[index] if index < len(kept) else {})
                for index, attempt in enumerate(self._record["attempts"])
            ]
        _write(self._flow, record)


def record_findings(
    flow: http.HTTPFlow,
    protocol: Protocol | None = None,
    *,
    request: Sequence[Finding] = (),
    response: Sequence[Finding] = (),
    reports_only: bool = False,
) -> None:
    """Record the findings of a request that is not a call, and of its response."""
    if not request and not response:
        return
    findings = {
        "request_findings": [plain_finding(finding) for finding in request],
        "response_findings": [plain_finding(finding) for finding in response],
        "reports_only": reports_only,
    }
    _write(flow, _record_of(flow, protocol, Outcome(CallState.PASSED)) | findings)


def record_refusal(flow: http.HTTPFlow, protocol: Protocol | None, reason: str) -> None:
    """Record that the proxy answered this request with an error and did not forward it."""
    _write(flow, _record_of(flow, protocol, Outcome(CallState.REFUSED, reason)))


def _record_of(flow: http.HTTPFlow, protocol: Protocol | None, outcome: Outcome) -> Plain:
    started_at = flow.request.timestamp_start
    return (
        _empty_record(started_at=started_at)
        | _named(flow)
        | {
            "protocol": str(protocol.name) if protocol is not None else "",
            "outcome": str(outcome.state),
            "detail": plain_text(outcome.detail),
        }
    )


def _target_of(call: Call | AcknowledgedCall, number: int) -> Plain:
    if isinstance(call, AcknowledgedCall):
        return {}
    target = call.targets[number]
    return {
        "model_used": plain_text(target.model),
        "provider": plain_text(target.provider),
        "host": plain_text(call.request_for(number).host),
    }


def _named(flow: http.HTTPFlow) -> Plain:
    host = plain_text(flow.request.pretty_host)
    return {"provider": host, "host": host}


def _empty_record(*, started_at: float) -> Plain:
    return {
        "version": SCHEMA_VERSION,
        "protocol": "",
        "client": "",
        "model_asked": "",
        "model_used": "",
        "provider": "",
        "host": "",
        "outcome": str(CallState.PLANNED),
        "detail": "",
        "started_at": started_at,
        "head_seconds": None,
        "end_seconds": None,
        "request_findings": [],
        "response_findings": [],
        "reports_only": False,
        "attempts": [],
        "usage": None,
        **_NO_TRAFFIC,
    }


def _log_fault(fault: Fault) -> None:
    logger.warning("wiremend: internal fault (%s) while %s", fault, fault.step)


_NO_TRAFFIC: Plain = {"client_request": None, "client_response": None, "not_kept": ""}
_NO_MESSAGES: Plain = {"request": None, "response": None}


def _request_head(request: http.Request) -> Plain:
    """Return a `KeptRequest` without its body."""
    return {
        "method": _text(request.data.method),
        "url": request.url.encode("utf-8", "replace").decode(),
        "headers": _text_fields(request.headers),
    }


def _response_head(response: http.Response) -> Plain:
    """Return a `KeptResponse` without its body."""
    return {"status": response.status_code, "headers": _text_fields(response.headers)}


def _text_fields(headers: http.Headers) -> list[list[str]]:
    return [[_text(name), _text(value)] for name, value in headers.fields]


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _writing(record: FlowRecord) -> Callable[[], None]:
    """Return a function that writes the traffic of a call, if its stream still exists."""
    reference = ref(record)

    def write() -> None:
        if (record := reference()) is not None:
            record.write_traffic()

    return write


def _dropping(flow: http.HTTPFlow) -> Callable[[], None]:
    """Return a function that removes the traffic from the record of a flow, if it still exists."""
    reference = ref(flow)

    def drop() -> None:
        flow = reference()
        record = flow.metadata.get(METADATA_KEY) if flow is not None else None
        if flow is not None and isinstance(record, dict):
            attempts = [attempt | _NO_MESSAGES for attempt in record["attempts"]]
            dropped = {"attempts": attempts, "not_kept": DROPPED}
            _write(flow, record | _NO_TRAFFIC | dropped)

    return drop


def _unmasked(plain: Plain) -> Plain:
    return plain


def _write(flow: http.HTTPFlow, record: Plain) -> None:
    """Write a record. Records are written nowhere else."""
    if not is_dropped(flow):
        flow.metadata[METADATA_KEY] = record
