"""Mends a Gemini stream of either framing, event by event.

What the rules are called and why they exist stands in gemini_rules.py.
"""

from typing import Any

import orjson

from wiremend import sse
from wiremend.json_array import ArrayDecoder
from wiremend.protocols.errors import ProviderError, make_error, read_error
from wiremend.protocols.gemini import (
    CONTENT_KEYS,
    RESPONSE_KEYS,
    error_envelope,
    error_event,
    error_name,
)
from wiremend.rules import gemini_rules as rules
from wiremend.rules.finding import Finding, Rule
from wiremend.rules.gemini_rules import RULES
from wiremend.rules.mending import Decoder, Kind, Mended, StreamContext

__all__ = ["RULES", "GeminiMender", "mend_response"]

Data = dict[str, Any]


class Unmendable(Exception):
    """Content is lost: the stream must end in the protocol's error."""


class GeminiMender:
    """One attempt's stream; see `wiremend.rules.mending.Mender`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._is_off = context.disabled.issuperset(rule.code for rule in RULES)
        self._events = 0
        self._findings: list[Finding] = []
        self._began = False
        self._is_array_open = False
        self._is_array_closed = False
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._is_blocked = False
        self._failed_already = False

    def __repr__(self) -> str:
        return f"GeminiMender(event={self._events}, finished={sorted(self._finished)})"

    @property
    def complete(self) -> bool:
        """Every candidate has its finish reason, or the prompt was refused."""
        return self._is_blocked or bool(self._finished and self._open <= self._finished)

    def decoder(self) -> Decoder:
        """Server-sent events, or the elements of one JSON array."""
        return ArrayDecoder() if self._context.array else sse.Decoder()

    def feed(self, event: sse.Event) -> Mended:
        """What one event becomes."""
        self._events += 1
        self._findings = []
        if event.data is None:
            return self._without_data(event)
        if self._failed_already:
            self._find(rules.AFTER_THE_END, _start_of(event.data), "dropped")
            return Mended(b"", Kind.IDLE, self._findings)
        try:
            return self._feed_data(event, event.data)
        except Unmendable as unmendable:
            return self._failed(str(unmendable))

    def end(self) -> Mended:
        """TERMINAL where every candidate has its finish reason, else the protocol's error."""
        self._findings = []
        if self.complete:
            is_cut = self._context.array and not self._is_array_closed
            closing = b"]" if is_cut else b""
            self._is_array_closed = True
            return Mended(closing, Kind.TERMINAL)
        missing = "before its finish reason" if self._began else "before its first event"
        if self._began:
            self._find(rules.FINISH_REASON_MISSING, "the end without one", "ended in an error")
        return self._failed(f"The stream ended {missing}.")

    def fail(self, error: ProviderError) -> bytes:
        """The bytes that end the stream in this error, whichever its framing."""
        self._failed_already = True
        if not error.message.strip():
            said = f"The provider reported {error_name(error)} without a message."
            error = error.with_message(said)
        if not self._context.array:
            return error_event(error)
        before = b",\r\n" if self._began else (b"" if self._is_array_open else b"[")
        return before + error_envelope(error) + b"]"

    # Reading an event

    def _without_data(self, event: sse.Event) -> Mended:
        if self._context.array:
            self._is_array_closed = self._is_array_closed or b"]" in event.raw
            self._is_array_open = self._is_array_open or b"[" in event.raw
            return Mended(b"" if self._failed_already else event.raw, Kind.IDLE)
        if b":" in event.raw and self._find(rules.COMMENT, _start_of(event.raw), "a blank line"):
            return Mended(b"\n", Kind.IDLE, self._findings)
        return Mended(b"" if self._failed_already else event.raw, Kind.IDLE)

    def _feed_data(self, event: sse.Event, raw: bytes) -> Mended:
        self._is_array_open = True
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError:
            if raw.lstrip()[:1] == b"{":
                self._find(rules.BROKEN_EVENT, _start_of(raw), "ended in an error")
                return self._failed("The provider sent an event that is not valid JSON.")
            return self._foreign(event, raw)
        error = read_error(data)
        if error is not None:
            return self._reported(event, data, error)
        if not isinstance(data, dict) or data.keys().isdisjoint(RESPONSE_KEYS):
            return self._foreign(event, raw)
        self._began = True
        response = data["response"] if isinstance(data.get("response"), dict) else data
        changed = False if self._is_off else mend_response(response, self._context, self._find)
        changed = rename(response, self._context.shown_model) or changed
        self._note(response)
        kind = Kind.IDLE if response.keys().isdisjoint(CONTENT_KEYS) else Kind.CONTENT
        return Mended(self._written(event, data) if changed else event.raw, kind, self._findings)

    def _written(self, event: sse.Event, data: Data) -> bytes:
        if not self._context.array:
            return sse.with_data(event, orjson.dumps(data))
        before = event.raw[: len(event.raw) - len(event.data or b"")]
        return before + orjson.dumps(data)

    def _note(self, response: Data) -> None:
        feedback = response.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._is_blocked = True
        for candidate in _dicts(response.get("candidates")):
            index = candidate.get("index", 0)
            index = index if isinstance(index, int) else 0
            self._open.add(index)
            if candidate.get("finishReason"):
                self._finished.add(index)

    def _foreign(self, event: sse.Event, raw: bytes) -> Mended:
        found = _start_of(raw) or "an empty frame"
        if self._context.array or not self._find(rules.FOREIGN_FRAME, found, "dropped"):
            return Mended(event.raw, Kind.IDLE, self._findings)
        return Mended(b"", Kind.IDLE, self._findings)

    def _reported(self, event: sse.Event, data: Any, error: ProviderError) -> Mended:
        inner = data.get("error") if isinstance(data, dict) else None
        is_native = (
            isinstance(inner, dict)
            and isinstance(inner.get("code"), int)
            and bool(str(inner.get("message") or "").strip())
        )
        ending = self.fail(error)
        if is_native:
            ending = event.raw + (b"]" if self._context.array else b"")
        return Mended(ending, Kind.ERROR, self._findings, error)

    def _find(self, rule: Rule, found: str, done: str) -> bool:
        """Note a finding; False when the rule is switched off."""
        if rule.code in self._context.disabled:
            return False
        self._findings.append(Finding(rule.code, f"event {self._events}", found, done))
        return True

    def _failed(self, message: str) -> Mended:
        error = make_error(status=502, type="UNAVAILABLE", message=message)
        return Mended(self.fail(error), Kind.ERROR, self._findings, error)


