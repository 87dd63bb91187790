"""The repair of one attempt's event stream, from bytes to repaired events.

Also contains the rules on the framing of events.
"""

import re

from wiremend.protocols.base.event_repairer import DONE
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, make_error, read_error
from wiremend.protocols.base.repairer import (
    EventKind,
    Repaired,
    RepairedBody,
    Repairer,
    StreamContext,
)
from wiremend.repair.tool_names import ToolNameRestorer, restore_tool_names
from wiremend.rules.rule import CallPlace, EventPlace, Finding, Rule
from wiremend.text import json_value, sse
from wiremend.text.json_array import ArrayDecoder

_ALL = tuple(WireProtocol)

REPAIR_FAILED = Rule(
    code="S001",
    name="repair-failed",
    detects="A rule raised an exception on this stream: a bug in wiremend, not a fault in the "
    "traffic.",
    impact="The bug would break a stream that may have been valid.",
    action="Forwards the rest of the stream unchanged.",
    protocols=_ALL,
)
NO_FINAL_BLANK_LINE = Rule(
    code="S002",
    name="no-final-blank-line",
    detects="The last event is complete, but the blank line that ends it is missing.",
    impact="A client that follows the SSE standard discards the event, often the terminal event.",
    action="Adds the missing line end.",
    protocols=_ALL,
    before='data: {"done":true}\n',
    after='data: {"done":true}\n\n',
)
CUT_EVENT = Rule(
    code="S003",
    name="cut-event",
    detects="The stream ends inside an event.",
    impact="Clients try to parse a truncated JSON object: `Unexpected end of JSON input`.",
    action="Drops the fragment, and decides without it whether the stream was complete.",
    protocols=_ALL,
    before='data: {"type":"content_block_del',
)
EVENT_TOO_LARGE = Rule(
    code="S004",
    name="event-too-large",
    detects="One event is larger than 16 MiB.",
    impact="A proxy or client that buffers it runs out of memory.",
    action="Ends the stream in the protocol's error event.",
    protocols=_ALL,
)
FIELDS_WITHOUT_DATA = Rule(
    code="S005",
    name="fields-without-data",
    detects="For openai-python: `id:` or `retry:` lines, or an `event:` line without data.",
    impact="That SDK parses each of them as an event with empty data (`JSONDecodeError: Expecting "
    "value`). After one `id:` line it does so for every blank line too, keep-alives included.",
    action="Drops the lines: they have no meaning in these protocols.",
    protocols=("chat-completions", "responses"),
    seen=("openai/openai-python 3.52.0",),
    before='retry: 3000\n\nid: 1\ndata: {"choices":[…]}\n\n',
    after='\ndata: {"choices":[…]}\n\n',
)
STREAM_TOO_LONG = Rule(
    code="S006",
    name="stream-too-long",
    detects="A stream is longer than 256 MiB.",
    impact="The state kept to check its end (arguments, open blocks) would grow without limit.",
    action="Forwards the rest of the stream unchanged and keeps no further state.",
    protocols=_ALL,
)

STREAM_LIMIT_BYTES = 256 * 1024 * 1024
"""Bytes after which the rest of a stream is passed through unchanged."""
FINDINGS_LIMIT = 1000
"""Stop recording findings after this many per stream."""

_ID_OR_RETRY = re.compile(rb"(?:\A|[\r\n])(?:id|retry)[:\r\n]")


