"""Regular expressions for text that clients and providers send.

The time of a regular expression may grow with the square of the text, or faster, and nothing else
runs meanwhile. So the text is bounded before a pattern is applied to it, and all patterns are
linear: repetitions are possessive or bounded, and what follows them cannot match inside them.
No other module applies `re` to foreign text. tests/complexity attacks every pattern.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FOREIGN_TEXT_LIMIT = 8192
"""The number of characters, or bytes, of a text that a `TextPattern` is applied to."""


@dataclass(frozen=True, slots=True)
class TextPattern[Text: (str, bytes)]:
    """A regular expression that is applied to the first `FOREIGN_TEXT_LIMIT` characters of a text.

    A match that ends there is not reported if the text is longer, since it would be cut.
    """

    compiled: re.Pattern[Text]

    def search(self, text: Text) -> re.Match[Text] | None:
        """Return the first match anywhere in the text, or None."""
        found = self.compiled.search(text, 0, FOREIGN_TEXT_LIMIT)
        return None if found is None or _is_cut(found, text) else found

    def match(self, text: Text) -> re.Match[Text] | None:
        """Return the match at the start of the text, or None."""
        found = self.compiled.match(text, 0, FOREIGN_TEXT_LIMIT)
        return None if found is None or _is_cut(found, text) else found

    def fullmatch(self, text: Text) -> re.Match[Text] | None:
        """Return the match of the whole text, or None; None for a text beyond the limit."""
        return None if len(text) > FOREIGN_TEXT_LIMIT else self.compiled.fullmatch(text)

    def finditer(self, text: Text) -> Iterator[re.Match[Text]]:
        """Yield all matches in the text, in order."""
        for found in self.compiled.finditer(text, 0, FOREIGN_TEXT_LIMIT):
            if not _is_cut(found, text):
                yield found


def _is_cut[Text: (str, bytes)](found: re.Match[Text], text: Text) -> bool:
    return found.end() == FOREIGN_TEXT_LIMIT < len(text)


escape_pattern = re.escape
"""Returns a pattern that matches only this text."""


def text_pattern[Text: (str, bytes)](
    pattern: Text, *, ignore_case: bool = False, dot_all: bool = False
) -> TextPattern[Text]:
    """Compile a pattern for foreign text. With `dot_all`, `.` also matches line ends."""
    flags = (re.IGNORECASE if ignore_case else 0) | (re.DOTALL if dot_all else 0)
    return TextPattern(re.compile(pattern, flags))


@dataclass(frozen=True, slots=True)
class WholePattern[Text: (str, bytes)]:
    """A regular expression that matches a whole text of any length, or does not."""

    compiled: re.Pattern[Text]

    def fullmatch(self, text: Text) -> re.Match[Text] | None:
        """Return the match of the whole text, or None."""
        return self.compiled.fullmatch(text)


def whole_pattern[Text: (str, bytes)](pattern: Text) -> WholePattern[Text]:
    """Compile a pattern for whole texts of any length. It must visit each character once."""
    return WholePattern(re.compile(pattern))


type LinearPattern[Text: (str, bytes)] = re.Pattern[Text]
type Match[Text: (str, bytes)] = re.Match[Text]


def linear_pattern[Text: (str, bytes)](pattern: Text) -> LinearPattern[Text]:
    """Compile a pattern for foreign text of any length.

    Use it only where the whole text has to be examined. It must visit each character a bounded
    number of times, whatever position a match starts from.
    """
    return re.compile(pattern)
