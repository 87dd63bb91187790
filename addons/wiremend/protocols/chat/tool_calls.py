"""The tool calls of one choice of a Chat Completions stream, fragment by fragment.

Theory of operation. In a valid stream the index of a fragment determines its call. In broken
streams the call is determined by the index, the id, the name, and whether the arguments so far
are complete JSON.
"""

from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.cut_content import CUT_ARGUMENTS, ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.generated_ids import generated_id
from wiremend.protocols.base.repairer import Repeatable, StreamContext
from wiremend.protocols.chat.tool_call import ToolCall
from wiremend.protocols.chat.tool_names import ToolNames
from wiremend.rules.rule import Rule
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject, is_integer, parses

_P = ("chat-completions",)

CALL_INDEX = Rule(
    code="S201",
    name="tool-call-index",
    detects="`tool_calls[].index` is missing, null, a string, does not start at 0, or is 0 for "
    "every new call.",
    impact="AI_TypeValidationError; the arguments of several calls are concatenated: "
    '`{"a":1}{"b":2}`.',
    action="Numbers calls 0, 1, 2 … by id, or by position without ids. A fragment gets the index "
    "of its call.",
    protocols=_P,
    seen=("openai/openai-python#3246", "vercel/ai#14277", "ollama/ollama#7881"),
    before='{"tool_calls":[{"id":"call_1","function":{"name":"a","arguments":"{}"}}]}',
    after='{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{…}}]}',
)
CALL_INCOMPLETE = Rule(
    code="S202",
    name="tool-call-incomplete",
    detects="The first fragment of a call lacks id, type or arguments.",
    impact="`Expected 'id' to be a string`.",
    action="Fills them in.",
    protocols=_P,
    seen=("vercel/ai#14722",),
)
CALL_NAME_LATE = Rule(
    code="S203",
    name="tool-call-name-late",
    detects="A call's name is missing, null or empty in its first fragment, and arrives later or "
    "never.",
    impact="`Expected 'function.name' to be a string`.",
    action="Withholds the call until its name arrives. Without one, fills in the request's only "
    "tool; if the request offers several, the stream ends in the protocol's error event.",
    protocols=_P,
    seen=("vercel/ai#14722", "anomalyco/opencode#24137"),
)
NAME_IN_PIECES = Rule(
    code="S226",
    name="tool-call-name-in-pieces",
    detects="A call's name arrives in pieces, with or without its id and index beside each.",
    impact="Clients that do not join names call a tool that does not exist, or two of them.",
    action="Withholds the call while its name is only the beginning of the name of a tool that the "
    "request offers, until a fragment without a name follows.",
    protocols=_P,
    seen=("MoonshotAI/kimi-code#3220", "ankit373/hydra#957", "continuedev/continue#5849"),
    before='{"index":0,"function":{"name":"get_"}} {"index":0,"function":{"name":"weather"}}',
    after='{"index":0,"id":"call_…","type":"function","function":{"name":"get_weather",…}}',
)
ORPHAN_FRAGMENT = Rule(
    code="S204",
    name="orphan-fragment",
    detects="Arguments without id and name arrive under an index that no call has.",
    impact="Schema errors, or a call without a name.",
    action="Appends them to the last call. Without any call, the stream ends in the protocol's "
    "error event.",
    protocols=_P,
    seen=("dirac-run/dirac#215",),
)
ARGUMENTS_AS_OBJECT = Rule(
    code="S205",
    name="arguments-as-object",
    detects="A call's arguments are an object instead of JSON text.",
    impact="SDKs concatenate strings: TypeError.",
    action="Replaces the object with its JSON text.",
    protocols=_P,
)
ARGUMENTS_EMPTY = Rule(
    code="S206",
    name="arguments-empty",
    detects="A call of a tool without parameters ends with empty arguments.",
    impact="`JSON.parse('')` fails, and the tool is never run.",
    action="Adds `{}` before the finish reason.",
    protocols=_P,
    seen=("vercel/ai#6687", "openai/openai-agents-js#664"),
)
ARGUMENTS_BROKEN = Rule(
    code="S207",
    name="arguments-broken",
    detects="A call's arguments are malformed or truncated, and the finish reason does not explain "
    "it.",
    impact="The tool runs with truncated arguments, or the agent stops.",
    action="Content is lost: ends the stream in the protocol's error event.",
    protocols=_P,
)
CALL_REPEATED = Rule(
    code="S218",
    name="tool-call-repeated",
    detects="Later fragments of a call repeat its id and name, or have a new id each.",
    impact="openai-python concatenates them: the client has no tool `get_weatherget_weather`.",
    action="Keeps id and name in the first fragment only.",
    protocols=_P,
    seen=("openai/openai-python#3246",),
)

