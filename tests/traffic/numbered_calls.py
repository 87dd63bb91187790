"""Calls with a number in a header, so that the provider can tell concurrent calls apart."""

import json

from wiremend.testing.exchange import Received

from . import good
from .assembled import read_answer
from .clients import Http2Call, RawResponse
from .fault_matrix import Cell
from .proxy import KEY

NUMBER = "x-call"
"""The header with the number."""
PROTOCOL = good.ANTHROPIC
"""The protocol of the calls that share a connection."""


def number_of(received: Received) -> int:
    """Return the number of the call that a request belongs to."""
    return int(received.header(NUMBER))


def send(call: Http2Call, number: int, *, stream: bool = True) -> int:
    """Send one more call over this connection; return its HTTP/2 stream."""
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        NUMBER: str(number),
    }
    body = json.dumps(good.request_body(PROTOCOL, stream)).encode()
    call.send("POST", good.PATHS[PROTOCOL, stream], headers, body)
    return call.stream


def response(call: Http2Call, stream: int) -> RawResponse:
    """Read the response on one HTTP/2 stream of this connection to its end."""
    call.stream = stream
    return call.response()


def is_complete_or_error(cell: Cell, raw: RawResponse) -> bool:
    """Return whether `raw` is the whole scripted answer, or a part of it and an error."""
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
