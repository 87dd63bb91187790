"""Gemini: native errors, and the grammar of both framings."""

import orjson
import pytest
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.gemini.errors import error_envelope, error_event
from wiremend.protocols.gemini.grammar import FINISH_REASON_BY_NUMBER, FINISH_REASONS, Grammar
from wiremend.text import sse
from wiremend.text.json_array import ArrayDecoder

INFO = "type.googleapis.com/google.rpc."


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (
            ProviderError(503, message="Busy."),
            {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"},
        ),
        (
            ProviderError(429, type="RESOURCE_EXHAUSTED", message="m", retry_after_seconds=34.5),
            {
                "code": 429,
                "message": "m",
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"@type": f"{INFO}RetryInfo", "retryDelay": "34.5s"}],
            },
        ),
        (
            ProviderError(529, type="overloaded_error", message="m", request_id="req_1"),
            {
                "code": 529,
                "message": "m",
                "status": "UNAVAILABLE",
                "details": [
                    {"@type": f"{INFO}ErrorInfo", "reason": "overloaded_error"},
                    {"@type": f"{INFO}RequestInfo", "requestId": "req_1"},
                ],
            },
        ),
        (
            ProviderError(400, type="invalid_request_error", code="model_not_found", message="m"),
            {
                "code": 400,
                "message": "m",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": f"{INFO}ErrorInfo", "reason": "model_not_found"}],
            },
        ),
        (
            ProviderError(500, message=" "),
            {
                "code": 500,
                "message": "The provider reported INTERNAL without a message.",
                "status": "INTERNAL",
            },
        ),
    ],
)
def test_the_form_of_an_error(error: ProviderError, fields: dict[str, object]) -> None:
    assert orjson.loads(error_envelope(error)) == {"error": fields}
    assert error_event(error) == b"data: " + error_envelope(error) + b"\n\n"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (413, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (529, "UNAVAILABLE"),
    ],
)
def test_the_name_of_a_status(status: int, name: str) -> None:
    envelope = orjson.loads(error_envelope(ProviderError(status, message="m")))
    assert envelope["error"]["status"] == name


def test_the_numbers_map_to_known_finish_reasons() -> None:
    assert set(FINISH_REASON_BY_NUMBER.values()) <= FINISH_REASONS


HI = b'{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}]}'
END = b'{"candidates":[{"finishReason":"STOP","index":0}]}'
ERROR = b'{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}'


def events(*data: bytes) -> bytes:
    return b"".join(b"data: " + text + b"\n\n" for text in data)


def one(parts: bytes) -> bytes:
    return events(b'{"candidates":[{"content":{"parts":%s},"finishReason":"STOP"}]}' % parts)


