"""The repair of a Gemini stream in either framing, event by event.

The framings are implemented in `data_lines` and `array`, the repair of one response in `response`.
"""

import copy
from typing import Any, ClassVar

from wiremend.protocols.base.event_repairer import DONE, EventRepairer, FrameRules
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import Decoder, EventKind, Repeatable, StreamContext
from wiremend.protocols.gemini.array import AFTER_THE_END, ArrayElements
from wiremend.protocols.gemini.data_lines import DataLines
from wiremend.protocols.gemini.errors import error_envelope, error_in_response
from wiremend.protocols.gemini.finish import Finishes, content_of, has_counts, is_set
from wiremend.protocols.gemini.grammar import BARE_CANDIDATE_KEYS
from wiremend.protocols.gemini.misplaced import is_text_in_place, without_envelope
from wiremend.protocols.gemini.response import (
    FINISH_REASON_MISSING,
    RESPONSE_IN_A_LIST,
    ResponseRepairer,
    candidates_of,
    is_response,
    model_path,
    unwrapped,
)
from wiremend.protocols.gemini.usage import odd_counts
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.counted import counted
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject, is_integer

_GEMINI = ("gemini",)
_PYTHON = "googleapis/python-genai 3.4.0"
_CLI = "google-gemini/gemini-cli 0.61.0"

FOREIGN_FRAME = Rule(
    code="S406",
    name="foreign-frame",
    detects="The data is neither a response nor an error: plain text, or frames of other tools.",
    impact="JSON or schema errors end the turn.",
    action="Drops it.",
    protocols=_GEMINI,
    seen=("anomalyco/opencode#36428",),
    before='data: {"tool":"search_files","status":"running"}\n\n',
)
BROKEN_EVENT = Rule(
    code="S407",
    name="broken-event",
    detects="An event's data is malformed JSON.",
    impact="Clients fail, or lose its content.",
    action="Content is lost: ends the stream in the protocol's error event.",
    protocols=_GEMINI,
    before='data: {"candidates":[{"content":{"parts":[{"te\n\n',
    after='data: {"error":{"code":502,"message":"…","status":"UNAVAILABLE"}}\n\n',
)
DONE_MARKER = Rule(
    code="S411",
    name="done-marker",
    detects="The stream contains `[DONE]`, the end marker of another protocol.",
    impact="SDKs parse it as a response and fail.",
    action="Drops it. A Gemini stream has no end marker.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before="data: [DONE]\n\n",
)
EMPTY_FRAME = Rule(
    code="S412",
    name="empty-frame",
    detects="A `data:` line is empty.",
    impact="SDKs parse the empty text as JSON and fail.",
    action="Drops it.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before="data: \n\n",
)
FINAL_EVENT_REPEATED = Rule(
    code="S419",
    name="final-event-repeated",
    detects="The event with the finish reason is sent again unchanged: the same parts with the "
    "same token counts, which would have grown with new content, or the same parts from a provider "
    "that sends a finish reason at the end only.",
    impact="Clients append its parts: the last text appears twice, a function call runs twice.",
    action="Drops the repetition.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
)
EVENTS_TOGETHER = Rule(
    code="S424",
    name="events-without-blank-line",
    detects="No blank line is between two events: each line of the data is a JSON object.",
    impact='Gemini CLI fails with "Incomplete JSON segment at the end".',
    action="Writes each line as an event.",
    protocols=_GEMINI,
    seen=("anomalyco/opencode#27365",),
    before='data: {"candidates":[…]}\ndata: {"candidates":[…]}\n\n',
    after='data: {"candidates":[…]}\n\ndata: {"candidates":[…]}\n\n',
)


type _Final = tuple[list[JsonObject], Any]
"""The candidates and the usage of a response."""

_WEIGHT = (EventKind.IDLE, EventKind.PREAMBLE, EventKind.CONTENT, EventKind.TERMINAL)
"""From events that may be withheld to those that may not."""


