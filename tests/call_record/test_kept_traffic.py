"""The traffic of a call in its record: references instead of equal bodies, and the limits."""

from typing import Any

from wiremend.call_record.kept_traffic import (
    CALL_LIMIT,
    CallTraffic,
    TrafficShare,
    TrafficStore,
)
from wiremend.call_record.load import load_record
from wiremend.call_record.schema import CallRecord

REQUEST_HEAD = {"method": "POST", "url": "https://api.example.com/v1", "headers": []}
RESPONSE_HEAD = {"status": 200, "headers": []}


def nothing() -> None:
    """Do nothing."""


def share_of(store: TrafficStore) -> TrafficShare:
    return store.share(nothing)


def loaded(traffic: CallTraffic, **fields: Any) -> CallRecord:
    plain = traffic.plain()
    plain["attempts"] = [{"number": 1} | attempt for attempt in plain["attempts"]]
    record = load_record({"wiremend": plain | fields})
    assert record is not None
    return record


def attempt(traffic: CallTraffic, request: bytes, response: bytes) -> None:
    traffic.attempt_started()
    traffic.attempt_sent(REQUEST_HEAD, request)
    traffic.upstream_head(RESPONSE_HEAD)
    traffic.upstream_data(response, 0.5)


def test_equal_bodies_are_stored_once_and_filled_in_when_they_are_loaded() -> None:
    traffic = CallTraffic(share_of(TrafficStore()))
    traffic.client_sent(REQUEST_HEAD, b"asked")
    attempt(traffic, b"asked", b"failed")
    attempt(traffic, b"changed", b"answer")
    attempt(traffic, b"changed", b"answer")
    traffic.client_head(RESPONSE_HEAD)
    traffic.client_data(b"ans", 0.5)
    traffic.client_data(b"wer", 0.75)

    plain = traffic.plain()
    requests = [one["request"]["body"] for one in plain["attempts"]]
    assert [body.get("same_as", "") for body in requests] == [
        "client_request",
        "",
        "attempts[1].request",
    ]
    assert [bytes(body["data"]) for body in requests] == [b"", b"changed", b""]
    assert plain["client_response"]["body"]["same_as"] == "attempts[2].response"

    record = loaded(traffic)
    sent = [one.request for one in record.attempts]
    assert [one.body.data for one in sent if one and one.body] == [b"asked", b"changed", b"changed"]
    assert record.client_response is not None
    body = record.client_response.body
    assert body is not None
    assert (body.data, body.chunks) == (b"answer", [(0.5, 3), (0.75, 6)])


def test_a_reference_to_nothing_is_a_body_that_was_not_kept() -> None:
    traffic = CallTraffic(share_of(TrafficStore()))
    traffic.client_sent(REQUEST_HEAD, b"asked")
    attempt(traffic, b"asked", b"answer")
    record = loaded(traffic, client_request=None)
    request = record.attempts[0].request
    assert request is not None
    assert request.body is not None
    assert (request.body.data, request.body.size) == (b"", 5)


def test_beyond_the_limit_of_a_call_the_rest_of_a_body_is_not_kept() -> None:
    store = TrafficStore(limit_bytes=100, call_limit_bytes=10)
    traffic = CallTraffic(share_of(store))
    traffic.client_sent(REQUEST_HEAD, b"asked")
    attempt(traffic, b"asked", b"123")
    traffic.upstream_data(b"456", 0.6)
    traffic.upstream_data(b"7", 0.7)
    record = loaded(traffic)
    response = record.attempts[0].response
    assert response is not None
    assert response.body is not None
    assert (response.body.data, response.body.size) == (b"123", 7)
    assert record.not_kept == f"{CALL_LIMIT} was exceeded"
    assert store.kept_bytes == 8


def test_newer_calls_take_the_space_of_calls_that_have_ended_the_oldest_first() -> None:
    store = TrafficStore(limit_bytes=20, call_limit_bytes=10)
    dropped: list[str] = []
    shares = {name: share_of(store) for name in ("first", "second", "third")}
    assert shares["first"].take(10)
    assert shares["second"].take(10)
    assert not shares["third"].take(1)  # both are running
    shares["second"].end(lambda: dropped.append("second"))
    shares["first"].end(lambda: dropped.append("first"))
    assert shares["third"].take(5)
    assert dropped == ["second"]
    assert shares["second"].is_dropped
    assert store.kept_bytes == 15
    for share in shares.values():
        share.release()
        share.release()
    assert store.kept_bytes == 0
    assert not shares["third"].take(1)


def test_what_is_kept_of_running_calls_is_written_when_the_proxy_ends() -> None:
    store = TrafficStore()
    written: list[int] = []
    shares = [store.share(lambda number=number: written.append(number)) for number in range(3)]  # type: ignore[misc]
    shares[0].end(nothing)
    shares[1].release()
    store.write_running()
    assert written == [2]
