"""Reading tools and the choice of tools."""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.middle.content import Own
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Namespace,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.responses.read.kinds import (
    PROTOCOL,
    TYPED_TOOLS,
    is_typed,
    raw_own,
    server_tool_name,
)
from wiremend.text.json_edits import Path
from wiremend.text.json_value import objects

_NAMED = {"function": ToolKind.FUNCTION, "custom": ToolKind.CUSTOM}
_MODES = {mode.value: mode for mode in ChoiceMode}
_ENCRYPTED = "encrypted"
_DEEPEST_SCHEMA = 64


class ToolReader:
    """Collects the tools and the namespaces of one request."""

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self.namespaces: list[Namespace] = []
        self._seen: set[str] = set()
        """The names of the namespaces."""
        self._first: dict[tuple[str, str, ToolKind], Tool] = {}
        """The first tool of each namespace, name and kind."""

    def read(self, values: list[Any], path: Path, *, is_in_history: bool = False) -> None:
        """Take a list of tools."""
        for index, value in enumerate(values):
            at = (*path, index)
            if not _is_namespace(value) or (value["name"] in self._seen and not is_in_history):
                self._add(_tool(value, at, "", is_in_history))
                continue
            members = Members(value)
            members.drop("type")
            name, inner = members.text("name"), members.drop("tools")
            description = members.text("description")
            if name not in self._seen:
                self._seen.add(name)
                own = members.own(PROTOCOL)
                self.namespaces.append(Namespace(name, description, own=own, at=at))
            for number, one in enumerate(inner):
                self._add(_tool(one, (*at, "tools", number), name, is_in_history))

    def _add(self, tool: Tool) -> None:
        """Take a tool, except one that an item of the history defines again, as searches do."""
        first = self._first.setdefault((tool.namespace, tool.name, tool.kind), tool)
        is_same = (first.description, first.schema) == (tool.description, tool.schema)
        if first is tool or not (tool.is_in_history and is_same):
            self.tools.append(tool)


def _is_namespace(value: Any) -> bool:
    """Return whether this is a namespace that can be restored from its tools."""
    if not isinstance(value, dict) or value.get("type") != "namespace":
        return False
    name, tools = value.get("name"), value.get("tools")
    return isinstance(name, str) and bool(name) and isinstance(tools, list) and bool(tools)


def tools_in_items(request: dict[str, Any]) -> Iterator[tuple[Path, list[Any]]]:
    """Yield the lists of tools that items of the input define, each with its path."""
    for path, item in objects(request.get("input"), ("input",)):
        tools = item.get("tools")
        if item.get("type") in ("additional_tools", "tool_search_output") and tools:
            yield (*path, "tools"), tools if isinstance(tools, list) else []


def _tool(value: Any, at: Path, namespace: str, is_in_history: bool) -> Tool:
    kind = value.get("type") if isinstance(value, dict) else None
    name = value.get("name") if isinstance(value, dict) else None
    if kind in _NAMED and isinstance(name, str) and name:
        read = _function if kind == "function" else _custom
        return read(Members(value), at, namespace, is_in_history)
    if isinstance(kind, str) and is_typed(value, TYPED_TOOLS.get(kind)):
        return _typed(Members(value), at, namespace, is_in_history)
    type = kind if isinstance(kind, str) else ""
    return Tool(
        server_tool_name(type),
        ToolKind.SERVER,
        type=type,
        namespace=namespace,
        is_in_history=is_in_history,
        own=raw_own(value),
        at=at,
    )


def _function(members: Members, at: Path, namespace: str, is_in_history: bool) -> Tool:
    members.drop("type")
    name, description = members.text("name"), members.text("description")
    raw = members.object("parameters")
    schema = _without_encrypted(raw) if raw is not None else None
    if schema != raw:
        members.keep("parameters", raw)
    return Tool(
        name,
        description=description,
        schema=schema,
        strict=members.flag("strict"),
        namespace=namespace,
        is_in_history=is_in_history,
        own=members.own(PROTOCOL),
        at=at,
    )


