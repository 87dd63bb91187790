"""Gemini streams without `alt=sse`: one JSON array, whose elements are the events."""

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
    """Writes the elements of one array with the required brackets and commas."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._elements = 0
        """The number of elements received."""
        self._shown = 0
        """The number of elements written."""
        self._end: list[bytes] = []
        """The end of the array, withheld until the end of the stream, as elements may be added."""
        self._is_past_array = False
        self._arrives_as_array = False
        """Whether the provider sends an array, whose end proves that the stream is complete."""

    @property
    def is_closed(self) -> bool:
        """Whether the end of the array has arrived."""
        return bool(self._end)

    @property
    def is_left_open(self) -> bool:
        """Whether the end of the array is missing, of which the provider has sent the beginning."""
        return self._arrives_as_array and not self._end

    def decoder(self) -> ArrayDecoder:
        """Create a decoder. Events of another framing have a decoder of their own."""
        self._arrives_as_array = True
        return ArrayDecoder()

    def reframe(self, event: Event) -> Event:
        """Count an element and return it unchanged."""
        self._elements += 1
        return event

    def write_without_data(self, event: Event) -> bytes:
        """Return the bytes between elements; the end of the array is withheld."""
        if not self._end and b"]" not in event.raw:
            return event.raw
        if self._end:
            self._keep_white_space(event.raw)
            return b""
        self._end = [event.raw]
        if self._elements and event.raw.strip() != b"]":
            found = f"{event.raw.strip()!r} at the end"
            if self._draft.note(ARRAY_PUNCTUATION, found, "corrected"):
                self._end = [b"]"]
        return b""

    def write(self, event: Event, texts: list[bytes]) -> bytes:
        """Return elements with these JSON texts, in place of one."""
        return b"".join(self._punctuate(event, text) for text in texts)

    def end_in_error(self, envelope: bytes) -> bytes:
        """Return an error as the last element, and the end of the array."""
        return (b",\r\n" if self._shown else b"[") + envelope + b"]"

    def close(self) -> bytes:
        """Return the end of the array, added if it is missing."""
        if not self._end and self._draft.note(
            ARRAY_PUNCTUATION, "the array is not closed", "closed"
        ):
            return b"]"
        return b"".join(self._end)

    def close_after_error(self) -> bytes:
        """Return the end of the array after the provider's own error."""
        return b"]"

    def _keep_white_space(self, raw: bytes) -> None:
        """Keep white space after the array; drop the rest, with one finding."""
        text = raw.lstrip()
        if not self._is_past_array:
            self._end.append(raw[: len(raw) - len(text)])
            if text and self._draft.note(AFTER_THE_END, "text after the array", "dropped"):
                self._is_past_array = True
            else:
                self._end.append(text)

    def _punctuate(self, event: Event, text: bytes) -> bytes:
        """Return one element with the bracket or comma that its place in the array requires."""
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
