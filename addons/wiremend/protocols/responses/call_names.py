"""Names of calls that arrive in pieces in a Responses stream."""

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses.grammar import CALL_TEXT
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject

_P = ("responses",)

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
