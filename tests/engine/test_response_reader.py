"""Tests of how a response is read: the mode of its body, decoding, and what is held back."""

import gzip

import pytest
from wiremend.engine.actions import Head
from wiremend.engine.call import Call, Target
from wiremend.engine.response_reader import (
    GUARDED_BYTES,
    HELD_LIMIT_BYTES,
    BodyMode,
    ResponseReading,
)
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.repairer import EventKind, StreamContext
from wiremend.protocols.gemini import GEMINI

SSE, JSON, TEXT = b"text/event-stream; charset=utf-8", b"application/json", b"text/plain"


def head(status: int, content_type: bytes = b"", **headers: bytes) -> Head:
    fields = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    if content_type:
        fields.append((b"content-type", content_type))
    return Head(status, tuple(fields))


def reading(
    *, streaming: bool = True, array: bool = False, showing: str = "live"
) -> ResponseReading:
    return ResponseReading(
        Call(
            protocol=GEMINI if array else ANTHROPIC,
            targets=(Target("api.example.com"),),
            streaming=streaming,
            context=StreamContext(array=array),
            showing=showing,  # type: ignore[arg-type]
        )
    )


@pytest.mark.parametrize(
    ("received", "streaming", "array", "expected"),
    [
        pytest.param(head(200, SSE), True, False, BodyMode.STREAM, id="an event stream"),
        pytest.param(
            head(200, SSE),
            False,
            False,
            BodyMode.WHOLE,
            id="an event stream that was not requested",
        ),
        pytest.param(head(200, JSON), True, False, BodyMode.WHOLE, id="JSON to a streaming call"),
        pytest.param(head(200, JSON), True, True, BodyMode.STREAM, id="Gemini's array"),
        pytest.param(head(200), True, False, BodyMode.STREAM, id="no content type"),
        pytest.param(head(200, TEXT), True, False, BodyMode.STREAM, id="plain text"),
        pytest.param(head(200), False, False, BodyMode.WHOLE, id="no content type, not streaming"),
        pytest.param(head(503, SSE), True, False, BodyMode.WHOLE, id="an error"),
        pytest.param(head(307), True, False, BodyMode.UNTOUCHED, id="a redirect"),
        pytest.param(
            head(200, SSE, content_encoding=b"compress"),
            True,
            False,
            BodyMode.UNTOUCHED,
            id="unknown coding",
        ),
    ],
)
def test_the_head_selects_the_mode_of_the_body(
    received: Head, streaming: bool, array: bool, expected: BodyMode
) -> None:
    response = reading(streaming=streaming, array=array)
    response.begin(received)
    assert response.mode is expected


def test_a_coded_body_is_decoded_and_its_head_corrected() -> None:
    response = reading(streaming=False)
    coded = gzip.compress(b"{}")
    length = str(len(coded)).encode()
    response.begin(head(200, JSON, content_encoding=b"gzip", content_length=length, x_a=b"b"))
    assert response.decode(coded) == b"{}"
    assert response.head is not None
    assert response.whole_head(response.head, b"{}") == Head(
        200, ((b"x-a", b"b"), (b"content-type", JSON), (b"content-length", b"2"))
    )


def test_an_unchanged_body_keeps_its_head() -> None:
    response = reading(streaming=False)
    received = head(200, JSON, content_length=b"2")
    response.begin(received)
    assert response.whole_head(received, b"{}") is received


@pytest.mark.parametrize(
    ("showing", "kind", "held"),
    [
        ("live", EventKind.IDLE, True),
        ("live", EventKind.PREAMBLE, True),
        ("live", EventKind.CONTENT, False),
        ("live", EventKind.TERMINAL, False),
        ("guarded", EventKind.CONTENT, True),
        ("buffered", EventKind.CONTENT, True),
        ("buffered", EventKind.TERMINAL, False),
    ],
)
def test_events_are_held_back_by_mode_and_kind(showing: str, kind: EventKind, held: bool) -> None:
    assert reading(showing=showing).is_held(0.0, kind) is held


def test_a_guarded_stream_is_held_until_enough_bytes_or_seconds() -> None:
    by_size, by_time = reading(showing="guarded"), reading(showing="guarded")
    for response in (by_size, by_time):
        response.start_guard(10.0)
        assert response.is_held(10.0, EventKind.CONTENT)
        response.hold(b"x")
        assert response.guard_due() == 13.0
    by_size.hold(b"x" * GUARDED_BYTES)
    assert not by_size.is_held(10.0, EventKind.CONTENT)
    assert not by_time.is_held(13.0, EventKind.CONTENT)


@pytest.mark.parametrize(("showing", "too_much"), [("live", True), ("buffered", False)])
def test_held_bytes_are_limited_except_for_buffered_streams(showing: str, too_much: bool) -> None:
    response = reading(showing=showing)
    response.hold(b"x" * HELD_LIMIT_BYTES)
    assert not response.holds_too_much
    response.hold(b"x")
    assert response.holds_too_much is too_much
    assert len(response.take_held()) == HELD_LIMIT_BYTES + 1
    assert response.take_held() == b""


@pytest.mark.parametrize(
    ("received", "body", "whole", "forwarded"),
    [
        pytest.param(head(400, JSON), b'{"error":{}}', True, True, id="an error in JSON"),
        pytest.param(head(400, JSON), b'{"error":{}}', False, False, id="cut"),
        pytest.param(head(524, b"text/html"), b"<html></html>", True, False, id="a web page"),
        pytest.param(head(500), b" ", True, False, id="empty"),
        pytest.param(head(200, JSON), b"{}", True, False, id="no error"),
    ],
)
def test_only_an_error_that_clients_can_read_is_forwarded(
    received: Head, body: bytes, whole: bool, forwarded: bool
) -> None:
    response = reading()
    response.begin(received)
    response.collect(body)
    response.body_is_whole = whole
    error = response.own_error()
    assert (error is not None) is forwarded
    if error is not None:
        assert error.body == body
