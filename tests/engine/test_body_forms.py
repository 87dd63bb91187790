"""Tests of responses whose label contradicts their bytes."""

import orjson
import pytest
from framings import FRAMINGS
from traffic.assembled import read_answer
from wiremend.engine.actions import Head
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import StreamContext
from wiremend.testing import answers

from engine.whole_calls import receive

LABELS = {
    "JSON": b"application/json",
    "JSON with a charset": b"application/json; charset=utf-8",
    "NDJSON": b"application/x-ndjson",
    "HTML": b"text/html; charset=utf-8",
    "plain text": b"text/plain",
    "bytes": b"application/octet-stream",
    "XML": b"application/xml",
    "none": b"",
}
BEFORE = {
    "nothing": b"",
    "a comment": b": OPENROUTER PROCESSING\n\n",
    "a comment without a space": b":ok\n\n",
    "a byte order mark": b"\xef\xbb\xbf",
    "blank lines": b"\r\n\n\r",
    "a mark and blank lines": b"\xef\xbb\xbf\n\n",
    "retry": b"retry: 3000\n\n",
    "an id": b"id: 1\n\n",
    "plain text": b"OK\n\n",
    "a JSON object": b'{"status":"started"}\n\n',
}
each_protocol = pytest.mark.parametrize("protocol", answers.PROTOCOLS)
each_label = pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
each_start = pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)


def head(label: bytes, status: int = 200, *more: tuple[bytes, bytes]) -> Head:
    return Head(status, ((b"content-type", label), *more) if label else more)


def data_lines(body: bytes) -> bytes:
    """Return the data lines of a body."""
    lines = body.removeprefix(b"\xef\xbb\xbf").splitlines(True)
    return b"".join(line for line in lines if line.startswith(b"data:"))


@each_protocol
@each_label
@each_start
def test_events_under_any_label_are_forwarded_at_once(
    protocol: WireProtocol, label: bytes, before: bytes
) -> None:
    events = answers.text_stream(protocol).events
    received = receive(protocol, head(label), [before, *events])
    assert received.label == "text/event-stream"
    assert data_lines(received.body) == b"".join(data_lines(event) for event in events)
    assert received.first_with_chunk is not None
    assert "E007" in received.codes


@each_protocol
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_first_bytes_may_come_in_pieces(protocol: WireProtocol, size: int) -> None:
    data = b"\xef\xbb\xbf\r\n: wait\n\n" + answers.text_stream(protocol).data
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    received = receive(protocol, head(LABELS["JSON"]), chunks)
    assert received.label == "text/event-stream"
    assert data_lines(received.body) == data_lines(answers.text_stream(protocol).data)
    assert received.first_with_chunk is not None
    assert received.first_with_chunk < len(chunks) - 1


@pytest.mark.parametrize("label", [b"text/event-stream", b"Text/Event-Stream; charset=utf-8"])
def test_a_right_label_is_kept(label: bytes) -> None:
    stream = answers.text_stream(answers.CHAT)
    received = receive(answers.CHAT, head(label), stream.events)
    assert (received.label, received.codes) == (label.decode(), [])
    assert received.body == stream.data


@each_protocol
@each_label
@pytest.mark.parametrize(
    "before", [BEFORE["nothing"], BEFORE["a comment"], BEFORE["a mark and blank lines"]]
)
def test_an_error_in_mislabelled_events_keeps_its_status_and_message(
    protocol: WireProtocol, label: bytes, before: bytes
) -> None:
    error = {"code": 429, "message": "Rate limited upstream", "failed_generation": "{"}
    data = b"data: " + orjson.dumps({"error": error}) + b"\n\n"
    received = receive(protocol, head(label), [before + data])
    assert received.head is not None
    assert (received.head.status, received.label) == (429, "application/json")
    shown = orjson.loads(received.body)["error"]
    assert (shown["message"], shown["failed_generation"]) == ("Rate limited upstream", "{")


@pytest.mark.parametrize("streaming", [True, False])
def test_a_failed_response_keeps_the_fields_of_its_error(streaming: bool) -> None:
    error = {"code": "content_filter", "message": "Filtered.", "innererror": {"severity": "high"}}
    response = {"id": "r", "object": "response", "status": "failed", "output": [], "error": error}
    event = {"type": "response.failed", "sequence_number": 0, "response": response}
    body = orjson.dumps(response) if not streaming else b"data: " + orjson.dumps(event) + b"\n\n"
    label = b"text/event-stream" if streaming else b"application/json"
    received = receive(WireProtocol.RESPONSES, head(label), [body], streaming=streaming)
    shown = orjson.loads(received.body)["error"]
    assert (shown["code"], shown["innererror"]) == ("content_filter", {"severity": "high"})


def test_a_disabled_rule_leaves_the_label_in_charge() -> None:
    stream = answers.text_stream(answers.CHAT)
    context = StreamContext(model="m", disabled=frozenset({"E007"}))
    received = receive(answers.CHAT, head(b"text/plain"), stream.events, context=context)
    assert (received.label, received.body) == ("text/plain", stream.data)


