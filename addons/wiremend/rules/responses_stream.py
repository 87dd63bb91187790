"""Mends a Responses event stream, event by event.

What the rules are called and why they exist stands in responses_rules.py.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from wiremend import sse
from wiremend.protocols.errors import ProviderError, error_from, make_error, read_error
from wiremend.protocols.responses import (
    ARGUMENTS_DELTA,
    ARGUMENTS_DONE,
    COMPLETE,
    ITEM_ADDED,
    ITEM_DONE,
    PART_ADDED,
    PART_DELTAS,
    PART_DONE,
    PREAMBLE,
    TEXT_DELTA,
    TEXT_DONE,
    UNNUMBERED,
    USAGE_COUNTS,
    error_code,
    error_type,
    failed_event,
)
from wiremend.rules import responses_rules as rules
from wiremend.rules.finding import Finding, Rule
from wiremend.rules.mending import Kind, Mended, StreamContext
from wiremend.rules.responses_rules import RULES

__all__ = ["RULES", "ResponsesMender"]

Data = dict[str, Any]
_CARRIED = ("name", "call_id", "id")


@dataclass(slots=True, eq=False)
class _Item:
    """One output item as far as it was streamed."""

    number: int
    added: Data
    done: Data | None = None
    arguments: str = ""
    text_by_part: dict[int, str] = field(default_factory=dict)
    open_parts: set[int] = field(default_factory=set)


class _Unmendable(Exception):
    """Content is lost: the stream must end in the protocol's error."""


