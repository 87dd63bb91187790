"""The fuzz targets hold for their seeds, for joined pieces of them, and for earlier findings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .targets import FOUND, TARGETS, seeds, target_named

each_target = pytest.mark.parametrize("target", TARGETS)


@each_target
def test_a_target_holds_for_its_seeds(target: str) -> None:
    inputs = seeds(target)
    assert inputs
    for data in inputs:
        TARGETS[target](data)


@each_target
@given(data=st.data())
def test_a_target_holds_for_pieces_of_seeds(target: str, data: st.DataObject) -> None:
    pieces = []
    for seed in data.draw(st.lists(st.sampled_from(seeds(target)), min_size=1, max_size=3)):
        start = data.draw(st.integers(0, len(seed)))
        pieces.append(seed[start : data.draw(st.integers(start, len(seed)))])
    TARGETS[target](data.draw(st.binary(max_size=3)).join(pieces))


def test_every_found_input_belongs_to_a_target() -> None:
    assert {folder.name for folder in FOUND.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("stream-chat", "stream-chat-completions"),
        ("grammar-anthropic", "grammar-anthropic-messages"),
        ("body-chat", "body-chat-completions"),
        *((name, name) for name in TARGETS),
    ],
)
def test_a_target_is_named_with_the_long_or_short_name_of_its_protocol(
    text: str, name: str
) -> None:
    assert target_named(text) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stream-openai", "expected one of anthropic-messages (or anthropic), "),
        ("body-gemini-array", "there is no target 'body-gemini-array'; the targets are sse, "),
        ("html", "there is no target 'html'; the targets are sse, "),
    ],
)
def test_a_target_that_does_not_exist_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        target_named(text)
