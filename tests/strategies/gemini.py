"""Strategies for Gemini streams: valid ones with every feature, and broken ones.

Each strategy draws a list of bytes, one per event; those for arrays draw the pieces of an array.
"""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from strategies.wire import GEMINI, MODEL, Style, styles

type Json = dict[str, Any]

_text = st.text(st.characters(codec="utf-8"), max_size=12)
_name = st.sampled_from(["read", "write_file", "mcp__notion__search"])
_scalar = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
)
_value = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3)
)
_signature = st.just({"thoughtSignature": "CiQB0e2Kb3kq3p9vQ8mX1w=="}) | st.just({})
_reason = st.sampled_from(
    ["STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL", "OTHER", "A_NEW_REASON"]
)


@st.composite
def _parts(draw: st.DrawFn) -> list[Json]:
    call = st.fixed_dictionaries(
        {"name": _name}, optional={"args": st.dictionaries(_text, _value, max_size=3), "id": _text}
    )
    kinds: list[st.SearchStrategy[Json]] = [
        st.fixed_dictionaries({"text": _text}),
        st.fixed_dictionaries({"text": _text, "thought": st.just(True)}),
        st.fixed_dictionaries({"functionCall": call}),
        st.just({"executableCode": {"language": "PYTHON", "code": "print(1)"}}),
        st.just({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}),
        st.just({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}),
        st.just({"fileData": {"fileUri": "https://example.org/a", "mimeType": "text/plain"}}),
        st.fixed_dictionaries({"aNewPart": _value}),
        st.just({}),
    ]
    parts = draw(st.lists(st.one_of(kinds), max_size=3))
    if any("executableCode" in part for part in parts):
        parts.append({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}})
    return [{**part, **draw(_signature)} for part in parts]


@st.composite
def _responses(draw: st.DrawFn) -> list[Json]:
    """The responses of one valid stream."""
    if draw(st.integers(0, 9)) == 0:
        return [{"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": MODEL}]
    count = draw(st.sampled_from([1, 1, 1, 2, 3]))
    responses: list[Json] = _early_finishes(draw) if draw(st.integers(0, 3)) == 0 else []
    for index in range(count):
        for _ in range(draw(st.integers(0, 3))):
            responses.append({"candidates": [_candidate(draw, index)]})
        if draw(st.integers(0, 5)) == 0:
            responses += _streamed_call(index)
    together = draw(st.booleans())
    last = [{**_candidate(draw, index), "finishReason": draw(_reason)} for index in range(count)]
    responses += [{"candidates": last}] if together else [{"candidates": [one]} for one in last]
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 5}
    metadata = {"usageMetadata": usage, "modelVersion": MODEL}
    for response in responses:
        response.update(draw(st.sampled_from([{}, metadata, {"responseId": "abc"}])))
    for extra in draw(
        st.lists(st.sampled_from([metadata, {"modelVersion": MODEL}, {}]), max_size=2)
    ):
        responses.insert(draw(st.integers(0, len(responses))), dict(extra))
    if draw(st.integers(0, 5)) == 0:
        responses = [{"response": response, "traceId": "t"} for response in responses]
    return responses


def _early_finishes(draw: st.DrawFn) -> list[Json]:
    """Events with a finish reason that others follow: code execution, or `STOP` in every event."""
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
    responses: list[Json] = []
    for number in range(draw(st.integers(1, 3))):
        text = {"text": f"{number} {draw(_text)}"}
        parts, reason = draw(
            st.sampled_from([([text], "STOP"), ([text], None), ([code], "STOP"), ([code], None)])
        )
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if reason is not None:
            candidate["finishReason"] = reason
        responses.append({"candidates": [candidate]})
        if code in parts:
            content = {"parts": [result], "role": "model"}
            responses.append({"candidates": [{"content": content, "index": 0}]})
    last = {"content": {"parts": [{"text": "so"}]}, "finishReason": "STOP", "index": 0}
    return [*responses, {"candidates": [last]}]


