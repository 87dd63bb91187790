"""Gemini streams, one case at a time; the corpus and the two laws are run elsewhere."""

import pytest
from rule_codes import codes_between
from wiremend.protocols.base.provider_error import ProviderError, make_error
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.gemini.grammar import Grammar
from wiremend.protocols.gemini.stream import GeminiRepairer
from wiremend.repair.stream import StreamRepair
from wiremend.text import sse


def repair_stream(chunks: list[bytes], context: StreamContext) -> list[Repaired]:
    repair = StreamRepair(GeminiRepairer(context))
    repaired = [item for chunk in chunks for item in repair.feed(chunk)]
    repaired += repair.end()
    assert not repair.gave_up
    return repaired


def text_of(repaired: list[Repaired]) -> bytes:
    return b"".join(item.data for item in repaired)


def codes_of(repaired: list[Repaired]) -> list[str]:
    return [finding.code for item in repaired for finding in item.findings]


FAILURE = make_error(status=502, message="the connection was reset")
FAILED = b'{"error":{"code":502,"message":"the connection was reset","status":"UNAVAILABLE"}}'
CONTENT = b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"modelVersion":"gemini-3-pro"}'
LAST = b'{"candidates":[{"finishReason":"STOP"}]}'


@pytest.mark.parametrize(
    ("array", "before", "ending"),
    [
        (False, b"", b"data: " + FAILED + b"\n\n"),
        (False, b"data: " + CONTENT + b"\n\n", b"data: " + FAILED + b"\n\n"),
        (False, b"data: " + CONTENT + b"\n\ndata: {", b"data: " + FAILED + b"\n\n"),
        (True, b"", b"[" + FAILED + b"]"),
        (True, b"[", b"[" + FAILED + b"]"),
        (True, b'[{"tool":1}', b"[" + FAILED + b"]"),
        (True, b"[" + CONTENT, b",\r\n" + FAILED + b"]"),
        (True, b"[" + CONTENT + b",", b",\r\n" + FAILED + b"]"),
        (True, b"[" + CONTENT + b"\n]", b",\r\n" + FAILED + b"]"),
    ],
)
def test_a_transport_failure_ends_the_stream_in_the_native_error(
    array: bool, before: bytes, ending: bytes
) -> None:
    repair = StreamRepair(GeminiRepairer(StreamContext(array=array)))
    repair.feed(before)
    assert repair.fail(FAILURE) == ending


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\n", EventKind.IDLE),
        (b": keep-alive\n\n", EventKind.IDLE),
        (b"data: {}\n\n", EventKind.IDLE),
        (b"data: \n\n", EventKind.IDLE),
        (b"data: [DONE]\n\n", EventKind.IDLE),
        (b'data: {"usageMetadata":{}}\n\n', EventKind.IDLE),
        (b'data: {"candidates":[],"modelVersion":"x"}\n\n', EventKind.IDLE),
        (b'data: {"promptFeedback":{"safetyRatings":[]}}\n\n', EventKind.IDLE),
        (b'data: {"candidates":[{"content":{"role":"model"},"index":0}]}\n\n', EventKind.PREAMBLE),
        (b'data: {"candidates":[{"content":{"parts":[{"text":""}]}}]}\n\n', EventKind.PREAMBLE),
        (b'data: {"candidates":[{"groundingMetadata":{}}]}\n\n', EventKind.CONTENT),
        (b"data: " + CONTENT + b"\n\n", EventKind.CONTENT),
        (b"data: " + LAST + b"\n\n", EventKind.CONTENT),
        (b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n', EventKind.CONTENT),
        (b'data: {"response":{"usageMetadata":{}},"traceId":"t"}\n\n', EventKind.IDLE),
        (b'data: {"error":{"code":503,"message":"m"}}\n\n', EventKind.ERROR),
        (b'data: {"error":{"code":"","message":"","type":"server_error"}}\n\n', EventKind.ERROR),
    ],
)
def test_the_kind_of_an_event(data: bytes, kind: EventKind) -> None:
    (repaired,) = StreamRepair(GeminiRepairer(StreamContext())).feed(data)
    assert repaired.kind is kind
    assert (repaired.error is not None) == (kind is EventKind.ERROR)