# Gemini's two framings


def as_array(protocol: WireProtocol = answers.GEMINI) -> bytes:
    events = answers.text_stream(protocol).events
    elements = [event.removeprefix(b"data: ").strip() for event in events]
    return b"[" + b",\r\n".join(elements) + b"]"


ARRAY = StreamContext(model="m", array=True)


@each_label
@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_an_array_is_forwarded_under_any_label(label: bytes, size: int) -> None:
    data = as_array()
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    received = receive(answers.GEMINI, head(label), chunks, context=ARRAY)
    assert received.body == data
    assert "json" in received.label
    assert ("E007" in received.codes) is (b"json" not in label)


@pytest.mark.parametrize("label", [b"text/event-stream", *LABELS.values()])
def test_an_array_for_a_client_that_reads_events_becomes_events(label: bytes) -> None:
    received = receive(answers.GEMINI, head(label), [as_array()])
    assert received.label == "text/event-stream"
    events = answers.text_stream(answers.GEMINI).data
    assert received.body == events.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("label", [b"text/event-stream", *LABELS.values()])
@each_start
def test_events_for_a_client_that_reads_an_array_become_an_array(
    label: bytes, before: bytes
) -> None:
    events = answers.text_stream(answers.GEMINI).events
    if before.startswith((b"OK", b"{")):
        pytest.skip("text before the events of an array")
    received = receive(answers.GEMINI, head(label), [before, *events], context=ARRAY)
    assert "json" in received.label
    assert orjson.loads(received.body) == orjson.loads(as_array())


# JSON


@each_protocol
@pytest.mark.parametrize("label", [b"text/event-stream", b"text/plain", b"text/html", b""])
def test_json_for_a_call_without_stream_is_labelled_as_json(
    protocol: WireProtocol, label: bytes
) -> None:
    body = answers.json_body(protocol)
    received = receive(protocol, head(label), [body], streaming=False)
    assert (received.label, received.body) == ("application/json", body)
    assert received.codes == ["E007"]


# Errors with a status of their own

TEXTS = {
    "an edge proxy's text": b"upstream connect error or disconnect/reset before headers. "
    b"reset reason: connection termination",
    "one word": b"overloaded",
    "text with lines": b"no healthy upstream\nretry later\n",
    "a JSON string": b'"model is overloaded"',
    "text in an event": b"event: error\ndata: the engine is dead\n\n",
    "a broken object": b'{"error": {"message": "cut he',
}


@each_protocol
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("label", [b"text/event-stream", b"text/plain", b""])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("status", [400, 418, 503])
def test_the_text_of_an_error_status_becomes_the_message(
    protocol: WireProtocol, text: bytes, label: bytes, status: int, streaming: bool
) -> None:
    received = receive(protocol, head(label, status), [text], streaming=streaming)
    assert received.head is not None
    assert (received.head.status, received.label) == (status, "application/json")
    message = orjson.loads(received.body)["error"]["message"]
    words = text.decode().removeprefix("event: error\ndata: ").strip().strip('"')
    assert words in (message, message.replace('"', ""), message)


EVENTS_WITH_ERROR = {
    "an event": b'data: {"error":{"message":"too long","code":"context_length_exceeded"}}\n\n',
    "an event behind a comment": b': hi\n\ndata: {"error":{"message":"too long"}}\n\n',
    "a named event": b'event: error\r\ndata: {"error":{"message":"too long"}}\r\n\r\n',
    "an event without a blank line, then the end": b'data: {"message":"too long","code":400}',
    "an error and the end marker": b'data: {"error":{"message":"too long"}}\n\ndata: [DONE]\n\n',
    "text before the event": b'failed\n\ndata: {"error":{"message":"too long"}}\n\n',
}


@each_protocol
@pytest.mark.parametrize("label", [b"text/event-stream", b"application/json", b""])
@pytest.mark.parametrize("body", EVENTS_WITH_ERROR.values(), ids=EVENTS_WITH_ERROR)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_the_error_in_the_events_of_an_error_status_is_found(
    protocol: WireProtocol, label: bytes, body: bytes, status: int
) -> None:
    received = receive(protocol, head(label, status), [body])
    assert received.head is not None
    assert (received.head.status, received.label) == (status, "application/json")
    assert orjson.loads(received.body)["error"]["message"] == "too long"


@each_protocol
@pytest.mark.parametrize("label", [b"text/event-stream", b"text/html", b""])
def test_a_json_error_keeps_its_bytes_and_is_labelled_as_json(
    protocol: WireProtocol, label: bytes
) -> None:
    body = b'{"error": {"message": "too long", "type": "invalid_request_error", "own": 1}}'
    received = receive(protocol, head(label, 400, (b"x-a", b"b")), [body])
    assert received.head is not None
    assert (received.head.status, received.label, received.body) == (400, "application/json", body)
    assert received.head.get(b"x-a") == "b"
    assert received.codes == ["E007"]


