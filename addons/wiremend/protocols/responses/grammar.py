"""The grammar of OpenAI Responses event streams: tables, and a checker of whole streams.

Theory of operation (https://platform.openai.com/docs/api-reference/responses-streaming). A stream
builds one response object. `response.created` contains it without output. Its output is a list of
items, each framed by `response.output_item.added` and `response.output_item.done` and numbered by
`output_index` from 0. A message has content parts and a reasoning item has summary parts; both
are framed by `added` and `done` events and numbered by `content_index` and `summary_index`. The
deltas in between add up to the text that the `done` events repeat. Items may overlap.
`response.completed`, `response.incomplete` or `response.failed` contains the whole response and
ends the stream; `error` ends it too, but Codex reads only `response.failed`. Every event contains
its type twice, on its `event:` line and in its data, and an increasing `sequence_number`: gaps
are legal, repetitions are not. Unknown events, item types and fields are legal.

Clients require more. The official SDKs raise unless `response.created` comes first, its id is the
same in the terminal event, and every item is added before its deltas. Codex takes items only from
`response.output_item.done` and requires the three counts of `usage` as integers. The Vercel AI
SDK skips events without the ids below, calls that are done without the status `completed`, and a
terminal event without usage (OpenCode then retries the call).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.repairer import StreamContext
from wiremend.text import json_value, sse
from wiremend.text.json_value import is_integer

CREATED = "response.created"
LIFECYCLE = frozenset({CREATED, "response.queued", "response.in_progress"})
PREAMBLE = LIFECYCLE | {"response.metadata", "codex.rate_limits"}
"""Events without content of the response; an allow-list."""
COMPLETED = "response.completed"
INCOMPLETE = "response.incomplete"
COMPLETE = frozenset({COMPLETED, INCOMPLETE})
FAILED = "response.failed"
UNNUMBERED = frozenset({"codex.rate_limits", "response.metadata"})
"""Events without a sequence number."""
KEEPALIVES = frozenset({"keepalive", "ping"})

OWN_FIELDS = frozenset(
    {"delta", "item", "item_id", "output_index", "content_index", "summary_index", "part"}
)
"""Members that only events of output items have; an event of any type with one is such an event."""

ITEM_ADDED, ITEM_DONE = "response.output_item.added", "response.output_item.done"
TEXT_DELTA, TEXT_DONE = "response.output_text.delta", "response.output_text.done"
REFUSAL_DELTA, REFUSAL_DONE = "response.refusal.delta", "response.refusal.done"
SUMMARY_DELTA = "response.reasoning_summary_text.delta"
SUMMARY_DONE = "response.reasoning_summary_text.done"


@dataclass(frozen=True, slots=True)
class PartFamily:
    """The events that frame the parts of an item, and their index."""

    added: str
    done: str
    index: str
    """The member with the index of the part."""


CONTENT = PartFamily("response.content_part.added", "response.content_part.done", "content_index")
SUMMARY = PartFamily(
    "response.reasoning_summary_part.added", "response.reasoning_summary_part.done", "summary_index"
)


@dataclass(frozen=True, slots=True)
class ItemEvent:
    """An event that belongs to an output item of one of these types."""

    items: tuple[str, ...]
    text: str = ""
    """The member with the text; empty if the event has none."""
    family: PartFamily | None = None
    part: str = ""
    """The type of its part; empty if it does not belong to one."""
    is_delta: bool = False
    """Whether the text is a fragment; otherwise it is the whole text."""


_REASONING_TEXT = ItemEvent(("reasoning",), "text", CONTENT)
ITEM_EVENTS: Mapping[str, ItemEvent] = {
    CONTENT.added: ItemEvent(("message", "reasoning"), "", CONTENT),
    CONTENT.done: ItemEvent(("message", "reasoning"), "", CONTENT),
    TEXT_DELTA: ItemEvent(("message",), "delta", CONTENT, "output_text", True),
    TEXT_DONE: ItemEvent(("message",), "text", CONTENT, "output_text"),
    "response.output_text.annotation.added": ItemEvent(("message",), "", CONTENT, "output_text"),
    REFUSAL_DELTA: ItemEvent(("message",), "delta", CONTENT, "refusal", True),
    REFUSAL_DONE: ItemEvent(("message",), "refusal", CONTENT, "refusal"),
    SUMMARY.added: ItemEvent(("reasoning",), "", SUMMARY),
    SUMMARY.done: ItemEvent(("reasoning",), "", SUMMARY),
    SUMMARY_DELTA: ItemEvent(("reasoning",), "delta", SUMMARY, "summary_text", True),
    SUMMARY_DONE: ItemEvent(("reasoning",), "text", SUMMARY, "summary_text"),
    "response.reasoning_text.delta": replace(_REASONING_TEXT, text="delta", is_delta=True),
    "response.reasoning_text.done": _REASONING_TEXT,
    "response.function_call_arguments.delta": ItemEvent(("function_call",), "delta", is_delta=True),
    "response.function_call_arguments.done": ItemEvent(("function_call",), "arguments"),
    "response.mcp_call_arguments.delta": ItemEvent(("mcp_call",), "delta", is_delta=True),
    "response.mcp_call_arguments.done": ItemEvent(("mcp_call",), "arguments"),
    "response.custom_tool_call_input.delta": ItemEvent(
        ("custom_tool_call",), "delta", is_delta=True
    ),
    "response.custom_tool_call_input.done": ItemEvent(("custom_tool_call",), "input"),
    "response.code_interpreter_call_code.delta": ItemEvent(
        ("code_interpreter_call",), "delta", is_delta=True
    ),
    "response.code_interpreter_call_code.done": ItemEvent(("code_interpreter_call",), "code"),
}
"""The events inside items. Progress events of hosted tools have no content and are not included."""

_ITEM_BY_PART: Mapping[str, str] = {
    "output_text": "message",
    "refusal": "message",
    "reasoning_text": "reasoning",
}


def owners(data: Mapping[str, Any], belongs: ItemEvent) -> tuple[str, ...]:
    """Return the types of item that the event may belong to, by the type of its part if any."""
    part = data.get("part")
    type = part.get("type") if isinstance(part, dict) else None
    item = _ITEM_BY_PART.get(type) if isinstance(type, str) else None
    return (item,) if item in belongs.items else belongs.items


PART_TEXT: Mapping[str, str] = {
    "output_text": "text",
    "refusal": "refusal",
    "summary_text": "text",
    "reasoning_text": "text",
}
"""The member with the text of a part, by the type of the part."""
ITEM_FIELDS: Mapping[str, Mapping[str, type]] = {
    "message": {"id": str, "role": str, "content": list},
    "reasoning": {"id": str, "summary": list},
    "function_call": {"id": str, "call_id": str, "name": str, "arguments": str},
    "custom_tool_call": {"id": str, "call_id": str, "name": str, "input": str},
    "mcp_call": {"id": str},
    "code_interpreter_call": {"id": str},
    "web_search_call": {"id": str},
    "file_search_call": {"id": str},
    "image_generation_call": {"id": str},
}
"""The required members of an item when it is added and when it is done, by its type."""
CALL_TEXT: Mapping[str, str] = {"function_call": "arguments", "custom_tool_call": "input"}
"""The types of calls that the client executes, and the member with their text."""
MAY_BE_EMPTY = frozenset({"arguments", "input"})
WITH_STATUS = frozenset({"message", "function_call"})
"""Items that must be done with a status that is not in `UNFINISHED`."""
UNFINISHED = frozenset({"in_progress", "queued"})
ANSWERS = frozenset(
    {
        "message",
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "tool_search_call",
        "computer_call",
        "mcp_approval_request",
        "image_generation_call",
    }
)
"""Types of items that may be the last one of a complete response."""
USAGE_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
USAGE_DETAILS: Mapping[str, str] = {
    "input_tokens_details": "cached_tokens",
    "output_tokens_details": "reasoning_tokens",
}
"""The required integer in each object of details; Codex requires it if the object is present."""


def runs_in_program(item: Mapping[str, Any]) -> bool:
    """Return whether a call was made by a program: it is done with the status `in_progress`."""
    caller = item.get("caller")
    return isinstance(caller, dict) and caller.get("type") == "program"


def is_terminal(event: sse.Event) -> bool:
    """Return whether this event ends a stream; `response.failed` does so with an error."""
    kind = json_value.member(event.data, "type")
    return isinstance(kind, str) and kind in COMPLETE | {FAILED}


class Grammar:
    """Reports the violations in a stream; shares only the tables above with the repairer.

    Shapes that the client is known to read are none.
    """

    def __init__(self, context: StreamContext | None = None) -> None:
        self._accepts = (context or StreamContext()).accepts
        self._ended = False
        self._number = -1
        self._id: str | None = None
        self._items: list[_OpenItem] = []

    def feed(self, event: sse.Event) -> list[str]:
        """Return the violations in one event."""
        if event.data is None:
            return []
        if self._ended:
            return ["an event after the end"]
        try:
            data = json_value.read(event.data)
        except ValueError:
            return ["data that is not JSON"]
        kind = data.get("type") if isinstance(data, dict) else None
        if not isinstance(kind, str):
            return ["data without a type"]
        if kind in KEEPALIVES:
            return [] if self._accepts(Deviation.KEEPALIVE) else ["a keepalive frame"]
        if kind in UNNUMBERED or not (kind.startswith("response.") or kind == "error"):
            return []
        is_named = event.type == kind or (not event.type and self._accepts(Deviation.NO_EVENT_LINE))
        problems = [] if is_named else [f"event line {event.type!r} over {kind}"]
        problems += self._sequence(data)
        if kind == "error":
            self._ended = True
            return problems + ([] if _has_error_message(data) else ["an error without a message"])
        if kind in LIFECYCLE or kind in COMPLETE or kind == FAILED:
            return problems + self._response(data, kind)
        if self._id is None and not data.keys().isdisjoint(OWN_FIELDS):
            problems.append(f"{kind} before {CREATED}")
        if kind == ITEM_ADDED:
            return problems + self._added(data)
        if kind == ITEM_DONE:
            return problems + self._done(data)
        if kind in ITEM_EVENTS:
            return problems + self._item_event(data, kind, ITEM_EVENTS[kind])
        return problems

    def end(self) -> list[str]:
        """Return the violations of a stream that ends here."""
        return [] if self._ended else ["the end without a terminal event"]

    def _sequence(self, data: dict[str, Any]) -> list[str]:
        number = data.get("sequence_number")
        if "sequence_number" not in data and self._accepts(Deviation.UNNUMBERED):
            return []
        if not is_integer(number):
            return ["an event without a sequence number"]
        if number <= self._number:
            return [f"sequence number {number} after {self._number}"]
        self._number = number
        return []

    def _response(self, data: dict[str, Any], kind: str) -> list[str]:
        response = data.get("response")
        if not isinstance(response, dict):
            response = {}
        problems = []
        identity = response.get("id")
        if not isinstance(identity, str) or not identity:
            problems.append(f"{kind} without a response id")
        elif self._id not in (None, identity) and not self._accepts(Deviation.CHANGING_ID):
            problems.append(f"response id {identity} after {self._id}")
        if kind == CREATED:
            if self._id is not None:
                problems.append(f"a second {CREATED}")
            created_at = response.get("created_at")
            if not isinstance(created_at, int | float) or not isinstance(
                response.get("model"), str
            ):
                problems.append(f"{CREATED} without time or model")
            self._id = identity if isinstance(identity, str) else ""
        elif self._id is None:
            problems.append(f"{kind} before {CREATED}")
        if kind in COMPLETE or kind == FAILED:
            self._ended = True
            problems += self._whole(response, kind)
        return problems

    def _whole(self, response: dict[str, Any], kind: str) -> list[str]:
        if kind == FAILED:
            error = response.get("error")
            is_whole = isinstance(error, dict) and error.get("message") and error.get("code")
            return [] if is_whole else [f"{FAILED} without code and message"]
        problems = []
        status = response.get("status")
        is_end = isinstance(status, str) and status not in UNFINISHED
        if not is_end or (status == "incomplete") != (kind == INCOMPLETE):
            problems.append(f"{kind} with the status {status!r}")
        if kind == COMPLETED:
            problems += [
                f"item {number} is not done"
                for number, item in enumerate(self._items)
                if not item.is_done
                and not (item.type == "mcp_list_tools" and self._accepts(Deviation.TOOL_LIST_OPEN))
            ]
        output = response.get("output")
        if not isinstance(output, list) or not all(
            isinstance(item, dict) and isinstance(item.get("type"), str) for item in output
        ):
            return [*problems, "output that is not a list of items"]
        is_left_out = not output and self._accepts(Deviation.NO_OUTPUT)
        if not is_left_out and len(output) < sum(item.is_done for item in self._items):
            problems.append("output without the items that were streamed")
        if kind == COMPLETED and output and not self._items:
            problems.append("output whose items were never streamed")
        return problems + _usage_problems(response.get("usage"))

    def _added(self, data: dict[str, Any]) -> list[str]:
        index, item = data.get("output_index"), data.get("item")
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            return ["an added item without a type"]
        problems = []
        if not is_integer(index) or index != len(self._items):
            problems.append(f"item {index!r} instead of {len(self._items)}")
        self._items.append(_OpenItem(item["type"], self._accepts))
        return problems + self._field_problems(item)

    def _field_problems(self, item: dict[str, Any]) -> list[str]:
        return [
            f"{item['type']} without {key}"
            for key, type in ITEM_FIELDS.get(item["type"], {}).items()
            if not (key == "id" and self._accepts(Deviation.NO_ITEM_ID))
            and (
                not isinstance(item.get(key), type)
                or (type is str and not item[key] and key not in MAY_BE_EMPTY)
            )
        ]

    def _open_item(self, data: dict[str, Any], what: str) -> "_OpenItem | str":
        index = data.get("output_index")
        if not is_integer(index) or not 0 <= index < len(self._items):
            return f"{what} of item {index!r}, which was not added"
        item = self._items[index]
        return f"{what} of item {index}, which is done" if item.is_done else item

    def _done(self, data: dict[str, Any]) -> list[str]:
        open_item, item = self._open_item(data, ITEM_DONE), data.get("item")
        if isinstance(open_item, str):
            return [open_item]
        if not isinstance(item, dict) or item.get("type") != open_item.type:
            return ["an item that is done as another type"]
        open_item.is_done = True
        problems = self._field_problems(item)
        if open_item.grown and not item.get(open_item.grown):
            problems.append(f"a done item without the {open_item.grown} that was streamed")
        status = item.get("status")
        if (
            item["type"] in WITH_STATUS
            and (not isinstance(status, str) or status in UNFINISHED)
            and not runs_in_program(item)
        ):
            problems.append(f"an item that is done with the status {status!r}")
        if item["type"] == "function_call" and status != "incomplete":
            try:
                json_value.read(item.get("arguments", ""))
            except (ValueError, TypeError):
                problems.append("arguments that are not JSON")
        return problems

    def _item_event(self, data: dict[str, Any], kind: str, belongs: ItemEvent) -> list[str]:
        item = self._open_item(data, kind)
        if isinstance(item, str):
            return [item]
        problems = []
        if item.type not in owners(data, belongs):
            problems.append(f"{kind} of a {item.type}")
        has_id = isinstance(data.get("item_id"), str) and bool(data["item_id"])
        if not has_id and not self._accepts(Deviation.NO_ITEM_ID):
            problems.append(f"{kind} without an item id")
        if belongs.text and not isinstance(data.get(belongs.text), str):
            problems.append(f"{kind} without {belongs.text}")
        elif belongs.is_delta and data[belongs.text]:
            item.grown = _GROWING.get(belongs.part or item.type, item.grown)
        if belongs.family is not None:
            problems += item.part_event(data, kind, belongs, belongs.family)
        return problems


_GROWING = {"output_text": "content", "refusal": "content", "summary_text": "summary", **CALL_TEXT}


class _OpenItem:
    """The state of one item."""

    def __init__(self, type: str, accepts: Callable[[Deviation], bool]) -> None:
        self.type = type
        self._accepts = accepts
        self.is_done = False
        self.grown = ""
        """The member that must not be empty at the end, because it has received deltas."""
        self._parts: dict[PartFamily, dict[int, str | None]] = {CONTENT: {}, SUMMARY: {}}
        """The types of its parts by index; None if the part is done."""

    def part_event(
        self, data: dict[str, Any], kind: str, belongs: ItemEvent, family: PartFamily
    ) -> list[str]:
        parts, index = self._parts[family], data.get(family.index)
        if not is_integer(index):
            return [f"{kind} without {family.index}"]
        if kind == family.added:
            part = data.get("part")
            type = part.get("type") if isinstance(part, dict) else None
            next_index = max(parts, default=-1) + 1
            may_skip = family is CONTENT and self._accepts(Deviation.PART_INDEX)
            is_next = index == next_index or (may_skip and index > next_index)
            problems = [] if is_next else [f"part {index} instead of {next_index}"]
            parts[index] = type if isinstance(type, str) else ""
            return problems if isinstance(type, str) else [*problems, "a part without a type"]
        if kind != family.done and not belongs.part:
            return []
        if index not in parts:
            return [f"{kind} of part {index}, which was not added"]
        if parts[index] is None:
            return [f"{kind} of part {index}, which is done"]
        if kind == family.done:
            parts[index] = None
            return [] if isinstance(data.get("part"), dict) else ["a done event without its part"]
        if parts[index] != belongs.part:
            return [f"{kind} of a part of type {parts[index]}"]
        return []


def _usage_problems(usage: Any) -> list[str]:
    if usage is None:
        return []
    if not isinstance(usage, dict):
        return ["usage that is not an object"]
    problems = [f"usage without {key}" for key in USAGE_COUNTS if not is_integer(usage.get(key))]
    for key, count in USAGE_DETAILS.items():
        details = usage.get(key)
        if details is not None and not (
            isinstance(details, dict) and is_integer(details.get(count))
        ):
            problems.append(f"usage with {key} without {count}")
    return problems


def _has_error_message(data: dict[str, Any]) -> bool:
    nested = data.get("error")
    return bool(data.get("message") or (isinstance(nested, dict) and nested.get("message")))
