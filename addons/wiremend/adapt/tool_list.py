"""Repairing the tools of a request for every target: missing names, types, roots of schemas.

Only the wrong bytes change.
"""

from collections.abc import Iterable, Set
from typing import Any

from wiremend.adapt.schema_root import adapt_schema_root
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.tools import ChoiceOfMode, ChoiceOfOne, ClientTool, value_at
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text.json_edits import Edits, Path

_ALL = tuple(WireProtocol)

TOOL_WITHOUT_NAME = Rule(
    code="T001",
    name="tool-without-name",
    detects="A tool's name is missing, null, empty or only white space.",
    impact="The whole request is rejected: `function name or parameters is empty (2013)`.",
    action="Drops the tool: a model cannot call it.",
    protocols=_ALL,
    seen=("routatic/proxy#80", "QwenLM/qwen-code#11834"),
    before='"tools":[{"name":""},{"name":"Bash"}]',
    after='"tools":[{"name":"Bash"}]',
)
CHOICE_OF_DROPPED_TOOL = Rule(
    code="T002",
    name="choice-of-dropped-tool",
    detects="The tool choice names a tool that was dropped.",
    impact="Providers reject a choice that names a tool not in the list.",
    action="Removes the name. If it was the only one, sets the choice to `auto`.",
    protocols=_ALL,
    before='"tool_choice":{"type":"tool","name":""}',
    after='"tool_choice":{"type":"auto"}',
)
NO_TOOLS_LEFT = Rule(
    code="T003",
    name="no-tools-left",
    detects="All tools were dropped.",
    impact="OpenAI: `[] is too short - 'tools'`; every provider rejects a tool choice without "
    "tools.",
    action="Removes the tool choice, and the empty list too, except for Anthropic and Gemini, "
    "which accept it.",
    protocols=_ALL,
    seen=("QwenLM/qwen-code#2054", "JetBrains/koog#786", "anthropics/claude-cookbooks#142"),
    before='{"model":"m","tools":[],"tool_choice":"auto"}',
    after='{"model":"m"}',
)
CUSTOM_TYPE = Rule(
    code="T004",
    name="custom-type",
    detects='A client tool contains `"type":"custom"`, which the Anthropic API allows.',
    impact="Some gateways that implement the protocol reject tools with a type.",
    action="Removes the member, only for targets that are known to reject it.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("routatic/proxy#80",),
    before='{"type":"custom","name":"Bash","input_schema":{"type":"object","properties":{}}}',
    after='{"name":"Bash","input_schema":{"type":"object","properties":{}}}',
)


def adapt_tool_list(
    document: RequestDocument, traits: TargetTraits, notes: Notes
) -> RequestDocument:
    """Return the request with tools that have a name and a valid root of their schema."""
    request = document.fields
    if request is None:
        return document
    protocol, edits = document.protocol, Edits(document.body)
    tools = list(protocol.client_tools(request))
    removed = _drop_nameless(protocol, edits, notes, request, tools)
    for tool in tools:
        if removed and is_inside(tool.entry, removed):
            continue
        if traits.strip_custom_type and protocol.name in CUSTOM_TYPE.protocols:
            _strip_custom_type(edits, notes, tool)
        if tool.schema_key is not None:
            form = protocol.schema_form
            adapt_schema_root(edits, notes, form, tool.owner, tool.fields, tool.schema_key)
    remove_outermost(edits, removed)
    return document.edited(edits)


def is_inside(path: Path, paths: Set[Path]) -> bool:
    """Return whether a path is one of these, or inside one of them."""
    return any(path[:depth] in paths for depth in range(1, len(path) + 1))


def remove_outermost(edits: Edits, paths: Set[Path]) -> None:
    """Remove the values at these paths; paths inside another of them are skipped."""
    for path in paths:
        if not any(path[:depth] in paths for depth in range(1, len(path))):
            edits.remove(path)


def _strip_custom_type(edits: Edits, notes: Notes, tool: ClientTool) -> None:
    if (
        tool.fields.get("type") == "custom"
        and len(tool.fields) > 1
        and notes.note(CUSTOM_TYPE, BodyPlace(tool.entry), '"type":"custom"', "removed")
    ):
        edits.remove((*tool.owner, "type"))


# Removing tools without a name, and references to them


def _drop_nameless(
    protocol: Protocol, edits: Edits, notes: Notes, request: dict[str, Any], tools: list[ClientTool]
) -> set[Path]:
    """Return the paths to remove: tools without a name, empty lists, choices without a tool."""
    removed = {
        tool.entry
        for tool in tools
        if tool.is_nameless
        and notes.note(TOOL_WITHOUT_NAME, BodyPlace(tool.entry), "no name", "dropped")
    }
    if not removed:
        return removed
    remaining = [tool for tool in tools if tool.entry not in removed]
    removed |= emptied(request, removed)
    match protocol.tool_choice:
        case ChoiceOfOne() as form:
            removed |= _choice(form, edits, notes, request, removed)
        case ChoiceOfMode() as form:
            removed |= _mode(form.configs(request), edits, notes, request, bool(remaining))
    return removed


def emptied(request: dict[str, Any], removed: set[Path]) -> set[Path]:
    """Return the entries of `tools` that are empty after these paths are removed."""
    emptied: set[Path] = set()
    for parent in {path[:-1] for path in removed if len(path) > 2}:
        entry, key = parent[:-1], parent[-1]
        if not _all_removed(request, parent, removed):
            continue
        emptied.add(parent)
        is_namespace = key == "tools"
        if is_namespace or _all_removed(request, entry, emptied):
            emptied.add(entry)
    return emptied


