"""OpenAI Responses: what a legal event stream and a native error look like.

Theory of operation (https://platform.openai.com/docs/api-reference/responses-streaming). The
stream builds one response object. `response.created` shows it empty. Its output is a list of
items, each framed by `response.output_item.added` and `response.output_item.done` and numbered
by `output_index`; a message item holds content parts, framed likewise and numbered by
`content_index`; deltas between add up to what the `done` events repeat. Items may overlap.
`response.completed`, `response.incomplete` or `response.failed` shows the whole response again
and ends the stream; `error` ends it too, but Codex reads only `response.failed`. Every event
bears a growing `sequence_number`. Unknown events and item types are legal.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from wiremend import sse
from wiremend.protocols.errors import ProviderError
from wiremend.protocols.openai_errors import error_envelope, error_type

__all__ = ["error_envelope", "error_type"]

PREAMBLE = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.metadata",
        "codex.rate_limits",
    }
)
"""Events that say nothing of the answer; an allow-list."""
COMPLETE = frozenset({"response.completed", "response.incomplete"})
ITEM_ADDED, ITEM_DONE = "response.output_item.added", "response.output_item.done"
PART_ADDED, PART_DONE = "response.content_part.added", "response.content_part.done"
TEXT_DELTA, TEXT_DONE = "response.output_text.delta", "response.output_text.done"
ARGUMENTS_DELTA = "response.function_call_arguments.delta"
ARGUMENTS_DONE = "response.function_call_arguments.done"
PART_DELTAS = frozenset({TEXT_DELTA, TEXT_DONE, "response.refusal.delta", "response.refusal.done"})
"""Events inside a content part of a message."""
UNNUMBERED = frozenset({"codex.rate_limits", "response.metadata", "keepalive", "ping"})
"""Events that bear no sequence number."""
USAGE_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
"""Codex requires all three as integers when usage is there at all."""

_CODE_BY_STATUS: Mapping[int, str] = {429: "rate_limit_exceeded"}


def error_code(error: ProviderError) -> str:
    """The code of `response.failed`: the error's own, else one that every client retries."""
    return error.code or _CODE_BY_STATUS.get(error.status, "server_error")


def failed_event(error: ProviderError, response: Mapping[str, Any], sequence_number: int) -> bytes:
    """`response.failed` over the response object as far as it is known."""
    failed = {
        "id": "resp_unknown",
        "object": "response",
        "created_at": 0,
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **response,
        "status": "failed",
        "error": {"code": error_code(error), "message": error.message},
        "incomplete_details": None,
    }
    event = {
        "type": "response.failed",
        "sequence_number": sequence_number,
        "response": failed,
    }
    return sse.encode(orjson.dumps(event), "response.failed")


class Grammar:
    """Says what is illegal in a stream; shares nothing with the mender but the tables above."""

    def __init__(self) -> None:
        self._ended = False
        self._began = False
        self._number = -1
        self._items: dict[int, dict[str, Any]] = {}

    def feed(self, event: sse.Event) -> list[str]:
        """The violations of one event."""
        if event.data is None:
            return []
        if self._ended:
            return ["an event after the end"]
        try:
            data = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            return ["data that is not JSON"]
        kind = data.get("type") if isinstance(data, dict) else None
        if not isinstance(kind, str):
            return ["data without a type"]
        if kind in UNNUMBERED:
            return ["a keepalive frame"] if kind == "keepalive" else []
        problems = self._sequence(data)
        if kind == "error":
            self._ended = True
            return problems if data.get("message") else [*problems, "an error without a message"]
        if kind in COMPLETE or kind == "response.failed":
            self._ended = True
            return problems + self._whole(data, kind)
        if kind == "response.created":
            problems += ["a second response.created"] if self._began else []
            self._began = True
        elif not self._began and kind not in PREAMBLE:
            problems.append(f"{kind} before response.created")
        return problems + self._item_event(data, kind)

    def end(self) -> list[str]:
        """The violations of a stream that ends here."""
        return [] if self._ended else ["the end without a terminal event"]

    def _sequence(self, data: dict[str, Any]) -> list[str]:
        number = data.get("sequence_number")
        if not isinstance(number, int) or isinstance(number, bool):
            return ["an event without a sequence number"]
        if number <= self._number:
            return [f"sequence number {number} after {self._number}"]
        self._number = number
        return []

    def _item_event(self, data: dict[str, Any], kind: str) -> list[str]:
        index = data.get("output_index")
        if kind == ITEM_ADDED:
            problems = [] if index == len(self._items) else [f"item {index!r} out of order"]
            self._items[len(self._items)] = {"item": data.get("item"), "parts": 0, "done": False}
            return problems
        if index is None:
            return []
        item = self._items.get(index) if isinstance(index, int) else None
        if item is None:
            return [f"{kind} of item {index!r}, which was not added"]
        if item["done"]:
            return [f"{kind} of item {index}, which is done"]
        if kind == PART_ADDED:
            item["parts"] += 1
        elif kind in PART_DELTAS and data.get("content_index", 0) >= item["parts"]:
            return [f"{kind} of a part that was not added"]
        elif kind == ITEM_DONE:
            item["done"] = True
            return self._done_item(data.get("item"))
        return []

    def _done_item(self, item: Any) -> list[str]:
        if not isinstance(item, dict):
            return ["a done item that is no object"]
        if item.get("type") != "function_call":
            return []
        problems = [
            f"a function call without {key}" for key in ("name", "call_id") if not item.get(key)
        ]
        try:
            orjson.loads(item.get("arguments", ""))
        except (orjson.JSONDecodeError, TypeError):
            problems.append("arguments that are not JSON")
        return problems

    def _whole(self, data: dict[str, Any], kind: str) -> list[str]:
        response = data.get("response")
        if not isinstance(response, dict):
            return [f"{kind} without a response"]
        if kind == "response.failed":
            error = response.get("error")
            return (
                [] if isinstance(error, dict) and error.get("message") else ["failed without why"]
            )
        problems = []
        if kind == "response.completed":
            open_items = [number for number, item in self._items.items() if not item["done"]]
            problems += [f"item {number} is not done" for number in open_items]
            if len(response.get("output") or []) < len(self._items):
                problems.append("output without the items that were streamed")
        usage = response.get("usage")
        if usage is not None and not all(isinstance(usage.get(key), int) for key in USAGE_COUNTS):
            problems.append("usage without its three counts")
        return problems
