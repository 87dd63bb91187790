"""Reads a file that is the body of one response: events, JSON, or a JSON array of events."""

from collections.abc import Iterator
from functools import partial

from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import (
    Exchange,
    Message,
    RecordedFlow,
    RecordedFlows,
    RecordedResponse,
)
from wiremend.recording.limited import ENTRY_LIMIT_BYTES, PeekableFile, too_large
from wiremend.text.body_form import BodyForm, form_of

_FORM_BYTES = 256


def read_body(file: PeekableFile, protocol: WireProtocol) -> RecordedFlows:
    """Yield the one exchange of the file. Raises UnusableRecording."""
    body = file.read(ENTRY_LIMIT_BYTES + 1)
    if len(body) > ENTRY_LIMIT_BYTES:
        raise too_large("the body")
    response = RecordedResponse(200, (), body, has_label=False)
    streaming = is_stream(protocol, body)
    exchange = Exchange(protocol=protocol, response=response, streaming=streaming)
    messages = partial(_messages, body)
    yield RecordedFlow(1, (exchange,), messages, body)


def _messages(body: bytes) -> Iterator[Message]:
    yield Message("response", body=body)


def is_stream(protocol: WireProtocol, body: bytes) -> bool:
    """Return whether a body is the answer to a streaming call: events, or Gemini's array."""
    form = form_of(body[:_FORM_BYTES])
    return form is BodyForm.EVENTS or (protocol is WireProtocol.GEMINI and form is BodyForm.ARRAY)
