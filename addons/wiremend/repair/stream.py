"""The repair of one attempt's event stream, from bytes to repaired events.

Also contains the rules on the framing of events.
"""

from collections import deque

from wiremend.protocols.base.event_repairer import DONE
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, own_error, read_error
from wiremend.protocols.base.repairer import (
    Decoder,
    EventKind,
    Repaired,
    Repairer,
    StreamContext,
)
from wiremend.repair.field_lines import FIELDS_WITHOUT_DATA, without_fields
from wiremend.repair.leaked_calls import (
    LEAKED_CALL,
    LeakedCallRepairer,
    LeakedCallWatch,
    LeakSearch,
)
from wiremend.repair.repeated_deltas import RepeatedDelta, Repetitions
from wiremend.repair.tool_names import ToolNameRestorer
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import FINDINGS_LIMIT, CallPlace, EventPlace, Finding, Rule
from wiremend.text import json_value, sse
from wiremend.text.json_array import ArrayDecoder, ElementsAsEvents, EventsAsElements
from wiremend.text.json_shortening import LEFT_OUT, Shortener

_ALL = tuple(WireProtocol)

REPAIR_FAILED = Rule(
    code="S001",
    name="repair-failed",
    detects="A rule raised an exception on this response: a bug in wiremend, not a fault in the "
    "traffic.",
    impact="The bug would break a response that may have been valid.",
    action="Forwards this event, or this body, and the rest of the stream unchanged. The stream is "
    "complete if its terminal event arrives; otherwise it ends in the protocol's error event.",
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
    impact="A proxy that keeps it for repairing runs out of memory.",
    action="Forwards the event unchanged while it arrives. The events after it are repaired again.",
    protocols=_ALL,
)
STREAM_TOO_LONG = Rule(
    code="S006",
    name="stream-too-long",
    detects="A stream is longer than 256 MiB.",
    impact="The state kept to check its end (arguments, open blocks) would grow without limit.",
    action="Forwards the rest of the stream unchanged and keeps no further state, except whether "
    "the terminal event arrived.",
    protocols=_ALL,
)

STREAM_LIMIT_BYTES = 256 * 1024 * 1024
"""Bytes after which the rest of a stream is passed through unchanged."""

_WITHHELD_LIMIT = 16
"""Events that are kept while the repairer does not report that it holds them back."""
_RECENT_EVENTS = 4
"""Where a stream without a terminal event has its finish reason: only usage follows it."""


