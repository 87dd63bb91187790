"""Gemini streams with `alt=sse`: events on the `data: ` lines that Google's SDKs can read."""

from wiremend.protocols.base.client_traits import ClientTraits
from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule
from wiremend.text import sse
from wiremend.text.counted import counted
from wiremend.text.patterns import whole_pattern

_GEMINI = ("gemini",)
_PYTHON = "googleapis/python-genai 3.4.0"
_CLI = "google-gemini/gemini-cli 0.61.0"

COMMENT = Rule(
    code="S401",
    name="comment",
    detects="The stream contains a comment line such as `: keep-alive`.",
    impact='Gemini CLI fails with "Incomplete JSON segment at the end", python-genai with "Failed '
    'to parse response as JSON".',
    action="Drops the line. The blank line after it is kept and keeps the connection alive.",
    protocols=_GEMINI,
    seen=(_CLI, _PYTHON),
    before=": keep-alive\n\n",
    after="\n",
)
OTHER_LINES = Rule(
    code="S410",
    name="line-other-than-data",
    detects="A line does not start with `data: `: `event:`, `id:`, `data:` without a space.",
    impact='The official SDKs support only that prefix: Gemini CLI fails with "Incomplete JSON '
    'segment at the end", python-genai with "Failed to parse response as JSON".',
    action="Adds the space to data lines, turns bare JSON into a data line, and drops other lines.",
    protocols=_GEMINI,
    seen=(_PYTHON, _CLI),
    before='event: message\ndata:{"candidates":[…]}\n\n',
    after='data: {"candidates":[…]}\n\n',
)
SEVERAL_LINES = Rule(
    code="S413",
    name="data-on-several-lines",
    detects="An event's data occupies more than one line for the client that reads it.",
    impact='Gemini CLI reads one line, up to two equal line ends ("Incomplete JSON segment at the '
    'end"), and JavaScript also ends lines at U+2028 and U+2029; python-genai also ends a line at '
    'U+0085 ("Failed to parse response as JSON").',
    action="Writes the data on one line for these two clients, and escapes the characters.",
    protocols=_GEMINI,
    seen=(_CLI, _PYTHON),
    before='data: {"candidates":\ndata: [{"index":0}]}\n\n',
    after='data: {"candidates": [{"index":0}]}\n\n',
)

_DATA_LINES = whole_pattern(rb"(?:data: [^\r\n]*+(?>\r\n|\r|\n))++(?>\r\n|\r|\n)")
_LINE_ENDS_IN_TEXT = {"\u0085": b"\\u0085", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}


class EventDecoder(sse.Decoder):
    """Splits bytes into server-sent events and bare JSON, in which Google's servers send errors."""

    def feed(self, data: bytes) -> list[sse.Event]:
        """Return the events that `data` completes; see `sse.Decoder.feed`."""
        return [_with_bare_json(event) for event in super().feed(data)]

    def end(self) -> list[sse.Event]:
        """Return the event without a blank line; see `sse.Decoder.end`.

        An incomplete line becomes an event with empty data, so that later bytes do not continue
        it. A CR without its LF is completed.
        """
        events = [_with_bare_json(event) for event in super().end()]
        for event in events:
            if event.data is None and not event.is_part and event.raw.strip(b"\r\n"):
                event.data = b""
            if not event.complete and event.raw.endswith(b"\r"):
                event.raw += b"\n"
        return events


class DataLines:
    """Writes the events of one stream on lines that the client can read."""

    def __init__(self, draft: Draft, client: ClientTraits) -> None:
        self._draft = draft
        self._whole_event = client.whole_event

    @property
    def is_closed(self) -> bool:
        """Whether the framing shows that the stream is complete, which lines cannot."""
        return False

    @property
    def is_left_open(self) -> bool:
        """Whether the framing shows that the stream is incomplete."""
        return False

    def decoder(self) -> EventDecoder:
        """Create a decoder."""
        return EventDecoder()

    def reframe(self, event: sse.Event) -> sse.Event:
        """Return an event with data on lines that the official SDKs can read."""
        raw, data = event.raw, event.data or b""
        if not _DATA_LINES.fullmatch(raw):
            if _is_bare_json(raw):
                if self._draft.note(OTHER_LINES, "bare JSON", "`data: ` added"):
                    data = b" ".join(data.splitlines())
                    raw = sse.encode(data)
            else:
                raw = self._data_lines_of(raw)
        if not self._is_read(raw) and self._draft.note(SEVERAL_LINES, "several lines", "joined"):
            data = _on_one_line(data)
            raw = sse.encode(data)
        return event if raw is event.raw else sse.Event(raw, event.type, data)

    def is_usual(self, event: sse.Event) -> bool:
        """Return whether `reframe` does not change an event with data."""
        return bool(_DATA_LINES.fullmatch(event.raw)) and self._is_read(event.raw)

    def write_without_data(self, event: sse.Event) -> bytes:
        """Return the bytes of an event without data."""
        return self._data_lines_of(event.raw)

    def write(self, event: sse.Event, texts: list[bytes]) -> bytes:
        """Return the event with these JSON texts instead of its data; without texts, nothing."""
        if texts == [event.data]:
            return event.raw
        if len(texts) != 1:
            return b"".join(sse.encode(_on_one_line(text)) for text in texts)
        raw = sse.with_data(event, texts[0])
        return raw if self._is_read(raw) else sse.with_data(event, _on_one_line(texts[0]))

    def end_in_error(self, envelope: bytes) -> bytes:
        """Return an error as the end of the stream."""
        return sse.encode(envelope)

    def close(self) -> bytes:
        """Return the end of a complete stream."""
        return b""

    def close_after_error(self) -> bytes:
        """Return the end of a stream after the provider's own error."""
        return b""

    def _is_read(self, raw: bytes) -> bool:
        return self._whole_event is None or bool(self._whole_event.fullmatch(raw))

    def _data_lines_of(self, raw: bytes) -> bytes:
        """Return the data lines and the blank line of an event; rules drop the other lines."""
        kept: list[bytes] = []
        for line in sse.split_lines(raw):
            content = line.rstrip(b"\r\n")
            name, value = sse.read_field(content)
            if not content or line.startswith(b"data: "):
                kept.append(line)
            elif line == sse.BYTE_ORDER_MARK:
                if not self._draft.note(OTHER_LINES, "a byte order mark", "dropped"):
                    kept.append(line)
            elif line.startswith(b":"):
                if not self._draft.note(COMMENT, counted(len(content), "byte"), "dropped"):
                    kept.append(line)
            elif name != b"data":
                found = f"a line `{name[:20].decode('utf-8', 'replace')}:`"
                if not self._draft.note(OTHER_LINES, found, "dropped"):
                    kept.append(line)
            elif self._draft.note(OTHER_LINES, "`data:` without a space", "`data: `"):
                kept.append(b"data: " + value + line[len(content) :])
            else:
                kept.append(line)
        return sse.join_lines(kept)


def _on_one_line(data: bytes) -> bytes:
    """Return the JSON text on one line, for every definition of a line end."""
    data = data.replace(b"\n", b" ")
    for character, escaped in _LINE_ENDS_IN_TEXT.items():
        data = data.replace(character.encode(), escaped)
    return data


def _is_bare_json(raw: bytes) -> bool:
    return raw.lstrip()[:1] in (b"{", b"[")


def _with_bare_json(event: sse.Event) -> sse.Event:
    if event.data is None and not event.is_part and _is_bare_json(event.raw):
        event.data = event.raw.strip()
    return event
