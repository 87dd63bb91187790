"""Mends a Responses event stream, event by event.

What the rules are called and why they exist stands in responses_rules.py. This file reads the
events and minds the response as a whole; responses_item_events.py minds its output items.
"""

from typing import Any

from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_from,
    error_of_text,
    make_error,
    read_error,
)
from wiremend.protocols.base.repairer import Kind, Mended, StreamContext
from wiremend.protocols.responses import rules
from wiremend.protocols.responses.errors import error_event, response_object
from wiremend.protocols.responses.grammar import (
    COMPLETE,
    COMPLETED,
    CREATED,
    FAILED,
    ITEM_EVENTS,
    KEEPALIVES,
    LIFECYCLE,
    OWN_FIELDS,
    PREAMBLE,
    UNFINISHED,
    UNNUMBERED,
)
from wiremend.protocols.responses.item_events import Fate, ItemEvents
from wiremend.protocols.responses.items import Data
from wiremend.protocols.responses.rules import RULES
from wiremend.protocols.responses.usage import mended_usage, no_usage
from wiremend.protocols.responses.writer import Unmendable, Writer
from wiremend.rules.rule import Rule, start_of
from wiremend.text import json_value, sse

__all__ = ["RULES", "ResponsesMender"]


class ResponsesMender:
    """One attempt's stream; see `wiremend.protocols.base.repairer.Mender`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._writer = Writer(context)
        self._item_events = ItemEvents(context, self._writer)
        self._items = self._item_events.items
        self._began = False
        self._has_unread = False
        """Text came that is no JSON: it may have told of a failure."""
        self._response: Data = {}
        """The response object as far as the client has seen it."""
        self._verdict: Kind | None = None
        self._error: ProviderError | None = None

    def __repr__(self) -> str:
        state = self._verdict.value if self._verdict else "open"
        return f"ResponsesMender({state}, event={self._writer.events}, items={len(self._items)})"

    @property
    def complete(self) -> bool:
        """Never before the terminal event: another item may begin at any time."""
        return False

    def decoder(self) -> sse.Decoder:
        """Server-sent events."""
        return sse.Decoder()

    def feed(self, event: sse.Event) -> Mended:
        """What one event becomes."""
        self._writer.events += 1
        self._writer.start()
        if event.data is None:
            return Mended(b"" if self._verdict else event.raw, Kind.IDLE)
        if self._verdict is not None:
            # Switched off or not: nothing may follow the end.
            self._writer.notes.note(rules.AFTER_THE_END, start_of(event.data), "dropped", once="")
            return self._writer.mended(Kind.IDLE)
        try:
            return self._feed_data(event, event.data)
        except Unmendable as unmendable:
            return self._failed(str(unmendable))

    def end(self) -> Mended:
        """`response.completed` where every item is whole, else the protocol's error."""
        self._writer.start()
        if self._verdict is not None:
            return Mended(b"", self._verdict, error=self._error)
        try:
            is_whole = self._item_events.is_whole and not self._has_unread
            if is_whole and self._writer.notes.note(
                rules.COMPLETED_MISSING, "the end after the last item", f"{COMPLETED} added"
            ):
                return self._complete_at_end()
        except Unmendable as unmendable:
            return self._failed(str(unmendable))
        if not self._began:
            return self._failed("The stream ended before its first event.")
        return self._failed(f"The stream ended before its terminal event ({COMPLETED}).")

    def fail(self, error: ProviderError) -> bytes:
        """`response.failed`, after `response.created` if the client has not had that."""
        if self._verdict is Kind.TERMINAL:
            return b""
        self._verdict, self._error = Kind.ERROR, error
        self._writer.start()
        if not self._began:
            self._begin({})
        self._write_failed(error)
        return b"".join(self._writer.out)

    # Reading an event

    def _feed_data(self, event: sse.Event, raw: bytes) -> Mended:
        if raw.strip() in (b"", b"{}"):
            return self._without(event, rules.EMPTY_FRAME, "nothing in it")
        try:
            data = json_value.read(raw)
        except ValueError:
            return self._not_json(event, raw)
        kind = data.get("type") if isinstance(data, dict) else None
        kind = kind if isinstance(kind, str) and kind and kind.isprintable() else None
        error = _error_in(event, data, kind)
        if error is not None:
            return self._reported(event, data if isinstance(data, dict) else {}, kind, error)
        if not isinstance(data, dict):
            return self._without(event, rules.FOREIGN_FRAME, start_of(raw))
        if kind is None and event.type.startswith("response."):
            self._writer.change(rules.TYPE_MISSING, "data without a type", event.type)
            kind = data["type"] = event.type
            error = _error_in(event, data, kind)
            if error is not None:
                return self._reported(event, data, kind, error)
        if kind is None:
            if data.keys() & OWN_FIELDS:
                message = "The provider sent an event without a type."
                self._writer.lose(rules.BROKEN_EVENT, "an event without a type", message)
            return self._without(event, rules.FOREIGN_FRAME, start_of(raw))
        if kind in KEEPALIVES:
            return self._without(event, rules.KEEPALIVE_FRAME, start_of(raw), b"\n")
        if kind in UNNUMBERED:
            return Mended(event.raw, Kind.PREAMBLE)
        if not kind.startswith("response."):
            return Mended(event.raw, Kind.CONTENT)
        return self._known(event, data, kind)

    def _not_json(self, event: sse.Event, raw: bytes) -> Mended:
        if event.type == "error":
            text = raw.decode("utf-8", "replace").strip()
            return self._reported(event, {}, None, error_of_text(text))
        if raw.lstrip()[:1] in (b"{", b'"') or event.type.startswith("response."):
            message = "The provider sent an event that is not valid JSON."
            self._writer.lose(rules.BROKEN_EVENT, start_of(raw), message)
        self._has_unread |= raw.strip() != b"[DONE]"
        return self._without(event, rules.FOREIGN_FRAME, start_of(raw))

    def _without(self, event: sse.Event, rule: Rule, found: str, instead: bytes = b"") -> Mended:
        done = "a blank line" if instead else "dropped"
        is_on = self._writer.notes.note(rule, found, done)
        return Mended(instead if is_on else event.raw, Kind.IDLE, self._writer.notes.findings)

    def _known(self, event: sse.Event, data: Data, kind: str) -> Mended:
        if kind in COMPLETE:
            self._complete(data, kind)
            self._writer.send(event, data, kind)
            self._verdict = Kind.TERMINAL
            return self._writer.mended(Kind.TERMINAL)
        if kind in LIFECYCLE:
            fate = self._lifecycle(data, kind)
        else:
            if kind in ITEM_EVENTS or data.keys() & OWN_FIELDS:
                self._ensure_began(data)  # an event of tomorrow may well come first
            fate = self._item_events.feed(data, kind)
        if fate is Fate.SENT:
            self._writer.send(event, data, kind)
            return self._writer.mended(Kind.PREAMBLE if kind in PREAMBLE else Kind.CONTENT)
        if self._items.any_shown and self._writer.out:
            return self._writer.mended(Kind.CONTENT)
        # What is withheld is progress all the same, but it can still be taken back.
        is_idle = fate is Fate.DROPPED and not self._writer.out
        return self._writer.mended(Kind.IDLE if is_idle else Kind.PREAMBLE)

    # Errors

    def _reported(
        self, event: sse.Event, data: Data, kind: str | None, error: ProviderError
    ) -> Mended:
        if kind == FAILED and _is_told(data):
            self._ensure_began(data)
            self._mend_response(data, kind)
            self._writer.send(event, data, kind)
        elif (
            kind == "error" and not self._context.client.reads_only_failed_event and _says_why(data)
        ):
            self._writer.send(event, data, kind)
        else:
            if not self._began:
                self._begin({})
            self._write_failed(error)
        self._verdict, self._error = Kind.ERROR, error
        return Mended(b"".join(self._writer.out), Kind.ERROR, self._writer.notes.findings, error)

    def _failed(self, message: str) -> Mended:
        error = make_error(status=502, type="server_error", message=message)
        if not self._began:
            self._begin({})
        self._write_failed(error)
        self._verdict, self._error = Kind.ERROR, error
        return Mended(b"".join(self._writer.out), Kind.ERROR, self._writer.notes.findings, error)

    def _write_failed(self, error: ProviderError) -> None:
        # The instructions are long, and the client wrote them.
        shown = {key: self._response[key] for key in self._response if key != "instructions"}
        shown["output"] = self._items.done()
        self._writer.number += 1
        before_output = not self._items.any_shown
        self._writer.out.append(
            error_event(error, shown, self._writer.number, before_output=before_output)
        )

    # The response object

    def _lifecycle(self, data: Data, kind: str) -> Fate:
        if kind != CREATED:
            self._ensure_began(data)
        elif self._began and self._writer.notes.note(
            rules.CREATED_REPEATED, "a second one", "dropped"
        ):
            return Fate.DROPPED
        self._began = True
        self._mend_response(data, kind)
        return Fate.SENT

    def _ensure_began(self, data: Data) -> None:
        if not self._began and self._writer.notes.note(
            rules.CREATED_MISSING, f"no {CREATED}", "added"
        ):
            self._begin(data)
        self._began = True

    def _begin(self, data: Data) -> None:
        """Write `response.created` from what the first event tells."""
        self._began = True
        told = data.get("response")
        told = told if isinstance(told, dict) else {}
        known = {
            key: told[key]
            for key, types in (("id", str), ("created_at", (int, float)), ("model", str))
            if told.get(key) and isinstance(told[key], types)
        }
        self._response = response_object({"model": self._context.model, **known})
        if self._context.shown_model is not None:
            self._response["model"] = self._context.shown_model
        self._item_events.response_id = self._response["id"]
        self._writer.write({"type": CREATED, "response": self._response})

    def _mend_response(self, data: Data, kind: str) -> None:
        """Mend the response object in an event, and remember it."""
        given = data.get("response")
        response = given if isinstance(given, dict) else {}
        known = self._response
        missing: Data = {}
        identity = response.get("id")
        if not isinstance(identity, str) or not identity:
            missing["id"] = known.get("id") or "resp_unknown"
        elif known.get("id", identity) != identity:
            missing["id"] = known["id"]
        if kind == CREATED and not isinstance(response.get("created_at"), int | float):
            missing["created_at"] = 0
        if kind == CREATED and not isinstance(response.get("model"), str):
            missing["model"] = self._context.model
        status = response.get("status")
        if kind in COMPLETE and (not isinstance(status, str) or status in UNFINISHED):
            missing["status"] = kind.removeprefix("response.")
        if missing and self._writer.change(
            rules.RESPONSE_INCOMPLETE, f"{kind}: {', '.join(missing)}", "filled in"
        ):
            if not response:
                response = {key: known[key] for key in known if key not in ("output", "usage")}
            response = data["response"] = {**response, **missing}
        shown = self._context.shown_model
        if shown is not None and response.get("model") not in (None, shown):
            # The writer replaces a name in the text; what is no name takes writing the event.
            self._writer.changed |= not isinstance(response["model"], str)
            response["model"] = shown
        self._response = {**known, **response}
        self._item_events.response_id = str(self._response.get("id"))

    # The end

    def _complete(self, data: Data, kind: str) -> None:
        """Make the terminal event say what was streamed, and the stream what it says."""
        self._ensure_began(data)
        self._mend_response(data, kind)
        response = data.get("response")
        if not isinstance(response, dict):
            return
        given = response.get("output")
        output = [
            entry
            for entry in (given if isinstance(given, list) else [])
            if isinstance(entry, dict) and isinstance(entry.get("type"), str)
        ]
        if kind == COMPLETED:
            if output and not len(self._items):
                self._item_events.stream(output)
            self._item_events.settle(output)
        self._mend_output(response, output, kind)
        self._mend_usage(response)

    def _complete_at_end(self) -> Mended:
        self._item_events.settle([])
        response: Data = {**self._response, "status": "completed", "output": self._items.done()}
        nothing = None if self._context.client.accepts_null_usage else no_usage()
        response["usage"] = mended_usage(response.get("usage")) or nothing
        self._writer.write({"type": COMPLETED, "response": response})
        self._verdict = Kind.TERMINAL
        return self._writer.mended(Kind.TERMINAL)

    def _mend_output(self, response: Data, output: list[Data], kind: str) -> None:
        streamed = self._items.done()
        if kind != COMPLETED:
            streamed += self._items.unfinished()
        if len(output) < len(streamed):
            found = f"{len(output)} of {len(streamed)} items"
            if self._writer.change(rules.OUTPUT_MISSING, found, "rebuilt"):
                response["output"] = streamed
            return
        if response.get("output") != output and self._writer.change(
            rules.OUTPUT_MISSING, "no list of items", f"a list of {len(output)}"
        ):
            response["output"] = output
        self._item_events.mend_output(output)

    def _mend_usage(self, response: Data) -> None:
        usage = response.get("usage")
        better = mended_usage(usage)
        if better is None and self._context.client.needs_usage:
            better = no_usage()
        if better != usage and self._writer.change(
            rules.USAGE_INCOMPLETE, f"usage {start_of(repr(usage).encode())}", "filled in"
        ):
            response["usage"] = better


