"""Mends a Chat Completions chunk stream, chunk by chunk.

What the rules are called and why they exist stands in chat_completions_rules.py.
"""

from dataclasses import dataclass, field
from typing import Any

from wiremend import json_text, sse
from wiremend.protocols.chat_completions import (
    CHUNK,
    CHUNK_KEYS,
    CONTENT_KEYS,
    DONE,
    ERROR_REASONS,
    WHOLE_REASONS,
    error_event,
    error_type,
)
from wiremend.protocols.errors import ProviderError, error_from, make_error, read_error
from wiremend.rules import chat_completions_rules as rules
from wiremend.rules.chat_completions_rules import RULES
from wiremend.rules.finding import Finding, Rule
from wiremend.rules.mending import Kind, Mended, StreamContext

__all__ = ["RULES", "ChatMender"]

Data = dict[str, Any]


@dataclass(slots=True, eq=False)
class _Call:
    """One tool call; without a name its fragments wait."""

    number: int = -1
    """Given when it is shown."""
    identity: str = ""
    name: str = ""
    arguments: str = ""
    is_shown: bool = False

    @property
    def is_whole(self) -> bool:
        return _parses(self.arguments)

    def is_over_at(self, name: str) -> bool:
        """Whether a fragment with this name cannot belong to it."""
        return self.is_whole or bool(self.name and self.name != name and not self.arguments)


@dataclass(slots=True, eq=False)
class _Choice:
    """What is known of one choice."""

    number: int
    calls: list[_Call] = field(default_factory=list)
    by_source: dict[Any, _Call] = field(default_factory=dict)
    finish_reason: str | None = None
    shown_calls: int = 0
    has_content: bool = False
    has_custom_calls: bool = False
    has_other_calls: bool = False
    """Custom tools, or the `function_call` of old: passed as they come."""

    @property
    def is_complete(self) -> bool:
        """It has its finish reason, and no call that came after it is cut."""
        if self.finish_reason not in WHOLE_REASONS:
            return bool(self.finish_reason)
        return all(call.is_shown and call.is_whole for call in self.calls)


class _Unmendable(Exception):
    """Content is lost: the stream must end in the protocol's error."""