@pytest.mark.parametrize(
    ("events", "complete"),
    [
        (b"", False),
        (b"data: " + CONTENT + b"\n\n", False),
        (b"data: " + CONTENT + b"\n\ndata: " + LAST + b"\n\n", True),
        (b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n', True),
        (b"data: " + LAST + b'\n\ndata: {"error":{"code":503,"message":"m"}}\n\n', False),
        (b'data: {"candidates":[{"finishReason":"STOP"},{"index":1}]}\n\n', False),
    ],
)
def test_a_response_is_complete_with_the_last_finish_reason(events: bytes, complete: bool) -> None:
    repair = StreamRepair(GeminiRepairer(StreamContext()))
    repair.feed(events)
    assert repair.complete is complete


@pytest.mark.parametrize(
    ("chunk", "shown"),
    [
        (b'{ "modelVersion" : "m" , "x": 1.50 }', b'{ "modelVersion" : "requested" , "x": 1.50 }'),
        (b'{"response":{"modelVersion":"m"}}', b'{"response":{"modelVersion":"requested"}}'),
        (b'{"modelVersion":"requested","y":[]}', b'{"modelVersion":"requested","y":[]}'),
        (b'{"modelVersion":null}', b'{"modelVersion":null}'),
        (b'{"usageMetadata":{"modelVersion":"m"}}', b'{"usageMetadata":{"modelVersion":"m"}}'),
    ],
)
@pytest.mark.parametrize("array", [False, True])
def test_only_the_model_name_changes(chunk: bytes, shown: bytes, array: bool) -> None:
    def framed(data: bytes) -> bytes:
        both = (b"[" + data + b",\n", LAST, b"]") if array else (b"data: " + data + b"\n\n",)
        return b"".join(both) + (b"" if array else b"data: " + LAST + b"\n\n")

    repaired = repair_stream([framed(chunk)], StreamContext(shown_model="requested", array=array))
    assert text_of(repaired) == framed(shown)
    assert codes_of(repaired) == []


@pytest.mark.parametrize(
    "data",
    [
        b": keep-alive\n\n",
        b"event: x\nid: 1\ndata:" + LAST + b"\n\n",
        b'data: {"candidates":{"finishReason":""}}\n\n',
        b'data: {"candidates":[{"content":"text"}]}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"args":"{"}}]}}]}\n\n',
        b"data: [DONE]\n\n",
        b"data: \n\n",
        b'data: {"tool":1}\n\n',
        b"data: [" + LAST + b"]\n\n",
        b'{"candidates":[]}\n\n',
        b"data: {\n\n",
    ],
)
def test_an_event_is_unchanged_if_its_rule_is_disabled(data: bytes) -> None:
    disabled = codes_between("S401", "S499")
    repair = StreamRepair(GeminiRepairer(StreamContext(disabled=disabled)))
    assert text_of(repair.feed(data)) == data


def test_errors_are_reported_if_all_rules_are_disabled() -> None:
    disabled = codes_between("S401", "S499")
    cut = repair_stream([b"data: " + CONTENT + b"\n\n"], StreamContext(disabled=disabled))
    reported = repair_stream(
        [b'data: {"error":{"code":429}}\n\n'], StreamContext(disabled=disabled)
    )
    assert (cut[-1].kind, reported[-1].kind) == (EventKind.ERROR, EventKind.ERROR)


@pytest.mark.parametrize(
    ("tool_names", "name"),
    [(("read",), b'"read"'), (("read", "write"), None), ((), None)],
)
def test_a_call_without_a_name_gets_the_only_offered_one_or_is_an_error(
    tool_names: tuple[str, ...], name: bytes | None
) -> None:
    call = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":%s}}]}}]}'
    repaired = StreamRepair(GeminiRepairer(StreamContext(tool_names=tool_names))).feed(
        b"data: " + call % b'""' + b"\n\n"
    )
    assert codes_of(repaired) == ["S405"]
    if name is None:
        assert repaired[0].kind is EventKind.ERROR
    else:
        assert text_of(repaired) == b"data: " + call % name + b"\n\n"


@pytest.mark.parametrize(
    "line",
    [
        b'{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}',
        b'{"error":{"code":400,"message":"No {\\"x\\"","status":"INVALID_ARGUMENT","details":[]}}',
    ],
)
def test_a_native_error_keeps_its_bytes(line: bytes) -> None:
    data = b"data: " + line + b"\r\n\r\n"
    (repaired,) = StreamRepair(GeminiRepairer(StreamContext())).feed(data)
    assert (repaired.data, repaired.kind) == (data, EventKind.ERROR)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"request_id":"r","error":{"code":503,"message":"m"}}', (503, "m")),
        (b'{"error":{"code":"429","message":"m"}}', (429, "m")),
        (b'{"error":{"code":14,"message":"m","status":"UNAVAILABLE"}}', (503, "m")),
        (b'{"error":{"code":503,"message":" "}}', (503, " ")),
        (b'{"error":"overloaded"}', (502, "overloaded")),
        (b'[{"error":{"code":500,"message":"m"}}]', (500, "m")),
        (b'[{"candidates":[]},{"error":{"code":500,"message":"m"}}]', (500, "m")),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', (529, "m")),
        (b'{"code":"InternalError","message":"m","request_id":"r"}', (500, "m")),
    ],
)
def test_an_error_in_another_shape_becomes_the_native_one(
    line: bytes, error: tuple[int, str]
) -> None:
    data = b"data: " + line + b"\n\n"
    (repaired,) = StreamRepair(GeminiRepairer(StreamContext())).feed(data)
    assert isinstance(repaired.error, ProviderError)
    assert (repaired.error.status, repaired.error.message) == error
    assert repaired.data != data
    events = sse.Decoder().feed(repaired.data)
    assert [problem for event in events for problem in Grammar().feed(event)] == []


