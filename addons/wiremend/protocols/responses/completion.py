"""Whether a Responses stream without its terminal event is a complete response.

Nothing in this protocol ends an answer but its terminal event: after an item another one may
follow. In recorded streams of providers, one call in seven was followed by another call, and a
message by a call where tools were offered; nothing followed a message with the phase
`final_answer`, a message where no tool was offered, or a call where parallel calls were excluded.
OpenAI repeats the request's tools in the response object. A gateway that does not, and forgets the
terminal event, writes the end of an item only when the next one begins or the answer is over.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.protocols.responses.grammar import (
    ANSWERS,
    COMPLETED,
    PART_TEXT,
    UNFINISHED,
    runs_in_program,
)
from wiremend.protocols.responses.items import Item
from wiremend.text.json_value import JsonObject, dicts_in
from wiremend.text.patterns import escape_pattern, text_pattern

_COMPLETED = escape_pattern(COMPLETED.encode())
_TERMINAL_TYPE = text_pattern(
    rb'"type"\s*+:\s*+"%s"|\Aevent:\s*+%s(?:\s|\Z)' % (_COMPLETED, _COMPLETED)
)
_STATUS = text_pattern(rb'"status"\s*+:\s*+"([a-z_]{1,40}+)"')


class Ending:
    """What arrived behind the last whole event of a stream."""

    def __init__(self) -> None:
        self.has_done_marker = False
        """The provider sent `[DONE]`, the end of its stream."""
        self._fragment = b""

    def note_fragment(self, fragment: bytes) -> None:
        """Take the bytes of the event that was cut."""
        self._fragment = b"" if fragment.lstrip().startswith(b":") else fragment.strip()

    @property
    def is_completed(self) -> bool:
        """Whether the fragment shows that the response is complete."""
        return self._status == b"completed"

    @property
    def proves_more(self) -> bool:
        """Whether something else than a complete response was coming."""
        is_terminal = _TERMINAL_TYPE.search(self._fragment) is not None
        return bool(self._fragment) and not (is_terminal and self._status in (b"", b"completed"))

    @property
    def _status(self) -> bytes:
        if _TERMINAL_TYPE.search(self._fragment) is None:
            return b""
        status = _STATUS.search(self._fragment)
        return status[1] if status else b""


def is_complete(
    items: Sequence[Item], response: Mapping[str, Any], ending: Ending, *, compacts: bool
) -> bool:
    """Return whether nothing but the terminal event is missing after these items.

    `compacts`: the request allows a compaction after any answer.
    """
    if not items or ending.proves_more:
        return False
    is_over = ending.has_done_marker
    if not all(_is_done(item, is_over=is_over) for item in items):
        return False
    last = items[-1]
    if last.type not in ANSWERS or last.added.get("phase") == "commentary":
        return False
    done = last.done or {}
    if last.type == "tool_search_call" and (done or last.added).get("execution") != "client":
        return False  # the provider searches, and the model goes on with what it found
    if done.get("phase") == "commentary" or (done and _is_empty_message(done)):
        return False
    return is_over or ending.is_completed or not (compacts or _may_go_on(done, response))


def _is_done(item: Item, *, is_over: bool) -> bool:
    if item.done is None:
        return is_over and item.is_whole
    return item.done.get("status") not in ("incomplete", *UNFINISHED) or runs_in_program(item.done)


def _may_go_on(last: JsonObject, response: Mapping[str, Any]) -> bool:
    """Return whether another item may follow this one."""
    if last.get("type") == "image_generation_call":
        return True
    # OpenAI repeats every parameter; behind its answers, a compaction may follow.
    if not (response.get("tools") or "store" in response):
        return False
    if last.get("type") == "message":
        return last.get("phase") != "final_answer"
    return response.get("parallel_tool_calls") is not False


def _is_empty_message(item: JsonObject) -> bool:
    if item.get("type") != "message":
        return False
    return not any(
        part.get(PART_TEXT.get(str(part.get("type")), "type"))
        for part in dicts_in(item.get("content"))
    )
