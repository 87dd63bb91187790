"""Strategies for Anthropic Messages streams: valid ones with every feature, and broken ones."""

from typing import Any

from hypothesis import strategies as st

from strategies.mutations import Json, compact, mutated
from strategies.wire import ALL, MODEL, Style, plain, styles

_text = st.text(st.characters(codec="utf-8"), max_size=12)
_arguments = st.dictionaries(_text, st.integers() | _text | st.none(), max_size=3)


@st.composite
def _pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def _block(draw: st.DrawFn) -> tuple[Json, list[Json]]:
    """The start of a block, and its deltas."""
    match draw(st.sampled_from(["text", "thinking", "redacted", "tool", "server_tool", "other"])):
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
    for index, (start, deltas) in enumerate(draw(st.lists(_block(), max_size=4))):
        kinds.append(start["type"])
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    reasons = ["max_tokens", "refusal", "pause_turn"]
    reasons.append("tool_use" if "tool_use" in kinds else "end_turn")
    reason = draw(st.sampled_from(reasons))
    is_piece = len(events) > 1 and events[-2].get("delta", {}).get("type") == "input_json_delta"
    if is_piece and reason in ("max_tokens", "refusal") and draw(st.booleans()):
        del events[-2]  # the limit, or a classifier, may end the JSON of a tool anywhere
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
def mutated_streams(draw: st.DrawFn) -> list[bytes]:
    """A broken stream."""
    return draw(mutated(draw(valid_events()), write))
