"""What is fuzzed holds for its seeds, for pieces of them put together, and for what was found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .targets import TARGETS, seeds

each_target = pytest.mark.parametrize("target", TARGETS)


@each_target
def test_a_target_holds_for_its_seeds(target: str) -> None:
    found = seeds(target)
    assert found
    for data in found:
        TARGETS[target](data)


@each_target
@given(data=st.data())
def test_a_target_holds_for_pieces_of_seeds(target: str, data: st.DataObject) -> None:
    pieces = []
    for seed in data.draw(st.lists(st.sampled_from(seeds(target)), min_size=1, max_size=3)):
        start = data.draw(st.integers(0, len(seed)))
        pieces.append(seed[start : data.draw(st.integers(start, len(seed)))])
    TARGETS[target](data.draw(st.binary(max_size=3)).join(pieces))