def _choice(
    form: ChoiceOfOne, edits: Edits, notes: Notes, request: dict[str, Any], removed: set[Path]
) -> set[Path]:
    """Return the top-level members to remove; repair a choice that is kept."""
    to_remove: set[Path] = set()
    for offer, choice, companions in _CHOICES:
        if not any(path[0] == offer for path in removed):
            continue
        if _all_removed(request, (offer,), removed):
            names = (choice, *companions)
            if not form.may_offer_none:
                names = (offer, *names)
            present = [name for name in names if name in request]
            done = f"removed {', '.join(present)}"
            if present and notes.note(NO_TOOLS_LEFT, BodyPlace((offer,)), "no tools left", done):
                to_remove |= {(name,) for name in present}
        elif isinstance(request.get(choice), dict):
            to_remove |= _adapt_choice(form, edits, notes, (choice,), request[choice])
    return to_remove


_CHOICES = (
    ("tools", "tool_choice", ("parallel_tool_calls",)),
    ("functions", "function_call", ()),
)
"""The list of tools, the choice among them, and further members that are refused without tools."""


def _adapt_choice(
    form: ChoiceOfOne, edits: Edits, notes: Notes, path: Path, choice: dict[str, Any]
) -> set[Path]:
    kind = choice.get("type")
    if kind == "allowed_tools":
        return _adapt_allowed(edits, notes, path, choice)
    inner = choice.get(kind) if isinstance(kind, str) else None
    named = inner if isinstance(inner, dict) else choice
    if kind not in form.kinds or not _is_blank(named.get("name")):
        return set()
    if not notes.note(
        CHOICE_OF_DROPPED_TOOL, BodyPlace(path), "names a dropped tool", "set to auto"
    ):
        return set()
    if not form.auto_is_object:
        edits.replace(path, b'"auto"')
        return set()
    edits.replace((*path, "type"), b'"auto"')
    return {(*path, "name")} if "name" in choice else set()


def _adapt_allowed(edits: Edits, notes: Notes, path: Path, choice: dict[str, Any]) -> set[Path]:
    """Remove dropped tools from the list of allowed tools; in Chat it is one level deeper."""
    nested = isinstance(choice.get("allowed_tools"), dict)
    allowed_path = (*path, "allowed_tools", "tools") if nested else (*path, "tools")
    allowed = (choice["allowed_tools"] if nested else choice).get("tools")
    if not isinstance(allowed, list):
        return set()
    dropped = {(*allowed_path, index) for index, tool in enumerate(allowed) if _has_no_name(tool)}
    if not dropped:
        return set()
    if len(dropped) < len(allowed):
        found = notes.note(
            CHOICE_OF_DROPPED_TOOL, BodyPlace(allowed_path), "dropped tools", "removed"
        )
        return dropped if found else set()
    if notes.note(
        CHOICE_OF_DROPPED_TOOL, BodyPlace(path), "names dropped tools only", "set to auto"
    ):
        edits.replace(path, b'"auto"')
    return set()


def _mode(
    configs: Iterable[Path],
    edits: Edits,
    notes: Notes,
    request: dict[str, Any],
    functions_remain: bool,
) -> set[Path]:
    """Return the paths to remove in Gemini's calling configs: dropped names, or the whole mode."""
    to_remove: set[Path] = set()
    for path in configs:
        config, parent = value_at(request, path), path[:-1]
        if not isinstance(config, dict):
            continue
        if functions_remain:
            to_remove |= _adapt_allowed_names(edits, notes, path, config)
        elif notes.note(NO_TOOLS_LEFT, BodyPlace(path), "no function left", "removed"):
            to_remove.add(path if len(value_at(request, parent)) > 1 else parent)
    return to_remove


def _adapt_allowed_names(
    edits: Edits, notes: Notes, path: Path, config: dict[str, Any]
) -> set[Path]:
    """Remove blank names from Gemini's list of allowed functions, at the path of `config`.

    If no name remains, the list is removed and the mode ANY becomes AUTO. Returns the paths to
    remove.
    """
    for key in ("allowedFunctionNames", "allowed_function_names"):
        allowed = config.get(key)
        if not isinstance(allowed, list):
            continue
        dropped = {(*path, key, index) for index, name in enumerate(allowed) if _is_blank(name)}
        if not dropped:
            continue
        done = "removed" if len(dropped) < len(allowed) else "set to AUTO"
        if not notes.note(
            CHOICE_OF_DROPPED_TOOL, BodyPlace((*path, key)), "dropped functions", done
        ):
            continue
        if len(dropped) < len(allowed):
            return dropped
        if config.get("mode") == "ANY":
            edits.replace((*path, "mode"), b'"AUTO"')
        return {(*path, key)}
    return set()


# Questions about parsed JSON


def _all_removed(request: dict[str, Any], path: Path, removed: set[Path]) -> bool:
    container = value_at(request, path)
    steps = range(len(container)) if isinstance(container, list) else container
    return all((*path, step) in removed for step in steps)


def _is_blank(name: Any) -> bool:
    return name is None or (isinstance(name, str) and not name.strip())


def _has_no_name(tool: Any) -> bool:
    """Return whether an allowed tool is a function or custom tool without a name."""
    if not isinstance(tool, dict) or tool.get("type") not in ("function", "custom"):
        return False
    inner = tool.get(tool["type"])
    return _is_blank((inner if isinstance(inner, dict) else tool).get("name"))
