"""Reasoning between tags in the text of an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.protocols.chat import CHAT
from wiremend.targets.registry import translation_traits

from translate.test_failure_cases import anthropic_request, chunks, for_anthropic, to_chat

CASES = {
    "reasoning": ("<think>\nHm.\n</think>\n\nHi", "\nHm.\n", "Hi"),
    "white space before": ("\n<think>Hm.</think>Hi", "Hm.", "Hi"),
    "only a part of a tag": ("<thin", "", "<thin"),
    "text": ("Hi", "", "Hi"),
    "tags inside": ("Use <think> and </think>.", "", "Use <think> and </think>."),
    "a second pair": ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
    "never closed": ("<think>Hm.</thi", "Hm.</thi", ""),
    "a tag of another kind": ("<thinker>", "", "<thinker>"),
    "much white space": (" " * 50 + "<think>a", "", " " * 50 + "<think>a"),
}


@pytest.mark.parametrize(("text", "reasoning", "said"), CASES.values(), ids=CASES)
@given(data=st.data())
def test_tags_at_the_beginning_are_reasoning_in_any_pieces(
    text: str, reasoning: str, said: str, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    content = [{"content": piece} for piece in pieces if piece]
    blocks = for_anthropic(chunks(*content), think_tags=True)["content"]
    texts = dict.fromkeys(("thinking", "text"), "")
    for block in blocks:
        texts[block["type"]] += block[block["type"]]
    assert (texts["thinking"], texts["text"]) == (reasoning, said)


def test_other_providers_may_write_the_tags() -> None:
    [block] = for_anthropic(chunks({"content": "<think>a</think>b"}))["content"]
    assert block["text"] == "<think>a</think>b"


def test_the_reasoning_is_not_returned_as_text() -> None:
    stream = chunks({"content": "<think>secret</think>Hi"})
    blocks = for_anthropic(stream, think_tags=True)["content"]
    body = to_chat(anthropic_request("Hi", blocks, "More."))
    assert body["messages"][1] == {"role": "assistant", "content": "Hi"}


def test_minimax_writes_the_tags() -> None:
    assert translation_traits(CHAT.name, "api.minimax.io", "MiniMax-M2").think_tags
    assert not translation_traits(CHAT.name, "api.example.com", "m").think_tags
