"""Mends a Gemini stream of either framing, event by event.

What the rules are called and why they exist stands in gemini_rules.py; what is done to one
response object, in gemini_response.py. Here are the two framings, the errors, and the question
whether the stream is complete.
"""

import re
from typing import Any

from wiremend.protocols.base.provider_error import ProviderError, make_error, read_error
from wiremend.protocols.base.repairer import Decoder, Kind, Mended, StreamContext
from wiremend.protocols.gemini import rules
from wiremend.protocols.gemini.errors import error_envelope, error_event
from wiremend.protocols.gemini.grammar import BARE_CANDIDATE_KEYS
from wiremend.protocols.gemini.response import (
    ContentLost,
    Response,
    ResponseMender,
    candidates_of,
    is_response,
    renamed,
    unwrapped,
)
from wiremend.protocols.gemini.rules import RULES
from wiremend.rules.rule import EventPlace, PlacedNotes, Rule
from wiremend.text import json_value, sse
from wiremend.text.json_array import ArrayDecoder

__all__ = ["RULES", "GeminiMender"]

_DATA_LINES = re.compile(rb"(?:data: [^\r\n]*(?:\r\n|\r|\n))+(?:\r\n|\r|\n)")
_LINE_ENDS_IN_TEXT = {"\u0085": b"\\u0085", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}


class EventDecoder(sse.Decoder):
    """Server-sent events, and JSON that stands there bare: so Google's servers write an error."""

    def feed(self, data: bytes) -> list[sse.Event]:
        """The events that `data` completes; see `sse.Decoder.feed`."""
        return [_with_bare_json(event) for event in super().feed(data)]

    def end(self) -> list[sse.Event]:
        """What was left without a blank line; see `sse.Decoder.end`.

        Half a line is data, too, if of no use: nothing may be glued to it. Half a CRLF is whole.
        """
        events = [_with_bare_json(event) for event in super().end()]
        for event in events:
            if event.data is None and event.raw.strip(b"\r\n"):
                event.data = b""
            if not event.complete and event.raw.endswith(b"\r"):
                event.raw += b"\n"
        return events