class ResponsesMender:
    """One attempt's stream; see `wiremend.rules.mending.Mender`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._is_off = context.disabled.issuperset(rule.code for rule in RULES)
        self._events = 0
        self._number = -1
        self._out: list[bytes] = []
        self._findings: list[Finding] = []
        self._began = False
        self._response: Data = {}
        self._items: list[_Item] = []
        self._by_id: dict[str, _Item] = {}
        self._by_source: dict[int, _Item] = {}
        self._verdict: Kind | None = None

    def __repr__(self) -> str:
        return f"ResponsesMender(event={self._events}, items={len(self._items)})"

    @property
    def complete(self) -> bool:
        """Never before the terminal event: another item may begin at any time."""
        return False

    def decoder(self) -> sse.Decoder:
        """Server-sent events."""
        return sse.Decoder()

    def feed(self, event: sse.Event) -> Mended:
        """What one event becomes."""
        self._events += 1
        self._out, self._findings = [], []
        if event.data is None:
            return Mended(b"" if self._verdict else event.raw, Kind.IDLE)
        if self._verdict is not None:
            self._find(rules.AFTER_THE_END, _start_of(event.data), "dropped")
            return self._mended(Kind.IDLE)
        try:
            return self._feed_data(event, event.data)
        except _Unmendable as unmendable:
            return self._failed(str(unmendable))

    def end(self) -> Mended:
        """`response.completed` where every item is done, else the protocol's error."""
        self._out, self._findings = [], []
        if self._verdict is Kind.TERMINAL:
            return Mended(b"", Kind.TERMINAL)
        is_whole = bool(self._items) and all(item.done is not None for item in self._items)
        if is_whole and self._find(rules.COMPLETED_MISSING, "the end after the last item", "added"):
            response = {**self._response, "status": "completed", "output": self._output()}
            response.setdefault("usage", None)
            self._send(None, {"type": "response.completed", "response": response})
            self._verdict = Kind.TERMINAL
            return self._mended(Kind.TERMINAL)
        missing = "before its terminal event" if self._began else "before its first event"
        return self._failed(f"The stream ended {missing}.")

    def fail(self, error: ProviderError) -> bytes:
        """`response.failed`: the one error that every client reads."""
        self._verdict = Kind.ERROR
        if not error.message.strip():
            said = f"The provider reported {error.code or error_type(error)} without a message."
            error = error.with_message(said)
        wait = error.retry_after_seconds
        is_limit = error_code(error) == "rate_limit_exceeded" and wait is not None
        if is_limit and "try again in" not in error.message.lower():
            # Codex takes its delay from these words.
            error = replace(error, message=f"{error.message} Please try again in {wait:g}s.")
        shown = {key: self._response[key] for key in self._response if key != "instructions"}
        return failed_event(error, {**shown, "output": self._output()}, self._number + 1)

    # Reading an event

    def _feed_data(self, event: sse.Event, raw: bytes) -> Mended:
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError:
            if raw.lstrip()[:1] in (b"{", b'"'):
                self._find(rules.BROKEN_EVENT, _start_of(raw), "ended in an error")
                return self._failed("The provider sent an event that is not valid JSON.")
            self._find(rules.FOREIGN_FRAME, _start_of(raw) or "an empty frame", "dropped")
            return self._mended(Kind.IDLE)
        kind = data.get("type") if isinstance(data, dict) else None
        error = self._error_in(data, kind)
        if error is not None:
            return self._reported(event, data, error)
        if not isinstance(kind, str):
            if not self._find(rules.FOREIGN_FRAME, _start_of(raw), "dropped"):
                return Mended(event.raw, Kind.IDLE)
            return self._mended(Kind.IDLE)
        if kind == "keepalive":
            if not self._find(rules.KEEPALIVE_FRAME, _start_of(raw), "a blank line"):
                return Mended(event.raw, Kind.IDLE)
            return Mended(b"\n", Kind.IDLE, self._findings)
        if kind in UNNUMBERED:
            return Mended(event.raw, Kind.PREAMBLE if kind in PREAMBLE else Kind.IDLE)
        return self._known(event, data, kind)

    def _error_in(self, data: Any, kind: Any) -> ProviderError | None:
        if kind == "response.failed":
            response = data.get("response")
            error = response.get("error") if isinstance(response, dict) else None
            return error_from(error if isinstance(error, dict) else {})
        if isinstance(kind, str) and kind != "error" and not data.get("error"):
            return None
        if isinstance(kind, str) and "." in kind:
            return None  # an event of its own, whatever its fields are called
        return read_error(data)

    def _reported(self, event: sse.Event, data: Data, error: ProviderError) -> Mended:
        kind = data.get("type") if isinstance(data, dict) else None
        is_native = bool(error.message.strip()) and (
            kind == "response.failed"
            or (kind == "error" and data.get("message") and self._context.client != "codex")
        )
        if is_native and not self._number_wrong(data):
            self._verdict = Kind.ERROR
            return Mended(event.raw, Kind.ERROR, self._findings, error)
        return Mended(self.fail(error), Kind.ERROR, self._findings, error)

    def _known(self, event: sse.Event, data: Data, kind: str) -> Mended:
        changed = self._rename(data)
        response = data.get("response")
        if isinstance(response, dict) and (kind in PREAMBLE or kind in COMPLETE):
            self._response = {**self._response, **response}
        if kind in COMPLETE:
            return self._complete(event, data, changed)
        if kind == "response.created":
            if self._began and self._find(rules.CREATED_REPEATED, "a second one", "dropped"):
                return self._mended(Kind.IDLE)
            self._began = True
        elif kind not in PREAMBLE:
            self._ensure_began()
        if kind not in PREAMBLE and not self._is_off:
            moved = self._item_event(data, kind)
            if moved is None:
                return self._mended(Kind.CONTENT)
            changed = moved or changed
        self._send(event, data, changed)
        return self._mended(Kind.PREAMBLE if kind in PREAMBLE else Kind.CONTENT)

    def _rename(self, data: Data) -> bool:
        shown, response = self._context.shown_model, data.get("response")
        if (
            shown is None
            or not isinstance(response, dict)
            or response.get("model") in (None, shown)
        ):
            return False
        response["model"] = shown
        return True

    def _ensure_began(self) -> None:
        if not self._began:
            self._began = True
            if self._find(rules.CREATED_MISSING, "no response.created", "added"):
                model = self._context.shown_model or self._context.model
                self._response = {
                    "id": "resp_unknown",
                    "object": "response",
                    "created_at": 0,
                    "model": model,
                    "status": "in_progress",
                    "output": [],
                    "parallel_tool_calls": True,
                    "tool_choice": "auto",
                    "tools": [],
                    **self._response,
                }
                self._send(None, {"type": "response.created", "response": self._response})

    # Items

    def _item_event(self, data: Data, kind: str) -> bool | None:
        """Place an event with its item; True if it was changed, None if it is dropped."""
        if kind == ITEM_ADDED:
            return self._item_added(data)
        if "output_index" not in data and "item_id" not in data and kind != ITEM_DONE:
            return False
        item = self._item_of(data)
        if item is None:
            item = self._add_missing(data, kind)
        elif item.done is not None and self._find(rules.ITEM_OVER, kind, "dropped"):
            return None
        changed = self._number_item(data, item)
        if kind == PART_ADDED:
            item.text_by_part.setdefault(_index(data), "")
            item.open_parts.add(_index(data))
        elif kind == PART_DONE:
            item.open_parts.discard(_index(data))
        elif kind in PART_DELTAS:
            self._ensure_part(item, data, kind)
            if kind == TEXT_DELTA:
                item.text_by_part[_index(data)] += _text(data.get("delta"))
        elif kind == ARGUMENTS_DELTA:
            if isinstance(data.get("delta"), dict | list):
                data["delta"] = self._as_text(data["delta"])
                changed = True
            item.arguments += _text(data.get("delta"))
        elif kind == ARGUMENTS_DONE:
            changed = self._mend_arguments(data, item) or changed
        elif kind == ITEM_DONE:
            changed = self._item_done(data, item) or changed
        return changed

    def _item_added(self, data: Data) -> bool:
        added = data.get("item")
        item = _Item(len(self._items), added if isinstance(added, dict) else {})
        source = data.get("output_index")
        self._items.append(item)
        if isinstance(source, int):
            self._by_source[source] = item
        if isinstance(item.added.get("id"), str):
            self._by_id[item.added["id"]] = item
        item.arguments = _text(item.added.get("arguments"))
        return self._number_item(data, item)

    def _item_of(self, data: Data) -> _Item | None:
        item = data.get("item")
        identity = data.get("item_id") or (item.get("id") if isinstance(item, dict) else None)
        if isinstance(identity, str) and identity in self._by_id:
            return self._by_id[identity]
        source = data.get("output_index")
        return self._by_source.get(source) if isinstance(source, int) else None

    def _number_item(self, data: Data, item: _Item) -> bool:
        index = data.get("output_index")
        is_right = index == item.number and not isinstance(index, bool)
        if is_right or not self._find(
            rules.OUTPUT_INDEX, f"output_index {index!r}", str(item.number)
        ):
            return False
        data["output_index"] = item.number
        return True

    def _add_missing(self, data: Data, kind: str) -> _Item:
        """Write the item that an event belongs to: what it holds tells what it is."""
        whole = data.get("item")
        if kind == ITEM_DONE and isinstance(whole, dict):
            added = {**whole, "status": "in_progress"}
            if whole.get("type") == "message":
                added["content"] = []
        elif kind in PART_DELTAS or kind in (PART_ADDED, PART_DONE):
            added = {"type": "message", "role": "assistant", "status": "in_progress", "content": []}
        else:
            self._find(rules.ITEM_NOT_ADDED, kind, "ended in an error")
            raise _Unmendable(f"The provider sent {kind} of an item that it never began.")
        identity = data.get("item_id") or added.get("id") or f"msg_{self._events}"
        added["id"] = identity
        self._find(rules.ITEM_NOT_ADDED, kind, f"{added.get('type')} added")
        source = data.get("output_index")
        event = {"type": ITEM_ADDED, "output_index": source, "item": added}
        self._item_added(event)
        event["output_index"] = self._items[-1].number
        self._send(None, event)
        return self._items[-1]

    def _ensure_part(self, item: _Item, data: Data, kind: str) -> None:
        index = _index(data)
        if index in item.text_by_part:
            return
        item.text_by_part[index] = ""
        item.open_parts.add(index)
        if self._find(rules.ITEM_NOT_ADDED, f"{kind} of part {index}", "part added"):
            is_refusal = "refusal" in kind
            part = (
                {"type": "refusal", "refusal": ""}
                if is_refusal
                else {"type": "output_text", "text": "", "annotations": []}
            )
            self._send(None, self._part_event(PART_ADDED, item, index, part=part))

    def _part_event(self, kind: str, item: _Item, index: int, **fields: Any) -> Data:
        return {
            "type": kind,
            "item_id": item.added.get("id", ""),
            "output_index": item.number,
            "content_index": index,
            **fields,
        }

    def _mend_arguments(self, data: Data, item: _Item) -> bool:
        given = data.get("arguments")
        if isinstance(given, str) and given:
            item.arguments = given
            return False
        better = self._as_text(given) if isinstance(given, dict | list) else item.arguments or "{}"
        if better == given:
            return False
        self._find(rules.ARGUMENTS_AS_OBJECT, f"arguments {type(given).__name__}", "text")
        item.arguments = data["arguments"] = better
        return True

    def _item_done(self, data: Data, item: _Item) -> bool:
        done = data.get("item")
        changed = False
        if not isinstance(done, dict):
            done = data["item"] = {**item.added}
            changed = True
        if done.get("type") == "function_call":
            changed = self._complete_call(done, item) or changed
        item.done = done
        return changed

    def _complete_call(self, done: Data, item: _Item) -> bool:
        missing = {
            key: item.added[key] for key in _CARRIED if not done.get(key) and item.added.get(key)
        }
        arguments = done.get("arguments")
        if isinstance(arguments, dict | list):
            missing["arguments"] = self._as_text(arguments)
        elif not arguments:
            missing["arguments"] = item.arguments or "{}"
        if not (done.get("name") or missing.get("name")):
            if len(self._context.tool_names) != 1:
                self._find(rules.ITEM_INCOMPLETE, "a call without a name", "ended in an error")
                raise _Unmendable("The provider called a tool without naming it.")
            missing["name"] = self._context.tool_names[0]
        if not (done.get("call_id") or missing.get("call_id")):
            missing["call_id"] = f"call_{self._events}"
        if not _parses(missing.get("arguments", arguments)):
            self._find(rules.ARGUMENTS_BROKEN, str(arguments)[:60], "ended in an error")
            raise _Unmendable("The provider's tool call ended inside its JSON arguments.")
        if not missing or not self._find(
            rules.ITEM_INCOMPLETE, f"no {', '.join(missing)}", "carried over"
        ):
            return False
        done |= missing
        return True

    def _as_text(self, value: Any) -> str:
        self._find(rules.ARGUMENTS_AS_OBJECT, "an object", "written as text")
        return orjson.dumps(value).decode()

    # The end

    def _complete(self, event: sse.Event, data: Data, changed: bool) -> Mended:
        self._ensure_began()
        response = data.get("response")
        if not isinstance(response, dict):
            response = data["response"] = {**self._response, "status": "completed"}
            changed = True
        if not self._is_off:
            if data["type"] == "response.completed":
                self._settle_items()
            done = self._output()
            if len(response.get("output") or []) < len(done) and self._find(
                rules.OUTPUT_MISSING,
                f"{len(response.get('output') or [])} of {len(done)}",
                "rebuilt",
            ):
                response["output"] = done
                changed = True
            changed = self._mend_usage(response) or changed
        self._send(event, data, changed)
        self._verdict = Kind.TERMINAL
        return self._mended(Kind.TERMINAL)

    def _settle_items(self) -> None:
        """Before a response completes: every item is done."""
        for item in self._items:
            if item.done is not None:
                continue
            self._find(rules.ITEM_NOT_DONE, f"item {item.number}", "done added")
            done = {**item.added, "status": "completed"}
            if done.get("type") == "message":
                done["content"] = self._close_parts(item)
            if done.get("type") == "function_call":
                done["arguments"] = item.arguments
                self._complete_call(done, item)
            item.done = done
            self._send(None, {"type": ITEM_DONE, "output_index": item.number, "item": done})

    def _close_parts(self, item: _Item) -> list[Data]:
        parts: list[Data] = []
        for index, text in sorted(item.text_by_part.items()):
            part = {"type": "output_text", "text": text, "annotations": []}
            parts.append(part)
            if index in item.open_parts:
                self._send(None, self._part_event(TEXT_DONE, item, index, text=text, logprobs=[]))
                self._send(None, self._part_event(PART_DONE, item, index, part=part))
        return parts

    def _mend_usage(self, response: Data) -> bool:
        usage = response.get("usage")
        if not isinstance(usage, dict):
            return False
        missing = {key: 0 for key in USAGE_COUNTS if not isinstance(usage.get(key), int)}
        if not missing or not self._find(
            rules.USAGE_INCOMPLETE, f"no {', '.join(missing)}", "filled in"
        ):
            return False
        usage |= missing
        if "total_tokens" in missing:
            usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
        return True

    def _output(self) -> list[Data]:
        return [item.done for item in self._items if item.done is not None]

    # Writing

    def _number_wrong(self, data: Data) -> bool:
        number = data.get("sequence_number")
        return not isinstance(number, int) or isinstance(number, bool) or number <= self._number

    def _send(self, event: sse.Event | None, data: Data, changed: bool = True) -> None:
        given = data.get("sequence_number")
        if self._number_wrong(data) and (
            event is None
            or self._find(rules.SEQUENCE_NUMBER, f"number {given!r}", str(self._number + 1))
        ):
            data["sequence_number"] = self._number + 1
            changed = True
        number = data.get("sequence_number")
        if isinstance(number, int) and number > self._number:
            self._number = number
        if event is None:
            self._out.append(sse.encode(orjson.dumps(data), data["type"]))
        else:
            self._out.append(sse.with_data(event, orjson.dumps(data)) if changed else event.raw)

    def _find(self, rule: Rule, found: str, done: str) -> bool:
        """Note a finding; False when the rule is switched off."""
        if rule.code in self._context.disabled:
            return False
        self._findings.append(Finding(rule.code, f"event {self._events}", found, done))
        return True

    def _mended(self, kind: Kind) -> Mended:
        return Mended(b"".join(self._out), kind, self._findings)

    def _failed(self, message: str) -> Mended:
        error = make_error(status=502, type="server_error", message=message)
        self._out.append(self.fail(error))
        return Mended(b"".join(self._out), Kind.ERROR, self._findings, error)


def _index(data: Data) -> int:
    index = data.get("content_index")
    return index if isinstance(index, int) else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _parses(text: Any) -> bool:
    try:
        orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return False
    return True


def _start_of(raw: bytes) -> str:
    text = raw[:60].decode("utf-8", "replace")
    return text + "…" if len(raw) > 60 else text