def _candidate(draw: st.DrawFn, index: int) -> Json:
    candidate: Json = {}
    if draw(st.integers(0, 9)):
        candidate["content"] = {"parts": draw(_parts()), "role": "model"}
    if index or draw(st.booleans()):
        candidate["index"] = index
    if draw(st.integers(0, 9)) == 0:
        candidate["avgLogprobs"] = draw(st.floats(-9, 0))
    return candidate


def _streamed_call(index: int) -> list[Json]:
    argument = {"jsonPath": "$.a", "stringValue": "b"}
    calls: list[Json] = [
        {"name": "write_file", "willContinue": True},
        {"partialArgs": [argument], "willContinue": True},
        {},
    ]
    parts = [[{"functionCall": call}] for call in calls]
    return [{"candidates": [{"content": {"parts": item}, "index": index}]} for item in parts]


def write(style: Style, value: Any) -> bytes:
    """One response on the wire."""
    return style.event(style.json(value), "message" if style.has("type anywhere") else "")


@st.composite
def valid_streams(draw: st.DrawFn, allowed: frozenset[str] = GEMINI) -> list[bytes]:
    """Complete and valid streams with `alt=sse`, on lines that Google's SDKs can read."""
    style = draw(styles(allowed))
    events = [write(style, response) for response in draw(_responses())]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        events.insert(draw(st.integers(0, len(events))), draw(st.sampled_from([b"\n", b"\r\n"])))
    if draw(st.integers(0, 9)) == 0:
        error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
        events = [*events[: draw(st.integers(0, len(events)))], write(style, {"error": error})]
    return style.stream(events)


@st.composite
def valid_arrays(draw: st.DrawFn) -> list[bytes]:
    """The pieces of complete and valid streams without `alt=sse`."""
    space = st.sampled_from([b"", b"\n", b"\r\n", b" "])
    pieces = []
    for number, response in enumerate(draw(_responses())):
        indent = draw(st.sampled_from([None, 2]))
        text = json.dumps(response, ensure_ascii=draw(st.booleans()), indent=indent).encode()
        mark = b"," if number else b"["
        pieces.append(draw(space) + mark + draw(space) + text)
    return [*pieces, draw(space) + b"]" + draw(space)]


