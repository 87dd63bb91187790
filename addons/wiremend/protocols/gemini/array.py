"""A Gemini stream without `alt=sse`: one JSON array, whose elements are the events."""

from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule
from wiremend.text.json_array import ArrayDecoder
from wiremend.text.sse import Event

_GEMINI = ("gemini",)

AFTER_THE_END = Rule(
    code="S409",
    name="after-the-end",
    detects="Data follows an error or the closing bracket.",
    impact="Clients parse it and fail.",
    action="Drops it.",
    protocols=_GEMINI,
    before='data: {"error":{…}}\n\ndata: {"candidates":[…]}\n\n',
    after='data: {"error":{…}}\n\n',
)
ARRAY_PUNCTUATION = Rule(
    code="S417",
    name="array-punctuation",
    detects="In a stream without `alt=sse`, a bracket or comma of the array is missing or "
    "repeated.",
    impact="The body is not valid JSON.",
    action="Corrects the punctuation.",
    protocols=_GEMINI,
    before='[{"candidates":[…]}\n{"candidates":[…]}',
    after='[{"candidates":[…]},\r\n{"candidates":[…]}]',
)


class ArrayElements:
    """Writes the elements of one array with the brackets and commas that their place requires."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._elements = 0
        """How many elements came."""
        self._shown = 0
        """How many were written."""
        self._end = b""
        """The array's end, withheld until the stream's: nothing can be added behind it."""
        self._is_past_array = False

    def decoder(self) -> ArrayDecoder:
        """A fresh decoder."""
        return ArrayDecoder()

    def framed(self, event: Event) -> Event:
        """Count an element; it stays as it is."""
        self._elements += 1
        return event

    def without_data(self, event: Event) -> bytes:
        """The bytes between elements; the array's end is withheld."""
        if not self._end and b"]" not in event.raw:
            return event.raw
        if self._end:
            self._take_after_the_array(event.raw)
            return b""
        self._end = event.raw
        if self._elements and event.raw.strip() != b"]":
            found = f"{event.raw.strip()!r} at the end"
            if self._draft.note(ARRAY_PUNCTUATION, found, "corrected"):
                self._end = b"]"
        return b""

    def written(self, event: Event, texts: list[bytes]) -> bytes:
        """The elements with these JSON texts, in place of one."""
        return b"".join(self._placed(event, text) for text in texts)

    def last_error(self, envelope: bytes) -> bytes:
        """An error behind which nothing follows."""
        return (b",\r\n" if self._shown else b"[") + envelope + b"]"

    def closing(self) -> bytes:
        """The array's end, added if it is missing."""
        if not self._end and self._draft.note(
            ARRAY_PUNCTUATION, "the array is not closed", "closed"
        ):
            return b"]"
        return self._end

    def closing_of_error(self) -> bytes:
        """What ends the array behind the provider's own error."""
        return b"]"

    def _take_after_the_array(self, raw: bytes) -> None:
        """Keep white space; drop everything from the first other byte on, noted once."""
        text = raw.lstrip()
        if not self._is_past_array:
            self._end += raw[: len(raw) - len(text)]
            if text and self._draft.note(AFTER_THE_END, "text after the array", "dropped"):
                self._is_past_array = True
            else:
                self._end += text

    def _placed(self, event: Event, text: bytes) -> bytes:
        """One element with the bracket or comma that its place in the array requires."""
        before = event.raw[: len(event.raw) - len(event.data or b"")]
        is_first = self._shown == 0
        self._shown += 1
        came = before.strip()
        if came != (b"[" if self._elements == 1 else b","):
            if not self._draft.note(ARRAY_PUNCTUATION, f"{came!r} before an element", "corrected"):
                return before + text
        elif came == (b"[" if is_first else b","):
            return before + text
        return (b"[" if is_first else b",\r\n") + text