class StreamRepair:
    """Takes the bytes of the body and returns the repaired events.

    An exception in a rule is contained: see `wiremend.rules.containment`. `protocol` judges the end
    of a stream that is no longer repaired; without it, such a stream is never complete. Contained
    faults are appended to `faults`. `decoder` is needed for a framing other than the repairer's.
    `watch` reports tool calls in the text. With `parses_all`, deltas that repeat are parsed too.
    """

    def __init__(
        self,
        repairer: Repairer,
        context: StreamContext | None = None,
        limit_bytes: int = STREAM_LIMIT_BYTES,
        *,
        protocol: Protocol | None = None,
        faults: list[Fault] | None = None,
        decoder: Decoder | None = None,
        watch: LeakedCallWatch | None = None,
        parses_all: bool = False,
    ) -> None:
        self._repairer = repairer
        self._watch = watch
        self._limit_bytes = limit_bytes
        self._protocol = protocol
        self._faults = faults if faults is not None else []
        self._bytes = 0
        self._findings = 0
        self._drops_fields = (
            context is not None
            and context.client.reads_fields_as_events
            and FIELDS_WITHOUT_DATA.code not in context.disabled
        )
        self._disabled = context.disabled if context is not None else frozenset()
        self._decoder = decoder or repairer.decoder()
        self._is_array = isinstance(self._decoder, ArrayDecoder | EventsAsElements)
        self._events = 0
        self._gave_up = False
        self._has_terminal = False
        """Whether the terminal event arrived after repairing stopped."""
        self._withheld: list[bytes] = []
        """The events since the last one that was written, which the repairer may hold back."""
        self._recent: deque[sse.Event] = deque(maxlen=_RECENT_EVENTS)
        self._large: Shortener | None = None
        """The shape of the large event whose parts are being passed on."""
        self._has_shortened = False
        self._verdict: Repaired | None = None
        may_repeat = isinstance(self._decoder, sse.Decoder) and not parses_all
        self._repetitions = Repetitions(is_on=may_repeat, reads_tags=watch is not None)

    @property
    def gave_up(self) -> bool:
        """Whether repairing has stopped: events are passed through."""
        return self._gave_up

    @property
    def complete(self) -> bool:
        """Whether the response is complete, except perhaps for the terminal event."""
        return self._has_terminal if self._gave_up else self._repairer.complete

    def feed(self, data: bytes) -> list[Repaired]:
        """Repair the events that `data` completes, in order."""
        self._bytes += len(data)
        repaired: list[Repaired] = []
        decoder = self._decoder if isinstance(self._decoder, sse.Decoder) else None
        at, size = 0, len(data)
        while at < size:
            if self._repetitions.delta is not None:
                at = self._pass_repeated(self._repetitions.delta, data, at, repaired)
                if at == size:
                    break
            event = decoder.feed_usual(data, at) if decoder is not None else None
            if event is not None:
                at += len(event.raw)
                one = self._repair_event(event)
                repaired.append(one)
                if self._watch is not None:
                    self._look_for_calls(self._watch, event.raw, [event], [one])
                if self._repairer.delta is not None or self._repetitions.delta is not None:
                    self._expect_repetitions(event, one)
            else:
                end = data.find(b"\n\n", at) + 2
                end = end if end > 1 else size
                repaired += self._feed(data[at:end])
                at = end
        if self._bytes > self._limit_bytes and not self._gave_up:
            found = f"more than {self._limit_bytes} bytes"
            place = EventPlace(self._events)
            finding = Finding(STREAM_TOO_LONG.code, place, found, "passed on from here")
            repaired.append(self.pass_the_rest(finding))
        return repaired

    def _feed(self, data: bytes) -> list[Repaired]:
        """Repair the events that `data` completes by parsing them."""
        events = self._decoder.feed(data)
        repaired = [self._repair_event(event) for event in events]
        if self._watch is not None:
            self._look_for_calls(self._watch, data, events, repaired)
        if events:
            self._expect_repetitions(events[-1], repaired[-1])
        return repaired

    def _expect_repetitions(self, event: sse.Event, repaired: Repaired) -> None:
        """Expect repetitions of the last event if it is a delta that passed unchanged."""
        is_passed = repaired.data is event.raw and not (self._gave_up or event.is_part)
        self._repetitions.expect(event.raw, self._repairer.delta if is_passed else None)

    def _pass_repeated(
        self, repeated: RepeatedDelta, data: bytes, at: int, repaired: list[Repaired]
    ) -> int:
        """Pass the repetitions of a delta that begin at `at`; return where the last one ends."""
        decoder, watch = self._decoder, self._watch
        if not isinstance(decoder, sse.Decoder) or decoder.pending_bytes:
            return at
        if watch is not None and watch.is_reading:
            return at
        end, run = repeated.run(data, at)
        if run.texts:
            count = len(run.texts)
            self._events += count
            self._repairer.skip(count)
            self._recent.extend([sse.Event(b"")] * min(count, _RECENT_EVENTS))
            self._withheld.clear()
            self._repetitions.keep(run)
            passed = Repaired(data[at:end], EventKind.CONTENT)
            passed.run = run if run.is_alike and repeated.keep is None else None
            repaired.append(passed)
        return end

    def _look_for_calls(
        self,
        watch: LeakedCallWatch,
        data: bytes,
        events: list[sse.Event],
        repaired: list[Repaired],
    ) -> None:
        """Add what is found in the text of these events, which `data` completed."""
        if not (b"<" in data or b"u003" in data or watch.is_reading) or not watch.must_read(data):
            return
        first = self._events - sum(not event.is_part for event in events) + 1
        found = contain("looking for calls", self._stop_watching, watch.read, events, first)
        if found:  # events behind the terminal one are dropped
            repaired[0].findings += found

    def _stop_watching(self, fault: Fault) -> list[Finding]:
        self._faults.append(fault)
        self._watch = None
        return []

    def pass_the_rest(self, finding: Finding) -> Repaired:
        """Stop repairing for the reason in `finding`; return what was held back.

        Later events are passed through, and the end of the stream is judged by its terminal event.
        """
        held = self.take_held()
        self._gave_up = True
        self._repetitions.stop()
        for recent in self._recent:
            self._look_for_terminal(recent)
        return Repaired(held, EventKind.CONTENT, [finding])

    @property
    def may_break_off(self) -> bool:
        """Whether the response may be complete if the connection breaks here; `end` decides."""
        return self._gave_up or self._repairer.may_break_off

    @property
    def holds_back(self) -> bool:
        """Whether bytes are held back until the next event."""
        return not self._gave_up and self._verdict is None and self._repairer.holds_back

    def release(self) -> list[Repaired]:
        """Write what is held back although no further event came."""
        if not self.holds_back:
            return []
        repaired = contain(
            "releasing what is held back",
            lambda fault: self._stop(fault, sse.Event(b"")),
            self._repairer.release,
        )
        if repaired.kind in (EventKind.TERMINAL, EventKind.ERROR):
            self._verdict = repaired
        return [repaired]

    def end(self) -> list[Repaired]:
        """Repair the last bytes; the last result is the end of the stream, TERMINAL or ERROR."""
        if self._verdict is not None:
            return [Repaired(b"", self._verdict.kind, error=self._verdict.error)]
        repaired = [self._repair_last(event) for event in self._decoder.end()]
        if self.is_inside_event:
            repaired.append(self._end_inside_event())
        if not repaired or repaired[-1].kind not in (EventKind.TERMINAL, EventKind.ERROR):
            repaired.append(self._end_stream())
        return repaired

    def missing_end(self) -> list[Repaired]:
        """Return the end of a stream that lacks nothing else; empty if it lacks more."""
        last = self.end()
        return last if last[-1].kind is EventKind.TERMINAL else []

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error; empty if it cannot be written."""
        if self._is_array and (self._gave_up or self.is_inside_event):
            return b""  # whether a bracket or comma is due is not known any more
        before, self._large = b"\n\n" if self.is_inside_event else b"", None
        return before + contain(
            "ending a stream in an error",
            lambda fault: self._plain_error(fault, error),
            self._repairer.fail,
            error,
        )

    def _plain_error(self, fault: Fault, error: ProviderError) -> bytes:
        """Return the protocol's error envelope as an event, without the state of the stream."""
        self._faults.append(fault)
        protocol = self._protocol
        if protocol is None or self._is_array:
            return b""
        write = "writing an error event"
        return contain(
            write, lambda _: b"", lambda: sse.encode(protocol.error_body(error), "error")
        )

    def _repair_event(self, event: sse.Event) -> Repaired:
        if event.is_part:
            return self._pass_part(event)
        self._events += 1
        if self._gave_up:
            return self._passed(event)
        repaired = contain(
            "repairing an event", lambda fault: self._stop(fault, event), self._repair, event
        )
        if self._has_shortened and LEFT_OUT in repaired.data:
            # It repeats what was left out, such as the items in the terminal event.
            repaired.data, repaired.value = event.raw, None
        return repaired

    def _repair(self, event: sse.Event) -> Repaired:
        """Repair one event; raises whatever a rule raises."""
        self._recent.append(event)
        received = event if event.data is not None else self._bare_error(event) or event
        kept = without_fields(received) if self._drops_fields else received
        repaired = self._repairer.feed(kept)
        kind = repaired.kind
        if kind is EventKind.TERMINAL or kind is EventKind.ERROR:
            self._verdict = repaired
        if repaired.data is event.raw and not repaired.findings and kept is event:
            self._withheld.clear()
            return repaired
        if kept is not received:
            repaired.findings.append(
                Finding(
                    FIELDS_WITHOUT_DATA.code,
                    EventPlace(self._events),
                    "lines that are no data",
                    "dropped",
                )
            )
        if repaired.data or repaired.findings:
            is_held = self._repairer.holds_back and event.raw not in repaired.data
            self._withheld = [event.raw] if is_held else []
        elif len(self._withheld) < _WITHHELD_LIMIT or self._repairer.holds_back:
            self._withheld.append(event.raw)
        self._findings += len(repaired.findings)
        if self._findings > FINDINGS_LIMIT:
            repaired.findings.clear()
        return repaired

    def _stop(self, fault: Fault, event: sse.Event) -> Repaired:
        """Stop repairing at an event on which a rule raised."""
        self._gave_up = True
        self._repetitions.stop()
        self._faults.append(fault)
        for recent in self._recent:
            self._look_for_terminal(recent)
        passed = self._passed(event)
        passed.data = self.take_held() + event.raw
        passed.findings.append(
            Finding(REPAIR_FAILED.code, EventPlace(self._events), str(fault), "passed on from here")
        )
        return passed

    def _passed(self, event: sse.Event) -> Repaired:
        """Return an event unchanged, and look whether it is the terminal event."""
        self._look_for_terminal(event)
        return Repaired(event.raw, EventKind.CONTENT)

    def _look_for_terminal(self, event: sse.Event) -> None:
        if self._protocol is not None and not self._has_terminal:
            is_terminal = self._protocol.is_terminal
            self._has_terminal = contain(
                "recognising the terminal event", self._never_terminal, is_terminal, event
            )

    def _never_terminal(self, fault: Fault) -> bool:
        self._faults.append(fault)
        self._protocol = None
        return False

    def take_held(self) -> bytes:
        """Return the bytes that are held back: as the repairer writes them, else as received.

        For the rest of a stream that is passed on unrepaired.
        """
        received = b"".join(self._withheld)
        self._withheld.clear()
        if self._gave_up:
            return received  # the repairer failed halfway, and may have lost it

        def as_received(fault: Fault) -> Repaired:
            self._faults.append(fault)
            return Repaired(b"", EventKind.IDLE)

        released = contain("releasing what is held back", as_received, self._repairer.release)
        is_lost = released.kind is EventKind.ERROR or not released.data
        return received if is_lost else released.data

    def _repair_last(self, event: sse.Event) -> Repaired:
        if event.complete or event.is_part:
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
        if event.data != DONE and not _is_whole(event.data):
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

    def _end_stream(self) -> Repaired:
        if self._gave_up:
            return self._judged_end([])
        return contain("ending a stream", self._stop_at_end, self._repairer.end)

    def _stop_at_end(self, fault: Fault) -> Repaired:
        self._gave_up = True
        self._repetitions.stop()
        self._faults.append(fault)
        for event in self._recent:
            self._look_for_terminal(event)
        done = "ended as it was" if self._has_terminal else "ended in an error"
        return self._judged_end(
            [Finding(REPAIR_FAILED.code, CallPlace.STREAM_END, str(fault), done)]
        )

    def _judged_end(self, findings: list[Finding]) -> Repaired:
        """Return the end of a stream that is not repaired any more."""
        if self._has_terminal:
            return Repaired(self.take_held(), EventKind.TERMINAL, findings)
        message = "The stream ended before its terminal event."
        error = own_error(message, type="api_error")
        return Repaired(self.fail(error), EventKind.ERROR, findings, error)

    # Events that are too large for memory

    @property
    def is_inside_event(self) -> bool:
        """Whether a part of an event was passed on, so that nothing may be inserted now."""
        return self._large is not None

    def _pass_part(self, event: sse.Event) -> Repaired:
        """Pass on a part of a large event; with the last one, take note of what it contains."""
        passed = Repaired(event.raw, EventKind.CONTENT)
        if self._large is None:
            self._events += 1
            self._large = Shortener()
            passed.data = self.take_held() + event.raw
            found = f"an event of more than {sse.EVENT_LIMIT_BYTES} bytes"
            if EVENT_TOO_LARGE.code not in self._disabled:
                passed.findings.append(
                    Finding(EVENT_TOO_LARGE.code, EventPlace(self._events), found, "passed on")
                )
        self._large.feed(event.raw)
        if event.complete:
            shortened, self._large = self._large.shortened, None
            self._note_passed(shortened, passed)
        return passed

    def _note_passed(self, shortened: bytes | None, passed: Repaired) -> None:
        """Tell the repairer what was passed on; what it would write instead is not used."""
        for event in self._decoder_of_shortened().feed(shortened or b""):
            if event.data is None or not json_value.parses(event.data):
                continue
            self._has_shortened = True
            if self._gave_up:
                self._look_for_terminal(event)
                continue
            noted = contain("reading a large event", self._note_fault, self._repair, event)
            if self.holds_back:
                self.release()
            self._withheld.clear()
            if noted.kind in (EventKind.TERMINAL, EventKind.ERROR):
                passed.kind, passed.error = noted.kind, noted.error
            if noted.kind is EventKind.ERROR:
                passed.data += noted.data
            if self._gave_up:
                passed.findings += noted.findings

    def _decoder_of_shortened(self) -> Decoder:
        return ArrayDecoder() if self._is_array else sse.Decoder()

    def _note_fault(self, fault: Fault) -> Repaired:
        return self._stop(fault, sse.Event(b""))

    def _end_inside_event(self) -> Repaired:
        """End a stream that ends inside a large event, unless only its blank line is missing."""
        assert self._large is not None
        end = b"" if self._is_array else b"\n\n"
        last = self._decoder_of_shortened().feed((self._large.shortened or b"") + end)
        if last and last[0].data is not None and json_value.parses(last[0].data):
            return self._pass_part(sse.Event(end, is_part=True))
        error = own_error("The stream ended inside an event.", type="api_error")
        return Repaired(self.fail(error), EventKind.ERROR, error=error)


