"""JSON text that arrives in fragments, and whether it is complete."""

from wiremend.text import json_value
from wiremend.text.patterns import linear_pattern

_SCALAR_LIMIT = 64
"""A number or a word that is longer is not complete JSON."""
_SPACE = " \t\n\r"
_MARK = linear_pattern(r'["{}\[\]]')
_STRING_END = linear_pattern(r'["\\]')


class GrowingJson:
    """One JSON value, fragment by fragment.

    The brackets are counted as they arrive. The whole text is parsed once, when it may be complete
    for the first time; what follows then cannot make it JSON again, except white space.
    """

    def __init__(self, text: str = "") -> None:
        self._parts: list[str] = []
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self._first = ""
        """The first character that is not white space."""
        self._is_closed = False
        """Whether a list, an object or a string has ended at the top level."""
        self._has_rest = False
        """Whether anything but white space follows that."""
        self._is_whole: bool | None = None
        """Whether the text so far is JSON; None: not known yet."""
        if text:
            self.add(text)

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def is_blank(self) -> bool:
        """Whether the text so far is only white space."""
        return not self._first

    @property
    def is_whole(self) -> bool:
        """Whether the text so far is complete JSON."""
        if self._is_whole is None:
            self._is_whole = self._may_be_whole and json_value.parses(self.text)
        return self._is_whole

    @property
    def _may_be_whole(self) -> bool:
        if not self._first or self._has_rest:
            return False
        if self._first in '{["':
            return self._is_closed
        return len(self._parts) <= _SCALAR_LIMIT and len(self.text) <= _SCALAR_LIMIT

    def add(self, fragment: str) -> None:
        """Append a fragment."""
        if not fragment:
            return
        self._parts.append(fragment)
        if self._is_closed:
            rest = fragment.strip(_SPACE)
        else:
            rest = fragment if self._first else fragment.lstrip()
        if not rest:
            return  # JSON may begin and end with white space
        self._is_whole = None
        if self._is_closed:
            self._has_rest = True
            return
        self._first = self._first or rest[0]
        self._scan(rest)

    def _scan(self, text: str) -> None:
        """Count the brackets outside strings."""
        position = 0
        if self._is_escaped:
            self._is_escaped, position = False, 1
        while not self._is_closed:
            match = (_STRING_END if self._in_string else _MARK).search(text, position)
            if match is None:
                return
            position = match.end()
            mark = match[0]
            if mark == "\\":
                if position == len(text):
                    self._is_escaped = True
                    return
                position += 1
            elif mark == '"':
                self._in_string = not self._in_string
                self._is_closed = not self._in_string and self._depth == 0
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                self._is_closed = self._depth <= 0
        self._has_rest = bool(text[position:].strip(_SPACE))
