"""The repair of the objects of output items: their required fields, and the names of calls."""

from enum import Enum, auto
from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.cut_content import CUT_ARGUMENTS
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses.grammar import (
    CALL_TEXT,
    ITEM_FIELDS,
    UNFINISHED,
    WITH_STATUS,
    runs_in_program,
)
from wiremend.protocols.responses.items import Item, new_id
from wiremend.protocols.responses.response import ResponseObject
from wiremend.rules.rule import Rule, start_of
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject, parses

_P = ("responses",)

ITEM_INCOMPLETE = Rule(
    code="S307",
    name="item-incomplete",
    detects="An item lacks its id, status, role or content, or a call its name, id or arguments.",
    impact="`tool_use.name: String should have at least 1 character`; the Vercel AI SDK skips a "
    "call without id or without the status `completed`; Codex skips items that lack fields.",
    action="Copies the fields from the streamed events; fills in status and missing ids.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#1004",),
    before='{"type":"response.output_item.done","item":{"type":"function_call","name":"", …}}',
    after='{"type":"response.output_item.done","item":{"type":"function_call","name":"read", …}}',
)
ARGUMENTS_AS_OBJECT = Rule(
    code="S310",
    name="arguments-as-object",
    detects="A call's arguments are an object, null or empty instead of JSON text.",
    impact="SDKs expect a string and parse it.",
    action="Replaces an object with its JSON text, and missing arguments with `{}`.",
    protocols=_P,
    before='{"arguments":{"path":"a.txt"}}',
    after='{"arguments":"{\\"path\\":\\"a.txt\\"}"}',
)
ARGUMENTS_BROKEN = Rule(
    code="S311",
    name="arguments-broken",
    detects="The arguments of a call's done event are malformed or truncated JSON.",
    impact="The tool runs with truncated arguments, or the agent stops.",
    action="Content is lost: ends the stream in the protocol's error event. An item with the "
    "status `incomplete` is forwarded, and one that the response's end explains becomes it.",
    protocols=_P,
    before='{"type":"response.output_item.done","item":{"arguments":"{\\"pa", …}}',
    after='{"type":"response.failed", …}',
)
CUT_CALL = Rule(
    code="S333",
    name="cut-call",
    detects="A call that the output limit cut inside or before its arguments is done with the "
    "status `completed`.",
    impact="Clients run it with truncated arguments, or fail to parse them.",
    action="Sets the status `incomplete`; the arguments stay as they are. The end of such a call "
    "is held back until the terminal event explains it.",
    protocols=_P,
    seen=("vllm-project/vllm#57998",),
    before='{"type":"function_call","arguments":"{"pa","status":"completed", …}',
    after='{"type":"function_call","arguments":"{"pa","status":"incomplete", …}',
)
NAME_IN_PIECES = Rule(
    code="S334",
    name="name-in-pieces",
    detects="The name of a call arrives in pieces, none of which is the name of an offered tool.",
    impact="Clients take a piece for the name: no such tool.",
    action="Joins the pieces: those of the call's start, which is held back until the next event, "
    "and the one of its end.",
    protocols=_P,
    seen=("MoonshotAI/kimi-code#3220",),
    before='{"type":"response.output_item.added","item":{"name":"get_", …}}, '
    '{"type":"response.output_item.done","item":{"name":"weather", …}}',
    after='{"type":"response.output_item.added","item":{"name":"get_weather", …}}, '
    '{"type":"response.output_item.done","item":{"name":"get_weather", …}}',
)


class Disposition(Enum):
    """Whether an event is sent to the client."""

    SENT = auto()
    DROPPED = auto()
    WITHHELD = auto()
    """It counts as progress, but the client cannot use it yet."""


def drop(draft: Draft, rule: Rule, found: str) -> Disposition:
    """Drop an event, unless the rule is disabled."""
    return Disposition.DROPPED if draft.note(rule, found, "dropped") else Disposition.SENT