def _is_whole(data: bytes) -> bool:
    """Return whether the data of an unfinished event is JSON, or several lines of it (`S424`)."""
    lines = data.splitlines()
    return json_value.parses(data) or (len(lines) > 1 and all(map(json_value.parses, lines)))


def stream_repair(
    protocol: Protocol,
    context: StreamContext,
    faults: list[Fault] | None = None,
    *,
    is_reframed: bool = False,
    parses_all: bool = False,
) -> StreamRepair:
    """Create the repair of one attempt's event stream; contained faults go to `faults`.

    `is_reframed`: an array arrives where the client expects server-sent events, or the reverse.
    With `parses_all`, deltas that repeat are parsed too.
    """
    repairer = protocol.make_repairer(context)
    if context.tool_names_by_sent:
        repairer = ToolNameRestorer(repairer, context.tool_names_by_sent, is_array=context.array)
    watch: LeakedCallWatch | None = None
    if context.tool_names and LEAKED_CALL.code not in context.disabled:
        if context.leaked_formats:
            search = LeakSearch(protocol, context)
            repairer = LeakedCallRepairer(repairer, search, is_array=context.array)
        else:
            watch = LeakedCallWatch(protocol, context)
    decoder: Decoder | None = None
    if is_reframed:
        decoder = EventsAsElements() if context.array else ElementsAsEvents()
    return StreamRepair(
        repairer,
        context,
        protocol=protocol,
        faults=faults,
        decoder=decoder,
        watch=watch,
        parses_all=parses_all,
    )
