"""Patterns are applied to the beginning of a text only."""

import pytest
from wiremend.text.patterns import FOREIGN_TEXT_LIMIT, text_pattern

FILLER = "-" * FOREIGN_TEXT_LIMIT


def test_a_match_within_the_limit_is_found() -> None:
    text = FILLER[:-5] + "word" + FILLER
    assert text_pattern("word").search(text) is not None
    assert [found[0] for found in text_pattern("word").finditer(text)] == ["word"]


@pytest.mark.parametrize("text", [FILLER + "word", FILLER[:-2] + "word"])
def test_a_match_beyond_the_limit_is_not_found(text: str) -> None:
    assert text_pattern("word").search(text) is None
    assert list(text_pattern("word").finditer(text)) == []


def test_the_limit_is_not_the_end_of_the_text() -> None:
    """`\\Z` matches at the limit, but the text goes on: the match is not reported."""
    ending = text_pattern(r"b\Z")
    cut = FILLER[:-1] + "b"
    assert ending.search(cut) is not None
    assert ending.search(cut + "c") is None
    assert text_pattern(r"[ab]+").match("b" * FOREIGN_TEXT_LIMIT) is not None
    assert text_pattern(r"[ab]+").match("b" * FOREIGN_TEXT_LIMIT + "c") is None


def test_a_text_beyond_the_limit_has_no_full_match() -> None:
    assert text_pattern("-*+").fullmatch(FILLER) is not None
    assert text_pattern("-*+").fullmatch(FILLER + "-") is None


def test_bytes_are_bounded_too() -> None:
    assert text_pattern(rb"b\Z").search(FILLER.encode() + b"b") is None
