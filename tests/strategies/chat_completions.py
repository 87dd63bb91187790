"""Strategies for Chat Completions streams: valid ones with every feature, and broken ones."""

from typing import Any

from hypothesis import strategies as st

from strategies.mutations import Json, compact, mutated
from strategies.wire import ALL, MODEL, Style, plain, styles

DONE = b"data: [DONE]\n\n"
_text = st.text(st.characters(codec="utf-8"), max_size=12)
_arguments = st.dictionaries(_text, st.integers() | _text | st.none(), max_size=3)


@st.composite
def _calls(draw: st.DrawFn) -> list[Json]:
    """Fragments of parallel calls: each opened in order, their arguments interleaved."""
    opened: list[Json] = []
    rest: list[Json] = []
    for index in range(draw(st.integers(1, 3))):
        text = compact(draw(_arguments))
        cut = draw(st.integers(0, len(text)))
        function = {"name": draw(st.sampled_from(["read", "exec"])), "arguments": text[:cut]}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        opened.append(call)
        if text[cut:]:
            rest.append({"index": index, "function": {"arguments": text[cut:]}})
    return opened + draw(st.permutations(rest))


@st.composite
def valid_chunks(draw: st.DrawFn) -> list[Json]:
    """The chunks of a valid stream, without its `[DONE]`."""
    base: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    base |= {"model": MODEL, "system_fingerprint": None}
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    key = draw(st.sampled_from(["reasoning_content", "reasoning", "refusal", "content"]))
    deltas += [{key: text} for text in draw(st.lists(_text, max_size=3))]
    deltas += [{"content": text} for text in draw(st.lists(_text, max_size=3))]
    reason = draw(st.sampled_from(["stop", "length", "content_filter"]))
    if draw(st.booleans()):
        deltas += [{"tool_calls": [fragment]} for fragment in draw(_calls())]
        reason = draw(st.sampled_from(["tool_calls", "tool_calls", "length"]))
    chunks = [_chunk(base, delta, None) for delta in deltas]
    chunks.append(_chunk(base, {}, reason))
    if draw(st.booleans()):
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        chunks = [chunk | {"usage": None} for chunk in chunks]
        chunks.append(base | {"choices": [], "usage": usage})
    return chunks


def _chunk(base: Json, delta: Json, reason: str | None) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return base | {"choices": [choice]}


def write(style: Style, chunk: Any) -> bytes:
    """One chunk on the wire."""
    return style.event(style.json(chunk), "message" if style.has("type anywhere") else "")


def encode(chunk: Any) -> bytes:
    """One chunk as OpenAI writes it."""
    return write(plain(), chunk)


@st.composite
def valid_streams(draw: st.DrawFn, allowed: frozenset[str] = ALL) -> list[bytes]:
    """A valid stream in any form that the SSE standard allows."""
    style = draw(styles(allowed))
    written = [write(style, chunk) for chunk in draw(valid_chunks())]
    return style.stream([*written, style.event(b"[DONE]")])


@st.composite
def mutated_streams(draw: st.DrawFn) -> list[bytes]:
    """A broken stream."""
    broken = draw(mutated(draw(valid_chunks()), write))
    return broken + [DONE] * draw(st.sampled_from([0, 1, 1, 1, 2]))