LEGAL = {
    "text": events(HI, END),
    "blank lines and CRLF": b"\r\n\ndata: " + END + b"\r\n\r\n\n",
    "metadata after the end": events(HI, END, b'{"usageMetadata":{}}', b"{}"),
    "a refused prompt": events(b'{"promptFeedback":{"blockReason":"SAFETY"}}'),
    "an error": events(HI, ERROR),
    "an error alone": events(ERROR),
    "error: null": events(b'{"candidates":[{"finishReason":"STOP"}],"error":null}'),
    "an unknown finish reason": events(b'{"candidates":[{"finishReason":"NEW"}]}'),
    "a call without args": one(b'[{"functionCall":{"name":"f"}}]'),
    "a call in pieces": one(
        b'[{"functionCall":{"name":"f","willContinue":true}},'
        b'{"functionCall":{"partialArgs":[],"willContinue":true}},{"functionCall":{}}]'
    ),
    "max tokens inside a call": events(
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}',
        b'{"candidates":[{"finishReason":"MAX_TOKENS"}]}',
    ),
    "an unknown part": one(b'[{"new":1},{}]'),
    "Code Assist's wrapper": events(b'{"response":' + END + b',"traceId":"t"}'),
    "data on two lines": b'data: {"candidates":\ndata: [{"finishReason":"STOP"}]}\n\n',
}
ILLEGAL = {
    "nothing": (b"", "the end without a finish reason"),
    "no finish reason": (events(HI), "the end without a finish reason"),
    "one of two unfinished": (
        events(b'{"candidates":[{"finishReason":"STOP"},{"index":1}]}'),
        "candidate 1 without a finish reason",
    ),
    "an empty finish reason": (
        events(b'{"candidates":[{"finishReason":""}]}'),
        "finish reason ''",
    ),
    "a finish reason in lower case": (
        events(b'{"candidates":[{"finishReason":"stop"}]}'),
        "finish reason 'stop'",
    ),
    "a comment": (b": x\n\n" + events(END), "a line other than `data: `"),
    "an event line": (b"event: x\n" + events(END), "a line other than `data: `"),
    "no space": (b"data:" + END + b"\n\n", "a line other than `data: `"),
    "no final blank line": (b"data: " + END + b"\n", "a line other than `data: `"),
    "[DONE]": (events(END, b"[DONE]"), "data that is not JSON"),
    "a list": (events(b"[" + END + b"]", END), "data that is not an object"),
    "a foreign frame": (events(b'{"tool":1}', END), "data that is not a response"),
    "candidates: null": (events(b'{"candidates":null}', END), "candidates that are not a list"),
    "candidates: object": (events(b'{"candidates":{}}', END), "candidates that are not a list"),
    "a candidate: null": (
        events(b'{"candidates":[null]}', END),
        "a candidate that is not an object",
    ),
    "content: null": (
        events(b'{"candidates":[{"content":null}]}', END),
        "content that is not an object",
    ),
    "parts: null": (one(b"null"), "parts that are not a list"),
    "a part: null": (one(b"[null]"), "a part that is not an object"),
    "text: number": (one(b'[{"text":1}]'), "text that is not a string"),
    "a call: list": (one(b'[{"functionCall":[]}]'), "a function call that is not an object"),
    "a call without name": (one(b'[{"functionCall":{}}]'), "a function call without a name"),
    "stop inside a call": (
        one(b'[{"functionCall":{"name":"f","willContinue":true}}]'),
        "STOP inside a function call",
    ),
    "args: text": (
        one(b'[{"functionCall":{"name":"f","args":"{}"}}]'),
        "function call args that are not an object",
    ),
    "index: text": (events(b'{"candidates":[{"index":"0"}]}', END), "index '0'"),
    "two at one index": (
        events(b'{"candidates":[{},{"index":0}]}', END),
        "two candidates with one index",
    ),
    "an error without message": (
        events(b'{"error":{"code":500,"message":""}}'),
        "an error without a message",
    ),
    "an error without code": (
        events(b'{"error":{"message":"m"}}'),
        "an error without a numeric code",
    ),
    "an error as text": (events(b'{"error":"m"}'), "an error that is not an object"),
    "data after an error": (events(ERROR, END), "an event after an error"),
}
LEGAL_ARRAYS = {
    "two elements": b"[" + HI + b",\r\n" + END + b"\r\n]\r\n",
    "white space": b" [ " + HI + b" , " + END + b" ] ",
    "an error": b"[" + ERROR + b"]",
}
ILLEGAL_ARRAYS = {
    "empty": (b"[]", "the end without a finish reason"),
    "not closed": (b"[" + END, "the array is not closed"),
    "no comma": (b"[" + HI + END + b"]", "b'' before an element"),
    "no bracket": (END + b"]", "b'' before an element"),
    "two commas": (b"[" + HI + b",," + END + b"]", "b',,' before an element"),
    "a comma at the end": (b"[" + END + b",]", "misplaced punctuation"),
    "text after it": (b"[" + END + b"]x", "text after the array"),
}


def violations(data: bytes, array: bool) -> list[str]:
    grammar = Grammar(array)
    decoder = ArrayDecoder() if array else sse.Decoder()
    decoded = [*decoder.feed(data), *decoder.end()]
    return [problem for event in decoded for problem in grammar.feed(event)] + grammar.end()


@pytest.mark.parametrize("data", LEGAL.values(), ids=LEGAL.keys())
def test_a_legal_stream_has_no_violation(data: bytes) -> None:
    assert violations(data, array=False) == []


@pytest.mark.parametrize(("data", "problem"), ILLEGAL.values(), ids=ILLEGAL.keys())
def test_an_illegal_stream_has_one_violation(data: bytes, problem: str) -> None:
    assert violations(data, array=False)[:1] == [problem]


@pytest.mark.parametrize("data", LEGAL_ARRAYS.values(), ids=LEGAL_ARRAYS.keys())
def test_a_legal_array_has_no_violation(data: bytes) -> None:
    assert violations(data, array=True) == []


@pytest.mark.parametrize(("data", "problem"), ILLEGAL_ARRAYS.values(), ids=ILLEGAL_ARRAYS.keys())
def test_an_illegal_array_has_one_violation(data: bytes, problem: str) -> None:
    assert problem in violations(data, array=True)
