"""The repair of a Chat Completions stream, chunk by chunk.

The parts of a chunk are repaired in `chunks`, `choices` and `tool_calls`.
"""

from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.event_repairer import DONE, EventRepairer, FrameRules
from wiremend.protocols.base.openai import error_type
from wiremend.protocols.base.provider_error import ProviderError, error_from
from wiremend.protocols.base.repairer import Decoder, EventKind, StreamContext
from wiremend.protocols.chat.choices import Choice
from wiremend.protocols.chat.chunks import CHUNK_INCOMPLETE, Chunks
from wiremend.protocols.chat.errors import ERROR_MEMBERS, error_event, error_in
from wiremend.protocols.chat.grammar import CHUNK_KEYS, continues_answer
from wiremend.protocols.chat.lines import (
    CHUNKS_JOINED,
    ChunkDecoder,
    lacks_blank_line,
    with_blank_line,
)
from wiremend.protocols.chat.misplaced import (
    is_usual,
    is_usual_choice,
    move_in_answer,
    without_envelope,
)
from wiremend.protocols.chat.usage import broken_counts, fill_counts
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
MISPLACED = Rule(
    code="S221",
    name="value-misplaced",
    detects="A value is in the wrong place: a delta's members in the choice or in the chunk "
    "itself, its text under another name such as `text` or `message`, a function's members in its "
    "call.",
    impact="Clients do not find it: the text is lost, or they fail on the missing field.",
    action="Moves it.",
    protocols=_P,
    before='{"choices":[{"index":0,"delta":{"text":"Hi"},"finish_reason":null}],…}',
    after='{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],…}',
)
ENVELOPE = Rule(
    code="S222",
    name="chunk-in-envelope",
    detects="A chunk is inside an envelope of the gateway, such as `{success, data}`.",
    impact="Clients read the envelope as a chunk without choices; the turn is empty.",
    action="Removes the envelope.",
    protocols=_P,
    before='{"success":true,"data":{"choices":[…]}}',
    after='{"choices":[…]}',
)
USAGE_COUNTS = Rule(
    code="S225",
    name="usage-counts",
    detects="A usage has counts that are null or text.",
    impact="Clients that add them up fail: livekit's `CompletionUsage` requires integers.",
    action="Writes numbers: the count under another name, the difference to the total, or zero.",
    protocols=_P,
    seen=("livekit/agents#6596",),
    before='{"prompt_tokens":9,"completion_tokens":null,"total_tokens":12}',
    after='{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}',
)
BROKEN_EVENT = Rule(
    code="S217",
    name="broken-event",
    detects="A chunk's data is malformed JSON.",
    impact="Clients fail, or skip the chunk and lose content.",
    action="Content is lost: ends the stream in the protocol's error event.",
    protocols=_P,
)


_PADDING = frozenset({"obfuscation", "p"})
"""Members of chunks with text that means nothing, of OpenAI and of Mistral."""

type _NumberedChoice = tuple[int, JsonObject]


