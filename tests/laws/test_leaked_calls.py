"""The laws for responses of targets that leak calls: text that is no call keeps its bytes, and
what is repaired is valid."""

import json
from dataclasses import replace
from typing import Any

import pytest
from framings import FRAMINGS, bytes_of, codes_of
from hypothesis import given
from hypothesis import strategies as st
from leaking import FINISH, LEAKS, context_of, framing_of, stream_of
from strategies import anthropic_messages, chat_completions, responses
from strategies.mutations import chunked, mutated
from strategies.wire import values_of
from wiremend.text.call_formats import FORMATS

FRAGMENTS = [
    *(leak.text for leak in LEAKS.values()),
    *(leak.text[: len(leak.text) // 2] for leak in LEAKS.values()),
    *(leak.text[len(leak.text) // 2 :] for leak in LEAKS.values()),
    "<",
    "<tool_call>",
    "</tool_call>",
    "\n",
    " ",
    "Let me look. ",
    "a < b",
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4)
FORMATS_OF_TARGET = st.lists(st.sampled_from(list(FORMATS)), min_size=1, unique=True)
WRITERS = {
    "anthropic": anthropic_messages.write,
    "chat": chat_completions.write,
    "responses": responses.write,
}
each_framing = pytest.mark.parametrize("name", FRAMINGS)


def pieces(draw: st.DrawFn) -> list[str]:
    """Cut a text anywhere."""
    text = "".join(draw(TEXTS))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a < b]


@each_framing
@given(data=st.data())
def test_a_valid_stream_stays_valid_and_keeps_its_bytes_unless_it_has_calls(
    name: str, data: st.DataObject
) -> None:
    framing = framing_of(name)
    finish = data.draw(st.sampled_from(FINISH[name]))
    stream = b"".join(stream_of(name, data.draw(st.composite(pieces)()), finish))
    context = context_of(name, data.draw(FORMATS_OF_TARGET))
    repaired = framing.repaired([stream], context)
    out = bytes_of(repaired)
    assert framing.violations(out) == []
    made = [f for item in repaired for f in item.findings if f.done.startswith("made")]
    assert set(codes_of(repaired)) <= {"S007"}
    assert len(made) <= 1
    assert made or out == stream
    in_chunks = framing.repaired(data.draw(chunked(stream)), context)
    assert bytes_of(in_chunks) == out
    again = framing.repaired([out], context)
    assert bytes_of(again) == out
    assert not [f for item in again for f in item.findings if f.done.startswith("made")]


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
def test_a_broken_stream_becomes_valid_too(name: str, data: st.DataObject) -> None:
    framing = framing_of(name)
    stream = b"".join(stream_of(name, data.draw(st.composite(pieces)())))
    events: list[Any] = [
        value if isinstance(value, dict) else json.loads(value)
        for _, value in values_of(stream.removesuffix(b"data: [DONE]\n\n"))
    ]
    broken = b"".join(data.draw(mutated(events, WRITERS[name])))
    context = context_of(name, data.draw(FORMATS_OF_TARGET))
    repaired = framing.repaired([broken], context)
    out = bytes_of(repaired)
    assert framing.violations(out) == [], out.decode("utf-8", "replace")
    in_chunks = framing.repaired(data.draw(chunked(broken)), context)
    assert (bytes_of(in_chunks), codes_of(in_chunks)) == (out, codes_of(repaired))
    # Text before an end that was added may become a call, since that end is the model's now.
    without = replace(context, disabled=frozenset({"S007"}))
    assert bytes_of(framing.repaired([out], without)) == out
