"""One attempt's event stream from bytes to mended events, and the rules on framing itself.

The same path serves the live proxy and the offline checker.
"""

import re

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, make_error, read_error
from wiremend.protocols.base.repairer import Kind, Mended, MendedBody, Mender, StreamContext
from wiremend.repair.tool_names import NamingBack, name_back
from wiremend.rules.rule import CallPlace, EventPlace, Finding, Rule
from wiremend.text import json_value, sse
from wiremend.text.json_array import ArrayDecoder

_ALL = tuple(WireProtocol)

REPAIR_FAILED = Rule(
    code="S001",
    name="repair-failed",
    finds="A rule failed on this stream: a fault of ours, not of the traffic.",
    hurts="The stream would break where it was fine.",
    mends="From there on the stream passes as it comes.",
    protocols=_ALL,
)
NO_FINAL_BLANK_LINE = Rule(
    code="S002",
    name="no-final-blank-line",
    finds="The last event is whole but the blank line that ends it is missing.",
    hurts="A client that follows the SSE standard discards the event, often the terminal one.",
    mends="The missing line end is added.",
    protocols=_ALL,
    before='data: {"done":true}\n',
    after='data: {"done":true}\n\n',
)
CUT_EVENT = Rule(
    code="S003",
    name="cut-event",
    finds="The stream ends inside an event.",
    hurts="Clients try to parse half a JSON object: `Unexpected end of JSON input`.",
    mends="The fragment is withheld; whether the stream was complete is decided without it.",
    protocols=_ALL,
    before='data: {"type":"content_block_del',
)
EVENT_TOO_LARGE = Rule(
    code="S004",
    name="event-too-large",
    finds="One event is larger than 16 MiB.",
    hurts="A proxy or client that keeps it whole runs out of memory.",
    mends="The stream ends in the protocol's error.",
    protocols=_ALL,
)
FIELDS_WITHOUT_DATA = Rule(
    code="S005",
    name="fields-without-data",
    finds="For openai-python: `id:` or `retry:` lines, or an `event:` line without data.",
    hurts=(
        "That SDK takes each for an event and parses its empty data (`JSONDecodeError: Expecting "
        "value`); after one `id:` line, every blank line too, keep-alives included."
    ),
    mends="The lines are dropped: none means anything in these protocols.",
    protocols=("chat-completions", "responses"),
    seen=("openai/openai-python 3.52.0",),
    before='retry: 3000\n\nid: 1\ndata: {"choices":[…]}\n\n',
    after='\ndata: {"choices":[…]}\n\n',
)
STREAM_TOO_LONG = Rule(
    code="S006",
    name="stream-too-long",
    finds="More than 256 MiB came in one stream.",
    hurts="What is kept of it to judge its end (arguments, open blocks) would grow without limit.",
    mends="From there on the stream passes as it comes, and nothing more is kept.",
    protocols=_ALL,
)
RULES = (
    REPAIR_FAILED,
    NO_FINAL_BLANK_LINE,
    CUT_EVENT,
    EVENT_TOO_LARGE,
    FIELDS_WITHOUT_DATA,
    STREAM_TOO_LONG,
)

STREAM_LIMIT_BYTES = 256 * 1024 * 1024
"""What is kept of a stream is less than came of it."""
FINDINGS_LIMIT = 1000
"""What is wrong with every event of a stream is not told for ever."""

_ID_OR_RETRY = re.compile(rb"(?:\A|[\r\n])(?:id|retry)[:\r\n]")