class GeminiMender:
    """One attempt's stream; see `wiremend.protocols.base.repairer.Mender`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._notes = PlacedNotes(context.disabled)
        self._responses = ResponseMender(context.tool_names, self._notes)
        self._events = 0
        self._has_begun = False
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._is_blocked = False
        self._error: ProviderError | None = None
        # The array: elements that came, elements that were passed on, and its end, which is
        # withheld until the verdict: nothing can be added behind it.
        self._elements = 0
        self._shown = 0
        self._closing = b""
        self._is_past_array = False

    def __repr__(self) -> str:
        begun, finished = sorted(self._begun), sorted(self._finished)
        return f"GeminiMender(event={self._events}, begun={begun}, finished={finished})"

    @property
    def complete(self) -> bool:
        """Every candidate has its finish reason, or the prompt was refused."""
        if self._error is not None:
            return False
        return self._is_blocked or (bool(self._finished) and self._begun <= self._finished)

    def decoder(self) -> Decoder:
        """A decoder of server-sent events, or of one JSON array's elements."""
        return ArrayDecoder() if self._context.array else EventDecoder()

    def feed(self, event: sse.Event) -> Mended:
        """What one event becomes."""
        self._events += 1
        self._notes.enter(EventPlace(self._events))
        if self._error is not None:
            if event.data is not None:
                self._notes.note(rules.AFTER_THE_END, f"{len(event.data)} bytes", "dropped")
            return Mended(b"", Kind.IDLE, self._notes.findings)
        if event.data is None:
            return self._without_data(event)
        if self._context.array:
            self._elements += 1
        else:
            event = self._on_data_lines(event, event.data)
        return self._with_data(event, event.data or b"")

    def end(self) -> Mended:
        """TERMINAL when every candidate has its finish reason, else the protocol's error."""
        self._notes.enter(EventPlace(self._events))
        if self._error is not None:
            return Mended(b"", Kind.ERROR, error=self._error)
        if self.complete:
            closing = self._closing
            if self._context.array and not closing:
                is_on = self._notes.note(
                    rules.ARRAY_PUNCTUATION, "the array is not closed", "closed"
                )
                closing = b"]" if is_on else b""
            return Mended(closing, Kind.TERMINAL, self._notes.findings)
        if not self._has_begun:
            return self._ended_in_error("The stream ended before its first event.")
        return self._ended_in_error(
            "The stream ended before its finish reason.",
            rules.FINISH_REASON_MISSING,
            "the end without a finish reason",
        )

    def fail(self, error: ProviderError) -> bytes:
        """The bytes that end the stream in this error, in its framing."""
        if not self._context.array:
            return error_event(error)
        return (b",\r\n" if self._shown else b"[") + error_envelope(error) + b"]"

    # The framing

    def _without_data(self, event: sse.Event) -> Mended:
        if not self._context.array:
            return Mended(self._data_lines_of(event.raw), Kind.IDLE, self._notes.findings)
        if not self._closing and b"]" not in event.raw:
            return Mended(event.raw, Kind.IDLE)
        if self._closing:
            return self._after_the_array(event.raw)
        self._closing = event.raw
        if self._elements and event.raw.strip() != b"]":
            found = f"{event.raw.strip()!r} at the end"
            if self._notes.note(rules.ARRAY_PUNCTUATION, found, "mended"):
                self._closing = b"]"
        return Mended(b"", Kind.IDLE, self._notes.findings)

    def _after_the_array(self, raw: bytes) -> Mended:
        """White space stays; from the first other byte on nothing does. Found once."""
        text = raw.lstrip()
        if not self._is_past_array:
            self._closing += raw[: len(raw) - len(text)]
            if text and self._notes.note(rules.AFTER_THE_END, "text after the array", "dropped"):
                self._is_past_array = True
            else:
                self._closing += text
        return Mended(b"", Kind.IDLE, self._notes.findings)

    def _on_data_lines(self, event: sse.Event, data: bytes) -> sse.Event:
        """The same event on lines that the official SDKs read."""
        raw = event.raw
        if not _DATA_LINES.fullmatch(raw):
            if _is_bare_json(raw):
                if self._notes.note(rules.OTHER_LINES, "bare JSON", "put on a data line"):
                    data = b" ".join(data.splitlines())
                    raw = sse.encode(data)
            else:
                raw = self._data_lines_of(raw)
        whole_event = self._context.client.whole_event
        if (
            whole_event is not None
            and not whole_event.fullmatch(raw)
            and self._notes.note(rules.SEVERAL_LINES, "several lines", "put on one")
        ):
            data = self._on_one_line(data)
            raw = sse.encode(data)
        return event if raw is event.raw else sse.Event(raw, event.type, data)

    def _data_lines_of(self, raw: bytes) -> bytes:
        """The data lines and the blank line of an event, less the lines that rules drop."""
        kept: list[bytes] = []
        for line in sse.split_lines(raw):
            content = line.rstrip(b"\r\n")
            name, value = sse.read_field(content)
            if not content or line.startswith(b"data: "):
                kept.append(line)
            elif line == sse.BYTE_ORDER_MARK:
                if not self._notes.note(rules.OTHER_LINES, "a byte order mark", "dropped"):
                    kept.append(line)
            elif line.startswith(b":"):
                if not self._notes.note(rules.COMMENT, f"{len(content)} bytes", "dropped"):
                    kept.append(line)
            elif name != b"data":
                found = f"a line `{name[:20].decode('utf-8', 'replace')}:`"
                if not self._notes.note(rules.OTHER_LINES, found, "dropped"):
                    kept.append(line)
            elif self._notes.note(rules.OTHER_LINES, "`data:` without its space", "`data: `"):
                kept.append(b"data: " + value + line[len(content) :])
            else:
                kept.append(line)
        return sse.join_lines(kept)

    def _on_one_line(self, data: bytes) -> bytes:
        """The same JSON text on one line, whatever a client takes for a line end."""
        data = data.replace(b"\n", b" ")
        for character, escaped in _LINE_ENDS_IN_TEXT.items():
            data = data.replace(character.encode(), escaped)
        return data

    def _written(self, event: sse.Event, texts: list[bytes]) -> bytes:
        """The event's bytes with these JSON texts in place of its data; none drops it."""
        if self._context.array:
            return b"".join(self._placed(event, text) for text in texts)
        if texts == [event.data]:
            return event.raw
        if len(texts) == 1:
            return self._readable(event, texts[0])
        return b"".join(sse.encode(self._on_one_line(text)) for text in texts)

    def _readable(self, event: sse.Event, text: bytes) -> bytes:
        """The event's bytes with this JSON text, on one line if the client needs that."""
        raw = sse.with_data(event, text)
        whole_event = self._context.client.whole_event
        if whole_event is None or whole_event.fullmatch(raw):
            return raw
        return sse.with_data(event, self._on_one_line(text))

    def _placed(self, event: sse.Event, text: bytes) -> bytes:
        """One element with the bracket or comma that its place in the array asks for."""
        before = event.raw[: len(event.raw) - len(event.data or b"")]
        is_first = self._shown == 0
        self._shown += 1
        came = before.strip()
        if came != (b"[" if self._elements == 1 else b","):
            if not self._notes.note(
                rules.ARRAY_PUNCTUATION, f"{came!r} before an element", "mended"
            ):
                return before + text
        elif came == (b"[" if is_first else b","):
            return before + text
        return (b"[" if is_first else b",\r\n") + text

    # What the data says

    def _with_data(self, event: sse.Event, data: bytes) -> Mended:
        text = data.strip()
        if not text:
            return self._dropped(event, rules.EMPTY_FRAME, "no data")
        if text == b"[DONE]":
            return self._dropped(event, rules.DONE_MARKER, "[DONE]")
        try:
            value = json_value.read(data)
        except ValueError:
            if text[:1] not in (b"{", b"["):
                return self._dropped(event, rules.FOREIGN_FRAME, f"{len(text)} bytes of text")
            return self._ended_in_error(
                "The provider sent an event that is not valid JSON.",
                rules.BROKEN_EVENT,
                f"{len(text)} bytes that do not parse",
            )
        values = value if isinstance(value, list) else [value]
        error = next(filter(None, map(read_error, values)), None)
        if error is not None:
            return self._reported(event, value, error)
        if value == {}:
            return Mended(self._written(event, [data]), Kind.IDLE, self._notes.findings)
        if not values or not all(is_response(one) for one in values):
            return self._dropped(event, rules.FOREIGN_FRAME, _what(value))
        if values is value and not self._notes.note(
            rules.RESPONSE_IN_A_LIST, f"a list of {len(values)}", "the list was taken off"
        ):
            return Mended(self._written(event, [data]), Kind.CONTENT, self._notes.findings)
        try:
            return self._mended(event, values, data if values is not value else None)
        except ContentLost as lost:
            return self._ended_in_error(str(lost))

    def _mended(self, event: sse.Event, values: list[Response], data: bytes | None) -> Mended:
        """The event with its responses mended; `data` is the JSON text of the only one."""
        self._has_begun = True
        kind = Kind.IDLE
        texts: list[bytes] = []
        for value in values:
            response = unwrapped(value)
            is_changed = self._responses.mend(response)
            self._note(response)
            text = json_value.write(value) if is_changed or data is None else data
            texts.append(renamed(text, value, self._context.shown_model))
            if kind is not Kind.CONTENT:
                kind = _kind_of(response)
        return Mended(self._written(event, texts), kind, self._notes.findings)

    def _note(self, response: Response) -> None:
        feedback = response.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._is_blocked = True
        for candidate in candidates_of(response):
            index = candidate.get("index")
            index = index if isinstance(index, int) else 0
            self._begun.add(index)
            if candidate.get("finishReason"):
                self._finished.add(index)

    def _dropped(self, event: sse.Event, rule: Rule, found: str) -> Mended:
        if self._notes.note(rule, found, "dropped"):
            return Mended(b"", Kind.IDLE, self._notes.findings)
        return Mended(self._written(event, [event.data or b""]), Kind.IDLE, self._notes.findings)

    # Errors

    def _reported(self, event: sse.Event, value: Any, error: ProviderError) -> Mended:
        self._error = error
        if _is_native(value, error):
            ending = self._written(event, [event.data or b""])
            ending += b"]" if self._context.array else b""
        else:
            ending = self.fail(error)
        return Mended(ending, Kind.ERROR, self._notes.findings, error)

    def _ended_in_error(self, message: str, rule: Rule | None = None, found: str = "") -> Mended:
        if rule is not None:
            self._notes.note(rule, found, "ended in an error")
        self._error = make_error(status=502, type="UNAVAILABLE", message=message)
        return Mended(self.fail(self._error), Kind.ERROR, self._notes.findings, self._error)