class StreamRepair:
    """Takes the bytes of the body and returns the repaired events. Its methods never raise."""

    def __init__(
        self,
        repairer: Repairer,
        context: StreamContext | None = None,
        limit_bytes: int = STREAM_LIMIT_BYTES,
    ) -> None:
        self._repairer = repairer
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._findings = 0
        self._drops_fields = (
            context is not None
            and context.client.reads_fields_as_events
            and FIELDS_WITHOUT_DATA.code not in context.disabled
        )
        self._decoder = repairer.decoder()
        self._is_array = isinstance(self._decoder, ArrayDecoder)
        self._events = 0
        self._gave_up = False
        self._is_cut = False
        self._verdict: Repaired | None = None

    @property
    def gave_up(self) -> bool:
        """Whether repairing has stopped: bytes are passed through, not split into events."""
        return self._gave_up

    @property
    def complete(self) -> bool:
        """Whether the response is complete, except perhaps for the terminal event."""
        return not self._gave_up and self._repairer.complete

    def feed(self, data: bytes) -> list[Repaired]:
        """Repair the events that `data` completes, in order."""
        if self._gave_up:
            return [Repaired(data, EventKind.CONTENT)]
        if self._is_cut:
            return []
        self._bytes += len(data)
        try:
            events = self._decoder.feed(data)
        except sse.EventTooLarge as too_large:
            return [self._fail_too_large(too_large)]
        repaired = [self._repair_event(event) for event in events]
        if self._bytes > self._limit_bytes and not self._gave_up:
            repaired.append(self._pass_the_rest())
        if self._gave_up:  # the bytes passed through later follow these
            repaired += [Repaired(event.raw, EventKind.CONTENT) for event in self._decoder.end()]
        return repaired

    @property
    def holds_back(self) -> bool:
        """Whether bytes are held back until the next event."""
        return not self._gave_up and self._verdict is None and self._repairer.holds_back

    def release(self) -> list[Repaired]:
        """Write what is held back although no further event came."""
        if not self.holds_back:
            return []
        try:
            repaired = self._repairer.release()
        except Exception as exception:
            return [self._give_up(exception, b"")]
        if repaired.kind in (EventKind.TERMINAL, EventKind.ERROR):
            self._verdict = repaired
        return [repaired]

    def end(self) -> list[Repaired]:
        """Repair the last bytes; the last result is the end of the stream, TERMINAL or ERROR."""
        if self._gave_up:
            return [Repaired(b"", EventKind.TERMINAL)]
        if self._verdict is not None:
            return [Repaired(b"", self._verdict.kind, error=self._verdict.error)]
        repaired: list[Repaired] = []
        for event in self._decoder.end():
            repaired.append(self._repair_last(event))
        if not repaired or repaired[-1].kind not in (EventKind.TERMINAL, EventKind.ERROR):
            repaired.append(self._end_guarded())
        return repaired

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error; empty if it cannot be written."""
        if self._gave_up:
            return b""
        try:
            return self._repairer.fail(error)
        except Exception:
            return b""

    def _repair_event(self, event: sse.Event) -> Repaired:
        self._events += 1
        if self._gave_up:
            return Repaired(event.raw, EventKind.CONTENT)
        try:
            received = self._bare_error(event) or event
            kept = self._without_fields(received) if self._drops_fields else received
            repaired = self._repairer.feed(kept)
            if kept is not received:
                repaired.findings.append(
                    Finding(
                        FIELDS_WITHOUT_DATA.code,
                        EventPlace(self._events),
                        "lines that are no data",
                        "dropped",
                    )
                )
            if repaired.kind in (EventKind.TERMINAL, EventKind.ERROR):
                self._verdict = repaired
            self._findings += len(repaired.findings)
            if self._findings > FINDINGS_LIMIT:
                repaired.findings.clear()
            return repaired
        except Exception as exception:
            return self._give_up(exception, event.raw)

    def _give_up(self, exception: Exception, raw: bytes) -> Repaired:
        """Stop repairing; return what is held back, and these bytes behind it."""
        held = self.take_held()
        self._gave_up = True
        found = f"{type(exception).__name__} in the rules"
        finding = Finding(
            REPAIR_FAILED.code, EventPlace(self._events), found, "passed on from here"
        )
        return Repaired(held + raw, EventKind.CONTENT, [finding])

    def take_held(self) -> bytes:
        """Return the bytes that the repairer holds back; empty if they cannot be written.

        For the rest of a stream that is passed on unrepaired.
        """
        try:
            repaired = self._repairer.release()
        except Exception:
            return b""
        return b"" if repaired.kind is EventKind.ERROR else repaired.data

    def _without_fields(self, event: sse.Event) -> sse.Event:
        """Return the event without the lines that such a client reads as events."""
        dropped = {b"id", b"retry"} if event.data is not None else {b"id", b"retry", b"event"}
        if event.data is not None and not _ID_OR_RETRY.search(event.raw):
            return event
        lines = sse.split_lines(event.raw)
        kept = [line for line in lines if sse.read_field(line.rstrip(b"\r\n"))[0] not in dropped]
        return event if kept == lines else sse.Event(sse.join_lines(kept), event.type, event.data)

    def _repair_last(self, event: sse.Event) -> Repaired:
        if event.complete:
            return self._repair_event(event)
        place = EventPlace(self._events + 1)
        if self._bare_error(event) is not None:
            return self._repair_event(event)
        if event.data is None:
            self._events += 1
            self._repairer.note_fragment(event.raw)
            # The next bytes must not continue an incomplete line; an array has no lines.
            rest = event.raw.strip(b" \t\r\n[]," if self._is_array else b"\r\n")
            return Repaired(b"" if rest else event.raw, EventKind.IDLE)
        end = next((end for end in (b"\r\n", b"\n", b"\r") if event.raw.endswith(end)), b"\n\n")
        completed = event.raw + end
        if event.data != DONE and not json_value.parses(event.data):
            finding = Finding(
                CUT_EVENT.code, place, f"{len(event.raw)} bytes of an unfinished event", "withheld"
            )
            self._repairer.note_fragment(event.raw)
            return Repaired(b"", EventKind.IDLE, [finding])
        repaired = self._repair_event(sse.Event(completed, event.type, event.data))
        repaired.findings.append(
            Finding(NO_FINAL_BLANK_LINE.code, place, "no blank line at the end", "added")
        )
        return repaired

    def _bare_error(self, event: sse.Event) -> sse.Event | None:
        """Return an error in bare JSON as an event with a data line; None for other events.

        Gateways send it if they fail after the head of a stream, or without a content type. In an
        array it is an ordinary element.
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
        # After the end it is dropped, or left unchanged if that rule is disabled.
        raw = sse.encode(data) if self._verdict is None else event.raw
        return sse.Event(raw, "", data)

    def _end_guarded(self) -> Repaired:
        try:
            return self._repairer.end()
        except Exception as exception:
            self._gave_up = True
            found = f"{type(exception).__name__} in the rules"
            return Repaired(
                b"",
                EventKind.TERMINAL,
                [Finding(REPAIR_FAILED.code, CallPlace.STREAM_END, found, "passed on")],
            )

    def _fail_too_large(self, too_large: sse.EventTooLarge) -> Repaired:
        error = make_error(status=502, type="api_error", message=f"upstream sent {too_large}")
        finding = Finding(
            EVENT_TOO_LARGE.code, EventPlace(self._events + 1), str(too_large), "ended in an error"
        )
        self._decoder.end()
        self._is_cut = True
        self._verdict = Repaired(self.fail(error), EventKind.ERROR, [finding], error)
        return self._verdict

    def _pass_the_rest(self) -> Repaired:
        held = self.take_held()
        self._gave_up = True
        found = f"more than {self._limit_bytes} bytes"
        finding = Finding(
            STREAM_TOO_LONG.code, EventPlace(self._events), found, "passed on from here"
        )
        return Repaired(held, EventKind.CONTENT, [finding])


def stream_repair(protocol: Protocol, context: StreamContext) -> StreamRepair:
    """Create the repair of one attempt's event stream."""
    repairer = protocol.make_repairer(context)
    if context.tool_names_by_sent:
        repairer = ToolNameRestorer(repairer, context.tool_names_by_sent, is_array=context.array)
    return StreamRepair(repairer, context)


def repair_body(protocol: Protocol, body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a buffered 2xx body."""
    named = (
        restore_tool_names(body, context.tool_names_by_sent) if context.tool_names_by_sent else body
    )
    return protocol.repair_body(named, context)
