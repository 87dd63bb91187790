"""Breaking a stream: events are lost, doubled, swapped, cut, foreign or wrong in one field."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from strategies.wire import Write, styles

type Json = dict[str, Any]

JUNK = st.sampled_from([None, "", 0, 1, 7, -1, True, 1.5, "1", "x", [], {}, [None], {"a": 1}, "{"])
REASONS = st.sampled_from(
    [
        "stop",
        "STOP",
        "end_turn",
        "tool_use",
        "tool_calls",
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "error",
        "network-error",
        "completed",
        "incomplete",
        "new_reason",
        "abort",
        "insufficient_system_resource",
        "MALFORMED_FUNCTION_CALL",
        "SAFETY",
        "refusal",
        "model_context_window_exceeded",
    ]
)
"""The stop reasons of the protocols, and of gateways that translate between them."""
REASON_KEYS = ("finish_reason", "native_finish_reason", "stop_reason", "finishReason", "status")
FOREIGN = st.sampled_from(
    [
        b"event: error\ndata: upstream timed out\n\n",
        b'event: error\ndata: {"message":"upstream timed out"}\n\n',
        b'{"error":{"type":"rate_limit_error","message":"slow down"}}\n\n',
        b": keep-alive\n\n",
        b"\n",
        b"data: {}\n\n",
        b"data:\n\n",
        b"data: [DONE]\n\n",
        b"data: null\n\n",
        b"data: [1]\n\n",
        b'data: "text"\n\n',
        b"data: half {\n\n",
        b'data: {"half":\n\n',
        b"data: \xff\xfe\n\n",
        b"event: ping\n\n",
        b'data: {"tool":"search_files","status":"running"}\n\n',
        b'data: {"type":"keepalive","sequence_number":5}\n\n',
        b'data: {"error":{"code":"","message":"","type":"server_error"},"request_id":""}\n\n',
        b'data: {"error":{"type":"rate_limit_error","message":"slow down"}}\n\n',
        b'data: {"code":"InternalError","message":"closed","request_id":"1"}\n\n',
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a value."""
    paths = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            paths += places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            paths += places(inner, (*path, number))
    return paths


@st.composite
def with_a_wrong_field(draw: st.DrawFn, event: Json) -> Json:
    """The event with one of its fields replaced or removed."""
    broken = copy.deepcopy(event)
    paths = places(broken)
    if not paths:
        return broken
    reasons = [path for path in paths if path[-1] in REASON_KEYS]
    is_reason = bool(reasons) and draw(st.booleans())
    *parents, last = draw(st.sampled_from(reasons if is_reason else paths))
    inner: Any = broken
    for key in parents:
        inner = inner[key]
    if is_reason:
        inner[draw(st.sampled_from([last, last, "native_finish_reason"]))] = draw(REASONS)
    elif draw(st.booleans()) and isinstance(inner, dict):
        del inner[last]
    else:
        inner[last] = draw(JUNK)
    return broken


@st.composite
def mutated(draw: st.DrawFn, events: list[Json], write: Write) -> list[bytes]:
    """A broken stream from the events of a valid one, in any form that the SSE standard allows."""
    events = list(events)
    style = draw(styles())
    for _ in range(draw(st.integers(1, 4))):
        if not events:
            break
        at = draw(st.integers(0, len(events) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "field", "field", "cut"])):
            case "drop":
                del events[at]
            case "double":
                events.insert(draw(st.integers(0, len(events))), events[at])
            case "swap":
                other = draw(st.integers(0, len(events) - 1))
                events[at], events[other] = events[other], events[at]
            case "field":
                events[at] = draw(with_a_wrong_field(events[at]))
            case "cut":
                del events[at:]
    written = [write(style, event) for event in events]
    if draw(st.integers(0, 2)) == 0:
        written.insert(draw(st.integers(0, len(written))), draw(FOREIGN))
    if written and draw(st.integers(0, 4)) == 0:
        written[-1] = written[-1][: draw(st.integers(0, len(written[-1])))]
    return style.stream(written)


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in random chunks."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def compact(value: Any) -> str:
    """Return compact JSON, as providers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