def _custom(members: Members, at: Path, namespace: str, is_in_history: bool) -> Tool:
    members.drop("type")
    name, description = members.text("name"), members.text("description")
    form = members.peek("format")
    grammar = syntax = ""
    if _is_grammar(form):
        members.drop("format")
        grammar, syntax = form["definition"], form["syntax"]
    return Tool(
        name,
        ToolKind.CUSTOM,
        description,
        grammar=grammar,
        grammar_syntax=syntax,
        namespace=namespace,
        is_in_history=is_in_history,
        own=members.own(PROTOCOL),
        at=at,
    )


def _is_grammar(form: Any) -> bool:
    return (
        isinstance(form, dict)
        and form.keys() == {"type", "definition", "syntax"}
        and form["type"] == "grammar"
        and all(isinstance(form[key], str) and form[key] for key in ("definition", "syntax"))
    )


def _typed(members: Members, at: Path, namespace: str, is_in_history: bool) -> Tool:
    type = members.drop("type")
    tool = TYPED_TOOLS[type]
    description, schema = tool.description, tool.schema
    if schema is None:
        description, schema = members.text("description"), members.object("parameters")
    return Tool(
        tool.name,
        ToolKind.TYPED,
        description,
        schema,
        type=type,
        namespace=namespace,
        is_in_history=is_in_history,
        own=members.own(PROTOCOL),
        at=at,
    )


def _without_encrypted(schema: Any, depth: int = 0) -> Any:
    """Return a schema without OpenAI's keyword `encrypted`, which other providers refuse."""
    if depth > _DEEPEST_SCHEMA:
        return schema
    if isinstance(schema, list):
        return [_without_encrypted(value, depth + 1) for value in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_encrypted(value, depth + 1)
        for key, value in schema.items()
        if not (key == _ENCRYPTED and isinstance(value, bool))
    }


def read_choice(members: Members) -> ToolChoice | None:
    """Take the choice of tools; None if there is none or its form is unknown."""
    value = members.peek("tool_choice")
    choice = _choice(value, ("tool_choice",))
    if choice is not None:
        members.drop("tool_choice")
    return choice


def _choice(value: Any, at: Path) -> ToolChoice | None:
    if isinstance(value, str):
        return ToolChoice(_MODES[value], at=at) if value in _MODES else None
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    own = Own(PROTOCOL, value)
    if kind == "allowed_tools":
        mode, tools = value.get("mode"), value.get("tools")
        if mode not in _MODES or not isinstance(tools, list):
            return None
        names = tuple(name for tool in tools if (name := _tool_name(tool)) is not None)
        is_exact = value.keys() == {"type", "mode", "tools"} and all(map(_is_exact, tools))
        return ToolChoice(_MODES[mode], allowed=names, own=None if is_exact else own, at=at)
    name = _tool_name(value)
    if name is None:
        return None
    return ToolChoice(ChoiceMode.REQUIRED, name, own=None if _is_exact(value) else own, at=at)


def _is_exact(value: Any) -> bool:
    """Return whether an object in a choice can be restored from the name of its tool."""
    name = _tool_name(value)
    if name is None or name.kind is ToolKind.SERVER:
        return False
    return bool(value.keys() == ({"type"} if name.kind is ToolKind.TYPED else {"type", "name"}))


def _tool_name(value: Any) -> ToolName | None:
    """Return the tool that an object in a choice names."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    if kind in _NAMED:
        name, namespace = value.get("name"), value.get("namespace", "")
        if not isinstance(name, str) or not name or not isinstance(namespace, str):
            return None
        return ToolName(name, namespace, _NAMED[kind])
    if kind in TYPED_TOOLS:
        return ToolName(kind, kind=ToolKind.TYPED)
    return ToolName(server_tool_name(kind), kind=ToolKind.SERVER)