def test_after_an_error_blank_lines_and_comments_are_dropped_without_findings() -> None:
    repair = StreamRepair(GeminiRepairer(StreamContext()))
    repair.feed(b'data: {"error":{"code":503,"message":"m"}}\n\n')
    after = repair.feed(b"\n: bye\n\ndata: {}\n\n")
    assert [(item.data, item.kind) for item in after] == [(b"", EventKind.IDLE)] * 3
    assert codes_of(after) == ["S409"]


def test_an_event_that_changes_keeps_its_other_values() -> None:
    event = (
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":'
        b'"{\\"n\\":12345678901234567890123,\\"half\\":\\"\\\\ud83d\\"}"}}]}}]}\n\n'
    )
    (repaired,) = StreamRepair(GeminiRepairer(StreamContext())).feed(event)
    assert b'"half":"\\ud83d"' in repaired.data
    assert b'"name":"f"' in repaired.data


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("between", [b"\n", b"\r\n"])
def test_a_stream_without_any_blank_line_is_read_at_its_end(between: bytes, end: bytes) -> None:
    whole = between.join([b"data: " + CONTENT, b"data: " + LAST]) + end
    for chunks in ([whole], [whole[:9], whole[9:]]):
        repaired = repair_stream(chunks, StreamContext())
        assert repaired[-1].kind is EventKind.TERMINAL
        assert [event.data for event in sse.Decoder().feed(text_of(repaired))] == [CONTENT, LAST]
        assert codes_of(repaired) == ["S424", "S002"]


def test_a_stream_without_any_blank_line_that_is_cut_is_an_error() -> None:
    [*_, end] = repair_stream([b"data: " + CONTENT + b"\ndata: " + LAST[:-9]], StreamContext())
    assert end.kind is EventKind.ERROR