def _error_in(event: sse.Event, data: Any, kind: str | None) -> ProviderError | None:
    """The error that an event reports. A field called `error` in an event is none by itself."""
    response = data.get("response") if isinstance(data, dict) else None
    inner = response.get("error") if isinstance(response, dict) else None
    if kind == FAILED or (
        kind in COMPLETE
        and isinstance(response, dict)
        and response.get("status") == "failed"
        and isinstance(inner, dict)
    ):
        inner = inner or data.get("error")
        if isinstance(inner, str):
            return error_of_text(inner)
        return error_from(inner) if isinstance(inner, dict) and inner else make_error()
    if kind == "response.error":
        return read_error(data) or error_from(data)
    if kind is not None and kind != "error" and ("." in kind or not data.get("error")):
        return None
    error = read_error(data)
    if error is None and event.type == "error":
        error = error_from(data) if isinstance(data, dict) and data else make_error()
    return error


def _is_told(failed: Data) -> bool:
    """Whether `response.failed` has the code and the message that clients show."""
    response = failed.get("response")
    error = response.get("error") if isinstance(response, dict) else None
    told = [error.get(key) for key in ("code", "message")] if isinstance(error, dict) else [None]
    return all(isinstance(one, str) and one.strip() for one in told)


def _says_why(data: Data) -> bool:
    nested = data.get("error")
    said = data.get("message") or (nested.get("message") if isinstance(nested, dict) else None)
    return isinstance(said, str) and bool(said.strip())
