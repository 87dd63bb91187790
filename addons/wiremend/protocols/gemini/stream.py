"""The repair of a Gemini stream in either framing, event by event.

The framings are implemented in `data_lines` and `array`, the repair of one response in `response`.
"""

from typing import Any, ClassVar

from wiremend.protocols.base.event_repairer import EventRepairer, FrameRules
from wiremend.protocols.base.provider_error import ProviderError, read_error
from wiremend.protocols.base.repairer import Decoder, EventKind, StreamContext
from wiremend.protocols.gemini.array import AFTER_THE_END, ArrayElements
from wiremend.protocols.gemini.data_lines import DataLines
from wiremend.protocols.gemini.errors import error_envelope
from wiremend.protocols.gemini.grammar import BARE_CANDIDATE_KEYS
from wiremend.protocols.gemini.response import (
    RESPONSE_IN_A_LIST,
    ResponseRepairer,
    candidates_of,
    is_response,
    model_path,
    unwrapped,
)
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject

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
FINISH_REASON_MISSING = Rule(
    code="S408",
    name="finish-reason-missing",
    detects="The stream ends and a candidate has no finish reason.",
    impact='"Model stream ended without a finish reason": Gemini CLI repeats the turn.',
    action="Ends the stream in the protocol's error event: nothing shows that the response is "
    "complete.",
    protocols=_GEMINI,
    seen=("google-gemini/gemini-cli#8073", "google-gemini/gemini-cli#7861", _CLI),
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
    detects="The event with the finish reason and the usage is sent again unchanged: the same "
    "parts with the same `candidatesTokenCount`, which would have grown with new content.",
    impact="Clients append its parts: the last text appears twice, a function call runs twice.",
    action="Drops the repetition.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
)


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
        self._responses = ResponseRepairer(context.tool_names, self._draft)
        self._has_begun = False
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._unfinished: set[int] = set()
        self._is_blocked = False
        self._final_event: bytes | None = None
        """The previous event, if it had a finish reason, parts and a count of their tokens."""

    def __repr__(self) -> str:
        begun, finished = sorted(self._begun), sorted(self._finished)
        return f"GeminiRepairer(event={self._events}, begun={begun}, finished={finished})"

    @property
    def complete(self) -> bool:
        """Whether every candidate has its finish reason, or the prompt was refused."""
        if self._error is not None:
            return False
        return self._is_blocked or (bool(self._finished) and not self._unfinished)

    @property
    def message_at_end(self) -> str:
        """The error message for a stream that upstream left incomplete."""
        missing = "its finish reason" if self._has_begun else "its first event"
        return f"The stream ended before {missing}."

    def close(self) -> bool:
        """Close the array if every candidate has its finish reason."""
        if self.complete:
            self._draft.out.append(self._framing.close())
            return True
        if self._has_begun:
            found = "the end without a finish reason"
            self._draft.note(FINISH_REASON_MISSING, found, "ended in an error")
        return False

    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error in an event, or in one of a list of responses."""
        values = value if isinstance(value, list) else [value]
        return next(filter(None, map(read_error, values)), None)

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
        return f"{len(data)} bytes"

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

    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Repair and write the responses in an event."""
        values = value if isinstance(value, list) else [value]
        if value == {}:
            self._final_event = None
            self.pass_event(event)
            return EventKind.IDLE
        if not values or not all(is_response(item) for item in values):
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
            is_changed = self._responses.repair(response)
            text = self.text_of(event, item, changed=is_changed or values is value)
            if self._repeats_final_event(response, text):
                continue
            self._track_candidates(response)
            texts.append(text)
            if result is not EventKind.CONTENT:
                result = _kind_of(response)
        self.put(self._framing.write(event, texts))
        return result

    def _repeats_final_event(self, response: JsonObject, text: bytes) -> bool:
        """Whether the event before was final and had the same data; keep this one for the next."""
        previous, self._final_event = self._final_event, None
        if not _is_final(response):
            return False
        self._final_event = json_value.write(json_value.read(text))
        return self._final_event == previous and self._draft.note(
            FINAL_EVENT_REPEATED, "the final event again", "dropped"
        )

    def _track_candidates(self, response: JsonObject) -> None:
        """Record which candidates have begun and finished."""
        feedback = response.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._is_blocked = True
        for candidate in candidates_of(response):
            index = candidate.get("index")
            index = index if isinstance(index, int) else 0
            if index not in self._begun:
                self._begun.add(index)
                self._unfinished.add(index)
            if candidate.get("finishReason"):
                self._finished.add(index)
                self._unfinished.discard(index)


def _kind_of(response: JsonObject) -> EventKind:
    """Return IDLE for metadata, PREAMBLE for candidates without content, else CONTENT."""
    feedback = response.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return EventKind.CONTENT
    if not response.get("candidates"):
        return EventKind.IDLE
    is_bare = all(_is_bare(candidate) for candidate in candidates_of(response))
    return EventKind.PREAMBLE if is_bare else EventKind.CONTENT


def _is_final(response: JsonObject) -> bool:
    """Whether parts, a finish reason and the number of tokens up to them come together."""
    usage = response.get("usageMetadata")
    if not isinstance(usage, dict) or not usage.get("candidatesTokenCount"):
        return False
    contents = [
        candidate.get("content")
        for candidate in candidates_of(response)
        if candidate.get("finishReason")
    ]
    return any(isinstance(content, dict) and bool(content.get("parts")) for content in contents)


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