class GeminiRepairer(EventRepairer):
    """Repairs the stream of one attempt; see `wiremend.protocols.base.event_repairer`."""

    frames = FrameRules(
        after_the_end=AFTER_THE_END,
        foreign_frame=FOREIGN_FRAME,
        broken_event=BROKEN_EVENT,
        done_marker=DONE_MARKER,
        empty_frame=EMPTY_FRAME,
        empty=(b"",),
    )
    error_type: ClassVar[str] = "UNAVAILABLE"
    has_error_line: ClassVar[bool] = False  # the SDKs ignore `event:` lines

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._framing = (
            ArrayElements(self._draft) if context.array else DataLines(self._draft, context.client)
        )
        self._responses = ResponseRepairer(context, self._draft)
        self._finishes = Finishes(context.model)
        self._has_begun = False
        self._final: _Final | None = None
        """The last content, if a finish reason came with it."""

    def __repr__(self) -> str:
        return f"GeminiRepairer(event={self._events}, finishes={self._finishes!r})"

    @property
    def complete(self) -> bool:
        """Whether the last finish reason is known to have arrived, or the prompt was refused."""
        if self._error is not None or not self._finishes.is_over:
            return False
        return self._finishes.is_proven or self._framing.is_closed

    @property
    def may_break_off(self) -> bool:
        """Whether the response is complete if the connection breaks here."""
        return self.complete

    @property
    def message_at_end(self) -> str:
        """The error message for a stream that upstream left incomplete."""
        if self._finishes.waits_for_code:
            return "The stream ended before the result of its code."
        if self._finishes.is_over:
            return "The stream ended before the end of its array."
        missing = "its finish reason" if self._has_begun else "its first event"
        return f"The stream ended before {missing}."

    def close(self) -> bool:
        """Close the array if every candidate has its finish reason. Raises ContentLost."""
        self._responses.lose_cut_calls()
        if self.complete or (self._error is None and self._is_over_when_closed):
            self._draft.out.append(self._framing.close())
            return True
        if self._has_begun:
            found = "the end without a finish reason"
            self._draft.note(FINISH_REASON_MISSING, found, "ended in an error")
        return False

    @property
    def _is_over_when_closed(self) -> bool:
        """Whether the response is complete because upstream closed the stream here."""
        return self._finishes.is_over and not self._framing.is_left_open

    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error in an event, or in one of a list of responses."""
        values = value if isinstance(value, list) else [value]
        return next(filter(None, map(error_in_response, values)), None)

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the error; an event that SDKs read as an error keeps its bytes."""
        if _is_native(value, error):
            self.pass_event(event)
            self._draft.out.append(self._framing.close_after_error())
        else:
            super().report_error(event, value, kind, error)

    def error_event(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error, in its framing."""
        return self._framing.end_in_error(error_envelope(error))

    def model_path(self, value: Any) -> Path | None:
        """Return the path of the model name, which every response contains."""
        return model_path(value)

    def is_cut(self, event: sse.Event, text: bytes) -> bool:
        """Return whether data that is not JSON is a truncated response."""
        return text[:1] in (b"{", b"[")

    def quote(self, data: bytes) -> str:
        """Return the size of the data: findings of this protocol contain no content."""
        return counted(len(data), "byte")

    def decoder(self) -> Decoder:
        """Create a decoder of server-sent events, or of the elements of one JSON array."""
        return self._framing.decoder()

    def reframe(self, event: sse.Event) -> sse.Event:
        """Return the event in the framing that the client can read."""
        return self._framing.reframe(event)

    def pass_without_data(self, event: sse.Event) -> None:
        """Write an event without data."""
        self.put(self._framing.write_without_data(event))

    def pass_event(self, event: sse.Event) -> None:
        """Write an event with its own data."""
        self.put(self._framing.write(event, [event.data or b""]))

    def unwrap(self, event: sse.Event, value: Any) -> Any:
        """Return the data of an event in the wrapper that the client reads, and in no other."""
        in_wrapper = self._context.in_wrapper
        if isinstance(value, list) and self._draft.is_on(RESPONSE_IN_A_LIST):
            return [
                without_envelope(item, in_wrapper=in_wrapper, draft=self._draft) for item in value
            ]
        return without_envelope(value, in_wrapper=in_wrapper, draft=self._draft)

    def read_text(self, event: sse.Event, text: bytes) -> EventKind:
        """Take apart events without blank lines between them; handle other text."""
        lines = text.splitlines()
        if len(lines) < 2 or not all(map(_is_object, lines)):
            return super().read_text(event, text)
        if not self._draft.note(EVENTS_TOGETHER, f"{len(lines)} in one", "separated"):
            return super().read_text(event, text)
        result = EventKind.IDLE
        for line in lines:
            self._draft.changed = False
            kind = self._read(sse.Event(sse.encode(line), event.type, line))
            if kind is EventKind.ERROR:
                return kind
            result = max(result, kind, key=_WEIGHT.index)
        return result

    def pass_valid(self, event: sse.Event, value: JsonObject) -> EventKind | None:
        """Take a response with text alone, from one candidate that goes on."""
        framing, context = self._framing, self._context
        if self._final is not None or context.in_wrapper or not isinstance(framing, DataLines):
            return None
        if not is_text_in_place(value) or len(value["candidates"]) != 1:
            return None
        candidate, usage = value["candidates"][0], value.get("usageMetadata", {})
        if "finishReason" in candidate or "promptFeedback" in value or odd_counts(usage):
            return None
        index, model = candidate.get("index", 0), value.get("modelVersion")
        if type(index) is not int or index < 0 or context.shown_model not in (None, model):
            return None
        if not framing.is_usual(event):
            return None
        self._has_begun = True
        self._finishes.read(value)
        kind = _kind_of(value)
        parts = candidate["content"]["parts"]
        if kind is EventKind.CONTENT and len(parts) == 1:
            counts = [(key, count) for key, count in usage.items() if is_integer(count)]
            self.delta = Repeatable("text", parts[0]["text"], counts=counts)
        return kind

    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Repair and write the responses in an event."""
        changed = self._draft.changed
        values = value if isinstance(value, list) else [value]
        if value == {}:
            self.pass_event(event)
            return EventKind.IDLE
        if not values or not all(is_response(item, self._draft) for item in values):
            return self.drop_foreign(event, _describe(value))
        if values is value and not self._draft.note(
            RESPONSE_IN_A_LIST, f"a list of {len(values)}", "unwrapped"
        ):
            self.pass_event(event)
            return EventKind.CONTENT
        self._has_begun = True
        result = EventKind.IDLE
        texts: list[bytes] = []
        for item in values:
            response = unwrapped(item)
            is_changed = self._responses.repair(response) or changed
            if self._repeats_final(response):
                continue
            self._finishes.read(response)
            texts.append(self.text_of(event, item, changed=is_changed or values is value))
            if result is not EventKind.CONTENT:
                result = _kind_of(response)
        self.put(self._framing.write(event, texts))
        return result

    def _repeats_final(self, response: JsonObject) -> bool:
        """Whether this is the final response again; if it is another final one, remember it."""
        candidates = candidates_of(response)
        is_final = any(is_set(candidate.get("finishReason")) for candidate in candidates)
        if (self._final is None and not is_final) or not any(map(_has_parts, candidates)):
            return False
        previous, self._final = self._final, None
        if not is_final:
            return False
        final = candidates, response.get("usageMetadata")
        if final == previous and self._is_proof(response):
            self._final = previous
            return self._draft.note(FINAL_EVENT_REPEATED, "the final event again", "dropped")
        self._final = copy.deepcopy(final)
        return False

    def _is_proof(self, response: JsonObject) -> bool:
        """Whether a final response that equals the one before it is a repetition of it."""
        return has_counts(response) or all(
            candidate.get("finishMessage")
            or any(_has_id(part.get("functionCall")) for part in content_of(candidate))
            or self._finishes.stops_once(candidate.get("index") or 0)
            for candidate in candidates_of(response)
        )


def _kind_of(response: JsonObject) -> EventKind:
    """Return IDLE for metadata, PREAMBLE for candidates without content, else CONTENT."""
    feedback = response.get("promptFeedback")
    if isinstance(feedback, dict) and is_set(feedback.get("blockReason")):
        return EventKind.CONTENT
    if not response.get("candidates"):
        return EventKind.IDLE
    is_bare = all(_is_bare(candidate) for candidate in candidates_of(response))
    return EventKind.PREAMBLE if is_bare else EventKind.CONTENT


def _has_parts(candidate: JsonObject) -> bool:
    content = candidate.get("content")
    return isinstance(content, dict) and bool(content.get("parts"))


def _has_id(call: Any) -> bool:
    return isinstance(call, dict) and bool(call.get("id"))


def _is_object(line: bytes) -> bool:
    """Return whether a line is a JSON object, or the end marker of another protocol."""
    if line.strip() == DONE:
        return True
    try:
        return isinstance(json_value.read(line), dict)
    except ValueError:
        return False


def _is_bare(candidate: JsonObject) -> bool:
    content = candidate.get("content", {})
    return (
        candidate.keys() <= BARE_CANDIDATE_KEYS
        and isinstance(content, dict)
        and content.get("parts", []) in ([], [{"text": ""}])
    )


def _is_native(value: Any, error: ProviderError) -> bool:
    """Return whether this is `{"error": {"code", "message", …}}` and SDKs read it as an error.

    `error` must be the first key: python-genai matches the text of the event.
    """
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


def _describe(value: Any) -> str:
    """Describe a foreign value without its content."""
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return "an object with " + ", ".join(sorted(value)[:5])[:80]
