"""Strategies for Anthropic Messages streams: valid ones with every feature, and broken ones."""

import copy
from typing import Any

from hypothesis import strategies as st

from strategies.mutations import Json, compact, mutated
from strategies.wire import ALL, MODEL, Style, plain, styles

CODE: Json = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
"""The caller of a call that the provider's own code makes."""
KINDS = ["text", "thinking", "redacted", "tool", "call by code", "server_tool", "other"]

SHAPES = [
    "usage",
    "stop too early",
    "finish too early",
    "late signature",
    "input in start",
    "text in start",
    "message in start",
    "hoisted",
    "renamed",
    "envelope",
    "repeated content",
]
"""What gateways do to a stream."""

_text = st.text(st.characters(codec="utf-8"), max_size=12)
_arguments = st.dictionaries(_text, st.integers() | _text | st.none(), max_size=3)


@st.composite
def _pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def _block(draw: st.DrawFn, kind: str = "") -> tuple[Json, list[Json]]:
    """The start of a block, and its deltas."""
    match kind or draw(st.sampled_from(KINDS)):
        case "text":
            deltas = [{"type": "text_delta", "text": t} for t in draw(_pieces(draw(_text)))]
            if draw(st.booleans()):
                citation = {"type": "char_location", "cited_text": "x", "document_index": 0}
                deltas.append({"type": "citations_delta", "citation": citation})
            return {"type": "text", "text": ""}, deltas
        case "thinking":
            pieces = draw(_pieces(draw(_text)))
            deltas = [{"type": "thinking_delta", "thinking": t} for t in pieces]
            deltas.append({"type": "signature_delta", "signature": "EqQBCgIYAhIM"})
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case "redacted":
            return {"type": "redacted_thinking", "data": "EmwKAhgBEgy3"}, []
        case "tool":
            number = draw(st.integers(0, 10**6))
            start = {"type": "tool_use", "id": f"toolu_{number}", "name": "read", "input": {}}
            return start, draw(_json_deltas())
        case "call by code":
            call = {"type": "tool_use", "id": "toolu_9", "name": "read", "input": {"p": 1}}
            return call | {"caller": CODE}, []
        case "server_tool":
            start = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}
            return start | {"input": {}}, draw(_json_deltas())
        case _:
            return {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [],
            }, []


@st.composite
def _json_deltas(draw: st.DrawFn) -> list[Json]:
    if draw(st.integers(0, 3)) == 0:
        return []
    pieces = draw(_pieces(compact(draw(_arguments))))
    return [{"type": "input_json_delta", "partial_json": text} for text in ["", *pieces]]


@st.composite
def valid_events(draw: st.DrawFn) -> list[Json]:
    """The events of a valid stream."""
    usage = {"input_tokens": draw(st.integers(0, 10**6)), "output_tokens": 1}
    message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    events: list[Json] = [{"type": "message_start", "message": message}]
    kinds: list[str] = []
    contained = 0
    if draw(st.integers(0, 5)) == 0:
        message["content"] = [draw(_block("call by code"))[0]]
        kinds.append("call by code")
        contained = 1
        if draw(st.booleans()):
            message["stop_reason"] = draw(st.sampled_from(["tool_use", "end_turn", "max_tokens"]))
            return [*events, {"type": "message_stop"}]
    blocks = draw(st.lists(_block(), max_size=4))
    for index, (start, deltas) in enumerate(blocks, contained):
        kinds.append("call by code" if "caller" in start else start["type"])
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    reasons = ["max_tokens", "refusal", "pause_turn", "model_context_window_exceeded"]
    reasons.append("tool_use" if "tool_use" in kinds else "end_turn")
    reasons += ["tool_use"] if "call by code" in kinds else []
    reason = draw(st.sampled_from(reasons))
    pieces = [
        at
        for at, event in enumerate(events)
        if event.get("delta", {}).get("type") == "input_json_delta"
        and events[at + 1]["type"] == "content_block_stop"
    ]
    if pieces and reason not in ("tool_use", "end_turn", "pause_turn") and draw(st.booleans()):
        del events[draw(st.sampled_from(pieces))]  # a limit may end the JSON of a tool anywhere
    delta = {"stop_reason": reason, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}})
    for _ in range(draw(st.integers(0, 2))):
        extra = draw(st.sampled_from([{"type": "ping"}, {"type": "unknown_event", "x": [1]}]))
        events.insert(draw(st.integers(1, len(events))), extra)
    events.append({"type": "message_stop"})
    return events


