"""A Gemini stream as events of the middle form.

Every event is a whole response, whose parts add up. A finish reason is no proof of the end:
content may follow it (`finish`). So the reason that stands at the end of the stream counts, and is
reported there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    OwnEvent,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
    Stop,
    StopReason,
    UsageCounts,
)
from wiremend.protocols.base.middle.content import (
    Call,
    Citation,
    Own,
    Part,
    ServerCall,
    ServerResult,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import own_error
from wiremend.protocols.gemini.errors import error_in_response
from wiremend.protocols.gemini.finish import is_set
from wiremend.protocols.gemini.grammar import FINISH_REASON_BY_NUMBER
from wiremend.protocols.gemini.read.parts import ON, read_part
from wiremend.protocols.gemini.read.streamed_args import StreamedArgs
from wiremend.protocols.gemini.stop_reasons import FAILED, failure, stop_reason
from wiremend.protocols.gemini.usage import USAGE_FORMAT
from wiremend.text import json_value, sse
from wiremend.text.json_value import dicts_in

_G = WireProtocol.GEMINI
CUT = own_error("The stream ended before the answer was complete.")
UNREADABLE = own_error("An event of the stream could not be read.")
RESPONSE, CANDIDATE, OTHER_CANDIDATE, WRAPPER = "response", "candidate", "candidates", "wrapper"
"""The types of own events: members of a response; of the candidate; a whole further candidate;
members of Code Assist's wrapper."""
WEB_SEARCH = "web_search"


