"""What a body is, decided by its bytes: server-sent events, JSON, or other text."""

from enum import Enum, auto

from wiremend.text.patterns import linear_pattern
from wiremend.text.sse import BYTE_ORDER_MARK

_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_FIELD_AT_LINE_START = linear_pattern(rb"[\r\n](?:data|event|id|retry):")
LONGEST_FIELD_BYTES = len(b"\nevent:")


class BodyForm(Enum):
    """The form of a body."""

    UNKNOWN = auto()
    """There are not enough bytes yet."""
    EVENTS = auto()
    OBJECT = auto()
    """Text that begins like a JSON object."""
    ARRAY = auto()
    """Text that begins like a JSON array."""
    PAGE = auto()
    """Text that begins like HTML or XML."""
    OTHER = auto()


_BY_FIRST_BYTE = {b"{": BodyForm.OBJECT, b"[": BodyForm.ARRAY, b"<": BodyForm.PAGE}


def form_of(start: bytes) -> BodyForm:
    """Return the form of a body that begins with these bytes.

    A byte order mark and white space before the first line are not considered.
    """
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not text or BYTE_ORDER_MARK.startswith(start):
        return BodyForm.UNKNOWN
    by_first_byte = _BY_FIRST_BYTE.get(text[:1])
    if by_first_byte is not None:
        return by_first_byte
    if text.startswith(_FIELDS):
        return BodyForm.EVENTS
    may_become_field = any(field.startswith(text) for field in _FIELDS)
    return BodyForm.UNKNOWN if may_become_field else BodyForm.OTHER


def has_event(text: bytes) -> bool:
    """Return whether a line after the first one is a field of an event; no line of JSON is.

    Of text that was searched before, the last `LONGEST_FIELD_BYTES` bytes suffice.
    """
    return _FIELD_AT_LINE_START.search(text) is not None