@dataclass(slots=True)
class _HeldChunk:
    """A chunk with a finish reason, held back until the next event."""

    event: sse.Event
    value: JsonObject
    kind: str
    changed: bool
    finishing: list[_NumberedChoice]
    """The choices that it finishes."""
    place: int
    """The number of the event."""
    behind: list[bytes] = field(default_factory=list)
    """Keep-alives and empty chunks behind it."""


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
        self._chunks = Chunks(self._draft, context)
        self._choices: dict[int, Choice] = {}
        self._held: list[_HeldChunk] = []
        """A chunk with a finish reason, and further ones that add nothing to it."""
        self._held_numbers: set[int] = set()
        """The choices whose finish reasons are held back."""
        self._doubtful: dict[Choice, None] = {}
        """The choices that have changed since they were found to be complete."""
        self._has_content = False

    def __repr__(self) -> str:
        return f"ChatRepairer(event={self._events}, choices={list(self._choices)})"

    def decoder(self) -> Decoder:
        """Create a decoder that takes joined chunks apart."""
        return ChunkDecoder()

    def reframe(self, event: sse.Event) -> sse.Event:
        """Return a chunk that was joined to the next one as an event of its own."""
        if not lacks_blank_line(event) or not self._draft.note(
            CHUNKS_JOINED, self.quote(event.data or b""), "taken apart"
        ):
            return event
        return with_blank_line(event)

    @property
    def complete(self) -> bool:
        """Whether every choice has its finish reason, and no content after it."""
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

    @property
    def holds_back(self) -> bool:
        """Whether a finish reason is held back: content may follow, which makes it void."""
        return bool(self._held)

    def flush(self) -> None:
        """Write the finish reason that is held back. Raises ContentLost."""
        self._settle()

    def close(self) -> bool:
        """Add the missing `[DONE]` if the response is complete."""
        self._settle()
        if not self.complete:
            return False
        if not self._context.accepts(Deviation.NO_DONE) and self._draft.note(
            DONE_MISSING, "the end after the finish reason", "added"
        ):
            self._draft.out.append(sse.encode(DONE))
        return True

    def put(self, raw: bytes) -> None:
        """Write these bytes, or hold them back behind what is held back."""
        if self._held:
            self._held[-1].behind.append(raw)
        else:
            self._draft.out.append(raw)

    def unwrap(self, event: sse.Event, value: Any) -> Any:
        """Return the parsed data of an event, without an envelope around it."""
        if not isinstance(value, dict) or "choices" in value or not self._draft.is_on(ENVELOPE):
            return value
        inner = without_envelope(value)
        if inner is None:
            return value
        self._draft.change(ENVELOPE, f"{', '.join(map(str, value))[:60]}", "removed")
        return inner

    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error in a chunk, or in other data of an `error` event."""
        error = error_in(value)
        if error is None and event.type == "error" and not _is_chunk(value):
            error = error_from(value if isinstance(value, dict) else {"message": value})
        return error

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the error; an event that SDKs read as an error keeps its bytes."""
        with suppress(ContentLost):
            self._settle()
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
        usual = is_usual(value, "delta")
        if not usual:
            self._move(value)
        self._chunks.fill(value)
        if value.get("usage") or not usual:
            self._write_counts(value)
        choices = [(self._number_of(data), data) for data in dicts_in(value.get("choices"))]
        result = settled = EventKind.IDLE
        is_kept = False
        if self._held:
            is_kept = not value.get("usage") and not _has_news(choices, self._held_numbers)
            if not is_kept:
                changed = self._draft.changed
                self._settle(choices)
                self._draft.changed = changed
                result = settled = EventKind.CONTENT
        finishing: list[_NumberedChoice] = []
        for number, data in choices:
            choice = self._choice(number)
            if number not in self._held_numbers:
                self._doubtful[choice] = None
            if finishing:
                self._draft.changed |= self._void(finishing, [(number, data)])
            result = _later(result, choice.feed(data))
            self._has_content |= choice.has_content
            if choice.reads_reason(data):
                finishing.append((number, data))
        if value.get("usage") and self._has_content:
            result = EventKind.CONTENT
        if finishing:
            self._held.append(
                _HeldChunk(event, value, kind, self._draft.changed, finishing, self._events)
            )
            for number, _ in finishing:
                self._held_numbers.add(number)
                self._doubtful.pop(self._choices[number], None)
            return EventKind.IDLE if is_kept else _later(settled, EventKind.PREAMBLE)
        self.put(self.send(event, value, kind, changed=self._draft.changed))
        return EventKind.IDLE if is_kept else result

    def pass_valid(self, event: sse.Event, value: JsonObject) -> EventKind | None:
        """Take a chunk that continues one choice, with one text or a fragment of one call."""
        choices = value.get("choices")
        if self._held or not isinstance(choices, list) or len(choices) != 1:
            return None
        data, shown = choices[0], self._context.shown_model
        number = data.get("index") if isinstance(data, dict) else None
        choice = self._choices.get(number) if type(number) is int else None
        if (
            choice is None
            or value.get("usage")
            or (shown is not None and shown != value.get("model"))
        ):
            return None
        if lacks_blank_line(event) or not is_usual_choice(data, "delta"):
            return None
        if not ERROR_MEMBERS.isdisjoint(value) or not self._chunks.take_whole(value):
            return None
        self.delta = choice.pass_usual(data)
        if self.delta is None:
            return None
        if not _PADDING.isdisjoint(value):
            padding = [(key, value[key]) for key in _PADDING if isinstance(value.get(key), str)]
            self.delta = self.delta._replace(padding=padding)
        self._doubtful[choice] = None
        self._has_content = True
        return EventKind.CONTENT

    def read_done(self, event: sse.Event) -> EventKind:
        """End the stream at `[DONE]`."""
        self._settle()
        if not self._choices:
            raise ContentLost("The provider sent no content.")
        added: list[bytes] = []
        for choice in self._choices.values():
            if choice.finish_reason is None:
                if not choice.has_answer:
                    what = "only reasoning" if choice.has_content else "no content"
                    raise ContentLost(f"The provider sent {what}.")
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

    # A chunk

    def _move(self, chunk: JsonObject) -> None:
        """Move values that are in the wrong place."""
        if chunk.get("object") == "chat.completion":
            self._keep_whole_messages(chunk)
        if self._draft.is_on(MISPLACED):
            for moved in move_in_answer(chunk, "delta"):
                self._draft.change(MISPLACED, moved, "moved")

    def _keep_whole_messages(self, chunk: JsonObject) -> None:
        """Give choices an empty delta if their message repeats the earlier ones: MiniMax's end."""
        for data in dicts_in(chunk.get("choices")):
            number = data.get("index", 0)
            choice = self._choices.get(number) if is_integer(number) else None
            if (
                choice is not None
                and choice.has_content
                and "delta" not in data
                and self._draft.change(CHUNK_INCOMPLETE, "a message after its deltas", "kept apart")
            ):
                data["delta"] = {}

    def _write_counts(self, chunk: JsonObject) -> None:
        """Write the counts of a usage as numbers, also of one inside a choice."""
        if self._context.accepts(Deviation.NULL_COUNTS):
            return
        for holder in (chunk, *dicts_in(chunk.get("choices"))):
            usage = holder.get("usage")
            broken = broken_counts(usage) if usage else []
            if broken and self._draft.change(USAGE_COUNTS, ", ".join(broken), "numbers"):
                fill_counts(holder["usage"])

    def _settle(self, choices: Sequence[_NumberedChoice] = ()) -> None:
        """Write the chunks that are held back, if there are any. Raises ContentLost.

        `choices` are those of the chunk that follows it. Content in them makes the finish reason
        void.
        """
        chunks, self._held = self._held, []
        self._doubtful |= dict.fromkeys(map(self._choices.__getitem__, self._held_numbers))
        self._held_numbers.clear()
        for held in chunks:
            self._settle_one(held, choices)

    def _settle_one(self, held: _HeldChunk, choices: Sequence[_NumberedChoice]) -> None:
        before: list[bytes] = []
        self._draft.changed = held.changed
        with self._draft.at(held.place):
            self._draft.changed |= self._void(held.finishing, choices)
            for number, data in held.finishing:
                choice = self._choices[number]
                if choice.reads_reason(data):
                    choice.finish(data, before)
            sent = self.send(held.event, held.value, held.kind, changed=self._draft.changed)
        self._draft.out += [*before, sent, *held.behind]

    def _void(self, finishing: Sequence[_NumberedChoice], later: Sequence[_NumberedChoice]) -> bool:
        """Remove the finish reasons that content follows; return whether any was removed."""
        going_on = {
            number
            for number, data in later
            if isinstance(data.get("delta"), dict) and continues_answer(data["delta"])
        }
        voided = [
            self._choices[number].void_reason(data)
            for number, data in finishing
            if number in going_on and data["finish_reason"]
        ]
        return any(voided)

    def _number_of(self, data: JsonObject) -> int:
        number = data.get("index")
        if not is_integer(number):
            number = 0
            if self._draft.change(CHUNK_INCOMPLETE, "a choice without an index", "0"):
                data["index"] = 0
        return number

    def _choice(self, number: int) -> Choice:
        if number not in self._choices:
            self._choices[number] = Choice(number, self._draft, self._chunks, self._context)
        return self._choices[number]


def _is_chunk(value: Any) -> bool:
    return isinstance(value, dict) and not value.keys().isdisjoint(CHUNK_KEYS)


def _has_news(choices: Sequence[_NumberedChoice], finishing: Set[int]) -> bool:
    """Return whether these have more than empty deltas and reasons of choices that finish."""
    for number, choice in choices:
        delta = choice.get("delta")
        if (choice.get("finish_reason") and number not in finishing) or (
            isinstance(delta, dict)
            and any(value for key, value in delta.items() if key not in ("role", "index"))
        ):
            return True
    return False


def _is_native_error(chunk: JsonObject) -> bool:
    """Return whether every SDK reads this as an error; with `choices`, some read a chunk."""
    error = chunk.get("error")
    has_message = isinstance(error, dict) and bool(str(error.get("message") or "").strip())
    return has_message and "choices" not in chunk


def _later(kind: EventKind, other: EventKind) -> EventKind:
    order = (EventKind.IDLE, EventKind.PREAMBLE, EventKind.CONTENT)
    return max(kind, other, key=order.index)