def mend_response(response: Data, context: StreamContext, find: Any) -> bool:
    """Put one response object right in place, a stream's or a whole one; True if it changed.

    `find(rule, found, done)` notes a finding and says whether the rule is on. Raises Unmendable.
    """
    changed = False
    is_null = "candidates" in response and response["candidates"] is None
    if is_null and find(rules.CONTENT_NULL, "candidates: null", "removed"):
        del response["candidates"]
        changed = True
    for candidate in _dicts(response.get("candidates")):
        if "finishReason" in candidate and not candidate["finishReason"]:
            given = repr(candidate["finishReason"])
            if find(rules.FINISH_REASON_EMPTY, given, "removed"):
                del candidate["finishReason"]
                changed = True
        content = candidate.get("content")
        if isinstance(content, dict):
            changed = _mend_content(content, context, find) or changed
    return changed


def _mend_content(content: Data, context: StreamContext, find: Any) -> bool:
    changed = False
    if "parts" in content and not isinstance(content["parts"], list):
        given = content["parts"]
        if given is None and find(rules.CONTENT_NULL, "parts: null", "removed"):
            del content["parts"]
            changed = True
        elif isinstance(given, dict) and find(rules.CONTENT_NULL, "one part", "a list of one"):
            content["parts"] = [given]
            changed = True
    for part in _dicts(content.get("parts")):
        call = part.get("functionCall")
        if isinstance(call, dict):
            changed = _mend_call(call, context, find) or changed
    return changed


def _mend_call(call: Data, context: StreamContext, find: Any) -> bool:
    changed = False
    if not str(call.get("name") or "").strip():
        if len(context.tool_names) != 1:
            find(rules.CALL_WITHOUT_NAME, "no name", "ended in an error")
            raise Unmendable("The provider called a function without naming it.")
        if find(rules.CALL_WITHOUT_NAME, "no name", context.tool_names[0]):
            call["name"] = context.tool_names[0]
            changed = True
    if "args" not in call or isinstance(call["args"], dict):
        return changed
    better: Any = {}
    if isinstance(call["args"], str) and call["args"].strip():
        try:
            better = orjson.loads(call["args"])
        except orjson.JSONDecodeError:
            better = None
    if not isinstance(better, dict):
        find(rules.ARGS_NOT_AN_OBJECT, repr(call["args"])[:60], "ended in an error")
        raise Unmendable("The provider's function call ended inside its JSON arguments.")
    if find(rules.ARGS_NOT_AN_OBJECT, type(call["args"]).__name__, "an object"):
        call["args"] = better
        changed = True
    return changed


def rename(response: Data, shown_model: str | None) -> bool:
    """Let a response name the model that was asked for; True if it changed."""
    if shown_model is None or response.get("modelVersion") in (None, shown_model):
        return False
    response["modelVersion"] = shown_model
    return True


def _dicts(value: Any) -> list[Data]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _start_of(raw: bytes) -> str:
    text = raw[:60].decode("utf-8", "replace")
    return text + "…" if len(raw) > 60 else text