class ChatMender:
    """One attempt's stream; see `wiremend.rules.mending.Mender`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._is_off = context.disabled.issuperset(rule.code for rule in RULES)
        self._events = 0
        self._findings: list[Finding] = []
        self._changed = False
        self._choices: dict[int, _Choice] = {}
        self._last: Data = {}
        self._verdict: Kind | None = None

    def __repr__(self) -> str:
        return f"ChatMender(event={self._events}, choices={list(self._choices)})"

    @property
    def complete(self) -> bool:
        """Every choice has its finish reason."""
        return bool(self._choices) and all(one.is_complete for one in self._choices.values())

    def decoder(self) -> sse.Decoder:
        """Server-sent events."""
        return sse.Decoder()

    def feed(self, event: sse.Event) -> Mended:
        """What one event becomes."""
        self._events += 1
        self._findings = []
        if event.data is None:
            return Mended(b"" if self._verdict else event.raw, Kind.IDLE)
        if self._verdict is not None:
            self._find(rules.AFTER_THE_END, _start_of(event.data), "dropped")
            return Mended(b"", Kind.IDLE, self._findings)
        try:
            if event.data.strip() == DONE:
                return self._done(event)
            return self._feed_data(event, event.data)
        except _Unmendable as unmendable:
            return self._failed(str(unmendable))

    def end(self) -> Mended:
        """The missing `[DONE]` where the answer is complete, else the protocol's error."""
        self._findings = []
        if self._verdict is Kind.TERMINAL:
            return Mended(b"", Kind.TERMINAL)
        if self.complete:
            self._verdict = Kind.TERMINAL
            if not self._find(rules.DONE_MISSING, "the end after the finish reason", "added"):
                return Mended(b"", Kind.TERMINAL)
            return Mended(sse.encode(DONE), Kind.TERMINAL, self._findings)
        missing = "before its finish reason" if self._choices else "before its first chunk"
        return self._failed(f"The stream ended {missing}.")

    def fail(self, error: ProviderError) -> bytes:
        """The chunk that ends the stream in this error."""
        self._verdict = Kind.ERROR
        if not error.message.strip():
            said = f"The provider reported {error_type(error)} without a message."
            error = error.with_message(said)
        return error_event(error)

    # Reading an event

    def _feed_data(self, event: sse.Event, raw: bytes) -> Mended:
        try:
            chunk = json_text.read(raw)
        except ValueError:
            if raw.lstrip()[:1] in (b"{", b"[", b'"'):
                self._find(rules.BROKEN_EVENT, _start_of(raw), "ended in an error")
                return self._failed("The provider sent a chunk that is not valid JSON.")
            return self._foreign(event, raw)
        error = self._error_in(chunk)
        if error is not None:
            self._verdict = Kind.ERROR
            is_native = isinstance(chunk, dict) and _is_native_error(chunk)
            ending = event.raw if is_native else self.fail(error)
            return Mended(ending, Kind.ERROR, self._findings, error)
        if not isinstance(chunk, dict) or chunk.keys().isdisjoint(CHUNK_KEYS):
            return self._foreign(event, raw)
        return self._chunk(event, chunk)

    def _error_in(self, chunk: Any) -> ProviderError | None:
        if not isinstance(chunk, dict) or chunk.get("error") or "choices" not in chunk:
            return read_error(chunk)
        for choice in _dicts(chunk["choices"]):
            reason = choice.get("finish_reason")
            if isinstance(reason, str) and reason in ERROR_REASONS:
                inner = choice.get("error")
                if isinstance(inner, dict):
                    return error_from(inner)
                native = str(choice.get("native_finish_reason") or reason)
                return make_error(status=502, type="server_error", message=f"upstream: {native}")
        return None

    def _foreign(self, event: sse.Event, raw: bytes) -> Mended:
        if not self._find(rules.FOREIGN_FRAME, _start_of(raw) or "an empty frame", "dropped"):
            return Mended(event.raw, Kind.IDLE)
        return Mended(b"", Kind.IDLE, self._findings)

    def _chunk(self, event: sse.Event, chunk: Data) -> Mended:
        self._changed = False
        before: list[bytes] = []
        self._complete_chunk(chunk)
        kind = Kind.IDLE
        for choice in _dicts(chunk["choices"]):
            kind = _later(kind, self._choice(choice, before))
        if chunk.get("usage"):
            kind = Kind.CONTENT
        self._last = {
            key: chunk[key] for key in ("id", "object", "created", "model") if key in chunk
        }
        raw = sse.with_data(event, json_text.write(chunk)) if self._changed else event.raw
        return Mended(b"".join([*before, raw]), kind, self._findings)

    def _complete_chunk(self, chunk: Data) -> None:
        filled: Data = {}
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) != len(_dicts(choices)):
            filled["choices"] = _dicts(choices)
        if chunk.get("object") != CHUNK:
            filled["object"] = CHUNK
        created = chunk.get("created")
        if created is not None and (isinstance(created, bool) or not isinstance(created, int)):
            filled["created"] = _integer(created)
        if filled and (
            self._find(rules.CHUNK_INCOMPLETE, f"no {', '.join(filled)}", "filled in")
            or "choices" in filled
        ):
            chunk |= filled
            self._changed = True
        shown = self._context.shown_model
        if shown is not None and "model" in chunk and chunk["model"] != shown:
            chunk["model"] = shown
            self._changed = True

    # A choice

    def _choice(self, data: Data, before: list[bytes]) -> Kind:
        number = data.get("index")
        if not isinstance(number, int) or isinstance(number, bool):
            number = 0
            if self._find(rules.CHUNK_INCOMPLETE, "a choice without an index", "0"):
                data["index"] = 0
                self._changed = True
        choice = self._choices.setdefault(number, _Choice(number))
        delta = data.get("delta")
        if not isinstance(delta, dict):
            delta = {}
            if self._find(rules.CHUNK_INCOMPLETE, "a choice without a delta", "filled in"):
                data["delta"] = delta
                self._changed = True
        self._mend_role(delta)
        kind = Kind.CONTENT if any(delta.get(key) for key in CONTENT_KEYS) else Kind.PREAMBLE
        if isinstance(delta.get("tool_calls"), list) and delta["tool_calls"]:
            kind = Kind.CONTENT
            if not self._is_off:
                self._mend_calls(choice, delta)
        unknown = set(delta) - {"role", "tool_calls", *CONTENT_KEYS}
        if any(delta[key] not in (None, "", [], {}) for key in unknown):
            kind = Kind.CONTENT
        choice.has_other_calls |= isinstance(delta.get("function_call"), dict)
        choice.has_content |= kind is Kind.CONTENT
        if data.get("finish_reason") is not None and self._mend_finish(choice, data, before):
            kind = Kind.CONTENT
        return kind

    def _mend_role(self, delta: Data) -> None:
        role = delta.get("role")
        if role is None or role == "assistant":
            return
        if self._find(rules.ROLE_EMPTY, repr(role), "assistant"):
            delta["role"] = "assistant"
            self._changed = True

    def _mend_finish(self, choice: _Choice, data: Data, before: list[bytes]) -> bool:
        """Put a finish reason right; False when the chunk does not finish its choice."""
        reason = data["finish_reason"]
        if not isinstance(reason, str) or not reason:
            if self._find(rules.FINISH_REASON_EMPTY, repr(reason), "null"):
                data["finish_reason"] = None
                self._changed = True
            return False
        if choice.finish_reason is not None:
            if self._find(rules.FINISH_REASON_REPEATED, repr(reason), "null"):
                data["finish_reason"] = None
                self._changed = True
            return True
        choice.finish_reason = reason
        if self._is_off:
            return True
        better = None
        if reason == "stop" and (choice.calls or choice.has_custom_calls):
            better = "tool_calls"
        elif reason == "tool_calls" and not (choice.calls or choice.has_other_calls):
            better = "stop"
        if reason in WHOLE_REASONS:
            self._fill_arguments(choice, data)
            before += self._settle_calls(choice)
        if better and self._find(rules.FINISH_REASON_CONTRADICTS, repr(reason), repr(better)):
            data["finish_reason"] = better
            self._changed = True
        return True

    # Tool calls

    def _fill_arguments(self, choice: _Choice, data: Data) -> None:
        """Where a call without arguments stands in the finishing chunk itself."""
        delta = data.get("delta")
        for fragment in _dicts(delta.get("tool_calls")) if isinstance(delta, dict) else []:
            call = next((one for one in choice.calls if one.number == fragment.get("index")), None)
            function = fragment.get("function")
            if call is None or call.arguments.strip() or not isinstance(function, dict):
                continue
            if self._find(rules.ARGUMENTS_EMPTY, f"call {call.number}", "{}"):
                call.arguments = function["arguments"] = "{}"
                self._changed = True

    def _mend_calls(self, choice: _Choice, delta: Data) -> None:
        shown: list[Any] = []
        for fragment in delta["tool_calls"]:
            if not isinstance(fragment, dict):
                self._find(rules.CALL_INCOMPLETE, _start_of(json_text.write(fragment)), "dropped")
                continue
            if isinstance(fragment.get("custom"), dict) or fragment.get("type") == "custom":
                choice.has_other_calls = choice.has_custom_calls = True
                choice.shown_calls += bool(fragment.get("id"))
                shown.append(fragment)
                continue
            function = fragment.get("function")
            if not isinstance(function, dict):
                function = {}
            given = function.get("arguments")
            if not isinstance(given, str | None) and self._find(
                rules.ARGUMENTS_AS_OBJECT, type(given).__name__, "written as text"
            ):
                function["arguments"] = json_text.write(given).decode()
                self._changed = True
            call = self._call_of(choice, fragment, function)
            mended = self._mend_fragment(choice, call, fragment, function)
            if mended is not None:
                shown.append(mended)
        if len(shown) != len(delta["tool_calls"]):
            delta["tool_calls"] = shown
            self._changed = True
            if not shown:
                del delta["tool_calls"]

    def _call_of(self, choice: _Choice, fragment: Data, function: Data) -> _Call:
        """The call that a fragment belongs to: an open one, or a new one."""
        source = _source(fragment.get("index"))
        identity, name = _text(fragment.get("id")), _text(function.get("name"))
        known = choice.by_source.get(source) if source is not None else None
        last = choice.calls[-1] if choice.calls else None
        if source is None and identity:
            known = next((call for call in choice.calls if call.identity == identity), None)
        elif source is None and not (name and (last is None or last.is_over_at(name))):
            known = last
        if known is not None and not _is_another(known, identity, name):
            return known
        if known is None and not identity and not name:
            if last is None:
                self._find(rules.ORPHAN_FRAGMENT, "arguments of no call", "ended in an error")
                raise _Unmendable("The provider sent arguments of a tool call that never began.")
            self._find(rules.ORPHAN_FRAGMENT, f"index {source!r}", f"of call {last.number}")
            choice.by_source[source] = last
            return last
        call = _Call()
        choice.calls.append(call)
        choice.by_source[source] = call
        return call

    def _mend_fragment(
        self, choice: _Choice, call: _Call, fragment: Data, function: Data
    ) -> Data | None:
        """The fragment as it is shown; None while its call waits for a name."""
        arguments = _text(function.get("arguments"))
        if not isinstance(fragment.get("id"), str | None) and self._find(
            rules.CALL_INCOMPLETE, "an id that is no text", "removed"
        ):
            del fragment["id"]
            self._changed = True
        if not call.is_shown:
            call.identity = call.identity or _text(fragment.get("id"))
            call.name = call.name or _text(function.get("name"))
            if not call.name.strip():
                call.arguments += arguments
                self._find(rules.CALL_NAME_LATE, "a call without a name", "waits for it")
                return None
            self._open(choice, call, fragment, function, arguments)
        else:
            call.arguments += arguments
            if fragment.get("function") is not function:
                fragment["function"] = {"arguments": ""}
                self._changed = True
        index = fragment.get("index")
        is_right = index == call.number and not isinstance(index, bool | float)
        if not is_right and self._find(
            rules.CALL_INDEX, f"index {index!r}", f"index {call.number}"
        ):
            fragment["index"] = call.number
            self._changed = True
        return fragment

    def _open(
        self, choice: _Choice, call: _Call, fragment: Data, function: Data, arguments: str
    ) -> None:
        """Make the fragment that opens a call whole, with what waited."""
        call.is_shown = True
        call.number = choice.shown_calls
        choice.shown_calls += 1
        held, call.arguments = call.arguments, call.arguments + arguments
        missing: Data = {}
        if not _text(fragment.get("id")):
            call.identity = call.identity or f"call_{self._events}_{call.number}"
            missing["id"] = call.identity
        if not _text(fragment.get("type")):
            missing["type"] = "function"
        if not isinstance(function.get("arguments"), str) or held:
            missing["function"] = {**function, "name": call.name, "arguments": held + arguments}
        elif function.get("name") != call.name:
            missing["function"] = {**function, "name": call.name}
        if missing and self._find(rules.CALL_INCOMPLETE, f"no {', '.join(missing)}", "filled in"):
            fragment |= missing
            self._changed = True

    def _settle_calls(self, choice: _Choice) -> list[bytes]:
        """Before a choice finishes well: every call has a name and whole arguments."""
        added: list[bytes] = []
        for call in choice.calls:
            if not call.is_shown:
                if len(self._context.tool_names) != 1:
                    self._find(rules.CALL_NAME_LATE, "no name to the end", "ended in an error")
                    raise _Unmendable("The provider called a tool without naming it.")
                call.name = self._context.tool_names[0]
                self._find(rules.CALL_NAME_LATE, "no name to the end", repr(call.name))
                opening: Data = {}
                self._open(choice, call, opening, {}, "")
                opening["index"] = call.number
                added.append(self._extra(choice, opening))
            if not call.arguments.strip():
                if self._find(rules.ARGUMENTS_EMPTY, f"call {call.number}", "{}"):
                    call.arguments = "{}"
                    fragment = {"index": call.number, "function": {"arguments": "{}"}}
                    added.append(self._extra(choice, fragment))
            elif not call.is_whole:
                self._find(
                    rules.ARGUMENTS_BROKEN,
                    _start_of(call.arguments.encode("utf-8", "replace")),
                    "ended in an error",
                )
                raise _Unmendable("The provider's tool call ended inside its JSON arguments.")
        return added

    def _extra(self, choice: _Choice, fragment: Data) -> bytes:
        """A chunk of ours with one fragment of a call."""
        delta = {"tool_calls": [fragment]}
        return self._extra_chunk(choice, delta, None)

    def _extra_chunk(self, choice: _Choice, delta: Data, reason: str | None) -> bytes:
        data = {"index": choice.number, "delta": delta, "finish_reason": reason}
        chunk = {"object": CHUNK, **self._last, "choices": [data]}
        return sse.encode(json_text.write(chunk))

    # The end

    def _done(self, event: sse.Event) -> Mended:
        if not self._choices:
            return self._failed("The provider sent no content.")
        added: list[bytes] = []
        for choice in self._choices.values():
            if choice.finish_reason in WHOLE_REASONS and not self._is_off:
                added += self._settle_calls(choice)
            if choice.finish_reason is None and not self._is_off:
                if not (choice.has_content or choice.has_other_calls):
                    return self._failed("The provider sent no content.")
                reason = "tool_calls" if choice.calls or choice.has_other_calls else "stop"
                self._find(rules.FINISH_REASON_MISSING, "[DONE] without one", repr(reason))
                added += self._settle_calls(choice)
                choice.finish_reason = reason
                added.append(self._extra_chunk(choice, {}, reason))
        self._verdict = Kind.TERMINAL
        return Mended(b"".join([*added, event.raw]), Kind.TERMINAL, self._findings)

    def _failed(self, message: str) -> Mended:
        error = make_error(status=502, type="server_error", message=message)
        return Mended(self.fail(error), Kind.ERROR, self._findings, error)

    def _find(self, rule: Rule, found: str, done: str) -> bool:
        """Note a finding; False when the rule is switched off."""
        if rule.code in self._context.disabled:
            return False
        self._findings.append(Finding(rule.code, f"event {self._events}", found, done))
        return True


def _is_another(known: _Call, identity: str, name: str) -> bool:
    """Whether a fragment under a known index opens another call."""
    if identity and known.identity and identity != known.identity:
        return True
    if identity and identity == known.identity:
        return False
    return bool(name and known.name and known.is_shown and known.is_whole and not identity)


def _is_native_error(chunk: Data) -> bool:
    error = chunk.get("error")
    return isinstance(error, dict) and bool(str(error.get("message") or "").strip())


def _later(kind: Kind, other: Kind) -> Kind:
    order = (Kind.IDLE, Kind.PREAMBLE, Kind.CONTENT)
    return max(kind, other, key=order.index)


def _source(index: Any) -> Any:
    if isinstance(index, str) and index.isdigit():
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: Any) -> int:
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if -(2**63) <= number < 2**63 else 0


def _dicts(value: Any) -> list[Data]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _parses(text: str) -> bool:
    try:
        json_text.read(text)
    except ValueError:
        return False
    return True


def _start_of(raw: bytes) -> str:
    text = raw[:60].decode("utf-8", "replace")
    return text + "…" if len(raw) > 60 else text
