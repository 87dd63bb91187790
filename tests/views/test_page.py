"""Lines of the views: width, number, and characters that could deceive."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.views.content.page import Page, neutralised, one_line, width_of, wrapped

DECEPTIVE = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029"
HIDING = "\u200b\u2060\ufeff\u00ad\U000e0041"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\nlines"),
        ("CR LF\r\n", "CR LF\n"),
        ("a\tb", "a    b"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x00\x7f\x85\x9b", "\\x00\\x7f\\x85\\x9b"),
        ("over\rwritten", "over\\x0dwritten"),
        ("abc\u202efed", "abc\\u202efed"),
        ("\u2066\u2069", "\\u2066\\u2069"),
        ("\u2028", "\\u2028"),
        ("\ufeffmark", "\\ufeffmark"),
        ("\ud83d", "\\ud83d"),
        ("\U000e0041", "\\U000e0041"),
        ("日本語 ✓ 👩\u200d💻", "日本語 ✓ 👩\u200d💻"),
    ],
)
def test_characters_that_control_or_reorder_text_are_escapes(text: str, shown: str) -> None:
    assert neutralised(text) == shown


@given(st.text(st.characters(exclude_categories=[]) | st.sampled_from(DECEPTIVE + HIDING)))
def test_no_text_can_reorder_or_hide_other_text(text: str) -> None:
    shown = neutralised(text)
    shown.encode()
    assert not set(shown) & set(DECEPTIVE + HIDING)
    assert {char for char in shown if unicodedata.category(char) == "Cc"} <= {"\n"}


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("", 10, [""]),
        ("short", 10, ["short"]),
        ("0123456789", 10, ["0123456789"]),
        ("01234567890", 10, ["0123456789", "0"]),
        ("breaks at spaces", 12, ["breaks at", "spaces"]),
        ("a far-too-long-word", 10, ["a far-too-", "long-word"]),
        ("日本語日本語", 6, ["日本語", "日本語"]),
        ("日本語", 3, ["日", "本", "語"]),
    ],
)
def test_long_lines_are_wrapped_by_columns(text: str, columns: int, lines: list[str]) -> None:
    assert wrapped(text, columns) == lines


@given(st.text(max_size=300), st.integers(40, 120), st.integers(1, 30))
def test_a_page_has_its_width_and_its_length(text: str, columns: int, most: int) -> None:
    page = Page(columns, most)
    page.heading(text)
    page.line(text, "  ", "      ")
    page.rows([text, text])
    page.block(text, "  ", 5)
    page.block(text * 3)
    lines = page.text()
    assert len(lines) <= most + 1
    assert all(width_of(line) <= columns for line in lines[:most])
    assert all(line and "\n" not in line for line in lines)


def test_an_empty_line_has_a_space_since_mitmweb_gives_an_empty_one_no_height() -> None:
    page = Page()
    page.block("one\n\ntwo")
    assert page.text() == ["  one", " ", "  two"] or page.text() == ["  one", "  ", "  two"]


def test_what_is_left_out_is_reported() -> None:
    page = Page(76, 3)
    page.block("line\n" * 10, most_lines=2)
    page.line("third")
    assert page.text("more elsewhere") == [
        "  line",
        "  line",
        "  … 42 more characters",
        "more elsewhere",
    ]


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("a  b\n c", 10, "a b c"),
        ("0123456789", 10, "0123456789"),
        ("01234567890", 10, "012345678…"),
        ("", 10, ""),
        ("x" * 1_000_000, 5, "xxxx…"),
        ("a\u202eb", 20, "a\\u202eb"),
    ],
)
def test_a_text_on_one_line_is_short(text: str, most: int, shown: str) -> None:
    assert one_line(text, most) == shown


@given(st.text(st.sampled_from("ab \t\n\x1b\x7fé\u202e"), max_size=8), st.integers(0, 10))
def test_short_texts_are_made_one_line_as_long_ones_are(text: str, most: int) -> None:
    longer = one_line(f"{text} {'x' * 10}", 100)
    start = longer.removesuffix("x" * 10).rstrip(" ")
    if len(start) <= most and len(text) <= most:
        assert one_line(text, most) == start
    assert "\n" not in one_line(text, most)
    assert len(one_line(text, most)) <= most