_ODD = (
    st.none()
    | st.booleans()
    | st.integers(-3, 700)
    | st.sampled_from(["", " ", "stop", "{}", '{"a":1}', '{"a', "FINISH_REASON_UNSPECIFIED", 0.5])
    | st.sampled_from([[], {}, [None], [{}], [[]], {"text": "x"}, ["x"]])
    | st.sampled_from(["abort", {"parts": [{"text": "x"}]}, [{"parts": [{"text": "x"}]}]])
    | st.sampled_from([{"candidatesTokenCount": None}, {"totalTokenCount": "7"}])
)
_OTHER_NAMES = st.sampled_from(
    ["text", "content", "parts", "message", "finish_reason", "function_call", "usage_metadata"]
)
_FOREIGN = st.sampled_from(
    [
        b"data: [DONE]\n\n",
        b"data: \n\n",
        b"data\n\n",
        b": keep-alive\n\n",
        b"\n",
        b"event: ping\n\n",
        b"event: message\r\nid: 1\r\ndata:{}\r\n\r\n",
        b'data: {"tool":"x"}\n\n',
        b'data: {"type":"ping"}\n\n',
        b"data: null\n\n",
        b"data: []\n\n",
        b'data: {"candidates":\n\n',
        b"data: <html>\n\n",
        b"\xff\xfe\n\n",
        b'{"candidates":[]}\n\n',
        b'{\n"error":{"message":"x"}\n}\n\n',
        b'data: [{"candidates":[{"finishReason":"STOP"}]},{"candidates":[]}]\n\n',
        b'data: {"error":null}\n\n',
        b'data: {"error":{"code":"","message":"","type":"server_error"},"request_id":""}\n\n',
        b'data: {"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}\n\n',
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
        b'data: {"candidates":[],"error":"boom"}\n\n',
        b'data: [{"error":{"code":1}}]\n\n',
    ]
)
_FOREIGN_PIECES = st.sampled_from(
    [
        b",",
        b"[",
        b"]",
        b"null",
        b",null",
        b'"a\\"}"',
        b',{"tool":"x"}',
        b",7",
        b"[]",
        b'{"error":{"message":"x"}}',
        b',{"candidates":',
        b"data: {}\n\n",
        b"}",
        b',[{"candidates":[{"finishReason":"STOP"}]}]',
        b"\n",
    ]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every path in a JSON value except the root."""
    if isinstance(value, dict):
        inner = [place for key, item in value.items() for place in _places(item, (*path, key))]
    elif isinstance(value, list):
        inner = [place for key, item in enumerate(value) for place in _places(item, (*path, key))]
    else:
        inner = []
    return ([path] if path else []) + inner


def _mutated_responses(draw: st.DrawFn, responses: list[Json]) -> list[Json]:
    responses = copy.deepcopy(responses)
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["drop", "double", "swap", "remove", "rename", "wrap", "odd", "odd", "add"]
        kind = draw(st.sampled_from(kinds))
        if not responses:
            break
        at = draw(st.integers(0, len(responses) - 1))
        places = _places(responses[at])
        if kind == "drop":
            del responses[at]
        elif kind == "double":
            responses.insert(at, copy.deepcopy(responses[at]))
        elif kind == "swap":
            responses[at], responses[0] = responses[0], responses[at]
        elif kind == "wrap":
            responses[at] = {draw(st.sampled_from(["data", "result", "response"])): responses[at]}
        elif kind == "add":
            key = draw(st.sampled_from(["candidates", "promptFeedback", "error", "response"]))
            responses[at][key] = copy.deepcopy(draw(_ODD))
        elif places:
            *path, last = draw(st.sampled_from(places))
            owner: Any = responses[at]
            for step in path:
                owner = owner[step]
            if kind == "remove":
                del owner[last]
            elif kind == "rename" and isinstance(owner, dict):
                owner[draw(_OTHER_NAMES)] = owner.pop(last)
            else:
                owner[last] = copy.deepcopy(draw(_ODD))
    return responses


def _mutated_pieces(
    draw: st.DrawFn, pieces: list[bytes], foreign: st.SearchStrategy[bytes]
) -> list[bytes]:
    for _ in range(draw(st.integers(0, 2))):
        pieces.insert(draw(st.integers(0, len(pieces))), draw(foreign))
    kind = draw(st.sampled_from(["whole", "whole", "cut", "torn"]))
    if pieces and kind != "whole":
        at = draw(st.integers(0, len(pieces) - 1))
        keep = draw(st.integers(0, len(pieces[at])))
        rest = [] if kind == "cut" else pieces[at + 1 :]
        pieces = [*pieces[:at], pieces[at][:keep], *rest]
    return pieces


@st.composite
def mutated_streams(draw: st.DrawFn) -> list[bytes]:
    """Broken streams with `alt=sse`."""
    responses = _mutated_responses(draw, draw(_responses()))
    style = draw(styles())
    events = [write(style, response) for response in responses]
    return style.stream(_mutated_pieces(draw, events, _FOREIGN))


@st.composite
def mutated_arrays(draw: st.DrawFn) -> list[bytes]:
    """The pieces of broken streams without `alt=sse`."""
    responses = _mutated_responses(draw, draw(_responses()))
    pieces = [b"," + json.dumps(response).encode() for response in responses]
    pieces = [b"[" + piece[1:] if at == 0 else piece for at, piece in enumerate(pieces)]
    return _mutated_pieces(draw, [*pieces, b"]"], _FOREIGN_PIECES)
