"""Tool calls that a model wrote into the text of its answer, and that become calls.

Theory of operation. A text becomes a call only if it is certain that the model meant it as one:
the target is known to write calls as text in this format, the request offers the tool, the text of
the answer ends in complete calls, their arguments can be read, the answer ends as the model meant
it to, and no message of the request contains these calls, since a model may quote a page or a file.
Any other text remains text, byte for byte.

`LeakedCallRepairer` wraps the repairer of a stream whose target is known to leak. From the event on
in which a call may begin, events are held back, until the text rules the call out, the answer ends,
the engine calls `release` because the next event does not come, or too much is held. Then the
repairer receives them as they came, or with the calls in them.

In a stream of any other target, `LeakedCallWatch` only reports such text. It starts at an event
that contains a marker, and holds nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import (
    AnswerText,
    CannotRewrite,
    HeldEvent,
    Protocol,
    RecoveredCall,
    Rewritten,
)
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import (
    Decoder,
    EventKind,
    Repaired,
    RepairedBody,
    Repairer,
    Repeatable,
    StreamContext,
)
from wiremend.rules.rule import CallPlace, EventPlace, Finding, Rule
from wiremend.text import json_array, json_value, sse
from wiremend.text.call_formats import FORMATS, CallFormat, WrittenCall, typed
from wiremend.text.call_scanner import CallScanner
from wiremend.text.patterns import linear_pattern

LEAKED_CALL = Rule(
    code="S007",
    name="leaked-call",
    detects="The text of a response ends in a tool call, in the format in which the model writes "
    "calls: the provider did not parse it.",
    impact="The client shows markup, and the agent stops although it was to run a tool.",
    action="Makes it a call if the target is known to do this (`leaked_calls` of its provider, or "
    "`wiremend/targets/`), the request offers the tool, the arguments can be read, and no message "
    "of the request contains the call. Otherwise the text remains text.",
    protocols=tuple(WireProtocol),
    seen=(
        "TokenRhythm/opensquilla#985",
        "earendil-works/pi#3712",
        "MiniMax-AI/MiniMax-M2.5#10",
        "NousResearch/hermes-agent#35129",
        "Gitlawb/openclaude#1791",
        "jundot/omlx#844",
    ),
    before='"content":"<tool_call>{\\"name\\":\\"read\\",\\"arguments\\":{\\"path\\":\\"a\\"}}'
    '</tool_call>" … "finish_reason":"stop"',
    after='"tool_calls":[{"function":{"name":"read","arguments":"{\\"path\\":\\"a\\"}"}, …}] … '
    '"finish_reason":"tool_calls"',
)

HELD_LIMIT_BYTES = 4 * 1024 * 1024
"""A call that arrives in more bytes of events than this remains text."""
COMPARED_LIMIT = 32 * 1024 * 1024
"""The characters of a request's messages beyond which a call is taken for one that they contain."""
_CUT = "the answer was cut"
_WORDS_LIMIT = 64
_WORD = linear_pattern(r"[A-Za-z0-9]{2,64}+")
_MARKERS = (b"tool_call", b"DSML", b"\xe2\x96\x81call", b"2581call", b"function=")
"""Data without any of them contains no beginning of a call, unless it is cut there."""


def may_contain_call(data: bytes) -> bool:
    """Return whether data of a response may contain the beginning of a call."""
    return has_bracket(data) and any(marker in data for marker in _MARKERS)


def has_bracket(data: bytes) -> bool:
    """Return whether data contains the character with which all formats begin, or an escape."""
    return b"<" in data or b"u003" in data


