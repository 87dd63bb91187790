"""Calls that carry a number each, so that a provider knows which of many it answers."""

import json

from . import good
from .assembled import read_answer
from .clients import Http2Call, RawResponse
from .exchange import Received
from .fault_matrix import Cell
from .proxy import KEY

NUMBER = "x-call"
"""The header that bears it."""
PROTOCOL = good.ANTHROPIC
"""That of the calls that share a connection."""


def number_of(received: Received) -> int:
    """Which call a request belongs to."""
    return int(received.header(NUMBER))


def send(call: Http2Call, number: int, *, stream: bool = True) -> int:
    """One more call over this connection; its HTTP/2 stream."""
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        NUMBER: str(number),
    }
    body = json.dumps(good.request_body(PROTOCOL, stream)).encode()
    call.send("POST", good.PATHS[PROTOCOL, stream], headers, body)
    return call.stream


def response(call: Http2Call, stream: int) -> RawResponse:
    """What comes on one of this connection's HTTP/2 streams, to its end."""
    call.stream = stream
    return call.response()


def is_whole_or_says_why_not(cell: Cell, raw: RawResponse) -> bool:
    """The script's content, each word once; or a part of it and the protocol's error."""
    if raw.ended != "complete":
        return False
    answer = read_answer(cell.protocol, raw.body, stream=cell.stream and raw.status == 200)
    expected = cell.good_stream
    if answer.error:
        return expected.text.startswith(answer.text)
    return (answer.finished, answer.text, answer.tool_calls) == (
        True,
        expected.text,
        expected.tool_calls,
    )
