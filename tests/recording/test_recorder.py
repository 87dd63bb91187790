"""Flows in a recording: identities, coded bodies, and what stays as it was."""

import gzip
import io
import json

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from mitmproxy.test import tflow
from wiremend.call_record.kept_bytes import plain_body
from wiremend.call_record.load import load_record
from wiremend.identities import Machine, StandIns
from wiremend.recording.recorder import Recorder

MACHINE = Machine(names=("alice",), homes=("/home/alice",))
SECRET = "sk-a-secret-0123456789"
BODY = json.dumps({"text": f"/home/alice/x {SECRET}", "user": "alice"}).encode()


def flow_with(body: bytes, coding: str = "") -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    headers = [["content-type", "application/json"]]
    if coding:
        headers.append(["content-encoding", coding])
    message = {"method": "POST", "url": "https://a.example/v1", "headers": headers}
    kept = message | {"body": plain_body(body, chunks=[(0.1, 3), (0.2, len(body))])}
    same = message | {"body": plain_body(b"", size=len(body)) | {"same_as": "client_request"}}
    flow.metadata["wiremend"] = {
        "version": 1,
        "client_request": kept,
        "attempts": [{"number": 1, "request": same}],
    }
    assert flow.response is not None
    for shown in (flow.request, flow.response):
        shown.data.content = body
        if coding:
            shown.headers["content-encoding"] = coding
    return flow


def recorded(flow: http.HTTPFlow) -> tuple[http.HTTPFlow, bytes]:
    file = io.BytesIO()
    Recorder(file, StandIns(MACHINE)).add(flow, {SECRET})
    [loaded] = FlowReader(io.BytesIO(file.getvalue())).stream()
    assert isinstance(loaded, http.HTTPFlow)
    return loaded, file.getvalue()


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_coded_bodies_are_decoded_so_that_nothing_hides_in_them(coding: str) -> None:
    flow = flow_with(gzip.compress(BODY) if coding else BODY, coding)
    loaded, data = recorded(flow)
    assert b"alice" not in data
    assert SECRET.encode() not in data
    expected = BODY.replace(b"alice", b"name1").replace(SECRET.encode(), b"REDACTED" + b"_" * 14)
    expected = expected.replace(b'"user": "name1"', b'"user": "00001"')
    assert loaded.response is not None
    for message in (loaded.request, loaded.response):
        assert message.raw_content == expected
        assert "content-encoding" not in message.headers
    record = load_record(loaded.metadata)
    assert record is not None
    for request in (record.client_request, record.attempts[0].request):
        assert request is not None
        assert request.body is not None
        assert request.body.data == expected
        assert request.headers == [("content-type", "application/json")]


def test_a_body_that_cannot_be_decoded_is_not_recorded() -> None:
    loaded, data = recorded(flow_with(BODY, "br"))
    assert loaded.request.raw_content == b""
    assert b"alice" not in data


def test_the_flow_itself_is_not_changed() -> None:
    flow = flow_with(gzip.compress(BODY), "gzip")
    before = flow.get_state()
    recorded(flow)
    assert flow.get_state() == before
