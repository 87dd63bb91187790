"""Ids for the calls and results of a history.

In this protocol ids are optional, and clients drop them. Calls and results without one are paired
by name and order. The id of such a call is its position, so it is the same in later requests.
"""

from collections import deque
from dataclasses import replace

from wiremend.protocols.base.middle.content import Call, Own, Result
from wiremend.protocols.base.middle.conversation import Role
from wiremend.protocols.gemini.own_form import with_form

type _Key = tuple[str, str]


class Pairing:
    """Assigns ids that are unique in the conversation. Contents are passed in order."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._role: Role | None = None
        self._open: dict[int, str] = {}
        """The ids of the calls of the last turn of the model that have no result yet."""
        self._by_key: dict[_Key, deque[int]] = {}
        """The same calls by the id that came; by name; and those without an id by name."""
        self._number = 0

    def begin(self, role: Role) -> None:
        """Begin a content. Consecutive contents of the model are one turn."""
        if role is Role.ASSISTANT and self._role is not Role.ASSISTANT:
            self._open.clear()
            self._by_key.clear()
        self._role = role

    def call(self, call: Call, position: str) -> Call:
        """Return a call with an id that no call before it has."""
        call_id = call.id or f"call_{position}"
        while call_id in self._used:
            call_id = f"call_{position}" if call_id == call.id else f"{call_id}_"
        self._used.add(call_id)
        number = self._number
        self._number += 1
        self._open[number] = call_id
        own_key = ("id", call.id) if call.id else ("unidentified", call.name)
        for key in (("name", call.name), own_key):
            self._by_key.setdefault(key, deque()).append(number)
        return replace(call, id=call_id, own=_own(call.own, call.id, call_id))

    def result(self, result: Result, position: str) -> Result:
        """Return a result with the id of its call; with one of its own if it has no call."""
        found = self._take(result)
        call_id = found or result.call_id or f"result_{position}"
        return replace(result, call_id=call_id, own=_own(result.own, result.call_id, call_id))

    def _take(self, result: Result) -> str | None:
        """Remove the first call that the result may belong to, and return its id.

        Ids decide if both have one, else names.
        """
        keys: list[_Key] = [("name", result.name)]
        if result.call_id:
            keys = [("id", result.call_id), ("unidentified", result.name)]
        found = [number for key in keys if (number := self._first(key)) is not None]
        return self._open.pop(min(found)) if found else None

    def _first(self, key: _Key) -> int | None:
        numbers = self._by_key.get(key)
        while numbers and numbers[0] not in self._open:
            numbers.popleft()
        return numbers[0] if numbers else None


def _own(own: Own | None, came: str, assigned: str) -> Own | None:
    """Return `own` with the id that came, if another one was assigned."""
    return own if came == assigned else with_form(own, id=came)
