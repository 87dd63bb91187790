"""The tool calls of one choice of a Chat Completions stream, fragment by fragment.

Which call a fragment belongs to is told, in a good stream, by its index alone. Here the id, the
name, and whether the arguments so far are whole have their say too; see S201 to S207 and S218.
"""

from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.base.generated_ids import made_up_id
from wiremend.protocols.chat import rules
from wiremend.rules.rule import PlacedNotes
from wiremend.text import json_value

Data = dict[str, Any]


class Unmendable(Exception):
    """Content is lost: the stream must end in the protocol's error."""


@dataclass(slots=True, eq=False)
class _Call:
    """One tool call; without a name its fragments wait."""

    source: Any = None
    """The index that it came under."""
    number: int = -1
    """The index that it is shown under."""
    identities: set[str] = field(default_factory=set)
    """The ids that it came with, one in a good stream."""
    name: str = ""
    is_shown: bool = False
    _parts: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """All that came."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are complete JSON."""
        return _parses(self.arguments)

    def add(self, arguments: str) -> None:
        """Another piece of its arguments."""
        if arguments:
            self._parts.append(arguments)

    def take(self) -> str:
        """What has waited, which is nothing from now on."""
        arguments, self._parts = self.arguments, []
        return arguments

    def ends_before(self, identity: str, name: str, arguments: str) -> bool:
        """Whether a fragment under its index, or under none, opens another call."""
        if identity in self.identities:
            return False
        if not name:
            return bool(identity and self.identities and self.is_whole and arguments.strip())
        if identity and self.identities:
            # Some providers make up an id for every fragment, and repeat the name.
            rest = arguments.strip()
            continues = bool(self.arguments and rest) and not rest.startswith("{")
            return not (continues and name == self.name and not self.is_whole)
        if not self.name:
            return False
        if self.is_whole:
            return True
        return self.source is None and name != self.name and not self.arguments


