"""The tools of a Messages request, and the choice of one."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.anthropic.typed_tools import TYPED_TOOLS
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_edits import Path

_A = WireProtocol.ANTHROPIC_MESSAGES
_CHOICES: Mapping[str, ChoiceMode] = {
    "auto": ChoiceMode.AUTO,
    "any": ChoiceMode.REQUIRED,
    "tool": ChoiceMode.REQUIRED,
    "none": ChoiceMode.NONE,
}


def read_tool(tool: Mapping[str, Any], at: Path) -> Tool:
    """Return a tool of the list of tools.

    `type` decides who runs it: none or `custom` is a function, those in `TYPED_TOOLS` are defined
    by Anthropic and run by the client, and the provider runs all others.
    """
    members = Members(tool)
    kind = tool.get("type")
    if kind is None or kind == "custom" or not isinstance(kind, str):
        return Tool(
            members.text("name"),
            ToolKind.FUNCTION,
            members.text("description"),
            members.object("input_schema"),
            members.flag("strict"),
            own=members.own(_A),
            at=at,
        )
    members.drop("type")
    common = common_name(kind)
    typed = TYPED_TOOLS.get(common)
    if typed is None:
        return Tool(common, ToolKind.SERVER, type=kind, own=members.own(_A), at=at)
    name = members.text("name") or typed.name
    return Tool(
        name, ToolKind.TYPED, typed.description, typed.schema, type=kind, own=members.own(_A), at=at
    )


def common_name(kind: str) -> str:
    """Return the type of a tool without its date: `web_search_20250305` → `web_search`."""
    name, _, date = kind.rpartition("_")
    return name if name and date.isascii() and date.isdecimal() else kind


def read_choice(members: Members) -> tuple[ToolChoice | None, bool | None]:
    """Take the choice of tools; return it, and whether calls may be parallel (None: not given)."""
    choice = members.peek("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") not in _CHOICES:
        return None, None
    members.drop("tool_choice")
    inner = Members(choice)
    kind = inner.text("type")
    forced = ToolName(inner.text("name")) if kind == "tool" else None
    serial = inner.flag("disable_parallel_tool_use")
    own = inner.own(_A)
    at = ("tool_choice",)
    return ToolChoice(
        _CHOICES[kind], forced, own=own, at=at
    ), None if serial is None else not serial
