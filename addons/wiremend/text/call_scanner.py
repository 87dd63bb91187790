"""Finds tool calls that a model wrote as text, while the text arrives.

The scanner reports how many characters at the end of the text may belong to calls. Only a text that
ends in complete calls, and perhaps white space, contains calls; any other text is only text.

    OPENING   the text may be the beginning of a section: until the name of an offered tool is read,
              at most `HEAD_LIMIT` characters
    BODY      a call of an offered tool began: until the marker that ends the section
    AFTER     all sections so far are complete: white space and further sections may follow

A section is parsed once, when the marker that ends it arrived. So the time is linear.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from wiremend.text.call_formats import (
    CallFormat,
    NotACall,
    NotOffered,
    SectionReader,
    TextEnds,
    WrittenCall,
)

HEAD_LIMIT = 1024
"""The characters within which the name of the tool must follow the beginning of a section."""
_PIECE = 4096


class _Stage(Enum):
    TEXT = auto()
    OPENING = auto()
    BODY = auto()
    AFTER = auto()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A call that remains text."""

    format: str
    name: str
    reason: str


class CallScanner:
    """Takes the text of one response, in pieces of any size."""

    def __init__(self, formats: Sequence[CallFormat], offered: Container[str]) -> None:
        """`offered` are the names of the tools that may be called."""
        self._formats = formats
        self._offered = offered
        self._stage = _Stage.TEXT
        self._format = formats[0]
        self._name = ""
        self._end = ""
        """The marker that ends the section."""
        self._start = ""
        """The beginning of a section, or what follows the last one."""
        self._pieces: list[str] = []
        """The text of the section."""
        self._tail = ""
        """The end of that text, where the end marker may have begun."""
        self._calls: list[WrittenCall] = []
        self._length = 0
        self.rejected: Rejected | None = None
        """The last call that was found to be only text."""

    @property
    def length(self) -> int:
        """The number of characters at the end of the text that may belong to calls."""
        return self._length

    @property
    def has_begun(self) -> bool:
        """Whether a call of an offered tool began and may still become one."""
        return self._stage in (_Stage.BODY, _Stage.AFTER)

    @property
    def format(self) -> CallFormat:
        """The format of the calls."""
        return self._format

    def feed(self, text: str) -> None:
        """Take more text."""
        for start in range(0, len(text), _PIECE):  # what is left of a piece is copied
            self._feed(text[start : start + _PIECE])

    def _feed(self, text: str) -> None:
        if self._length:
            self._length += len(text)
        rest = text
        while rest:
            match self._stage:
                case _Stage.TEXT:
                    rest = self._look_for_start(rest)
                case _Stage.OPENING:
                    rest = self._read_opening(self._start + rest)
                case _Stage.BODY:
                    rest = self._read_body(rest)
                case _Stage.AFTER:
                    rest = self._read_after(self._start + rest)

    def end(self) -> list[WrittenCall]:
        """Return the calls that the text ends in; none if it does not end in complete calls."""
        if self._stage is _Stage.AFTER and not self._start:
            return self._calls
        self.give_up("it is not complete")
        return []

    def give_up(self, reason: str) -> None:
        """Take the calls that began for text, for this reason."""
        if self.has_begun:
            self._reject(reason)
        self._become_text()

    def _become_text(self) -> None:
        self._stage = _Stage.TEXT
        self._length = 0
        self._start = self._tail = ""
        self._pieces = []
        self._calls = []

    def _reject(self, reason: str) -> None:
        self.rejected = Rejected(self._format.name, self._name, reason)

    # The stages. Each returns the text that is still to be read.

    def _look_for_start(self, text: str) -> str:
        position = text.find("<")
        while position >= 0:
            if self._enter(text, position):
                self._length = len(text) - position
                return text[position:] if self._stage is _Stage.BODY else ""
            position = text.find("<", position + 1)
        return ""

    def _read_opening(self, text: str) -> str:
        if self._enter(text, 0):
            return text if self._stage is _Stage.BODY else ""
        self._become_text()
        return text[1:]

    def _enter(self, text: str, position: int) -> bool:
        """Return whether a section begins here, or may; then enter the next stage."""
        may_begin = False
        for format in self._formats:
            reader = SectionReader(text, position, self._offered, stops_at_name=True)
            try:
                format.read(reader)
            except NotOffered as stranger:
                reason = "the request does not offer this tool"
                self.rejected = Rejected(format.name, str(stranger), reason)
            except NotACall:
                pass
            except TextEnds:
                if reader.name:
                    self._stage, self._format, self._name = _Stage.BODY, format, reader.name
                    self._end, self._start = reader.end, ""
                    return True
                may_begin = True
        if may_begin and len(text) - position <= HEAD_LIMIT:
            self._stage, self._start = _Stage.OPENING, text[position:]
            return True
        return False

    def _read_body(self, text: str) -> str:
        region = self._tail + text
        found = region.find(self._end)
        if found < 0:
            self._pieces.append(text)
            self._tail = region[-(len(self._end) - 1) :]
            return ""
        end = found + len(self._end) - len(self._tail)
        section = "".join([*self._pieces, text[:end]])
        self._pieces, self._tail = [], ""
        try:
            self._calls += self._format.read(SectionReader(section, 0, self._offered))
        except NotOffered as stranger:
            self._name = str(stranger)
            self.give_up("the request does not offer this tool")
        except NotACall as failed:
            self.give_up(str(failed))
        except TextEnds:
            self.give_up("its form is not that of a call")
        else:
            self._stage = _Stage.AFTER
        return text[end:]

    def _read_after(self, text: str) -> str:
        rest = text.lstrip()
        orphan = self._format.orphan
        if orphan and rest.startswith(orphan):
            rest = rest[len(orphan) :].lstrip()
        self._start = rest
        if not rest or (orphan and orphan.startswith(rest)):
            return ""
        name = self._name
        if self._goes_on(rest):
            return rest if self._stage is _Stage.BODY else ""
        self._name = name
        self.give_up("text follows it")
        return rest

    def _goes_on(self, text: str) -> bool:
        """Return whether another section of this format begins, or may; then enter the stage."""
        reader = SectionReader(text, 0, self._offered, stops_at_name=True)
        try:
            self._format.read(reader)
        except NotACall:
            return False
        except TextEnds:
            if reader.name:
                self._stage, self._name, self._end = _Stage.BODY, reader.name, reader.end
                self._start = ""
                return True
            return len(text) <= HEAD_LIMIT
        return False
