"""Reads the response of one attempt: its mode, its repaired events, and what is held back.

It makes no decision about the call: `call_machine` passes it the bytes and decides what is sent
to the client.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from wiremend.engine import rules
from wiremend.engine.actions import Head, Respond
from wiremend.engine.call import Call
from wiremend.engine.translation.answers import TargetTranslation, TranslatedRepair
from wiremend.held_memory import COUNTED_AHEAD_BYTES, CallMemory, Part, unlimited
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import EventKind, Repaired, Shows
from wiremend.protocols.base.usage import NAME_OF_COUNTS, Usage, UsageMeter
from wiremend.repair.shown import shown_by
from wiremend.repair.stream import StreamRepair, stream_repair
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import CallPlace, Finding
from wiremend.text import json_value
from wiremend.text.body_form import LONGEST_FIELD_BYTES, BodyForm, form_of, has_event
from wiremend.text.content_coding import Decoder, UndecodableBody, decoder_for
from wiremend.translate.rules import CODES_OF_LOSSES

HELD_LIMIT_BYTES = 1024 * 1024
"""Held bytes past this are sent: a Responses preamble echoes the whole instructions, twice."""
BODY_LIMIT_BYTES = 64 * 1024 * 1024
"""A buffered body larger than this is forwarded unread."""
GUARDED_BYTES = 4096
GUARDED_SECONDS = 3.0
"""How much content a guarded stream holds back, and for how long."""

_JSON_FORMS = (BodyForm.OBJECT, BodyForm.ARRAY)


class BodyMode(Enum):
    """How the body of a response is treated."""

    STREAM = auto()
    """Events are repaired one by one and forwarded at once."""
    WHOLE = auto()
    """Collected, judged, then forwarded."""
    UNTOUCHED = auto()
    """Forwarded unread."""


@dataclass(slots=True)
class StreamRead:
    """What the events of one network read amount to."""

    shows: bool
    """Whether the client is sent something now: what was held back, then `ready`."""
    ready: bytes = b""
    has_progress: bool = False
    """Whether any event was more than a keep-alive."""
    end: Repaired | None = None
    """The event of kind TERMINAL or ERROR that ends the stream; later ones were dropped."""
    findings: list[Finding] = field(default_factory=list)


class ResponseReading:
    """The response of one attempt. `begin` takes the head, the other methods the body.

    Before the head arrives, the mode is UNTOUCHED and nothing is held.
    """

    _asks_again = False
    """Whether a response without an answer is asked for again. Few calls set it: beyond thirty
    attributes, Python stores those of an object in a dictionary of its own."""

    def __init__(
        self,
        call: Call,
        target: int = 0,
        faults: list[Fault] | None = None,
        memory: CallMemory | None = None,
        translation: TargetTranslation | None = None,
    ) -> None:
        self._memory = memory or unlimited()
        self._memory.hold(Part.RESPONSE, 0)
        self._read_bytes = self._counted_bytes = 0
        self.is_over_limit = False
        """Whether this response may not hold more. What it held is passed on."""
        self.context = call.context_at(target)
        self.translation = translation
        self.mode = BodyMode.UNTOUCHED
        self.head: Head | None = None
        self.body_is_whole = False
        self.guarded_since: float | None = None
        """When the first content of a guarded or buffered stream arrived."""
        self.holding_since: float | None = None
        """When the event arrived that the repairer holds back until the next one."""
        self.is_form_known = True
        """Whether `read_start` has no effect any more."""
        self._call = call
        if call.asks_again_at(target):
            self._asks_again = True
        self._faults = faults if faults is not None else []
        self._decoder: Decoder | None = None
        self._repair: StreamRepair | TranslatedRepair | None = None
        self._label_mode = self.mode
        self._start = b""
        """The first bytes, while they may become the name of a field."""
        self._form = BodyForm.UNKNOWN
        self._is_reframed = False
        self._label_findings: list[Finding] = []
        self._verdict_given = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._collected = bytearray()
        self._counts_tokens = True
        self._shows = Shows.NOTHING
        self._watches_answer = bool(self.context.tool_names) and (
            rules.SILENT_STOP.code not in self.context.disabled
        )
        self._meter = UsageMeter(call.protocol.usage_format)

    @property
    def protocol(self) -> Protocol:
        """The provider's protocol."""
        return self._call.protocol if self.translation is None else self.translation.provider

    def begin(self, head: Head) -> None:
        """Take the head and choose the mode of the body, which its first bytes may change."""
        self.head = head
        self.mode = self._label_mode = self._mode_for(head)
        if self.mode is BodyMode.STREAM:
            self._repair = self.fresh_repair()
        self.is_form_known = (
            not self._call.may_stream
            or head.status >= 300
            or self.mode is BodyMode.UNTOUCHED
            or not self._corrects_labels
        )

    def _mode_for(self, head: Head) -> BodyMode:
        if head.status < 200 or 300 <= head.status < 400:
            return BodyMode.UNTOUCHED
        try:
            self._decoder = decoder_for(head.get(b"content-encoding"))
        except UndecodableBody:
            return BodyMode.UNTOUCHED
        content_type = head.get(b"content-type").lower()
        is_success = head.status < 300
        if is_success and self._call.may_stream:
            if "text/event-stream" in content_type:
                return BodyMode.STREAM
            if self.context.array and "html" not in content_type:
                return BodyMode.STREAM
            if not content_type or content_type.startswith(("text/plain", "application/octet")):
                return BodyMode.STREAM  # some gateways omit the type
        return BodyMode.WHOLE

    @property
    def _corrects_labels(self) -> bool:
        return rules.WRONG_LABEL.code not in self.context.disabled

    def read_start(self, data: bytes) -> bytes:
        """Return what is to be read now, in the mode that the bytes so far require.

        The answer to a streaming call is what its first bytes are, whatever its label. Text that
        precedes the first event does not hide the events behind it.
        """
        if self._form is BodyForm.UNKNOWN:
            start = self._start + data
            self._form = form_of(start)
            if self._form is BodyForm.UNKNOWN:
                is_blank = start.isspace()
                self._start = b"" if is_blank else start
                return start if is_blank else b""
            self._start, data = b"", start
            self._enter_mode(self._mode_for_form())
        elif has_event(bytes(self._collected[-LONGEST_FIELD_BYTES:]) + data):
            self._form = BodyForm.EVENTS
            self._enter_mode(BodyMode.STREAM)
        if self.mode is BodyMode.STREAM and self._collected:
            data = bytes(self._collected) + data
            self._collected.clear()
        return data

    def read_last(self) -> bytes:
        """Return what is to be read at the end of a body whose form is not known yet.

        Text that begins like JSON, is labelled as events and is no JSON is read as events.
        """
        data, self._start, self.is_form_known = self._start, b"", True
        is_json = self._form in _JSON_FORMS and json_value.parses(self.collected)
        if self.mode is not self._label_mode is BodyMode.STREAM and not is_json:
            self._enter_mode(BodyMode.STREAM)
            data = self.collected
            self._collected.clear()
        return data

    def _mode_for_form(self) -> BodyMode:
        form = self._form
        is_gemini = self._call.streaming and self.protocol.name is WireProtocol.GEMINI
        if form is BodyForm.EVENTS or (is_gemini and form in _JSON_FORMS):
            self._is_reframed = self.context.array is (form is BodyForm.EVENTS)
            if form is BodyForm.OBJECT:
                self._is_reframed = False
            return BodyMode.STREAM
        return self._label_mode if form is BodyForm.OTHER else BodyMode.WHOLE

    def _enter_mode(self, mode: BodyMode) -> None:
        self.is_form_known = mode is BodyMode.STREAM or self._form is BodyForm.PAGE
        if mode is BodyMode.STREAM and (self._repair is None or self._is_reframed):
            self._repair = self.fresh_repair()
        self.mode = mode
        if mode is BodyMode.STREAM:
            self._check_label(self._stream_label, "events")

    @property
    def _stream_label(self) -> str:
        return "application/json" if self.context.array else "text/event-stream"

    def _check_label(self, right: str, what: str) -> None:
        """Correct the label of a body that is events, or JSON."""
        head = self.head
        label = "" if head is None else head.get(b"content-type").lower()
        is_right = "json" in label if right.endswith("json") else right in label
        if head is None or is_right or not self._corrects_labels:
            return
        fields = head.without((b"content-type",)).fields
        self.head = Head(head.status, ((b"content-type", right.encode()), *fields))
        found = f"{what}, labelled as {label}" if label else f"{what} without a label"
        self._label_findings.append(
            Finding(rules.WRONG_LABEL.code, CallPlace.RESPONSE, found, f"labelled as {right}")
        )

    def check_json_label(self, body: bytes) -> None:
        """Correct the label of a whole body that is JSON."""
        if self.head is None or "json" in self.head.get(b"content-type").lower():
            return  # a large body is not parsed once more
        if self.mode is BodyMode.WHOLE and self._is_json(body):
            self._check_label("application/json", "JSON")

    def take_label_findings(self) -> list[Finding]:
        """Return what was found on the label, once."""
        found, self._label_findings = self._label_findings, []
        return found

    @property
    def usage(self) -> Usage | None:
        """Return the token counts in what was sent or may be sent to the client."""
        return contain("counting tokens", self._no_usage, lambda: self._meter.usage)

    def _no_usage(self, fault: Fault) -> None:
        self._faults.append(fault)
        self._counts_tokens = False

    def count_tokens(self, data: bytes, value: Any = None) -> None:
        """Look for token counts in events, or in the whole body, that the client is sent.

        `value` is the parsed data of an event; None if that is not known.
        """
        if self._counts_tokens and NAME_OF_COUNTS in data:
            contain("counting tokens", self._no_usage, self._meter.feed, data, value)

    def look_for_answer(self, data: bytes, value: Any = None) -> None:
        """Note what events, or a whole body, show to the user or the agent; `value` as above."""
        if self._watches_answer:
            shown = contain(
                "looking for an answer", self._no_watch, shown_by, self._call.protocol, data, value
            )
            self._shows = max(self._shows, shown)
            self._watches_answer = self._shows is not Shows.ANSWER

    def _no_watch(self, fault: Fault) -> Shows:
        self._faults.append(fault)
        return Shows.ANSWER

    @property
    def is_silent(self) -> bool:
        """Whether tools were offered and no answer has arrived."""
        return self._watches_answer

    @property
    def holds_silence(self) -> bool:
        """Whether the frame of a response is held back, because it may be asked for again."""
        return self._asks_again and self._watches_answer and self._shows is Shows.NOTHING

    def decode(self, data: bytes) -> bytes:
        """Return bytes of the body without their content coding. Raises UndecodableBody.

        A few bytes may decode to a lot; see `Decoder.decode` for the limits.
        """
        return self._decoder.decode(data) if self._decoder else data

    # An event stream

    def fresh_repair(self) -> StreamRepair | TranslatedRepair:
        """Return the repair of a stream of this call that has received nothing."""
        repair = stream_repair(
            self.protocol, self.context, self._faults, is_reframed=self._is_reframed
        )
        return repair if self.translation is None else self.translation.stream(repair, self._faults)

    @property
    def at_event_boundary(self) -> bool:
        """Return whether a keep-alive cannot fall inside an event."""
        repair = self._repair
        return repair is None or (self.mode is BodyMode.STREAM and not repair.is_inside_event)

    @property
    def only_end_is_missing(self) -> bool:
        """Return whether the stop reason arrived and the terminal event did not."""
        return self._repair is not None and self._repair.complete

    def read_events(self, data: bytes) -> list[Repaired]:
        """Return the repaired events that these bytes complete.

        If no more may be held, the stream is passed on unrepaired from here.
        """
        assert self._repair is not None
        self._read_bytes += len(data)
        if self._read_bytes <= self._counted_bytes or self._repair.gave_up or self._may_hold():
            return self._repair.feed(data)
        finding = Finding(
            rules.TOO_MUCH_HELD.code, CallPlace.RESPONSE, self._limit_text(), "passed on from here"
        )
        return [self._repair.pass_the_rest(finding), *self._repair.feed(data)]

    def _may_hold(self) -> bool:
        """Count the bytes that were read; return False once the limit for all calls is reached.

        The state of repair is at most as large as the events that were read.
        """
        if self._read_bytes > self._counted_bytes and not self.is_over_limit:
            self._counted_bytes = self._read_bytes + COUNTED_AHEAD_BYTES
            self.is_over_limit = not self._memory.hold(Part.RESPONSE, self._counted_bytes)
        return not self.is_over_limit

    def _limit_text(self) -> str:
        return f"all calls hold {self._memory.limit_bytes / 2**20:g} MiB"

    def over_limit_findings(self) -> list[Finding]:
        """Return the finding on a body that is passed on unread because of the limit, if it is."""
        if not self.is_over_limit:
            return []
        found, done = self._limit_text(), "passed on unread"
        return [Finding(rules.TOO_MUCH_HELD.code, CallPlace.RESPONSE, found, done)]

    def may_judge(self) -> bool:
        """Return whether the collected body may be parsed; then call `judged` afterwards."""
        if not self._memory.hold(Part.JUDGED, 2 * len(self._collected)):
            self.is_over_limit = True
        return not self.is_over_limit

    def judged(self) -> None:
        """The collected body is no longer parsed."""
        self._memory.hold(Part.JUDGED, 0)

    def release_events(self) -> list[Repaired]:
        """Return what the repairer holds back although no further event came."""
        assert self._repair is not None
        self.holding_since = None
        return self._repair.release()

    def note_holding(self, now: float, repaired: Sequence[Repaired]) -> None:
        """Start the time of an event that is held back; keep-alives do not start it again."""
        assert self._repair is not None
        if not self._repair.holds_back:
            self.holding_since = None
        elif self.holding_since is None or any(
            event.kind is not EventKind.IDLE for event in repaired
        ):
            self.holding_since = now

    def end_stream(self) -> list[Repaired]:
        """Return the last events; the final one is TERMINAL, or ERROR for an incomplete stream."""
        assert self._repair is not None
        self._verdict_given = True
        return self._repair.end()

    def missing_end(self) -> list[Repaired]:
        """Return the end of a stream that lacks nothing else; empty if it lacks more."""
        if self._repair is None or self._verdict_given or not self._repair.may_break_off:
            return []
        self._verdict_given = True
        return self._repair.missing_end()

    def fail_stream(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error; empty if none can be written."""
        return (self._repair or self.fresh_repair()).fail(error)

    def sort(self, now: float, repaired: Sequence[Repaired], *, holding: bool) -> StreamRead:
        """Divide events into those that are shown now and those that are held back.

        `holding`: a failure can still be hidden from the client. If it can and the
        stream ends in an error, nothing of this read is ready: the attempt will be retried.
        """
        read = StreamRead(shows=not holding)
        ready: list[bytes] = []
        for event in repaired:
            data, kind = event.data, event.kind
            if event.findings:
                read.findings += event.findings
            if NAME_OF_COUNTS in data:
                self.count_tokens(data, event.value)
            if self._watches_answer:
                self.look_for_answer(data, event.value)
            if kind is not EventKind.IDLE:
                read.has_progress = True
            if kind is EventKind.TERMINAL or kind is EventKind.ERROR:
                read.end = event
                if holding and kind is EventKind.ERROR:
                    return read
            if not read.shows:
                if kind is EventKind.CONTENT:
                    self.start_guard(now)
                if self.is_held(now, kind):
                    self.hold(data)
                    read.shows = self.holds_too_much
                    continue
                read.shows = True
            ready.append(data)
            if read.end is not None:
                break
        read.ready = b"".join(ready)
        return read

    # What is held back

    def hold(self, data: bytes) -> None:
        """Hold back bytes of the stream."""
        if data:
            self._held.append(data)
            self._held_bytes += len(data)

    def take_held(self) -> bytes:
        """Remove and return what is held back."""
        held = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return held

    @property
    def holds_too_much(self) -> bool:
        """Return whether more is held back than a limit allows."""
        if self.is_over_limit:
            return True
        is_buffered = self._call.showing == "buffered"
        return self._held_bytes > (BODY_LIMIT_BYTES if is_buffered else HELD_LIMIT_BYTES)

    def start_guard(self, now: float) -> None:
        """Start the guard's time at the first content, unless content is shown live."""
        if self._call.showing != "live" and self.guarded_since is None:
            self.guarded_since = now

    def is_held(self, now: float, kind: EventKind) -> bool:
        """Return whether an event of this kind is held back at this time."""
        if kind in (EventKind.IDLE, EventKind.PREAMBLE):
            return True
        if kind is EventKind.CONTENT and self.holds_silence:
            return True
        if kind is not EventKind.CONTENT or self._call.showing == "live":
            return False
        if self._call.showing == "buffered" or self.guarded_since is None:
            return True
        return self._held_bytes < GUARDED_BYTES and now < self.guarded_since + GUARDED_SECONDS

    def guard_due(self) -> float | None:
        """Return when the held content of a guarded stream is shown; None if there is none."""
        is_guarded = self._call.showing == "guarded"
        if not is_guarded or self.guarded_since is None or not self._held:
            return None
        return self.guarded_since + GUARDED_SECONDS

    # A whole body

    @property
    def collected(self) -> bytes:
        """Return the decoded body as far as it arrived."""
        return bytes(self._collected)

    def as_events(self, body: bytes) -> list[Repaired] | None:
        """Return a whole answer to a streaming call as the events of a stream.

        None if it is none. This ends the stream, whose mode is STREAM from here on.
        """
        head, is_on = self.head, rules.NOT_A_STREAM.code not in self.context.disabled
        is_answer = self._call.streaming and head is not None and head.status < 300
        if not (is_on and is_answer and self._call.raise_errors and self._is_json(body)):
            return None
        value = json_value.read(body)
        if self.is_over_limit or not isinstance(value, dict):
            return None
        events = contain("writing a body as events", self._no_events, self.protocol.unfold, value)
        if not events:
            return None
        self._enter_mode(BodyMode.STREAM)
        self._label_findings.clear()
        self._repair = self.fresh_repair()
        repaired = [*self._repair.feed(b"".join(events)), *self.end_stream()]
        found, done = "a JSON body", "sent as events"
        finding = Finding(rules.NOT_A_STREAM.code, CallPlace.RESPONSE, found, done)
        repaired[0].findings = [finding]
        for item in repaired[1:]:
            item.findings = [  # the others are about events that the provider did not send
                finding for finding in item.findings if finding.code in CODES_OF_LOSSES
            ]
        return repaired

    def _no_events(self, fault: Fault) -> list[bytes]:
        self._faults.append(fault)
        return []

    @property
    def is_complete_json(self) -> bool:
        """Whether the collected body is a whole object or array: then nothing of it is missing."""
        return (
            self.mode is BodyMode.WHOLE and not self.is_over_limit and self._is_json(self.collected)
        )

    def collect(self, data: bytes) -> bool:
        """Append bytes to the collected body; return whether it is within the limits."""
        self._collected += data
        self._read_bytes += len(data)
        return self._may_hold() and len(self._collected) <= BODY_LIMIT_BYTES

    def pass_on(self) -> bytes:
        """Forward the rest of the body unread; return what was held or collected of it."""
        held = self._repair.take_held() if self._repair is not None else b""
        kept = self.take_held() + held or self.collected
        self._collected.clear()
        self._memory.hold(Part.RESPONSE, 0)
        self.mode = BodyMode.UNTOUCHED
        return kept

    # Heads for what is shown

    def stream_head(self) -> Head:
        """Return the head of an event stream, without headers that repair invalidates."""
        if self.translation is not None:
            return self.translation.stream_head(self.head)
        if self.head is not None and self.mode is BodyMode.STREAM:
            return self.decoded_head(self.head).without((b"content-length",))
        is_array = self.context.array
        content_type = b"application/json" if is_array else b"text/event-stream"
        return Head(200, ((b"content-type", content_type), (b"cache-control", b"no-cache")))

    def decoded_head(self, head: Head) -> Head:
        """Return the head without the headers that decoding the body invalidates."""
        if self._decoder is None:
            return head
        return head.without((b"content-encoding", b"content-length"))

    def whole_head(self, head: Head, body: bytes) -> Head:
        """Return the head of a buffered response with the length of `body`."""
        if self.translation is not None:
            return self.translation.whole_head(head, body)
        head = self.decoded_head(head)
        if head.get(b"content-length") == str(len(body)):
            return head
        fields = head.without((b"content-length", b"transfer-encoding")).fields
        return Head(head.status, (*fields, (b"content-length", b"%d" % len(body))))

    def own_error(self) -> Respond | None:
        """Return the provider's HTTP error if it is complete and JSON, else None.

        None as well if it is in another protocol than the client's.
        """
        if self.translation is not None:
            return None
        if self.head is None or self.head.status < 400 or self.mode is not BodyMode.WHOLE:
            return None
        body = self.collected
        if not self.body_is_whole or not self._is_json(body):
            return None
        self.check_json_label(body)
        return Respond(self.whole_head(self.head, body), body)

    def _is_json(self, body: bytes) -> bool:
        """Return whether a body is an object or array of JSON, as far as it may be parsed."""
        begins = form_of(body[:64]) in _JSON_FORMS
        return begins and (self.is_over_limit or json_value.parses(body))
