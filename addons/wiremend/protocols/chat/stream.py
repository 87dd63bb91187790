"""The repair of a Chat Completions stream, chunk by chunk.

The parts of a chunk are repaired in `chunks`, `choices` and `tool_calls`.
"""

from typing import Any, ClassVar

from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.event_repairer import DONE, EventRepairer, FrameRules
from wiremend.protocols.base.openai import error_type
from wiremend.protocols.base.provider_error import ProviderError, error_from
from wiremend.protocols.base.repairer import EventKind, StreamContext
from wiremend.protocols.chat.choices import Choice
from wiremend.protocols.chat.chunks import CHUNK_INCOMPLETE, Chunks
from wiremend.protocols.chat.errors import error_event, error_in
from wiremend.protocols.chat.grammar import CHUNK_KEYS
from wiremend.rules.rule import Rule
from wiremend.text import sse
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject, dicts_in, is_integer

_P = ("chat-completions",)

DONE_MISSING = Rule(
    code="S212",
    name="done-missing",
    detects="The stream ends after its finish reason without `[DONE]`, or with white space around "
    "that marker.",
    impact="Some clients wait, or report a truncated stream; `[DONE] ` is parsed as JSON.",
    action="Adds the marker, or removes the white space: the finish reason shows that the response "
    "is complete.",
    protocols=_P,
)
AFTER_THE_END = Rule(
    code="S213",
    name="after-the-end",
    detects="Chunks or a second `[DONE]` follow `[DONE]` or an error.",
    impact="Parser errors.",
    action="Drops them.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#4783",),
)
FOREIGN_FRAME = Rule(
    code="S216",
    name="foreign-frame",
    detects="The data is neither a chunk nor an error.",
    impact="`invalid_union` ends the turn.",
    action="Drops it.",
    protocols=_P,
    seen=("anomalyco/opencode#36428",),
)
BROKEN_EVENT = Rule(
    code="S217",
    name="broken-event",
    detects="A chunk's data is malformed JSON.",
    impact="Clients fail, or skip the chunk and lose content.",
    action="Content is lost: ends the stream in the protocol's error event.",
    protocols=_P,
)


class ChatRepairer(EventRepairer):
    """Repairs the stream of one attempt; see `wiremend.protocols.base.event_repairer`."""

    frames = FrameRules(
        after_the_end=AFTER_THE_END,
        foreign_frame=FOREIGN_FRAME,
        broken_event=BROKEN_EVENT,
        done_marker=DONE_MISSING,
        empty_frame=FOREIGN_FRAME,
    )
    error_type: ClassVar[str] = "server_error"
    event_name: ClassVar[str] = "a chunk"

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._chunks = Chunks(self._draft, context.shown_model)
        self._choices: dict[int, Choice] = {}
        self._doubtful: dict[Choice, None] = {}
        """The choices that have changed since they were found to be complete."""
        self._has_content = False

    def __repr__(self) -> str:
        return f"ChatRepairer(event={self._events}, choices={list(self._choices)})"

    @property
    def complete(self) -> bool:
        """Whether every choice has its finish reason."""
        while self._doubtful:
            choice, _ = self._doubtful.popitem()
            if not choice.is_complete:
                self._doubtful[choice] = None
                return False
        return bool(self._choices)

    @property
    def message_at_end(self) -> str:
        """The error message for a stream that upstream left incomplete."""
        missing = "its finish reason" if self._choices else "its first chunk"
        return f"The stream ended before {missing}."

    def close(self) -> bool:
        """Add the missing `[DONE]` if the response is complete."""
        if not self.complete:
            return False
        for choice in self._choices.values():
            self._draft.out += choice.correct_reason()
        if self._draft.note(DONE_MISSING, "the end after the finish reason", "added"):
            self._draft.out.append(sse.encode(DONE))
        return True

    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error in a chunk, or in other data of an `error` event."""
        error = error_in(value)
        if error is None and event.type == "error" and not _is_chunk(value):
            error = error_from(value if isinstance(value, dict) else {"message": value})
        return error

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the error; an event that SDKs read as an error keeps its bytes."""
        if isinstance(value, dict) and _is_native_error(value):
            self._draft.out.append(event.raw)
        else:
            super().report_error(event, value, kind, error)

    def error_event(self, error: ProviderError) -> bytes:
        """Return the chunk that ends a stream in an error; its message is never empty."""
        return error_event(error.with_default_message(error_type(error)))

    def model_path(self, value: Any) -> Path | None:
        """Return the path of the model name, which every chunk contains."""
        return ("model",)

    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Repair and write a chunk; drop data that is not a chunk."""
        if not _is_chunk(value):
            return self.drop_foreign(event)
        before: list[bytes] = []
        self._chunks.fill(value)
        result = EventKind.IDLE
        for data in dicts_in(value.get("choices")):
            choice = self._choice_of(data)
            self._doubtful[choice] = None
            result = _later(result, choice.feed(data, before))
            self._has_content |= choice.has_content
        if value.get("usage") and self._has_content:
            result = EventKind.CONTENT
        self._draft.out += before
        self.put(self.send(event, value, kind, changed=self._draft.changed))
        return result

    def read_done(self, event: sse.Event) -> EventKind:
        """End the stream at `[DONE]`."""
        if not self._choices:
            raise ContentLost("The provider sent no content.")
        added: list[bytes] = []
        for choice in self._choices.values():
            if choice.finish_reason is None:
                if not choice.has_output:
                    raise ContentLost("The provider sent no content.")
                if self._has_unread:
                    message = "The provider sent text that is no chunk, and then ended."
                    raise ContentLost(message)
            added += choice.finish_at_done()
        self._draft.out += added
        done = event.raw
        if event.data != DONE and self._draft.note(DONE_MISSING, repr(event.data), "[DONE]"):
            done = sse.with_data(event, DONE)
        self.put(done)
        return EventKind.TERMINAL

    def _choice_of(self, data: JsonObject) -> Choice:
        number = data.get("index")
        if not is_integer(number):
            number = 0
            if self._draft.change(CHUNK_INCOMPLETE, "a choice without an index", "0"):
                data["index"] = 0
        if number not in self._choices:
            self._choices[number] = Choice(
                number, self._draft, self._chunks, self._context.tool_names
            )
        return self._choices[number]


def _is_chunk(value: Any) -> bool:
    return isinstance(value, dict) and not value.keys().isdisjoint(CHUNK_KEYS)


def _is_native_error(chunk: JsonObject) -> bool:
    """Return whether every SDK reads this as an error; with `choices`, some read a chunk."""
    error = chunk.get("error")
    has_message = isinstance(error, dict) and bool(str(error.get("message") or "").strip())
    return has_message and "choices" not in chunk


def _later(kind: EventKind, other: EventKind) -> EventKind:
    order = (EventKind.IDLE, EventKind.PREAMBLE, EventKind.CONTENT)
    return max(kind, other, key=order.index)
