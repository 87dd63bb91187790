"""Lines of text for a pane that does not wrap: bounded, and without control characters.

mitmweb shows a content view line by line in a fixed-width font and does not wrap; an empty line
has no height. Text of a model or a tool may contain characters that reorder or hide what follows.
"""

import unicodedata
from collections.abc import Iterable

COLUMNS = 76
"""The width of mitmweb's pane in a window of 1280 pixels."""
FEWEST_COLUMNS = 40
MOST_LINES = 400
"""The maximum number of lines of a view; the browser becomes slow with long ones."""
_TAB = "    "
_LONGEST_WORD_RATIO = 2
"""A line is broken at a space in its second half, else anywhere."""

_REORDERING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_INVISIBLE = (0x00AD, 0x180E, 0x200B, 0x2028, 0x2029, 0x2060, 0xFEFF)
_REPLACED: dict[int, str] = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))
} | {code: f"\\u{code:04x}" for code in (*_REORDERING, *_INVISIBLE)}
_REPLACED[ord("\n")] = "\n"
_REPLACED[ord("\t")] = _TAB
_TAGS = range(0xE0000, 0xE1000)
"""Invisible characters that can encode a whole text."""
_SURROGATES = range(0xD800, 0xE000)


class _Escapes(dict[int, str]):
    """The table for `str.translate`, with the characters that are not in it."""

    def __missing__(self, code: int) -> str:
        is_hidden = code in _TAGS or code in _SURROGATES
        shown = f"\\U{code:08x}" if code in _TAGS else f"\\u{code:04x}"
        return shown if is_hidden else chr(code)


_ESCAPES = _Escapes({code: chr(code) for code in (*range(0x80), *map(ord, "·→…"))} | _REPLACED)


def neutralised(text: str) -> str:
    """Return text in which characters that control, reorder or hide text are escapes.

    Line feeds are kept, CR LF becomes LF, tabs become spaces.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_ESCAPES)


def one_line(text: str, most: int) -> str:
    """Return the start of a text on one line, with at most `most` characters."""
    if len(text) <= most and _is_plain(text):
        return text  # as most texts
    start = " ".join(text[: 4 * most].split())
    is_cut = len(start) > most or len(text) > 4 * most
    return neutralised(start[: max(0, most - 1)] + "…" if is_cut else start)[:most]


def _is_plain(text: str) -> bool:
    """Whether a text consists of visible characters, with single spaces between them."""
    is_visible = text.isascii() and text.isprintable()
    return is_visible and "  " not in text and text[:1] != " " and text[-1:] != " "


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 message` or `1,234 messages`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def width_of(text: str) -> int:
    """Return the number of columns of a text; wide characters have two."""
    if text.isascii():
        return len(text)
    return len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def wrapped(text: str, columns: int) -> list[str]:
    """Return one line of text as lines of at most `columns` columns."""
    lines: list[str] = []
    start = 0
    # A part of the text is looked at in each step: the whole rest would make the cost quadratic.
    while width_of(part := text[start : start + columns + 1]) > columns:
        end = _fitting(part, columns)
        space = part.rfind(" ", end - end // _LONGEST_WORD_RATIO, end + 1)
        end = space if space > 0 else end
        lines.append(part[:end])
        start += end + (space > 0)
    return [*lines, part]


def fitted(text: str, columns: int) -> str:
    """Return one line, cut to a number of columns."""
    return text if width_of(text) <= columns else text[: _fitting(text, columns - 1)] + "…"


def _fitting(text: str, columns: int) -> int:
    """Return how many characters fit, at least one."""
    start = text[:columns]
    if start.isascii():
        return columns
    used = 0
    for index, char in enumerate(start):
        used += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used > columns:
            return max(1, index)
    return len(start)


class Page:
    """Collects the lines of one view. What is added is neutralised and wrapped."""

    def __init__(self, columns: int = COLUMNS, most_lines: int = MOST_LINES) -> None:
        self.columns = max(FEWEST_COLUMNS, columns)
        self._most_lines = most_lines
        self._lines: list[str] = []
        self._is_cut = False

    @property
    def is_full(self) -> bool:
        """Whether further lines are left out."""
        return len(self._lines) >= self._most_lines

    @property
    def room(self) -> int:
        """How many lines may follow."""
        return max(0, self._most_lines - len(self._lines))

    def heading(self, title: str) -> None:
        """Begin a part of the page."""
        if self._lines:
            self._put(" ")
        title = fitted(f"── {one_line(title, self.columns)}", self.columns - 2)
        self._put(f"{title} {'─' * (self.columns - width_of(title) - 1)}")

    def line(self, text: str = "", indent: str = "", hanging: str | None = None) -> None:
        """Add a line, wrapped if it is too long; `hanging` is the indent of what follows."""
        following = indent if hanging is None else hanging
        columns = self.columns - len(following)
        head, *rest = wrapped(indent + neutralised(text).replace("\n", " "), self.columns)
        self._put(head or " ")
        if rest:
            joined = " ".join(rest) if " " in rest[0] else "".join(rest)
            for part in wrapped(joined, columns):
                self._put(following + part)

    def block(self, text: str, indent: str = "  ", most_lines: int = MOST_LINES) -> None:
        """Add a text of any length, at most `most_lines` of it, and how much is left out."""
        most_lines = max(1, min(most_lines, self.room))
        columns = self.columns - len(indent)
        enough = text[: most_lines * (columns + 1) + 1]
        lines: list[str] = []
        taken = 0
        for source in neutralised(enough).split("\n"):
            lines += wrapped(source, columns)
            taken += len(source) + 1
            if len(lines) > most_lines:
                break
        is_cut = len(lines) > most_lines or len(enough) < len(text)
        for shown in lines[:most_lines]:
            self._put(indent + shown)
        if is_cut:
            left = max(1, len(text) - sum(map(len, lines[:most_lines])))
            self._put(f"{indent}… {left:,} more characters")

    def rows(self, rows: Iterable[str], indent: str = "") -> None:
        """Add lines, each cut to the width."""
        for row in rows:
            self._put(fitted(indent + neutralised(row).replace("\n", " "), self.columns))

    def _put(self, line: str) -> None:
        if self.is_full:
            self._is_cut = True
        else:
            self._lines.append(line if line.strip() else " ")

    def text(self, more: str = "") -> list[str]:
        """Return the lines. `more` is the last line if some were left out."""
        last = [more or "… more than can be shown here"] if self._is_cut else []
        return [*self._lines, *last]