class GeminiReader:
    """Reads one repaired stream in server-sent events."""

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        self._origin = context.origin
        self._losses = losses
        self._start: Start | None = None
        self._open: tuple[int, Text | Thinking] | None = None
        self._next_number = 0
        self._call: tuple[Call, StreamedArgs] | None = None
        """A call whose arguments are streamed."""
        self._has_calls = False
        self._reason = ""
        """The last finish reason that no content followed."""
        self._message = ""
        self._feedback: Mapping[str, Any] | None = None
        self._queries: dict[str, None] = {}
        self._pages: dict[str, Citation] = {}
        """What the provider searched for, and the pages that it used, by address."""
        self._is_ended = False

    def feed(self, event: sse.Event) -> list[AnswerEvent]:
        """Return what one event contains."""
        if not event.data or self._is_ended:
            return []
        try:
            data = json_value.read(event.data)
        except ValueError:
            return self._fail(Failure(UNREADABLE))
        if event.is_part or not isinstance(data, dict):
            return self._fail(Failure(UNREADABLE))
        return self.read(data)

    def read(self, data: dict[str, Any]) -> list[AnswerEvent]:
        """Return what a response, which may be in a wrapper, contains."""
        if self._is_ended:
            return []
        error = error_in_response(data)
        return self._fail(Failure(error)) if error is not None else self._read(data)

    def takes_alike(self, number: int) -> bool:
        """Return False: the events of a text are counted, or compared with what follows."""
        return False

    def end(self) -> list[AnswerEvent]:
        """Return the end of the answer; a failure if it has no finish reason."""
        if self._is_ended:
            return []
        self._is_ended = True
        reason = self._reason
        if self._call is not None or not (reason or self._feedback):
            return [Failure(CUT)]
        if reason in FAILED:
            return [*self._close(), Failure(failure(reason, self._message))]
        return [*self._close(), *self._search(), self._stop(reason), End()]

    def _stop(self, reason: str) -> Stop:
        if not reason:
            feedback = self._feedback or {}
            own = Own(_G, {"promptFeedback": feedback})
            return Stop(StopReason.REFUSED, str(feedback.get("blockReason")), own=own)
        meaning = stop_reason(reason)
        if meaning is StopReason.END and self._has_calls:
            meaning = StopReason.CALLS
        return Stop(meaning, reason)

    def _fail(self, event: Failure) -> list[AnswerEvent]:
        self._is_ended = True
        return [event]

    def _read(self, data: dict[str, Any]) -> list[AnswerEvent]:
        events: list[AnswerEvent] = []
        response = data
        if isinstance(data.get("response"), dict):  # Code Assist
            outer = Members(data)
            response = outer.drop("response")
            rest = outer.own(_G)
            if rest is not None:
                events.append(OwnEvent(_G, WRAPPER, rest.fields))
        members = Members(response)
        events += self._head(members)
        usage = members.object("usageMetadata") if members.peek("usageMetadata") else None
        candidates = members.drop("candidates")
        rest = members.own(_G)
        if rest is not None:
            events.append(OwnEvent(_G, RESPONSE, rest.fields))
        if usage:  # before the content: Anthropic's clients read the prompt's count at the start
            counts = USAGE_FORMAT.read({"usageMetadata": usage})
            events.append(UsageCounts(counts, Own(_G, {"usageMetadata": usage})))
        for candidate in dicts_in(candidates):
            events += self._candidate(candidate)
        return events

    def _head(self, members: Members) -> list[AnswerEvent]:
        """Take what identifies the answer, and the refusal of the prompt."""
        feedback = members.peek("promptFeedback")
        if isinstance(feedback, dict) and is_set(feedback.get("blockReason")):
            self._feedback = members.drop("promptFeedback")
        if self._start is None:
            self._start = Start(members.text("responseId"), members.text("modelVersion"))
            return [self._start]
        for key, value in (("responseId", self._start.id), ("modelVersion", self._start.model)):
            if value and members.peek(key) == value:
                members.drop(key)
        return []

    def _candidate(self, candidate: dict[str, Any]) -> list[AnswerEvent]:
        if candidate.get("index"):
            self._losses.add_in_answer(LossKind.ANSWER_CONTENT, "a further candidate")
            return [OwnEvent(_G, OTHER_CANDIDATE, candidate)]
        members = Members(candidate)
        members.drop("index")
        content = members.object("content") or {}
        parts = content.get("parts")
        events: list[AnswerEvent] = []
        for part in dicts_in(parts):
            events += self._part(part)
        self._finish(members)
        events += self._sources(candidate.get("groundingMetadata"))
        rest = members.own(_G)
        if rest is not None:
            events.append(OwnEvent(_G, CANDIDATE, rest.fields))
        return events

    def _finish(self, members: Members) -> None:
        reason = members.peek("finishReason")
        if not is_set(reason):
            return
        members.drop("finishReason")
        word = FINISH_REASON_BY_NUMBER.get(reason, "") if isinstance(reason, int) else str(reason)
        self._reason = word or str(reason)
        message = members.peek("finishMessage")
        self._message = message if isinstance(message, str) else ""

    def _sources(self, metadata: Any) -> list[AnswerEvent]:
        """Return the web pages that an answer is based on, as sources of the open text."""
        if not isinstance(metadata, dict):
            return []
        queries = metadata.get("webSearchQueries")
        for query in queries if isinstance(queries, list) else ():
            if isinstance(query, str):
                self._queries.setdefault(query)
        events: list[AnswerEvent] = []
        for chunk in dicts_in(metadata.get("groundingChunks")):
            web = chunk.get("web")
            url = web.get("uri") if isinstance(web, dict) else None
            if not isinstance(url, str) or not isinstance(web, dict) or url in self._pages:
                continue
            title = web.get("title")
            page = Citation(url, title if isinstance(title, str) else "")
            self._pages[url] = page
            if self._open is not None and isinstance(self._open[1], Text):
                events.append(PartCitation(self._open[0], page))
        return events

    def _search(self) -> list[AnswerEvent]:
        """Return the search of the provider, if it made one: its queries, and the pages it used."""
        if not (self._pages or self._queries):
            return []
        first = self._next_number
        arguments = json_value.write({"query": "; ".join(self._queries)}).decode()
        pages = tuple(self._pages.values())
        return [
            *self._begin(ServerCall("search", WEB_SEARCH)),
            PartDelta(first, arguments),
            PartEnd(first),
            *self._begin(ServerResult("search", WEB_SEARCH, pages)),
            PartEnd(first + 1),
        ]

    # Parts

    def _part(self, raw: dict[str, Any]) -> list[AnswerEvent]:
        if raw.get("text") or not raw.keys() <= {"text", "thought", "thoughtSignature"}:
            self._reason = ""  # content voids the reason before it
        streamed = self._streamed_call(raw)
        if streamed is not None:
            return streamed
        events: list[AnswerEvent] = []
        for part in read_part(raw, issuer=self._origin):
            if isinstance(part, Text | Thinking):
                events += self._text(part)
            elif raw:
                events += [*self._close(), *self._whole(part)]
        return events

    def _text(self, part: Text | Thinking) -> list[AnswerEvent]:
        """Return text, which continues the open part of the same kind up to a signature."""
        if not part.text and part.state is None and part.own is None:
            return []
        events: list[AnswerEvent] = []
        head = replace(part, text="", state=None)
        if self._open is None or self._open[1] != head or type(self._open[1]) is not type(head):
            events += [*self._close(), *self._begin(head)]
            self._open = self._next_number - 1, head
        number = self._open[0]
        if part.text:
            events.append(PartDelta(number, part.text))
        if part.state is not None:
            self._open = None
            events += [PartState(number, part.state), PartEnd(number)]
        return events

    def _whole(self, part: Part) -> list[AnswerEvent]:
        arguments = ""
        if isinstance(part, Call):
            self._has_calls = True
            arguments, part = part.arguments, replace(part, arguments="")
        events = self._begin(part)
        number = self._next_number - 1
        if arguments:
            events.append(PartDelta(number, arguments))
        return [*events, PartEnd(number)]

    def _begin(self, part: Part) -> list[AnswerEvent]:
        number = self._next_number
        self._next_number += 1
        return [PartStart(number, part)]

    def _close(self) -> list[AnswerEvent]:
        if self._open is None:
            return []
        number, part = self._open
        self._open = None
        if isinstance(part, Text):
            return [PartEnd(number)]
        # Thoughts have no signature, but their origin must be known when they return.
        return [PartState(number, State(self._origin, {ON: "thought"})), PartEnd(number)]

    def _streamed_call(self, raw: dict[str, Any]) -> list[AnswerEvent] | None:
        """Return the events of a piece of a call; None if the part is none."""
        fields = raw.get("functionCall")
        if not isinstance(fields, dict):
            return None
        continues = fields.get("willContinue") is True
        if self._call is None and not continues and "partialArgs" not in fields:
            return None
        call, args = self._call or self._first_piece(raw)
        args.add(fields.get("partialArgs"))
        if continues:
            self._call = call, args
            return []
        self._call = None
        arguments = json_value.write(args.value()).decode()
        return [*self._close(), *self._whole(replace(call, arguments=arguments))]

    def _first_piece(self, raw: dict[str, Any]) -> tuple[Call, StreamedArgs]:
        pieces = {"partialArgs", "willContinue"}
        fields = {key: one for key, one in raw["functionCall"].items() if key not in pieces}
        [call] = read_part({**raw, "functionCall": fields}, issuer=self._origin)
        assert isinstance(call, Call)
        return call, StreamedArgs()