class LeakSearch:
    """What is known of a call when its response is searched: the request, and the formats."""

    def __init__(self, protocol: Protocol, context: StreamContext) -> None:
        self.form = protocol.calls_in_text
        self.formats = [FORMATS[name] for name in context.leaked_formats]
        self.is_known = bool(self.formats)
        """Whether the target is known to leak calls."""
        self._protocol = protocol
        self._context = context

    @cached_property
    def _request(self) -> dict[str, Any]:
        return self._context.sent_request() or {}

    @cached_property
    def functions(self) -> Mapping[str, Any]:
        """The schemas of the functions that may be called, by name."""
        return self.form.functions(self._request)

    def scanner(self) -> CallScanner:
        """Create a scanner for the text of one answer."""
        return CallScanner(self.formats or list(FORMATS.values()), self.functions)

    def recovered(self, calls: Sequence[WrittenCall], answer_id: str) -> tuple[RecoveredCall, ...]:
        """Return the calls with typed arguments."""
        # The request grows with each turn, so the same call in a later one has another id.
        key = f"{answer_id} {len(json_value.write(self._request))}"
        return tuple(
            RecoveredCall(call.name, typed(call, self.functions[call.name]), key) for call in calls
        )

    def refusal(self, calls: Sequence[WrittenCall], format: CallFormat) -> str:
        """Return why complete calls remain text; empty if they do not."""
        if self._is_quoted(calls, format):
            return "the request contains it"
        return "" if self.is_known else "this target is not known to leak calls"

    def _is_quoted(self, calls: Sequence[WrittenCall], format: CallFormat) -> bool:
        """Return whether a message contains the calls, in whatever way they are escaped.

        It does if it mentions the format and contains every word of a call.
        """
        words = [_words_of(call) for call in calls]
        compared = 0
        for message in self._messages():
            texts = list(_strings_in(message))
            compared += sum(map(len, texts))
            if compared > COMPARED_LIMIT:
                return True
            if any(mention in text for mention in format.mentions for text in texts):
                whole = "\n".join(texts)
                if any(all(word in whole for word in of_call) for of_call in words):
                    return True
        return False

    def _messages(self) -> Iterator[Any]:
        """Yield the messages of the request, and what else it contains but for the tools."""
        request = self._request
        for wrapper in self._protocol.request_wrappers:
            if isinstance(request.get(wrapper), dict):
                request = request[wrapper]
        for name, value in request.items():
            if name not in ("tools", "functions"):
                yield from value if isinstance(value, list) else (value,)


def _words_of(call: WrittenCall) -> list[str]:
    """Return the longest words of a call: its name, and its arguments with their names."""
    texts = [call.name, *call.arguments, *_strings_in(dict(call.arguments))]
    words = {word for text in texts for word in _WORD.findall(text)}
    return sorted(words, key=lambda word: (-len(word), word))[:_WORDS_LIMIT]