def write(style: Style, event: Any) -> bytes:
    """One event on the wire."""
    kind = event.get("type") if isinstance(event, dict) else None
    is_type = isinstance(kind, str) and "\n" not in kind
    return style.event(style.json(event), kind if is_type else "")


def encode(event: Any) -> bytes:
    """One event as Anthropic writes it."""
    return write(plain(), event)


@st.composite
def valid_streams(draw: st.DrawFn, allowed: frozenset[str] = ALL) -> list[bytes]:
    """A valid stream in any form that the SSE standard allows."""
    style = draw(styles(allowed))
    return style.stream([write(style, event) for event in draw(valid_events())])


@st.composite
def reshaped(draw: st.DrawFn, events: list[Json]) -> list[Json]:
    """The events as gateways reshape them: out of order, or with values in the wrong place."""
    events = copy.deepcopy(events)
    at = draw(st.integers(0, len(events) - 1))
    event = events[at]
    match draw(st.sampled_from(SHAPES)):
        case "usage":
            delta = draw(st.sampled_from([{}, {"stop_reason": None}, None]))
            usage = {"output_tokens": draw(st.integers(0, 99))}
            events.insert(at, {"type": "message_delta", "delta": delta, "usage": usage})
        case "stop too early":
            stops = [one for one in events if one.get("type") == "content_block_stop"]
            if stops:
                events.insert(at, copy.deepcopy(draw(st.sampled_from(stops))))
        case "finish too early":
            delta = {"stop_reason": draw(st.sampled_from(["end_turn", "tool_use", "max_tokens"]))}
            events.insert(at, {"type": "message_delta", "delta": delta})
        case "late signature":
            late = [one for one in events if "signature" in _inner(one, "delta")]
            if late:
                events.remove(late[0])
                events.insert(draw(st.integers(0, len(events))), late[0])
        case "input in start":
            if _inner(event, "content_block").get("type") == "tool_use":
                inputs = st.sampled_from([{"p": 1}, '{"p":1}', '{"p'])
                event["content_block"]["input"] = draw(inputs)
                if draw(st.booleans()):
                    events = [one for one in events if "partial_json" not in _inner(one, "delta")]
        case "text in start":
            block = _inner(event, "content_block")
            if block.get("type") in ("text", "thinking"):
                following = _inner(events[min(at + 1, len(events) - 1)], "delta")
                block[block["type"]] = following.get(block["type"]) or "x"
                if draw(st.booleans()):
                    del events[at + 1 : at + 2]
        case "message in start":
            blocks = [one["content_block"] for one in events if "content_block" in one]
            if blocks and "message" in events[0]:
                events[0]["message"]["content"] = [{**one, "text": "x"} for one in blocks]
                events[0]["message"]["stop_reason"] = "end_turn"
                events = [events[0], events[-1]]
        case "hoisted":
            inner = next((key for key in ("message", "delta", "content_block") if key in event), "")
            if inner and isinstance(event[inner], dict):
                fields = event.pop(inner) if draw(st.booleans()) else event[inner]
                event.update({key: value for key, value in fields.items() if key != "type"})
        case "renamed":
            delta = _inner(event, "delta")
            names = st.sampled_from(["content", "value", "data", "chunk"])
            for key in ("text", "thinking", "partial_json", "signature"):
                if key in delta:
                    delta[draw(names)] = delta.pop(key)
        case "envelope":
            names = st.sampled_from(["data", "result", "x"])
            events = [{"success": True, draw(names): one} for one in events]
        case "repeated content":
            blocks = [one["content_block"] for one in events if "content_block" in one]
            if blocks and "message" in events[0]:
                events[0]["message"]["content"] = blocks
    return events


def _inner(event: Json, key: str) -> Json:
    value = event.get(key)
    return value if isinstance(value, dict) else {}


@st.composite
def mutated_streams(draw: st.DrawFn) -> list[bytes]:
    """A broken stream."""
    events = draw(valid_events())
    for _ in range(draw(st.integers(0, 2))):
        events = draw(reshaped(events))
    if draw(st.booleans()):
        style = draw(styles())
        return style.stream([write(style, event) for event in events])
    return draw(mutated(events, write))
