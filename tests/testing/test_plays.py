"""Replies of the scripted provider written as tables."""

import http.client
import re
import ssl
import urllib.request
from typing import Any

import pytest
from wiremend.testing import answers
from wiremend.testing.certificates import Authority
from wiremend.testing.plays import Play, reply_from
from wiremend.testing.provider import ScriptedProvider


@pytest.fixture
def authority(tmp_path: Any) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def fetch(authority: Authority, tmp_path: Any) -> Any:
    """Return the status, headers and body of a play, or raise the client's error."""

    def result(play: Play) -> tuple[int, dict[str, str], bytes]:
        with ScriptedProvider(authority.leaf("localhost"), tmp_path) as provider:
            provider.script([play])
            context = ssl.create_default_context(cafile=authority.file)
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}),
                urllib.request.HTTPSHandler(context=context),
                _NoErrors(),
            )
            with opener.open(f"https://localhost:{provider.port}/") as response:
                return response.status, dict(response.headers), response.read()

    return result


class _NoErrors(urllib.request.HTTPErrorProcessor):
    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def test_a_status_with_json_and_headers(fetch: Any) -> None:
    play: Play = {"status": 429, "headers": {"Retry-After": "7"}, "json": {"error": {}}}
    status, headers, body = fetch(play)
    assert (status, headers["retry-after"], body) == (429, "7", b'{"error": {}}')
    assert headers["content-type"] == "application/json"


def test_events_of_every_form(fetch: Any) -> None:
    play: Play = {"events": [{"type": "ping"}, {"id": 1}, "[DONE]", b": bytes\n\n"]}
    status, headers, body = fetch(play)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    assert body == ping + b'data: {"id": 1}\n\ndata: [DONE]\n\n: bytes\n\n'


def test_a_body_with_a_content_type_of_its_own(fetch: Any) -> None:
    play: Play = {"status": 502, "body": "<html>", "headers": {"content-type": "text/html"}}
    status, headers, body = fetch(play)
    assert (status, headers["content-type"], body) == (502, "text/html", b"<html>")


@pytest.mark.parametrize("protocol", answers.PROTOCOLS)
def test_a_valid_answer(protocol: Any, fetch: Any) -> None:
    stream = answers.text_stream(protocol)
    assert fetch({"answer": protocol.value})[2] == stream.data
    assert fetch({"answer": protocol.value, "stream": False})[2] == answers.json_body(protocol)
    cut = fetch({"answer": protocol.value, "after": 2})[2]
    assert cut == b"".join(stream.events[:2])


@pytest.mark.parametrize(
    ("play", "error"),
    [
        ({"events": [b"data: 1\n\n"], "ending": "reset"}, ConnectionResetError),
        ({"events": [b"data: 1\n\n"], "ending": "close"}, http.client.IncompleteRead),
        ({"connection": "reset"}, ConnectionResetError),
        ({"connection": "tls-failure"}, ssl.SSLError),
    ],
    ids=str,
)
def test_a_failure(play: Play, error: type[Exception], fetch: Any) -> None:
    with pytest.raises((OSError, http.client.HTTPException)) as raised:
        fetch(play)
    assert isinstance(getattr(raised.value, "reason", raised.value), error)


@pytest.mark.parametrize(
    ("play", "message"),
    [
        ({"event": []}, "a play has no key 'event'; did you mean 'events'?"),
        ({"qqq": 1}, "a play has no key 'qqq'; the keys are status, headers, "),
        ({"ending": "rst"}, "'ending' is 'rst', but must be one of end, reset, close, cut, stall"),
        ({"connection": "x"}, "'connection' is 'x', but must be one of refuse, tls-failure, reset"),
        ({"connection": "reset", "status": 1}, "a play with 'connection' has no other key"),
        (
            {"answer": "openai"},
            "'answer' is 'openai', but must be one of anthropic-messages (or anthropic), ",
        ),
        ({"json": 1, "body": b""}, "a play has only one of json, body"),
        ({"stream": False}, "'stream' needs 'answer'"),
        ({"json": 1, "after": 1}, "'after' needs events"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_table_is_reported(play: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        reply_from(play)