def _strings_in(value: Any) -> Iterator[str]:
    """Yield every string in a value. Iterative: values may nest deeply."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            waiting += value.values()


def _described(calls: Sequence[WrittenCall], format: CallFormat) -> str:
    return f"{', '.join(repr(call.name) for call in calls)} in the format {format.name}"


class LeakedCallRepairer:
    """Wraps a repairer; puts leaked calls into the events before it."""

    def __init__(self, repairer: Repairer, search: LeakSearch, *, is_array: bool = False) -> None:
        self._repairer = repairer
        self._search = search
        self._form = search.form
        self._write_data = json_array.with_data if is_array else sse.with_data
        self._is_off = False
        """Nothing in the rest of the stream can become a call."""
        self._scanner: CallScanner | None = None
        """Created with the first text that may begin a call."""
        self._held: list[tuple[sse.Event, Any, str | None]] = []
        """Events, with their data and the text in it."""
        self._held_bytes = 0
        self._has_ended = False
        """Whether the end of the answer is held back too."""
        self._events = 0
        self._answer_id = ""
        self._findings: list[Finding] = []

    def decoder(self) -> Decoder:
        """Create a decoder for the framing of the stream."""
        return self._repairer.decoder()

    @property
    def complete(self) -> bool:
        """Whether the response is complete, except perhaps for the terminal event."""
        return self._has_ended or self._repairer.complete

    @property
    def may_break_off(self) -> bool:
        """Whether the response may be complete if the connection breaks here."""
        return self._has_ended or self._repairer.may_break_off

    @property
    def holds_back(self) -> bool:
        """Whether bytes are held back until the next event."""
        return bool(self._held) or self._repairer.holds_back

    def feed(self, event: sse.Event) -> Repaired:
        """Repair a complete event. Never raises."""
        self._events += 1
        if self._is_off:
            return self._repairer.feed(event)
        if event.data is None:
            if not self._held:
                return self._repairer.feed(event)
            self._hold(event, None, None)
            return Repaired(b"", EventKind.IDLE)
        if not self._held and not self._must_read(event.data):
            return self._repairer.feed(event)
        try:
            value = json_value.read(event.data)
        except ValueError:  # not an event of the protocol, or the marker of the end
            written = self._settled("the end of the answer is missing")
            return self._joined([*written, self._repairer.feed(event)])
        return self._read(event, value, self._form.read(value))

    def release(self) -> Repaired:
        """Write what is held back although no further event came."""
        written = self._settled("its rest did not come in time")
        return self._joined([*written, self._repairer.release()], EventKind.CONTENT)

    @property
    def delta(self) -> Repeatable | None:
        """None: every text may begin a call."""
        return None

    def skip(self, events: int) -> None:
        """Count deltas that are not fed."""
        self._repairer.skip(events)

    def note_fragment(self, fragment: bytes) -> None:
        """Take the bytes of an event that the end of the stream cut."""
        self._repairer.note_fragment(fragment)
        if self._held and fragment.strip():
            self._has_ended = False  # more was to come

    def end(self) -> Repaired:
        """End the stream after upstream closed: TERMINAL, or ERROR if it is incomplete."""
        return self._joined([*self._settled(_CUT), self._repairer.end()])

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error."""
        self._has_ended = False
        before = self._joined(self._settled(_CUT))
        if before.kind in (EventKind.TERMINAL, EventKind.ERROR):
            return before.data
        return before.data + self._repairer.fail(error)

    # Reading

    def _must_read(self, data: bytes) -> bool:
        return has_bracket(data) or any(part in data for part in self._form.parsed)

    def _read(self, event: sse.Event, value: Any, meaning: AnswerText) -> Repaired:
        self._answer_id = meaning.answer_id or self._answer_id
        if self._has_ended and not (meaning.text or meaning.is_other or meaning.is_beyond):
            return self._joined([*self._settled(_CUT), self._repairer.feed(event)])
        written: list[Repaired] = []
        if meaning.is_other or meaning.is_beyond or self._has_ended:
            written += self._as_received("other content follows it")
        self._is_off = self._is_off or meaning.is_beyond
        if self._is_off:
            return self._joined([*written, self._repairer.feed(event)])
        text = meaning.text or None
        if text is not None:
            written += self._scan(text)
        if not (self._scanner and self._scanner.length):
            return self._joined([*written, self._repairer.feed(event)])
        self._hold(event, value, text)
        if self._held_bytes > HELD_LIMIT_BYTES:
            return self._joined([*written, *self._as_received("it is too long")])
        if meaning.ends is False:
            return self._joined([*written, *self._as_received(_CUT)])
        if meaning.ends:
            self._has_ended = True
            if meaning.is_last:
                written += self._settled(_CUT)
        return self._joined(written, EventKind.PREAMBLE)

    def _scan(self, text: str) -> list[Repaired]:
        """Take text; return the events that are certainly no part of a call."""
        if self._scanner is None:
            self._scanner = self._search.scanner()
        self._scanner.feed(text)
        if self._held and self._scanner.length <= len(text):
            self._note_rejected()
            return self._replayed()
        self._note_rejected()
        return []

    def _hold(self, event: sse.Event, value: Any, text: str | None) -> None:
        self._held.append((event, value, text))
        self._held_bytes += len(event.raw)

    # Writing what is held back

    def _settled(self, reason: str) -> list[Repaired]:
        """Write the events that are held back, with the calls in them if the answer has ended.

        `reason`: why an answer that has not ended contains none.
        """
        if not self._held:
            return []
        scanner = self._scanner
        if scanner is None or not self._has_ended:
            return self._as_received(reason)
        calls = scanner.end()
        if not calls:
            return self._as_received("it is not complete")
        refusal = self._search.refusal(calls, scanner.format)
        if not refusal:
            try:
                events = self._with_calls(calls, scanner.length)
            except CannotRewrite:
                refusal = "the events around it do not allow another one"
        described = _described(calls, scanner.format)
        self._is_off = True
        if refusal:
            self._note(f"{described}: {refusal}", "left as text")
            return self._replayed()
        self._note(described, "made a call" if len(calls) == 1 else "made calls")
        self._forget()
        return [self._repairer.feed(event) for event in events]

    def _with_calls(self, calls: Sequence[WrittenCall], length: int) -> list[sse.Event]:
        """Return the events with calls in place of the last `length` characters of the text."""
        texts = [text for _, _, text in self._held if text is not None]
        whole = "".join(texts)
        kept = len(whole) - length
        held: list[HeldEvent] = []
        for event, value, text in self._held:
            held.append(HeldEvent(event, value, None if text is None else text[: max(kept, 0)]))
            kept -= len(text or "")
        recovered = self._search.recovered(calls, self._answer_id)
        written = self._form.write(held, whole[-length:], recovered)
        return [self._event_of(rewritten) for rewritten in written]

    def _event_of(self, rewritten: Rewritten) -> sse.Event:
        event, value = rewritten
        if value is None:
            assert event is not None
            return event
        data = json_value.write(value)
        if event is not None:
            return sse.Event(self._write_data(event, data), event.type, data)
        type = str(value.get("type", ""))
        return sse.Event(sse.encode(data, type), type, data)

    def _as_received(self, reason: str) -> list[Repaired]:
        """Write the events that are held back as they came, for this reason."""
        if self._scanner is not None:
            # The rest of a call that began is text too.
            self._is_off = self._is_off or (bool(self._held) and self._scanner.has_begun)
            self._scanner.give_up(reason)
            self._note_rejected()
        return self._replayed()

    def _replayed(self) -> list[Repaired]:
        events = [event for event, _, _ in self._held]
        self._forget()
        return [self._repairer.feed(event) for event in events]

    def _forget(self) -> None:
        self._held = []
        self._held_bytes = 0
        self._has_ended = False

    def _note_rejected(self) -> None:
        rejected = self._scanner.rejected if self._scanner is not None else None
        if rejected is not None and self._scanner is not None:
            self._scanner.rejected = None
            found = f"{rejected.name!r} in the format {rejected.format}: {rejected.reason}"
            self._note(found, "left as text")

    def _note(self, found: str, done: str) -> None:
        self._findings.append(Finding(LEAKED_CALL.code, EventPlace(self._events), found, done))

    def _joined(self, parts: Sequence[Repaired], kind: EventKind = EventKind.IDLE) -> Repaired:
        """Return the results of several events as one, of this kind or of a stronger one."""
        joined = Repaired(b"".join(part.data for part in parts), kind)
        for part in parts:
            joined.findings += part.findings
            if _STRENGTH.index(part.kind) > _STRENGTH.index(joined.kind):
                joined.kind, joined.error = part.kind, part.error
        joined.findings, self._findings = self._findings + joined.findings, []
        return joined