class CallNames:
    """Joins the names of calls in place."""

    def __init__(self, context: StreamContext, draft: Draft) -> None:
        self._tool_names = context.tool_names
        self._draft = draft

    def is_piece(self, call: JsonObject) -> bool:
        """Return whether a call has the beginning of an offered tool's name, and no such name."""
        name = call.get("name")
        return (
            _is_call(call)
            and isinstance(name, str)
            and bool(name)
            and self._draft.is_on(NAME_IN_PIECES)
            and self._is_beginning(name)
        )

    def join(self, call: JsonObject, earlier: JsonObject) -> bool:
        """Complete the name of a call with that in an earlier event; return whether it is one."""
        first, rest = earlier.get("name"), call.get("name")
        if not isinstance(first, str) or not isinstance(rest, str) or not (first and rest):
            return False
        if not _is_call(call) or rest == first:
            return False
        if rest in self._tool_names:
            return rest.startswith(first) and self._draft.is_on(NAME_IN_PIECES)
        joined = first + rest
        is_known = joined in self._tool_names or self._is_beginning(joined)
        if not is_known or not self._draft.change(NAME_IN_PIECES, f"{first!r}, {rest!r}", joined):
            return False
        call["name"] = joined
        return True

    def copy(self, call: JsonObject, other: JsonObject) -> None:
        """Copy the whole name of a call to a copy of it that has a piece of the name."""
        name, piece = other.get("name"), call.get("name")
        if not isinstance(name, str) or not isinstance(piece, str) or name not in self._tool_names:
            return
        is_piece = piece not in self._tool_names and (
            name.startswith(piece) or name.endswith(piece)
        )
        if piece and is_piece and self._draft.change(NAME_IN_PIECES, f"{piece!r}", name):
            call["name"] = name

    def _is_beginning(self, name: str) -> bool:
        return name not in self._tool_names and any(
            tool.startswith(name) for tool in self._tool_names
        )


def _is_call(item: JsonObject) -> bool:
    type = item.get("type")
    return isinstance(type, str) and type in CALL_TEXT


