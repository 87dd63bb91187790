"""Kept bytes cost nothing where they are not read, and are saved and loaded by mitmproxy."""

import copy
import io
from typing import Any

import pytest
from mitmproxy import flowfilter, http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow
from wiremend.call_record.kept_bytes import BodyKeeper, KeptBytes, plain_body
from wiremend.call_record.load import load_record
from wiremend.call_record.schema import CallRecord, KeptBody
from wiremend.views.redaction import conceal

KEY = "sk-a-secret-0123456789"
TEN_MB = KeptBytes(b"0123456789" * 1_000_000)


def kept_flow(data: bytes) -> http.HTTPFlow:
    """A flow with the traffic of one call, as much of it as the schema has room for."""
    body = plain_body(data, chunks=[(0.25, 5), (0.5, len(data))])
    request = {
        "method": "POST",
        "url": f"https://api.example.com/v1?key={KEY}",
        "headers": [["x-api-key", KEY], ["accept", "a"]],
        "body": body,
    }
    response = {"status": 200, "headers": [["set-cookie", "short"]], "body": body}
    flow = tflow.tflow(resp=True)
    flow.metadata["wiremend"] = {
        "version": 1,
        "outcome": "answered",
        "attempts": [{"number": 1, "request": request, "response": response}],
        "client_request": request,
        "client_response": response,
    }
    return flow


def saved_and_loaded(flow: http.HTTPFlow) -> http.HTTPFlow:
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    [loaded] = FlowReader(io.BytesIO(file.getvalue())).stream()
    assert isinstance(loaded, http.HTTPFlow)
    return loaded


def test_a_flow_with_kept_bytes_is_saved_and_loaded() -> None:
    record = load_record(saved_and_loaded(kept_flow(TEN_MB)).metadata)
    assert record is not None
    assert record == CallRecord.model_validate(
        kept_flow(TEN_MB).metadata["wiremend"], extra="forbid"
    )
    response = record.attempts[0].response
    assert response is not None
    assert response.body == KeptBody(
        data=TEN_MB, size=10_000_000, chunks=[(0.25, 5), (0.5, 10_000_000)]
    )


@pytest.mark.parametrize("text", [repr, str, lambda data: f"{data}", lambda data: str({"a": data})])
def test_the_text_of_kept_bytes_is_short(text: Any) -> None:
    assert "<10000000 bytes>" in text(TEN_MB)
    assert len(text(TEN_MB)) < 30


def test_a_filter_on_metadata_does_not_look_into_kept_bytes() -> None:
    flow = kept_flow(TEN_MB)
    assert len(str(flow.metadata)) < 2000
    matches = flowfilter.parse("~meta answered")
    assert matches is not None
    assert matches(flow)
    inside = flowfilter.parse("~meta 0123456789012345")
    assert inside is not None
    assert not inside(flow)


def test_copies_of_a_flow_share_kept_bytes() -> None:
    flow = kept_flow(TEN_MB)
    duplicate = flow.copy()
    body = duplicate.metadata["wiremend"]["client_request"]["body"]
    assert body["data"] is flow.metadata["wiremend"]["client_request"]["body"]["data"]
    assert copy.copy(TEN_MB) is TEN_MB


def test_bytes_from_a_file_are_kept_bytes_again_once_the_flow_is_concealed() -> None:
    loaded = saved_and_loaded(kept_flow(TEN_MB))
    assert len(str(loaded.metadata)) > 10_000_000
    conceal(loaded, {KEY})
    assert len(str(loaded.metadata)) < 2000


def test_no_secret_stays_in_what_is_kept() -> None:
    data = b'{"key":"' + KEY.encode() + b'","more":1}'
    flow = kept_flow(data)
    conceal(flow, {KEY})
    assert KEY.encode() not in repr(flow.get_state()).encode()
    record = load_record(flow.metadata)
    assert record is not None
    request = record.client_request
    assert request is not None
    assert request.body is not None
    assert request.headers == [("x-api-key", "REDACTED"), ("accept", "a")]
    assert request.url == "https://api.example.com/v1?key=REDACTED"
    assert len(request.body.data) == len(data)
    assert request.body.data == b'{"key":"REDACTED______________","more":1}'
    assert record.client_response is not None
    assert record.client_response.headers == [("set-cookie", "REDACTED")]
    assert isinstance(flow.metadata["wiremend"]["client_request"]["body"]["data"], KeptBytes)


def test_a_body_is_kept_up_to_its_limit_with_the_times_of_its_chunks() -> None:
    keeper = BodyKeeper(limit_bytes=5)
    for number, data in enumerate([b"abc", b"defg", b"hi"]):
        keeper.add(data, 0.5 * number)
    body = KeptBody.model_validate(keeper.plain(), extra="forbid")
    assert body == KeptBody(data=b"abcde", size=9, chunks=[(0.0, 3), (0.5, 5)])