_ANY = ""
_LATER_KEYS = frozenset({"index", "id", "type", "function"})
"""The members of a fragment that only continues a call."""


class ToolCalls:
    """Repairs the `tool_calls` of each delta."""

    def __init__(self, draft: Draft, context: StreamContext) -> None:
        self.has_others = False
        """Whether there were calls of custom tools or `function_call`, which are not changed."""
        self._draft = draft
        self._tool_names = context.tool_names
        self._names = ToolNames(context.tool_names if draft.is_on(NAME_IN_PIECES) else ())
        self._accepts = context.accepts
        self._calls: list[ToolCall] = []
        self._by_identity: dict[tuple[str, Any], ToolCall] = {}
        """By id and the provider's index, and by id and `_ANY`; of several calls, the first."""
        self._by_number: dict[int | float, ToolCall] = {}
        """The calls that are shown."""
        self._unsettled: dict[ToolCall, None] = {}
        """The calls that have changed since `settle`, in order."""
        self._doubtful: dict[ToolCall, None] = {}
        """The calls that have changed since they were found to be whole."""
        self._by_source: dict[Any, ToolCall] = {}
        self._shown = 0
        self._has_custom = False
        self._custom: dict[Any, tuple[str, int]] = {}
        """Id and number of the open call of a custom tool, by the provider's index."""

    def __bool__(self) -> bool:
        return bool(self._calls) or self._has_custom

    @property
    def shown(self) -> int:
        """The number of calls that were shown."""
        return self._shown

    @property
    def are_whole(self) -> bool:
        """Whether every call was shown, with complete arguments."""
        while self._doubtful:
            call, _ = self._doubtful.popitem()
            if not (call.is_shown and call.is_whole):
                self._doubtful[call] = None
                return False
        return True

    def repair(self, fragments: list[Any], stream_id: str) -> tuple[list[JsonObject], bool]:
        """Repair fragments; return those to show, and whether they differ from the input."""
        shown: list[JsonObject] = []
        changed = False
        for fragment in fragments:
            if not isinstance(fragment, dict):
                if self._draft.note(CALL_INCOMPLETE, repr(fragment)[:60], "dropped"):
                    changed = True
                    continue
                shown.append(fragment)
                continue
            if isinstance(fragment.get("custom"), dict) or fragment.get("type") == "custom":
                changed |= self._number_custom(fragment)
                shown.append(fragment)
                continue
            repaired, differs = self._repair_one(fragment, stream_id)
            changed |= differs
            if repaired is not None:
                shown.append(repaired)
        return shown, changed

    def pass_usual(self, fragments: list[JsonObject]) -> Repeatable | None:
        """Take one fragment with arguments, and nothing else, of a call that was shown.

        Nothing else can be wrong with it. Return None for others, which are not taken.
        """
        fragment = fragments[0]
        if len(fragments) > 1 or not fragment.keys() <= _LATER_KEYS:
            return None
        index, function = fragment.get("index"), fragment["function"]
        call = self._by_source.get(index) if type(index) is int else None
        if call is None or not call.is_shown or index != call.number:
            return None
        if not isinstance(function, dict) or function.get("name") not in (None, ""):
            return None
        arguments = function.get("arguments")
        if not isinstance(arguments, str) or fragment.get("id") not in (None, ""):
            return None
        if fragment.get("type") not in (None, "", "function"):
            return None
        self._add(call, arguments)
        return Repeatable("arguments", arguments, lambda run: self._add(call, run.text))

    def fill_empty(self, fragments: list[Any]) -> bool:
        """Set empty arguments to `{}` in the fragments of the finishing chunk."""
        filled = False
        for fragment in fragments:
            number = fragment.get("index") if isinstance(fragment, dict) else None
            call = self._by_number.get(number) if isinstance(number, int | float) else None
            function = fragment.get("function") if call else None
            if call is None or not call.json.is_blank or not isinstance(function, dict):
                continue
            if self._draft.note(ARGUMENTS_EMPTY, f"call {call.number}", "{}"):
                self._add(call, "{}")
                function["arguments"] = "{}"
                filled = True
        return filled

    def settle(self, stream_id: str) -> list[JsonObject]:
        """Return the missing fragments of the calls of a finishing choice. Raises ContentLost."""
        added: list[JsonObject] = []
        changed, self._unsettled = self._unsettled, {}
        for call in changed:
            if not call.is_shown:
                added.append(self._open_nameless(call, stream_id))
            if call.json.is_blank:
                if self._draft.note(ARGUMENTS_EMPTY, f"call {call.number}", "{}"):
                    self._add(call, "{}")
                    added.append({"index": call.number, "function": {"arguments": "{}"}})
            elif not call.is_whole and self._draft.note(
                ARGUMENTS_BROKEN, call.arguments[:60], "ended in an error"
            ):
                raise ContentLost(CUT_ARGUMENTS)
        return added

    # One fragment

    def _repair_one(self, fragment: JsonObject, stream_id: str) -> tuple[JsonObject | None, bool]:
        raw = fragment.get("function")
        function: JsonObject = raw if isinstance(raw, dict) else {}
        arguments = _json_of(function.get("arguments"))
        changed = self._write_arguments(function, arguments)
        if not isinstance(fragment.get("id"), str | None) and self._draft.note(
            CALL_INCOMPLETE, "an id that is not text", "removed"
        ):
            del fragment["id"]
            changed = True
        identity, name = _text(fragment.get("id")), _text(function.get("name"))
        call = self._find_or_start(fragment, identity, name, arguments)
        if call is None:
            if self._calls:  # its arguments may be completed by this fragment
                self._add(self._calls[-1], arguments)
            return fragment, changed
        if call.is_shown:
            changed |= self._continue(call, fragment, function)
            self._add(call, arguments)
        else:
            call.name = self._names.joined(call.name, name)
            if identity:
                self._identify(call, identity)
            if self._waits_for_name(call, name, arguments):
                self._add(call, arguments)
                return None, True
            if not call.name.strip() and self._draft.note(
                CALL_NAME_LATE, "a call without a name", "withheld until the name arrives"
            ):
                self._add(call, arguments)
                return None, True
            changed |= self._open(call, fragment, function, arguments, stream_id)
        index = fragment.get("index")
        is_right = index == call.number and not isinstance(index, bool | float)
        if index is None and self._accepts(Deviation.NO_CALL_INDEX):
            is_right = True
        if not is_right and self._draft.note(
            CALL_INDEX, f"index {index!r}", f"index {call.number}"
        ):
            fragment["index"] = call.number
            changed = True
        return fragment, changed

    def _write_arguments(self, function: JsonObject, arguments: str) -> bool:
        raw = function.get("arguments")
        if isinstance(raw, str | None) or not self._draft.note(
            ARGUMENTS_AS_OBJECT, type(raw).__name__, "written as text"
        ):
            return False
        function["arguments"] = arguments
        return True

    def _find_or_start(
        self, fragment: JsonObject, identity: str, name: str, arguments: str
    ) -> ToolCall | None:
        """Return the call of a fragment, an open one or a new one; None if unknown."""
        source = _source(fragment.get("index"))
        existing = self._find(source, identity)
        if existing is None and not identity and not name:
            return self._assign_orphan(source)
        if existing is not None and (
            self._continues_name(existing, source, identity, name)
            or not existing.ends_before(identity, name, arguments)
        ):
            return existing
        call = ToolCall(source, len(self._calls))
        self._calls.append(call)
        self._by_source[source] = call
        self._add(call, "")
        return call

    def _continues_name(self, call: ToolCall, source: Any, identity: str, name: str) -> bool:
        """Return whether a name is a further piece of the name of this call."""
        if not name or not call.json.is_blank or not self._names.continues(call.name, name):
            return False
        if not self._names.has(call.name):
            return True
        is_same = source is not None and (not identity or identity in call.identities)
        return is_same or not self._names.has(name)

    def _waits_for_name(self, call: ToolCall, piece: str, arguments: str) -> bool:
        """Return whether more of the name of a call that is not shown may follow."""
        if not piece or not self._names.may_go_on(call.name):
            return False
        if call.json.is_blank and arguments.strip() and parses(arguments):
            return False
        return self._draft.note(NAME_IN_PIECES, repr(piece), "withheld until the name is complete")

    def _add(self, call: ToolCall, arguments: str) -> None:
        """Append a fragment of a call's arguments."""
        call.add(arguments)
        self._unsettled[call] = self._doubtful[call] = None

    def _identify(self, call: ToolCall, identity: str) -> None:
        """Add an id to a call."""
        call.identities.add(identity)
        for key in ((identity, call.source), (identity, _ANY)):
            other = self._by_identity.get(key)
            if other is None or call.ordinal < other.ordinal:
                self._by_identity[key] = call

    def _find(self, source: Any, identity: str) -> ToolCall | None:
        """Return the call with this id, else the open call with this index."""
        if identity:
            call = self._by_identity.get((identity, _ANY if source is None else source))
            if call is not None:
                return call
        if source is not None:
            return self._by_source.get(source)
        return self._calls[-1] if self._calls else None

    def _assign_orphan(self, source: Any) -> ToolCall | None:
        """Assign an index that no call opened to the last call; None if the rule is disabled."""
        last = self._calls[-1] if self._calls else None
        done = f"of call {last.number}" if last else "ended in an error"
        if not self._draft.note(ORPHAN_FRAGMENT, f"index {source!r}", done):
            return None
        if last is None:
            raise ContentLost("The provider sent arguments of a tool call that never started.")
        self._by_source[source] = last
        return last

    def _open(
        self,
        call: ToolCall,
        fragment: JsonObject,
        function: JsonObject,
        arguments: str,
        stream_id: str,
    ) -> bool:
        """Complete the opening fragment of a call, with the withheld ones; return if it changed."""
        call.is_shown = True
        call.number = self._shown
        self._shown += 1
        self._by_number[call.number] = call
        held = call.take()
        self._add(call, held + arguments)
        missing: JsonObject = {}
        if not _text(fragment.get("id")):
            existing = next(iter(call.identities), "")
            missing["id"] = existing or generated_id("call", stream_id, call.number)
            self._identify(call, missing["id"])
        if not _text(fragment.get("type")) and not self._accepts(Deviation.NO_CALL_TYPE):
            missing["type"] = "function"
        if function.get("arguments") is None or held:
            missing["function"] = {**function, "name": call.name, "arguments": held + arguments}
        elif function.get("name") != call.name:
            missing["function"] = {**function, "name": call.name}
        if missing and self._draft.note(CALL_INCOMPLETE, f"no {', '.join(missing)}", "filled in"):
            fragment |= missing
            return True
        return False

    def _continue(self, call: ToolCall, fragment: JsonObject, function: JsonObject) -> bool:
        """Remove repeated fields from a later fragment of a call; return whether it changed."""
        identity, name = _text(fragment.get("id")), _text(function.get("name"))
        changed = False
        if (identity or (name and name == call.name)) and self._draft.note(
            CALL_REPEATED, f"call {call.number} repeats id and name", "removed"
        ):
            fragment.pop("id", None)
            function.pop("name", None)
            changed = True
        if name and name != call.name and self._names.continues(call.name, name):
            call.name = self._names.joined(call.name, name)
        if identity:
            self._identify(call, identity)
        if fragment.get("function") is not function and self._draft.note(
            CALL_INCOMPLETE, "no function", "filled in"
        ):
            fragment["function"] = {"arguments": ""}
            changed = True
        return changed

    def _open_nameless(self, call: ToolCall, stream_id: str) -> JsonObject:
        opening: JsonObject = {}
        if call.name.strip():  # no more of it came
            self._open(call, opening, {}, "", stream_id)
            opening["index"] = call.number
            return opening
        if len(self._tool_names) != 1:
            self._draft.note(CALL_NAME_LATE, "no name", "ended in an error")
            raise ContentLost("The provider sent a tool call without a name.")
        call.name = self._tool_names[0]
        self._draft.note(CALL_NAME_LATE, "no name", repr(call.name))
        self._open(call, opening, {}, "", stream_id)
        opening["index"] = call.number
        return opening

    def _number_custom(self, fragment: JsonObject) -> bool:
        """Number the call of a custom tool; return whether that changed the fragment."""
        self.has_others = self._has_custom = True
        index, identity = fragment.get("index"), _text(fragment.get("id"))
        source = _source(index)
        existing = self._custom.get(source)
        if identity and (existing is None or existing[0] != identity):
            existing = self._custom[source] = identity, self._shown
            self._shown += 1
        if existing is None or (index == existing[1] and not isinstance(index, bool | float)):
            return False
        if not self._draft.note(CALL_INDEX, f"index {index!r}", f"index {existing[1]}"):
            return False
        fragment["index"] = existing[1]
        return True


def _source(index: Any) -> Any:
    if isinstance(index, str) and index.isdigit():
        return int(index)
    return index if is_integer(index) else None


def _json_of(arguments: Any) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json_value.write(arguments).decode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
