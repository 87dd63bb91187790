"""The record of a call in its flow's metadata, at each change of the call's state."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from engine.test_call_machine import (
    BLOCK_START,
    DELTA,
    GOOD,
    GOOD_JSON,
    MESSAGE_START,
)
from mitmproxy import http
from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import METADATA_KEY, CallRecord
from wiremend.engine import plan as plan_module
from wiremend.engine.actions import Head, Respond
from wiremend.engine.call import Call
from wiremend.engine.call_machine import CallMachine
from wiremend.rules.rule import AttemptPlace, EventPlace
from wiremend.seam.call_options import CallOptions
from wiremend.views.redaction import masked_record

from seam.playbook import Playbook, playing
from seam.test_stream_layer import (
    HEAD,
    LAST,
    acknowledge,
    call,
    chunk,
    plan_everything,
)

OVERLOADED = (
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
)
JSON_HEAD = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
REPAIRED = GOOD.replace(b'"index":0', b'"index":3')


def answer(status: int, body: bytes) -> bytes:
    return JSON_HEAD % (status, len(body)) + body


def error(status: int, type: str, message: str) -> bytes:
    return answer(
        status,
        b'{"type":"error","error":{"type":"%s","message":"%s"}}'
        % (type.encode(), message.encode()),
    )


def assert_plain(value: Any) -> None:
    """Check for exact types: only these are saved by every version of mitmproxy."""
    if type(value) is dict:
        for key, item in value.items():
            assert type(key) is str
            assert_plain(item)
    elif type(value) is list:
        for item in value:
            assert_plain(item)
    else:
        assert type(value) in (str, int, float, bool, type(None))


def record_of(flow: http.HTTPFlow) -> CallRecord:
    """Return the record; assert that it is plain data with exactly the fields of the schema."""
    stored = flow.metadata[METADATA_KEY]
    assert_plain(stored)
    assert set(stored) == set(CallRecord.model_fields)
    return CallRecord.model_validate(stored, extra="forbid")


@dataclass(frozen=True)
class Story:
    """What happens to a call, and the expected record."""

    happens: Callable[[Playbook], None]
    outcome: CallState
    detail: str
    attempts: tuple[AttemptOutcome, ...] = ()
    codes: tuple[str, ...] = ()
    plan: Callable[[CallOptions], None] = plan_everything


def sends(*parts: bytes) -> Callable[[Playbook], None]:
    def happens(book: Playbook) -> None:
        book.client_sends(call())
        for part in parts:
            book.server_sends(part)

    return happens


def retried(book: Playbook) -> None:
    book.client_sends(call())
    book.closes(book.servers[0])
    book.wake()
    book.server_sends(HEAD + chunk(REPAIRED) + LAST)


def waits_for_a_retry(book: Playbook) -> None:
    book.client_sends(call())
    book.closes(book.servers[0])


def never_reached(book: Playbook) -> None:
    book.refuse_connections = 3
    book.client_sends(call())
    book.wake()
    book.wake()


def connects(book: Playbook) -> None:
    book.hold_connections = True
    book.client_sends(call())


def disconnects(book: Playbook) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(MESSAGE_START + BLOCK_START))
    book.closes(book.client)


def killed(book: Playbook) -> None:
    book.at_hook["responseheaders"] = lambda flow: flow.kill()
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD) + LAST)


def stale(book: Playbook) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    book.client_sends(call())
    book.closes(book.servers[0])
    book.server_sends(HEAD + chunk(GOOD) + LAST)


def cut_untouched(book: Playbook) -> None:
    book.client_sends(call())
    book.server_sends(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: unknown\r\ncontent-length: 9\r\n\r\nhalf"
    )
    book.closes(book.servers[0])


def acknowledged(*parts: bytes) -> Callable[[Playbook], None]:
    def happens(book: Playbook) -> None:
        book.client_sends(call(b"/session/prompt"))
        for part in parts:
            book.server_sends(part)

    return happens


def failed_late(book: Playbook) -> None:
    book.client_sends(call(b"/session/prompt"))
    book.wake()
    book.server_sends(answer(500, b"{}"))


def killed_then_failed(book: Playbook) -> None:
    book.at_hook["response"] = lambda flow: flow.kill()
    failed_late(book)


def fault(owner: object, name: str) -> Callable[[Playbook], None]:
    def happens(book: Playbook) -> None:
        def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("on purpose")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, broken)
            book.client_sends(call())

    return happens


RUN, OK, FAILED, CANCELLED = (
    AttemptOutcome.RUNNING,
    AttemptOutcome.ANSWERED,
    AttemptOutcome.FAILED,
    AttemptOutcome.CANCELLED,
)
STORIES = {
    "connecting": Story(connects, CallState.RUNNING, "", (RUN,)),
    "waiting for a retry": Story(waits_for_a_retry, CallState.RUNNING, "", (FAILED,), ("R002",)),
    "in mid-stream": Story(
        sends(HEAD + chunk(MESSAGE_START + BLOCK_START)), CallState.RUNNING, "", (RUN,)
    ),
    "a stream": Story(sends(HEAD + chunk(GOOD) + LAST), CallState.ANSWERED, "ok", (OK,)),
    "a repaired retry": Story(
        retried, CallState.ANSWERED, "ok", (FAILED, OK), ("R002", "S105", "S105", "S105")
    ),
    "a whole body": Story(
        sends(answer(200, GOOD_JSON)), CallState.ANSWERED, "ok", (OK,), ("E005",)
    ),
    "a stale connection": Story(
        stale, CallState.ANSWERED, "ok", (AttemptOutcome.STALE, OK), ("R006",)
    ),
    "a rejection": Story(
        sends(error(400, "invalid_request_error", "no")), CallState.FAILED, "error 400", (FAILED,)
    ),
    "never reached": Story(
        never_reached, CallState.FAILED, "error 502", (FAILED,) * 3, ("R001",) * 3
    ),
    "an error in mid-stream": Story(
        sends(HEAD + chunk(MESSAGE_START + BLOCK_START + DELTA), chunk(OVERLOADED)),
        CallState.FAILED,
        "error 529 in the stream",
        (FAILED,),
        ("E002",),
    ),
    "cut": Story(cut_untouched, CallState.FAILED, "cut", (FAILED,), ("R002",)),
    "the client disconnects": Story(
        disconnects, CallState.CANCELLED, "cancelled by client", (CANCELLED,)
    ),
    "killed": Story(killed, CallState.CANCELLED, "killed", (OK,)),
    "acknowledged": Story(
        acknowledged(answer(200, b"{}")),
        CallState.ACKNOWLEDGED,
        "204",
        (OK,),
        ("F001",),
        acknowledge,
    ),
    "acknowledged, failed later": Story(
        failed_late,
        CallState.ACKNOWLEDGED,
        "204; later: status 500",
        (FAILED,),
        ("F002", "F003"),
        acknowledge,
    ),
    "killed at its 204, failed later": Story(
        killed_then_failed,
        CallState.CANCELLED,
        "killed",
        (FAILED,),
        ("F002", "F003"),
        acknowledge,
    ),
    "not acknowledged": Story(
        acknowledged(answer(404, b"{}")), CallState.FAILED, "error 404", (FAILED,), (), acknowledge
    ),
    "a fault in planning": Story(
        fault(plan_module, "read_request"), CallState.INTERNAL_FAULT, "internal fault"
    ),
    "a fault in an attempt": Story(
        fault(CallMachine, "connected"), CallState.INTERNAL_FAULT, "internal fault", (FAILED,)
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_each_outcome_of_a_call_is_recorded(story: Story) -> None:
    with playing(story.plan) as book:
        story.happens(book)
        record = record_of(book.flows[-1])
        assert load_record(book.flows[-1].metadata) == record
    assert record.outcome is story.outcome
    assert record.detail.partition(" (ZeroDivisionError")[0] == story.detail
    assert tuple(one.outcome for one in record.attempts) == story.attempts
    assert tuple(finding.code for finding in record.findings) == story.codes
    assert (record.end_seconds is None) is (story.outcome is CallState.RUNNING)
    for attempt in record.attempts:
        assert (attempt.end_seconds is None) is (attempt.outcome is RUN)


def test_a_retried_and_repaired_call_is_recorded_completely(book: Playbook) -> None:
    retried(book)
    record = record_of(book.flows[0])
    assert (record.protocol, record.client) == ("anthropic-messages", "")
    assert (record.model_asked, record.model_used) == ("m", "m")
    assert (record.provider, record.host) == ("api.example.com", "api.example.com")
    first, second = record.attempts
    assert [(one.number, one.provider, one.model) for one in record.attempts] == [
        (1, "api.example.com", "m"),
        (2, "api.example.com", "m"),
    ]
    assert "Connection lost" in first.detail
    assert second.detail == "ok"
    assert first.end_seconds is not None
    assert first.wait_seconds is not None
    assert second.wait_seconds is None
    assert 0 <= first.start_seconds <= first.end_seconds <= second.start_seconds
    assert second.start_seconds == pytest.approx(first.end_seconds + first.wait_seconds, abs=1e-5)
    assert record.head_seconds is not None
    assert record.end_seconds is not None
    assert second.start_seconds <= record.head_seconds <= record.end_seconds
    assert record.findings[0].place == AttemptPlace(1)
    assert isinstance(record.findings[1].place, EventPlace)
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (3, 2)


@pytest.fixture
def book() -> Any:
    with playing(plan_everything) as playbook:
        yield playbook


def test_a_record_is_complete_before_the_flow_is_saved(book: Playbook) -> None:
    """mitmproxy saves flows at these hooks."""
    seen: list[tuple[str, CallState | None, bool]] = []

    def look(hook: str) -> Callable[[http.HTTPFlow], None]:
        def at_hook(flow: http.HTTPFlow) -> None:
            record = record_of(flow)
            seen.append((hook, record.outcome, record.head_seconds is not None))

        return at_hook

    for hook in ("responseheaders", "response", "error"):
        book.at_hook[hook] = look(hook)
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD[:-9]))
    book.server_sends(chunk(GOOD[-9:]) + LAST)
    book.client_sends(call())
    book.server_sends(answer(200, GOOD_JSON))
    book.client_sends(call())
    book.closes(book.client)
    assert seen == [
        ("responseheaders", CallState.RUNNING, True),
        ("response", CallState.ANSWERED, True),
        ("responseheaders", CallState.ANSWERED, True),
        ("response", CallState.ANSWERED, True),
        ("error", CallState.CANCELLED, False),
    ]


def test_a_call_is_recorded_as_planned_before_anything_is_sent() -> None:
    seen = []

    def plan(options: CallOptions) -> None:
        plan_everything(options)
        options.conceal = lambda flow: seen.append((record_of(flow).outcome, len(book.servers)))

    with playing(plan) as book:
        book.client_sends(call())
    assert seen[0] == (CallState.PLANNED, 0)


def test_a_refused_call_is_recorded_and_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 21."""
    reported = []

    def refusing(planned: Call, _: object) -> Call:
        return replace(planned, refusal=Respond(Head(403), b"no"), refusal_reason="No key for it.")

    def plan(options: CallOptions) -> None:
        plan_everything(options)
        options.report_refusal = lambda flow, reason: reported.append((flow, reason))

    monkeypatch.setattr(plan_module, "STEPS", (refusing,))
    with playing(plan) as book:
        book.client_sends(call())
        [flow] = book.flows
        record = record_of(flow)
        assert (record.outcome, record.detail) == (CallState.REFUSED, "No key for it.")
        assert (record.protocol, record.model_asked) == ("anthropic-messages", "m")
        assert (record.attempts, book.servers) == ([], [])
        assert reported == [(flow, "No key for it.")]