_STRENGTH = (
    EventKind.IDLE,
    EventKind.PREAMBLE,
    EventKind.CONTENT,
    EventKind.TERMINAL,
    EventKind.ERROR,
)


class LeakedCallWatch:
    """Reports leaked calls in a stream whose target is not known to leak them; changes nothing."""

    def __init__(self, protocol: Protocol, context: StreamContext) -> None:
        self._protocol = protocol
        self._context = context
        self._scanner: CallScanner | None = None
        self._is_done = False
        self.is_reading = False
        """Whether the text so far may end in calls, so that every event has to be read."""

    @cached_property
    def _search(self) -> LeakSearch:
        return LeakSearch(self._protocol, self._context)

    def must_read(self, data: bytes) -> bool:
        """Return whether the events of these bytes have to be read."""
        return not self._is_done and (self.is_reading or may_contain_call(data))

    def read(self, events: Sequence[sse.Event], first: int) -> list[Finding]:
        """Return what is found with these events. `first` is the number of the first one."""
        found: list[Finding] = []
        for number, event in enumerate(events, first):
            if event.data is not None and json_value.parses(event.data):
                found += self._look(self._search.form.read(json_value.read(event.data)), number)
        is_open = self._scanner is not None and self._scanner.length > 0
        self.is_reading = is_open and not self._is_done
        return found

    def _look(self, meaning: AnswerText, number: int) -> list[Finding]:
        scanner = self._scanner = self._scanner or self._search.scanner()
        if meaning.is_other:
            scanner.give_up("other content follows it")
        self._is_done = self._is_done or meaning.is_beyond or meaning.ends is not None
        scanner.feed(meaning.text)
        calls = scanner.end() if meaning.ends and not meaning.is_beyond else []
        if not calls:
            return []
        found = _described(calls, scanner.format)
        refusal = self._search.refusal(calls, scanner.format)
        place = EventPlace(number)
        return [Finding(LEAKED_CALL.code, place, f"{found}: {refusal}", "left as text")]


def recover_in_body(protocol: Protocol, body: bytes, context: StreamContext) -> RepairedBody:
    """Return a whole response with the calls that its text ends in, if they may become calls."""
    unchanged = RepairedBody(body)
    is_on = LEAKED_CALL.code not in context.disabled
    if not context.tool_names or not is_on or not may_contain_call(body):
        return unchanged
    try:
        value = json_value.read(body)
    except ValueError:
        return unchanged
    search = LeakSearch(protocol, context)
    meaning = search.form.read_body(value)
    if not meaning.text or meaning.is_beyond:
        return unchanged
    scanner = search.scanner()
    scanner.feed(meaning.text)
    length = scanner.length
    calls = scanner.end()
    if not calls:
        rejected = scanner.rejected if search.is_known else None
        if rejected is not None:
            found = f"{rejected.name!r} in the format {rejected.format}: {rejected.reason}"
            unchanged.findings.append(_of_body(found, "left as text"))
        return unchanged
    found = _described(calls, scanner.format)
    refusal = search.refusal(calls, scanner.format) if meaning.ends else _CUT
    if not refusal:
        recovered = search.recovered(calls, meaning.answer_id)
        try:
            search.form.write_body(value, meaning.text[-length:], recovered)
        except CannotRewrite:
            refusal = "its form does not allow another one"
    if refusal:
        unchanged.findings.append(_of_body(f"{found}: {refusal}", "left as text"))
        return unchanged
    done = "made a call" if len(calls) == 1 else "made calls"
    return RepairedBody(json_value.write(value), [_of_body(found, done)])


def _of_body(found: str, done: str) -> Finding:
    return Finding(LEAKED_CALL.code, CallPlace.RESPONSE, found, done)