class ItemFields:
    """Repairs the objects of items in place. Its methods raise ContentLost."""

    def __init__(self, context: StreamContext, draft: Draft, response: ResponseObject) -> None:
        self._tool_names = context.tool_names
        self._names = CallNames(context, draft)
        self._needs_id = not context.accepts(Deviation.NO_ITEM_ID)
        self._draft = draft
        self._response = response
        self._made: set[str] = set()
        """The ids that were made up."""

    def finish(self, data: JsonObject, item: Item, *, is_cut: bool = False) -> None:
        """Repair the object of a done item. `is_cut`: the output limit cut this call."""
        self._names.join(data, item.added)
        if is_cut and data["type"] == "function_call" and not parses(data.get("arguments")):
            self._mark_cut(data)
        key = CALL_TEXT.get(data["type"])
        if (
            key
            and not data.get(key)
            and item.text
            and self._draft.change(
                ITEM_INCOMPLETE, f"{data['type']} lacks {key}", "copied from earlier events"
            )
        ):
            data[key] = item.text
        self.fill(data, item)
        status = data.get("status")
        if status == "incomplete" and data["type"] == "function_call":
            self.write_arguments_as_text(data, is_done=False)
            return
        if (
            data["type"] in WITH_STATUS
            and (not isinstance(status, str) or not status or status in UNFINISHED)
            and not runs_in_program(data)
            and self._draft.change(
                ITEM_INCOMPLETE, f"{data['type']} is done with status {status!r}", "completed"
            )
        ):
            data["status"] = "completed"
        if status == "incomplete" and key and isinstance(data.get(key), str):
            return
        self.write_arguments_as_text(data, is_done=True)
        if data["type"] == "function_call" and not parses(data.get("arguments")):
            self._draft.lose(ARGUMENTS_BROKEN, str(data.get("arguments"))[-60:], CUT_ARGUMENTS)

    def fill(self, data: JsonObject, item: Item) -> None:
        """Fill in the missing fields of an item's object, except the text of a call."""
        missing: JsonObject = {}
        for key, type in ITEM_FIELDS.get(data["type"], {}).items():
            if key == "id" and not data.get("id") and not self._needs_id:
                continue
            if key != CALL_TEXT.get(data["type"]) and not _is_filled(data.get(key), type):
                value = self.value_of(key, data, item)
                if value != data.get(key):
                    missing[key] = value
        if missing and self._draft.change(
            ITEM_INCOMPLETE, f"{data['type']} lacks {', '.join(missing)}", "filled in"
        ):
            data.update(missing)

    def value_of(self, key: str, data: JsonObject, item: Item) -> Any:
        """Return the value of a missing field, from the streamed events if possible.

        Raises ContentLost for an unknown name of a call.
        """
        if key in ("content", "summary"):
            return item.streamed(key)
        if has_text(item.added, key):
            return item.added[key]
        if key == "role":
            return "assistant"
        if key == "name":
            if len(self._tool_names) == 1:
                return self._tool_names[0]
            message = "The provider sent a tool call without a name."
            self._draft.lose(ITEM_INCOMPLETE, "a call without a name", message)
            return data.get(key)
        if key == "call_id" and has_text(data, "id"):
            return data["id"]
        prefix = key if key == "call_id" else data["type"]
        made = new_id(prefix, self._response.id, item.ordinal)
        self._made.add(made)
        return made

    def write_arguments_as_text(self, data: JsonObject, *, is_done: bool) -> None:
        """Make the arguments or input of a call text; at the end, empty arguments become `{}`."""
        key = CALL_TEXT.get(data["type"])
        if key is None:
            return
        raw = data.get(key)
        default = "{}" if is_done and key == "arguments" else ""
        text = raw if isinstance(raw, str) else json_value.write(raw).decode() if raw else ""
        text = text or default
        if raw != text and self._draft.change(
            ARGUMENTS_AS_OBJECT, f"{key}: {start_of(json_value.write(raw))}", "text"
        ):
            data[key] = text

    def _mark_cut(self, data: JsonObject) -> None:
        """Give a call that the output limit cut the status `incomplete`, so that it is not run."""
        if data.get("status") != "incomplete" and self._draft.change(
            CUT_CALL, f"a cut call with the status {data.get('status')!r}", "incomplete"
        ):
            data["status"] = "incomplete"

    def repair_output(
        self, output: list[JsonObject], streamed: list[JsonObject], *, is_cut: bool = False
    ) -> None:
        """Repair items in the output of the terminal event, with the fields in their own events."""
        for number, entry in enumerate(output):
            arguments = entry.get("arguments") or ""
            is_call = entry["type"] == "function_call" and isinstance(arguments, str)
            if is_cut and is_call and not parses(arguments):
                self._mark_cut(entry)
            self.write_arguments_as_text(entry, is_done=entry.get("status") != "incomplete")
            if number < len(streamed) and streamed[number].get("type") == entry["type"]:
                self._copy_fields(entry, streamed[number], f"output[{number}]")

    def _copy_fields(self, entry: JsonObject, item: JsonObject, place: str) -> None:
        """Copy fields to an item in the output of the terminal event from its done event."""
        if entry["type"] in CALL_TEXT:
            self._names.copy(entry, item)
        is_made = has_text(item, "id") and item["id"] in self._made
        if (
            is_made
            and item["id"] != entry.get("id")
            and item.get("call_id") == entry.get("call_id")
            and self._draft.change(ITEM_INCOMPLETE, f"{place} has another id", item["id"])
        ):
            entry["id"] = item["id"]
        for key in ("id", "call_id", "name"):
            if (
                has_text(item, key)
                and not has_text(entry, key)
                and (key != "id" or self._needs_id)
                and self._draft.change(ITEM_INCOMPLETE, f"{place} lacks {key}", "filled in")
            ):
                entry[key] = item[key]


def has_text(data: JsonObject, key: str) -> bool:
    """Return whether this field is a string that is not empty."""
    return isinstance(data.get(key), str) and bool(data[key])


def _is_filled(value: Any, type: type) -> bool:
    return isinstance(value, type) and bool(value)