def test_events_of_a_stream_do_not_change_the_record(
    book: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(MESSAGE_START + BLOCK_START))
    before = book.flows[0].metadata[METADATA_KEY]
    for _ in range(5):
        book.server_sends(chunk(DELTA))
    assert book.flows[0].metadata[METADATA_KEY] is before


def test_the_record_never_contains_a_secret() -> None:
    """Not even while the call runs, since mitmweb saves live flows."""
    key = "sk-a-secret-0123456789"

    def plan(options: CallOptions) -> None:
        plan_everything(options)
        options.mask = lambda plain: masked_record(plain, {key})

    with playing(plan) as book:
        book.client_sends(call(body=b'{"model":"%s","stream":true}' % key.encode()))
        book.server_sends(error(503, "api_error", f"bad key {key}"))
        live = repr(book.flows[0].metadata)
        assert "bad key REDACTED" in live
        book.closes(book.client)
        assert key not in live + repr(book.flows[0].metadata)


def test_a_flow_with_a_lone_surrogate_can_be_saved(book: Playbook) -> None:
    book.client_sends(call())
    book.server_sends(error(400, "invalid_request_error", "half \\ud83d"))
    assert record_of(book.flows[0]).attempts[0].outcome is FAILED
    repr(book.flows[0].metadata).encode()