@each_protocol
@pytest.mark.parametrize("body", [b"", b" \n", b"<html><title>Bad</title></html>"])
def test_an_empty_error_or_a_page_has_a_message(protocol: WireProtocol, body: bytes) -> None:
    received = receive(protocol, head(b"text/event-stream", 502), [body])
    assert received.head is not None
    assert (received.head.status, received.label) == (502, "application/json")
    assert "api.example.com" in orjson.loads(received.body)["error"]["message"]


# A length that is wrong

REASON = "peer closed connection without sending complete message body"


@each_protocol
@pytest.mark.parametrize("end", [b"", b"\n", b" \r\n"])
def test_a_complete_body_is_forwarded_if_only_its_length_was_wrong(
    protocol: WireProtocol, end: bytes
) -> None:
    body = answers.json_tool_body(protocol) + end
    length = (b"content-length", b"%d" % (len(body) + 1))
    received = receive(
        protocol, head(b"application/json", 200, length), [body], streaming=False, lost=REASON
    )
    assert received.head is not None
    assert (received.head.status, received.body) == (200, body)
    assert received.head.get(b"content-length") == str(len(body))
    assert received.codes == ["R002"]


@each_protocol
def test_an_error_with_a_wrong_length_is_forwarded(protocol: WireProtocol) -> None:
    body = b'{"error": {"message": "too long", "type": "invalid_request_error"}}'
    received = receive(protocol, head(b"application/json", 400), [body], lost=REASON)
    assert received.head is not None
    assert (received.head.status, received.body) == (400, body)


@each_protocol
@pytest.mark.parametrize("missing", [1, 2, 40])
def test_a_body_that_is_cut_is_an_error(protocol: WireProtocol, missing: int) -> None:
    body = answers.json_body(protocol)[:-missing]
    received = receive(protocol, head(b"application/json"), [body], streaming=False, lost=REASON)
    assert received.head is not None
    assert received.head.status == 502


# The other kind of response than was requested

BODIES = {"a text": answers.json_body, "a call": answers.json_tool_body}
STREAMS = {"a text": answers.text_stream, "a call": answers.tool_stream}


def expected(name: str) -> tuple[str, tuple[object, ...]]:
    return (answers.TEXT, ()) if name == "a text" else ("", answers.TOOL_CALLS)


@each_protocol
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("label", [b"application/json", b"text/event-stream", b""])
def test_json_that_answers_a_streaming_call_is_sent_as_events(
    protocol: WireProtocol, name: str, label: bytes
) -> None:
    received = receive(protocol, head(label), [BODIES[name](protocol)])
    assert received.label == "text/event-stream"
    answer = read_answer(protocol, received.body, stream=True)
    assert (answer.text, answer.tool_calls) == expected(name)
    framing = next(one for one in FRAMINGS.values() if one.protocol.name is protocol)
    assert framing.violations(received.body) == []
    assert protocol is answers.GEMINI or received.codes == ["E005"]


@each_protocol
@pytest.mark.parametrize("name", BODIES)
def test_json_after_the_head_of_a_stream_is_sent_as_events(
    protocol: WireProtocol, name: str
) -> None:
    """A keep-alive was sent before the response arrived."""
    received = receive(
        protocol, head(b"application/json"), [BODIES[name](protocol)], beats_before_head=True
    )
    assert received.body.startswith(b"\n")
    answer = read_answer(protocol, received.body, stream=True)
    assert (answer.text, answer.tool_calls) == expected(name)


@each_protocol
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("label", [b"application/json", b"text/event-stream", b""])
@pytest.mark.parametrize("before", [BEFORE["nothing"], BEFORE["a comment"], BEFORE["blank lines"]])
def test_events_that_answer_a_call_without_stream_are_sent_as_json(
    protocol: WireProtocol, name: str, label: bytes, before: bytes
) -> None:
    events = STREAMS[name](protocol).data
    received = receive(protocol, head(label), [before + events], streaming=False)
    assert received.label == "application/json"
    answer = read_answer(protocol, received.body, stream=False)
    assert (answer.text, answer.tool_calls) == expected(name)
    assert "E009" in received.codes


@each_protocol
def test_the_error_in_events_that_answer_a_call_without_stream_is_found(
    protocol: WireProtocol,
) -> None:
    data = b'data: {"error":{"code":429,"message":"Rate limited"}}\n\n'
    received = receive(protocol, head(b"text/event-stream"), [data], streaming=False)
    assert received.head is not None
    assert received.head.status == 429
    assert orjson.loads(received.body)["error"]["message"] == "Rate limited"


@each_protocol
def test_cut_events_that_answer_a_call_without_stream_are_an_error(protocol: WireProtocol) -> None:
    stream = answers.tool_stream(protocol)
    data = b"".join(stream.events[: stream.places["mid_content"]])
    received = receive(protocol, head(b"text/event-stream"), [data], streaming=False)
    assert received.head is not None
    assert (received.head.status, received.label) == (502, "application/json")
