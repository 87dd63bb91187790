"""Requests that are read into the middle form and written from it in the same protocol."""

import json
from typing import Any

import pytest
from hypothesis import given
from strategies.responses_requests import requests
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.responses.read import read_request
from wiremend.protocols.responses.write import write_request


def restored(request: dict[str, Any], path: str = "/v1/responses") -> tuple[str, dict[str, Any]]:
    origin = Origin(WireProtocol.RESPONSES, "api.openai.com", str(request.get("model") or ""))
    losses = Losses()
    written = write_request(read_request(path, request), Target(origin=origin), losses)
    assert not losses.taken()
    return written.path, json.loads(written.body)


@given(requests)
def test_a_request_is_restored(request_: dict[str, Any]) -> None:
    before = json.dumps(request_)
    assert restored(request_) == ("/v1/responses", request_)
    assert json.dumps(request_) == before, "the request was modified"


@pytest.mark.parametrize(
    "request_",
    [
        {"model": "m", "input": "hi"},
        {"model": "m", "input": ""},
        {"model": "m", "input": []},
        {"model": "m", "input": None},
        {"model": "m", "input": [{"role": "user", "content": [{"type": "odd"}]}]},
        {"model": "m", "input": [{"type": "odd"}, "text", None, {"": 1}, {"type": 1}]},
        {"model": "m", "input": [{"role": "user", "content": ["text", {"": {}}]}]},
        {"model": "m", "input": [{"type": "function_call", "name": "f"}]},
        {"model": "m", "input": [{"type": "message", "role": "odd", "content": "a"}]},
        {"model": "m", "tools": [], "reasoning": {}, "text": {}, "tool_choice": {}},
        {"model": "m", "tools": [None, {"type": "namespace", "name": "n", "tools": []}]},
        {"tools": 1, "reasoning": 1, "text": 1, "tool_choice": 1, "input": 1, "stream": 1},
    ],
    ids=str,
)
def test_an_odd_request_is_restored(request_: dict[str, Any]) -> None:
    assert restored(request_)[1] == request_


def test_a_request_for_a_compacted_conversation_is_restored() -> None:
    request = {"model": "m", "input": [{"role": "user", "content": "hi"}], "tool_choice": "auto"}
    path = "/v1/responses/compact"
    assert restored(request, f"{path}/?x=1") == (path, request)