def test_no_decision_depends_on_the_record() -> None:
    """Calls work as usual if every record is discarded when it is written."""

    class Discarding(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            pass

    def happens(options: CallOptions) -> None:
        plan_everything(options)
        options.flow.metadata = Discarding()

    with playing(happens) as book:
        retried(book)
        assert book.shown.startswith(HEAD)
        assert book.shown.endswith(LAST)
        assert book.flows[0].metadata == {}


def test_a_stream_of_repaired_events_keeps_a_bounded_record(book: Playbook) -> None:
    from wiremend.call_record.load import load_record
    from wiremend.rules.rule import FINDINGS_LIMIT
    from wiremend.views.outcome import COMMENT_LIMIT, comment_of, summary_of

    book.client_sends(call())
    odd = chunk(DELTA.replace(b'"index":0', b'"index":"0"') * 100)
    book.server_sends(HEAD + chunk(MESSAGE_START + BLOCK_START))
    for _ in range(FINDINGS_LIMIT // 100 + 5):
        book.server_sends(odd)
    book.closes(book.servers[-1])
    record = load_record(book.flows[0].metadata)
    assert record is not None
    assert len(record.findings) == FINDINGS_LIMIT
    assert len(comment_of(record, summary_of(record))) <= COMMENT_LIMIT