class StreamRepair:
    """Feed it the body's bytes; take what each event became. It never raises."""

    def __init__(
        self,
        mender: Mender,
        context: StreamContext | None = None,
        limit_bytes: int = STREAM_LIMIT_BYTES,
    ) -> None:
        self._mender = mender
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._findings = 0
        self._drops_fields = (
            context is not None
            and context.client.reads_fields_as_events
            and FIELDS_WITHOUT_DATA.code not in context.disabled
        )
        self._decoder = mender.decoder()
        self._is_array = isinstance(self._decoder, ArrayDecoder)
        self._events = 0
        self._gave_up = False
        self._is_cut = False
        self._verdict: Mended | None = None

    @property
    def gave_up(self) -> bool:
        """Mending ended before the stream: it passes as it comes, event boundaries unknown."""
        return self._gave_up

    @property
    def complete(self) -> bool:
        """The answer is whole: its stop reason came, and only the stream's end may be missing."""
        return not self._gave_up and self._mender.complete

    def feed(self, data: bytes) -> list[Mended]:
        """What the events completed by `data` became, in order."""
        if self._gave_up:
            return [Mended(data, Kind.CONTENT)]
        if self._is_cut:
            return []
        self._bytes += len(data)
        try:
            events = self._decoder.feed(data)
        except sse.EventTooLarge as too_large:
            return [self._too_large(too_large)]
        mended = [self._mend(event) for event in events]
        if self._bytes > self._limit_bytes and not self._gave_up:
            mended.append(self._too_long())
        if self._gave_up:  # what comes next follows on these bytes
            mended += [Mended(event.raw, Kind.CONTENT) for event in self._decoder.end()]
        return mended

    def end(self) -> list[Mended]:
        """What the last bytes became; the verdict on the whole, TERMINAL or ERROR, comes last."""
        if self._gave_up:
            return [Mended(b"", Kind.TERMINAL)]
        if self._verdict is not None:
            return [Mended(b"", self._verdict.kind, error=self._verdict.error)]
        mended: list[Mended] = []
        for event in self._decoder.end():
            mended.append(self._mend_last(event))
        if not mended or mended[-1].kind not in (Kind.TERMINAL, Kind.ERROR):
            mended.append(self._guarded_end())
        return mended

    def fail(self, error: ProviderError) -> bytes:
        """The bytes that end the stream in this error; empty when none can be written."""
        if self._gave_up:
            return b""
        try:
            return self._mender.fail(error)
        except Exception:
            return b""

    def _mend(self, event: sse.Event) -> Mended:
        self._events += 1
        if self._gave_up:
            return Mended(event.raw, Kind.CONTENT)
        try:
            told = self._bare_error(event) or event
            whole = self._without_fields(told) if self._drops_fields else told
            mended = self._mender.feed(whole)
            if whole is not told:
                mended.findings.append(
                    Finding(
                        FIELDS_WITHOUT_DATA.code,
                        EventPlace(self._events),
                        "lines that are no data",
                        "dropped",
                    )
                )
            if mended.kind in (Kind.TERMINAL, Kind.ERROR):
                self._verdict = mended
            self._findings += len(mended.findings)
            if self._findings > FINDINGS_LIMIT:
                mended.findings.clear()
            return mended
        except Exception as exception:
            self._gave_up = True
            found = f"{type(exception).__name__} in the rules"
            finding = Finding(
                REPAIR_FAILED.code, EventPlace(self._events), found, "passed on from here"
            )
            return Mended(event.raw, Kind.CONTENT, [finding])

    def _without_fields(self, event: sse.Event) -> sse.Event:
        """The event without the lines that make an event of nothing to openai-python."""
        dropped = {b"id", b"retry"} if event.data is not None else {b"id", b"retry", b"event"}
        if event.data is not None and not _ID_OR_RETRY.search(event.raw):
            return event
        lines = sse.split_lines(event.raw)
        kept = [one for one in lines if sse.read_field(one.rstrip(b"\r\n"))[0] not in dropped]
        return event if kept == lines else sse.Event(sse.join_lines(kept), event.type, event.data)

    def _mend_last(self, event: sse.Event) -> Mended:
        if event.complete:
            return self._mend(event)
        place = EventPlace(self._events + 1)
        if self._bare_error(event) is not None:
            return self._mend(event)
        if event.data is None:
            self._events += 1
            # Half a line must not run into what may follow; an array has no lines.
            rest = event.raw.strip(b" \t\r\n[]," if self._is_array else b"\r\n")
            return Mended(b"" if rest else event.raw, Kind.IDLE)
        end = next((end for end in (b"\r\n", b"\n", b"\r") if event.raw.endswith(end)), b"\n\n")
        completed = event.raw + end
        if not self._is_whole(event.data):
            finding = Finding(
                CUT_EVENT.code, place, f"{len(event.raw)} bytes of an unfinished event", "withheld"
            )
            return Mended(b"", Kind.IDLE, [finding])
        mended = self._mend(sse.Event(completed, event.type, event.data))
        mended.findings.append(
            Finding(NO_FINAL_BLANK_LINE.code, place, "no blank line at the end", "added")
        )
        return mended

    def _bare_error(self, event: sse.Event) -> sse.Event | None:
        """The error that stands there as bare JSON, put on a data line; None for all other events.

        So a gateway answers that promised a stream, or no type at all, and then failed. In an array
        it is an element like others.
        """
        if self._is_array or event.data is not None:
            return None
        text = event.raw.strip()
        if text[:1] != b"{":
            return None
        try:
            error = read_error(json_value.read(text))
        except ValueError:
            return None
        if error is None:
            return None
        data = b" ".join(text.splitlines())
        # After the end it is dropped, or passes as it came where that rule is off.
        raw = sse.encode(data) if self._verdict is None else event.raw
        return sse.Event(raw, "", data)

    def _is_whole(self, data: bytes) -> bool:
        if data == b"[DONE]":
            return True
        try:
            json_value.read(data)
        except ValueError:
            return False
        return True

    def _guarded_end(self) -> Mended:
        try:
            return self._mender.end()
        except Exception as exception:
            self._gave_up = True
            found = f"{type(exception).__name__} in the rules"
            return Mended(
                b"",
                Kind.TERMINAL,
                [Finding(REPAIR_FAILED.code, CallPlace.STREAM_END, found, "passed on")],
            )

    def _too_large(self, too_large: sse.EventTooLarge) -> Mended:
        error = make_error(status=502, type="api_error", message=f"upstream sent {too_large}")
        finding = Finding(
            EVENT_TOO_LARGE.code, EventPlace(self._events + 1), str(too_large), "ended in an error"
        )
        self._decoder.end()
        self._is_cut = True
        self._verdict = Mended(self.fail(error), Kind.ERROR, [finding], error)
        return self._verdict

    def _too_long(self) -> Mended:
        self._gave_up = True
        found = f"more than {self._limit_bytes} bytes"
        finding = Finding(
            STREAM_TOO_LONG.code, EventPlace(self._events), found, "passed on from here"
        )
        return Mended(b"", Kind.CONTENT, [finding])


def stream_repair(protocol: Protocol, context: StreamContext) -> StreamRepair:
    """A fresh repair for one attempt's event stream."""
    mender = protocol.make_repairer(context)
    if context.tool_names_by_sent:
        mender = NamingBack(mender, context.tool_names_by_sent, is_array=context.array)
    return StreamRepair(mender, context)


def repair_body(protocol: Protocol, body: bytes, context: StreamContext) -> MendedBody:
    """What a buffered 2xx body becomes."""
    named = name_back(body, context.tool_names_by_sent) if context.tool_names_by_sent else body
    return protocol.repair_body(named, context)
