"""The traffic of a call in its flow: what is kept, and what does not fit."""

import gc
from functools import partial
from typing import Any

import pytest
from engine.test_call_machine import GOOD
from mitmproxy import http
from wiremend.call_record import kept_traffic
from wiremend.call_record.kept_traffic import CALL_LIMIT, DROPPED, TrafficStore
from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import METADATA_KEY, CallRecord, KeptBody
from wiremend.seam.call_options import CallOptions

from seam.playbook import Playbook, playing
from seam.test_stream_layer import HEAD, LAST, acknowledge, call, chunk, plan_everything

ANSWER = HEAD + chunk(GOOD) + LAST


def keep(options: CallOptions, *, store: TrafficStore) -> None:
    plan_everything(options)
    options.traffic = store


def record_of(flow: http.HTTPFlow) -> CallRecord:
    CallRecord.model_validate(flow.metadata[METADATA_KEY], extra="forbid")
    record = load_record(flow.metadata)
    assert record is not None
    return record


def answer_of(record: CallRecord, attempt: int = 0) -> KeptBody:
    response = record.attempts[attempt].response
    assert response is not None
    assert response.body is not None
    return response.body


def make_call(book: Playbook) -> None:
    book.client_sends(call())
    book.server_sends(ANSWER)


def test_an_attempt_on_a_stale_connection_is_one_of_its_own() -> None:
    with playing(partial(keep, store=TrafficStore())) as book:
        make_call(book)
        book.client_sends(call())
        book.closes(book.servers[0])
        book.server_sends(ANSWER)
        record = record_of(book.flows[1])
    stale, answered = record.attempts
    assert (stale.outcome, answered.outcome) == (AttemptOutcome.STALE, AttemptOutcome.ANSWERED)
    assert stale.response is None
    assert stale.request is not None
    assert stale.request == answered.request
    assert answer_of(record, 1).data == GOOD


def test_the_times_of_chunks_are_in_order_and_end_at_the_end_of_the_data() -> None:
    with playing(partial(keep, store=TrafficStore())) as book:
        book.client_sends(call())
        book.server_sends(HEAD + chunk(GOOD[:100]))
        book.server_sends(chunk(GOOD[100:300]))
        book.server_sends(chunk(GOOD[300:]) + LAST)
        record = record_of(book.flows[0])
    body = answer_of(record)
    assert [end for _, end in body.chunks] == [100, 300, len(GOOD)]
    times = [seconds for seconds, _ in body.chunks]
    assert record.end_seconds is not None
    assert sorted(times) == times
    assert 0 <= times[0] <= times[-1] <= record.end_seconds


def test_a_body_beyond_the_limit_is_cut_in_the_record_only() -> None:
    store = TrafficStore(call_limit_bytes=500)
    with playing(partial(keep, store=store)) as book:
        book.client_sends(call())
        book.server_sends(HEAD + chunk(GOOD[:50]))
        book.server_sends(chunk(GOOD[50:]) + LAST)
        assert GOOD[-100:] in book.shown
        record = record_of(book.flows[0])
    assert record.not_kept == f"{CALL_LIMIT} was exceeded"
    body = answer_of(record)
    assert (body.data, body.size) == (GOOD[:50], len(GOOD))
    assert store.kept_bytes <= 500


def test_older_calls_lose_their_traffic_to_newer_ones() -> None:
    store = TrafficStore()
    with playing(partial(keep, store=store)) as book:
        make_call(book)
        store.limit_bytes = store.kept_bytes + 10
        make_call(book)
        first, second = map(record_of, book.flows)
    assert first.not_kept == DROPPED
    assert (first.client_request, first.client_response) == (None, None)
    assert [(one.request, one.response) for one in first.attempts] == [(None, None)]
    assert first.outcome is CallState.ANSWERED
    assert second.not_kept == ""
    assert answer_of(second).data == GOOD
    assert store.kept_bytes <= store.limit_bytes


@pytest.mark.parametrize("happens", ["ends", "is lost"])
def test_the_space_of_a_flow_that_is_forgotten_is_free(happens: str) -> None:
    store = TrafficStore()
    with playing(partial(keep, store=store)) as book:
        book.client_sends(call())
        if happens == "ends":
            book.server_sends(ANSWER)
        assert store.kept_bytes
        book.flows.clear()
        book.timers.clear()
    del book
    gc.collect()
    assert store.kept_bytes == 0


def test_a_running_call_is_written_when_the_proxy_ends() -> None:
    store = TrafficStore()
    with playing(partial(keep, store=store)) as book:
        book.client_sends(call())
        book.server_sends(HEAD + chunk(GOOD[:300]))
        store.write_running()
        record = record_of(book.flows[0])
        assert answer_of(record).data == GOOD[:300]
        book.server_sends(chunk(GOOD[300:]) + LAST)
        assert GOOD[-100:] in book.shown
        assert record_of(book.flows[0]).outcome is CallState.ANSWERED


def test_an_acknowledged_call_is_kept_up_to_its_acknowledgement() -> None:
    def plan(options: CallOptions) -> None:
        acknowledge(options)
        options.traffic = TrafficStore()

    with playing(plan) as book:
        book.client_sends(call(b"/session/prompt"))
        book.server_sends(b"HTTP/1.1 204 No Content\r\n\r\n")
        record = record_of(book.flows[0])
    assert record.client_request is not None
    assert record.client_response is not None
    assert record.client_response.status == 204
    assert record.attempts[0].response is not None


def test_a_fault_in_keeping_traffic_does_not_reach_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(kept_traffic.CallTraffic, "upstream_data", broken)
    store = TrafficStore()
    with playing(partial(keep, store=store)) as book:
        make_call(book)
        assert GOOD[-100:] in book.shown
        assert METADATA_KEY not in book.flows[0].metadata
    assert store.kept_bytes == 0
