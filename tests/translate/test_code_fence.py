"""A code fence around an answer that must be JSON is removed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.protocols.base.middle.answer import PartDelta, PartEnd, PartStart
from wiremend.protocols.base.middle.content import Call, Text
from wiremend.translate.code_fence import WithoutFence

TEXTS = {
    "with a language": ('```json\n{"a":1}\n```', '{"a":1}'),
    "without one": ('```\n{"a":1}\n```\n', '{"a":1}'),
    "after white space": ('\n ```json\n{"a":\n1}\n```  \n', '{"a":\n1}'),
    "with a fence inside": ('```json\n{"a":"```\\n"}\n```', '{"a":"```\\n"}'),
    "not closed": ('```json\n{"a":1}\n', '{"a":1}\n'),
    "no fence": ('{"a":"```"}\n', '{"a":"```"}\n'),
    "a text with a fence": ("Look:\n```json\n1\n```", "Look:\n```json\n1\n```"),
    "only backticks": ("``", "``"),
    "a long first line": ("```" + "x" * 60, "```" + "x" * 60),
    "nothing": ("", ""),
}


def unfenced(*pieces: str) -> str:
    fence = WithoutFence()
    events = [PartStart(0, Text()), *(PartDelta(0, piece) for piece in pieces), PartEnd(0)]
    written = [one for event in events for one in fence.feed(event)]
    assert written[0] == events[0]
    assert written[-1] == events[-1]
    return "".join(one.text for one in written if isinstance(one, PartDelta))


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
@given(data=st.data())
def test_the_fence_is_removed_in_any_pieces(text: str, expected: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert unfenced(*pieces) == unfenced(text) == expected


def test_text_without_a_fence_is_not_held_back() -> None:
    fence = WithoutFence()
    fence.feed(PartStart(0, Text()))
    assert fence.feed(PartDelta(0, '{"a')) == [PartDelta(0, '{"a')]


def test_other_parts_are_not_changed() -> None:
    fence = WithoutFence()
    for event in (PartStart(0, Call("c", "read")), PartDelta(0, "```\n"), PartEnd(0)):
        assert fence.feed(event) == [event]
