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
    as_parts = draw(st.sampled_from([False, False, True]))  # Mistral
    for text in draw(st.lists(_text, max_size=3)):
        deltas.append({"content": [{"type": "text", "text": text}] if as_parts else text})
    reason = draw(st.sampled_from(["stop", "length", "content_filter"]))
    if draw(st.booleans()):
        reason = draw(st.sampled_from(["tool_calls", "tool_calls", "length"]))
        fragments = draw(_calls())
        if reason == "length" and draw(st.booleans()):  # cut before the arguments
            fragments = [{**fragments[0], "function": {"name": "read", "arguments": ""}}]
        deltas += [{"tool_calls": [fragment]} for fragment in fragments]
    chunks = [_chunk(base, delta, None) for delta in deltas]
    last = draw(st.sampled_from([{}, {}, {"content": deltas[-1].get("content", "")}]))
    finish = _chunk(base, last, reason)
    if draw(st.booleans()):
        finish["choices"][0]["native_finish_reason"] = draw(st.sampled_from(["completed", None]))
    chunks.append(finish)
    if draw(st.booleans()):
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        chunks = [chunk | {"usage": None} for chunk in chunks]
        again = _chunk(base, {"role": "assistant", "content": ""}, reason)["choices"]  # OpenRouter
        chunks.append(base | {"choices": draw(st.sampled_from([[], again])), "usage": usage})
    if draw(st.booleans()):  # Azure
        chunks.insert(0, base | {"id": "", "object": "", "choices": [], "created": 0})
    if draw(st.sampled_from([False, False, True])):
        chunks = [chunk | {"id": f"chatcmpl-{at}"} for at, chunk in enumerate(chunks)]
    if draw(st.sampled_from([False, False, False, True])):  # Perplexity
        chunks[-1] |= {"object": "chat.completion.done"}
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
def _reshaped(draw: st.DrawFn, chunks: list[Json]) -> list[Json]:
    """The chunks as gateways reshape them; the same ones in most cases."""
    shape = draw(st.sampled_from(["", "", "", "early", "bare calls", "text", "envelope", "abort"]))
    for at, chunk in enumerate(chunks):
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if shape == "early" and draw(st.booleans()):
                choice["finish_reason"] = "stop"
            elif shape == "bare calls":
                for call in delta.get("tool_calls", ()):
                    call["function"].pop("arguments", None)
            elif shape == "text" and isinstance(delta.get("content"), str):
                delta["text"] = delta.pop("content")
            elif shape == "abort" and choice["finish_reason"]:
                choice["finish_reason"] = "abort"
        if shape == "envelope":
            chunks[at] = {"success": True, "data": chunk}
    return chunks


@st.composite
def mutated_streams(draw: st.DrawFn) -> list[bytes]:
    """A broken stream."""
    broken = draw(mutated(draw(_reshaped(draw(valid_chunks()))), write))
    if draw(st.sampled_from([False] * 7 + [True])):  # parted by one line feed
        broken = [one[:-1] if one.endswith(b"\n\n") else one for one in broken]
    return broken + [DONE] * draw(st.sampled_from([0, 1, 1, 1, 2]))
