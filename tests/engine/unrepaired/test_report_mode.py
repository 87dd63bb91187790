"""A call that only reports passes at once, whatever happens to the reading of its copy."""

from dataclasses import replace
from typing import Any

import pytest
from wiremend.adapt.sessions import session_key
from wiremend.engine import plan
from wiremend.engine.actions import FinishResponse, Head, ReleaseAttempt, ShowBody, ShowHead
from wiremend.engine.call import PassingCall
from wiremend.engine.settings import Feature, Knowledge, Settings
from wiremend.engine.unrepaired import report_plan
from wiremend.engine.unrepaired.reporting import SINGLE_EVENTS, ReportingMachine
from wiremend.held_memory import HeldMemory
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import PROTOCOLS
from wiremend.routing.match import Route

HEAD = Head(200, ((b"content-type", b"text/event-stream"),))
BODY = b'{"model":"gpt-5","stream":true,"messages":[]}'
STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
FEATURES = frozenset(Feature)
END = [FinishResponse(with_trailers=True), ReleaseAttempt()]


def request(body: bytes = BODY) -> OutgoingRequest:
    headers = (("content-type", "application/json"), ("accept-encoding", "br"))
    protocol = PROTOCOLS[WireProtocol.CHAT_COMPLETIONS]
    document = RequestDocument.of(protocol, "/v1/chat/completions", body, headers)
    return OutgoingRequest("api.openai.com", "", "https", "api.openai.com", 443, document)


def planned(settings: Settings | None = None, body: bytes = BODY) -> PassingCall:
    call = report_plan.plan_reporting(request(body), FEATURES, settings or Settings(), Knowledge())
    assert isinstance(call, PassingCall)
    return call


def carried(call: PassingCall, chunks: list[bytes], held: HeldMemory | None = None) -> Any:
    """Carry a call through, and assert that it passes at once; return its machine."""
    memory = held.share() if held is not None else None
    machine = plan.make_machine(call, random=lambda: 0.0, wall_clock=lambda: 0.0, memory=memory)
    machine.start(0.0)
    assert machine.connected(0.0, reused=False) == []
    assert machine.head(0.0, HEAD) == [ShowHead(HEAD)]
    for chunk in chunks:
        assert machine.body(0.0, chunk) == [ShowBody(chunk)]
    assert machine.body_end(0.0) == END
    return machine


def raise_fault(*_: Any, **__: Any) -> Any:
    raise ValueError


def test_a_fault_in_reading_ends_the_reading_and_not_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wiremend.engine.call_machine.CallMachine.body", raise_fault)
    machine = carried(planned(), [STREAM, STREAM])
    assert [fault.step for fault in machine.faults] == ["observing a call"]
    assert machine.usage is None


def test_a_fault_in_planning_what_is_observed_leaves_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = frozenset({Feature.REPAIR})  # so only what is observed is planned in steps
    monkeypatch.setattr("wiremend.engine.plan.STEPS", (raise_fault,))
    call = report_plan.plan_reporting(request(), features, Settings(), Knowledge())
    assert isinstance(call, PassingCall)
    machine = carried(call, [STREAM])
    assert not isinstance(machine, ReportingMachine)
    assert [fault.step for fault in machine.faults] == ["observing a request"]


def test_memory_that_is_exhausted_ends_the_reading_and_not_the_call() -> None:
    machine = carried(planned(), [STREAM], HeldMemory(limit_bytes=1))
    assert "R009" in [finding.code for finding in machine.findings]


def test_a_conversation_that_is_only_observed_is_not_remembered_as_adapted() -> None:
    knowledge, received = Knowledge(), anthropic_request()
    key = session_key(replace(received, model="claude-opus-5"))
    assert key is not None
    report_plan.plan_reporting(received, FEATURES, Settings(), knowledge)
    assert knowledge.sessions.terms(key) is None
    plan.plan_call(received, FEATURES, Settings(), knowledge)
    assert knowledge.sessions.terms(key) is not None


def anthropic_request() -> OutgoingRequest:
    body = b'{"model":"claude-opus-5","messages":[{"role":"user","content":"Hi"}]}'
    headers = (("content-type", "application/json"),)
    protocol = PROTOCOLS[WireProtocol.ANTHROPIC_MESSAGES]
    document = RequestDocument.of(protocol, "/v1/messages", body, headers)
    return OutgoingRequest("api.anthropic.com", "", "https", "api.anthropic.com", 443, document)


def test_only_the_first_target_is_asked() -> None:
    route = Route("*", model="a", fallback=("b", "c"))
    call = planned(Settings(routes=(route,)))
    assert [target.model for target in call.targets] == ["a"]
    assert call.observed is not None
    assert len(call.observed.targets) == 1
    machine = carried(call, [b"data: nonsense\n\n"])
    assert "M003" not in [finding.code for finding in machine.findings]


def test_a_route_without_findings_is_no_reason_to_observe() -> None:
    features = frozenset({Feature.ROUTE})
    assert report_plan.plan_reporting(request(), features, Settings(), Knowledge()) is None


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_an_error_behind_content_is_told_apart_whatever_the_chunks(size: int) -> None:
    data = STREAM + b'data: {"error":{"message":"m","code":500}}\n\n'
    machine = carried(planned(), [data[at : at + size] for at in range(0, len(data), size)])
    assert [finding.code for finding in machine.findings if finding.code[0] == "E"] == ["E002"]


def test_a_body_of_blank_lines_is_read_at_once_after_some_of_them() -> None:
    call = planned()
    counted = 0
    machine = plan.make_machine(call, random=lambda: 0.0, wall_clock=lambda: 0.0)
    assert isinstance(machine, ReportingMachine)
    machine.start(0.0)
    machine.connected(0.0, reused=False)
    machine.head(0.0, HEAD)
    assert machine._observer is not None
    for _ in machine._observer.body(b": x\n\n" * 10 * SINGLE_EVENTS):
        counted += 1
    assert counted == SINGLE_EVENTS + 1


def test_the_request_is_sent_as_it_came() -> None:
    body = b'{"model":"gpt-5","stream":true,"max_tokens":5,"messages":[]}'
    call = planned(body=body)
    assert call.requests == (replace(request(body), model="gpt-5"),)
    assert [finding.code for finding in call.findings]