class ToolCalls:
    """Feed it the `tool_calls` of each delta; it says what they become."""

    def __init__(self, notes: PlacedNotes, tool_names: tuple[str, ...]) -> None:
        self.has_others = False
        """Custom tools, or the `function_call` of old: passed as they come."""
        self._notes = notes
        self._tool_names = tool_names
        self._calls: list[_Call] = []
        self._by_source: dict[Any, _Call] = {}
        self._shown = 0
        self._has_custom = False
        self._custom: dict[Any, tuple[str, int]] = {}
        """Id and number of the custom tool's call that is open under an index."""

    def __bool__(self) -> bool:
        return bool(self._calls) or self._has_custom

    @property
    def shown(self) -> int:
        """How many calls were opened so far."""
        return self._shown

    @property
    def are_whole(self) -> bool:
        """Every call was shown, with complete arguments."""
        return all(call.is_shown and call.is_whole for call in self._calls)

    def mend(self, fragments: list[Any], stream_id: str) -> tuple[list[Data], bool]:
        """What is shown of these fragments, and whether that differs from what came."""
        shown: list[Data] = []
        changed = False
        for fragment in fragments:
            if not isinstance(fragment, dict):
                if self._notes.note(rules.CALL_INCOMPLETE, repr(fragment)[:60], "dropped"):
                    changed = True
                    continue
                shown.append(fragment)
                continue
            if isinstance(fragment.get("custom"), dict) or fragment.get("type") == "custom":
                changed |= self._mend_custom(fragment)
                shown.append(fragment)
                continue
            became, differs = self._mend_one(fragment, stream_id)
            changed |= differs
            if became is not None:
                shown.append(became)
        return shown, changed

    def fill_empty(self, fragments: list[Any]) -> bool:
        """Give `{}` to calls without arguments whose fragment stands in the finishing chunk."""
        filled = False
        for fragment in fragments:
            number = fragment.get("index") if isinstance(fragment, dict) else None
            call = next((one for one in self._calls if one.is_shown and one.number == number), None)
            function = fragment.get("function") if call else None
            if call is None or call.arguments.strip() or not isinstance(function, dict):
                continue
            if self._notes.note(rules.ARGUMENTS_EMPTY, f"call {call.number}", "{}"):
                call.add("{}")
                function["arguments"] = "{}"
                filled = True
        return filled

    def settle(self, stream_id: str) -> list[Data]:
        """Before a choice finishes well: the fragments that its calls lack. Raises Unmendable."""
        added: list[Data] = []
        for call in self._calls:
            if not call.is_shown:
                added.append(self._name_at_last(call, stream_id))
            if not call.arguments.strip():
                if self._notes.note(rules.ARGUMENTS_EMPTY, f"call {call.number}", "{}"):
                    call.add("{}")
                    added.append({"index": call.number, "function": {"arguments": "{}"}})
            elif not call.is_whole and self._notes.note(
                rules.ARGUMENTS_BROKEN, call.arguments[:60], "ended in an error"
            ):
                raise Unmendable("The provider's tool call ended inside its JSON arguments.")
        return added

    # One fragment

    def _mend_one(self, fragment: Data, stream_id: str) -> tuple[Data | None, bool]:
        given = fragment.get("function")
        function: Data = given if isinstance(given, dict) else {}
        arguments = _json_of(function.get("arguments"))
        changed = self._write_arguments(function, arguments)
        if not isinstance(fragment.get("id"), str | None) and self._notes.note(
            rules.CALL_INCOMPLETE, "an id that is no text", "removed"
        ):
            del fragment["id"]
            changed = True
        identity = _text(fragment.get("id"))
        call = self._call_of(fragment, identity, _text(function.get("name")), arguments)
        if call is None:
            if self._calls:  # so that it may become whole
                self._calls[-1].add(arguments)
            return fragment, changed
        if call.is_shown:
            changed |= self._continue(call, fragment, function)
            call.add(arguments)
        else:
            call.name = call.name or _text(function.get("name"))
            if identity:
                call.identities.add(identity)
            if not call.name.strip() and self._notes.note(
                rules.CALL_NAME_LATE, "a call without a name", "waits for it"
            ):
                call.add(arguments)
                return None, True
            changed |= self._open(call, fragment, function, arguments, stream_id)
        index = fragment.get("index")
        is_right = index == call.number and not isinstance(index, bool | float)
        if not is_right and self._notes.note(
            rules.CALL_INDEX, f"index {index!r}", f"index {call.number}"
        ):
            fragment["index"] = call.number
            changed = True
        return fragment, changed

    def _write_arguments(self, function: Data, arguments: str) -> bool:
        given = function.get("arguments")
        if isinstance(given, str | None) or not self._notes.note(
            rules.ARGUMENTS_AS_OBJECT, type(given).__name__, "written as text"
        ):
            return False
        function["arguments"] = arguments
        return True

    def _call_of(self, fragment: Data, identity: str, name: str, arguments: str) -> _Call | None:
        """The call that a fragment belongs to: an open one, or a new one; None if unknown."""
        source = _source(fragment.get("index"))
        known = self._candidate(source, identity)
        if known is None and not identity and not name:
            return self._last_for_orphan(source)
        if known is not None and not known.ends_before(identity, name, arguments):
            return known
        call = _Call(source)
        self._calls.append(call)
        self._by_source[source] = call
        return call

    def _candidate(self, source: Any, identity: str) -> _Call | None:
        """The call of this id, else the one that is open under this index."""
        if identity:
            for call in self._calls:
                if identity in call.identities and (source is None or call.source == source):
                    return call
        if source is not None:
            return self._by_source.get(source)
        return self._calls[-1] if self._calls else None

    def _last_for_orphan(self, source: Any) -> _Call | None:
        last = self._calls[-1] if self._calls else None
        done = f"of call {last.number}" if last else "ended in an error"
        if not self._notes.note(rules.ORPHAN_FRAGMENT, f"index {source!r}", done):
            return None
        if last is None:
            raise Unmendable("The provider sent arguments of a tool call that never began.")
        self._by_source[source] = last
        return last

    def _open(
        self, call: _Call, fragment: Data, function: Data, arguments: str, stream_id: str
    ) -> bool:
        """Make the fragment that opens a call whole, with what waited; whether it changed."""
        call.is_shown = True
        call.number = self._shown
        self._shown += 1
        held = call.take()
        call.add(held + arguments)
        missing: Data = {}
        if not _text(fragment.get("id")):
            known = next(iter(call.identities), "")
            missing["id"] = known or made_up_id("call", stream_id, call.number)
            call.identities.add(missing["id"])
        if not _text(fragment.get("type")):
            missing["type"] = "function"
        if function.get("arguments") is None or held:
            missing["function"] = {**function, "name": call.name, "arguments": held + arguments}
        elif function.get("name") != call.name:
            missing["function"] = {**function, "name": call.name}
        if missing and self._notes.note(
            rules.CALL_INCOMPLETE, f"no {', '.join(missing)}", "filled in"
        ):
            fragment |= missing
            return True
        return False

    def _continue(self, call: _Call, fragment: Data, function: Data) -> bool:
        """Make the fragment add to its call and say nothing again; whether it changed."""
        identity, name = _text(fragment.get("id")), _text(function.get("name"))
        changed = False
        if (identity or (name and name == call.name)) and self._notes.note(
            rules.CALL_REPEATED, f"call {call.number} again", "said once"
        ):
            fragment.pop("id", None)
            function.pop("name", None)
            changed = True
        if identity:
            call.identities.add(identity)
        if fragment.get("function") is not function and self._notes.note(
            rules.CALL_INCOMPLETE, "no function", "filled in"
        ):
            fragment["function"] = {"arguments": ""}
            changed = True
        return changed

    def _name_at_last(self, call: _Call, stream_id: str) -> Data:
        if len(self._tool_names) != 1:
            self._notes.note(rules.CALL_NAME_LATE, "no name to the end", "ended in an error")
            raise Unmendable("The provider called a tool without naming it.")
        call.name = self._tool_names[0]
        self._notes.note(rules.CALL_NAME_LATE, "no name to the end", repr(call.name))
        opening: Data = {}
        self._open(call, opening, {}, "", stream_id)
        opening["index"] = call.number
        return opening

    def _mend_custom(self, fragment: Data) -> bool:
        """Number the call of a custom tool; whether that changed the fragment."""
        self.has_others = self._has_custom = True
        index, identity = fragment.get("index"), _text(fragment.get("id"))
        source = _source(index)
        known = self._custom.get(source)
        if identity and (known is None or known[0] != identity):
            known = self._custom[source] = identity, self._shown
            self._shown += 1
        if known is None or (index == known[1] and not isinstance(index, bool | float)):
            return False
        if not self._notes.note(rules.CALL_INDEX, f"index {index!r}", f"index {known[1]}"):
            return False
        fragment["index"] = known[1]
        return True


def _source(index: Any) -> Any:
    if isinstance(index, str) and index.isdigit():
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _json_of(arguments: Any) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json_value.write(arguments).decode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _parses(text: str) -> bool:
    try:
        json_value.read(text)
    except ValueError:
        return False
    return True
