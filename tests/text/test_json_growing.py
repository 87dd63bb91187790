"""JSON text in fragments is complete when a parser accepts it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.text.json_growing import GrowingJson
from wiremend.text.json_value import parses

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SPACE = st.text(" \t\n\r", max_size=2)
TEXTS = st.one_of(
    st.builds(lambda a, value, b: a + json.dumps(value) + b, SPACE, JSON, SPACE),
    st.text(' {}[]",:\\\\a1\u00a0', max_size=12),
    st.builds(lambda value, rest: json.dumps(value) + rest, JSON, st.text('{}[]" 1', max_size=3)),
)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_it_agrees_with_the_parser_after_every_fragment(text: str, cuts: list[int]) -> None:
    growing, sent = GrowingJson(), ""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        growing.add(text[start:end])
        sent += text[start:end]
        assert growing.text == sent
        assert growing.is_whole == parses(sent), sent
        assert growing.is_blank == (not sent.strip())
        assert bool(growing) == bool(sent)


@pytest.mark.parametrize("last", ["", "}"])
def test_a_long_scalar_is_not_complete(last: str) -> None:
    growing = GrowingJson()
    growing.add("1" * 100 + last)
    assert not growing.is_whole