def _kind_of(response: Response) -> Kind:
    """Metadata is idle, a candidate that has nothing yet is preamble, the rest is content."""
    feedback = response.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return Kind.CONTENT
    if not response.get("candidates"):
        return Kind.IDLE
    is_bare = all(_is_bare(candidate) for candidate in candidates_of(response))
    return Kind.PREAMBLE if is_bare else Kind.CONTENT


def _is_bare(candidate: Response) -> bool:
    content = candidate.get("content", {})
    return (
        candidate.keys() <= BARE_CANDIDATE_KEYS
        and isinstance(content, dict)
        and content.get("parts", []) in ([], [{"text": ""}])
    )


def _is_native(value: Any, error: ProviderError) -> bool:
    """`{"error": {"code", "message", ...}}`, the key first: python-genai looks at the text."""
    inner = value.get("error") if isinstance(value, dict) else None
    if not isinstance(inner, dict) or next(iter(value)) != "error":
        return False
    code, message = inner.get("code"), inner.get("message")
    return (
        type(code) is int
        and 400 <= code < 600
        and message == error.message
        and bool(message.strip())
    )


def _is_bare_json(raw: bytes) -> bool:
    return raw.lstrip()[:1] in (b"{", b"[")


def _with_bare_json(event: sse.Event) -> sse.Event:
    if event.data is None and _is_bare_json(event.raw):
        event.data = event.raw.strip()
    return event


def _what(value: Any) -> str:
    """What a foreign value is, without what it says."""
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return "an object with " + ", ".join(sorted(value)[:5])[:80]
