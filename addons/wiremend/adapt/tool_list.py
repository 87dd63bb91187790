"""Which tools a request offers, and mending the list so that the target accepts it.

The request is parsed once; a request whose tools are all in order is returned as the same
bytes. Otherwise the edits are located and only their bytes change (`wiremend.text.json_edits`).
"""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from wiremend.adapt.schema_root import SCHEMA_RULES, mend_schema
from wiremend.protocols.base.document import RequestMending
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini import grammar as gemini
from wiremend.rules.rule import Finding, Rule
from wiremend.text.json_edits import Edits, Path, parse

_ALL = tuple(WireProtocol)

TOOL_WITHOUT_NAME = Rule(
    code="T001",
    name="tool-without-name",
    finds="A tool's name is missing, null, empty or only space.",
    hurts="The whole request is refused: `function name or parameters is empty (2013)`.",
    mends="The tool is dropped: no model could call it.",
    protocols=_ALL,
    seen=("routatic/proxy#80", "QwenLM/qwen-code#11834"),
    before='"tools":[{"name":""},{"name":"Bash"}]',
    after='"tools":[{"name":"Bash"}]',
)
CHOICE_OF_DROPPED_TOOL = Rule(
    code="T002",
    name="choice-of-dropped-tool",
    finds="The tool choice names a tool that was dropped.",
    hurts="Providers refuse a choice that names no offered tool.",
    mends="The name is taken out; when it was the only one, the model chooses (`auto`).",
    protocols=_ALL,
    before='"tool_choice":{"type":"tool","name":""}',
    after='"tool_choice":{"type":"auto"}',
)
NO_TOOLS_LEFT = Rule(
    code="T003",
    name="no-tools-left",
    finds="All tools were dropped.",
    hurts="OpenAI: `[] is too short - 'tools'`; a choice without tools is refused everywhere.",
    mends="The choice goes, and the empty list with it, which only Anthropic and Gemini accept.",
    protocols=_ALL,
    seen=("QwenLM/qwen-code#2054", "JetBrains/koog#786", "anthropics/claude-cookbooks#142"),
    before='{"model":"m","tools":[],"tool_choice":"auto"}',
    after='{"model":"m"}',
)
CUSTOM_TYPE = Rule(
    code="T004",
    name="custom-type",
    finds='A client tool carries `"type":"custom"`, which the Anthropic API allows.',
    hurts="Some gateways that speak the protocol know tools without a type only, and refuse it.",
    mends="The member is removed, for targets that are known to need it only.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("routatic/proxy#80",),
    before='{"type":"custom","name":"Bash","input_schema":{"type":"object","properties":{}}}',
    after='{"name":"Bash","input_schema":{"type":"object","properties":{}}}',
)
RULES = (TOOL_WITHOUT_NAME, CHOICE_OF_DROPPED_TOOL, NO_TOOLS_LEFT, CUSTOM_TYPE, *SCHEMA_RULES)


@dataclass(slots=True)
class SanitizedRequest:
    """What a request body became; the same object where nothing changed."""

    body: bytes
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool that the client runs: the one kind whose name and schema are the client's."""

    entry: Path
    """The entry in the list of tools."""
    owner: Path
    """The object that holds name and schema: the entry itself, or one inside it."""
    fields: dict[str, Any]
    """That object, parsed."""
    schema_key: str | None
    """None where the kind of tool has no schema."""

    @property
    def is_nameless(self) -> bool:
        """Whether there is no name to call it by. A number as name is left to the provider."""
        return _is_blank(self.fields.get("name"))


def sanitize_tools(
    protocol: str,
    body: bytes,
    *,
    disabled: Set[str] = frozenset(),
    strip_custom_type: bool = False,
) -> SanitizedRequest:
    """The request body with tools that any target accepts; untouched if they are, or if no JSON.

    `disabled` holds codes of rules that are off. `strip_custom_type` turns T004 on.
    """
    try:
        request = parse(body)
    except ValueError:
        return SanitizedRequest(body)
    if not isinstance(request, dict):
        return SanitizedRequest(body)
    mending = RequestMending(protocol, Edits(body), disabled)
    tools = list(client_tools(protocol, request))
    removed = _drop_nameless(mending, request, tools)
    for tool in tools:
        if any(tool.entry[:depth] in removed for depth in range(1, len(tool.entry) + 1)):
            continue
        if strip_custom_type:
            _strip_custom_type(mending, tool)
        if tool.schema_key is not None:
            mend_schema(mending, tool.owner, tool.fields, tool.schema_key)
    for path in removed:
        if not any(path[:depth] in removed for depth in range(1, len(path))):
            mending.edits.remove(path)
    return SanitizedRequest(mending.edits.apply(), mending.findings)


# Which tools a request offers


def client_tools(protocol: str, request: dict[str, Any]) -> Iterator[ClientTool]:
    """The tools of a parsed request that the client runs, in order."""
    offered = _CLIENT_TOOLS.get(protocol)
    return offered(request) if offered else iter(())


def _anthropic_tools(request: dict[str, Any]) -> Iterator[ClientTool]:
    """Tools of other types (`web_search_…`, `bash_…`) are the server's or fixed."""
    for entry, tool in _objects(request, ("tools",)):
        if tool.get("type") in (None, "custom"):
            yield ClientTool(entry, entry, tool, "input_schema")


def _chat_tools(request: dict[str, Any]) -> Iterator[ClientTool]:
    for entry, tool in _objects(request, ("tools",)):
        kind = "function" if tool.get("type") is None else tool["type"]
        inner = tool.get(kind) if kind in ("function", "custom") else None
        if isinstance(inner, dict):
            schema_key = "parameters" if kind == "function" else None
            yield ClientTool(entry, (*entry, kind), inner, schema_key)
        elif tool.keys() == {"type"} and kind == "function":
            yield ClientTool(entry, entry, tool, None)
    for entry, function in _objects(request, ("functions",)):
        yield ClientTool(entry, entry, function, "parameters")


def _responses_tools(request: dict[str, Any], path: Path = ()) -> Iterator[ClientTool]:
    for entry, tool in _objects(request, (*path, "tools")):
        kind = tool.get("type")
        if kind == "function" and not isinstance(tool.get("function"), dict):
            yield ClientTool(entry, entry, tool, "parameters")
        elif kind == "custom":
            yield ClientTool(entry, entry, tool, None)
        elif kind == "namespace" and not path:
            yield from _responses_tools(request, entry)


def _gemini_tools(request: dict[str, Any]) -> Iterator[ClientTool]:
    for entry, _ in _objects(request, (*gemini.request_path(request), "tools")):
        for key in _DECLARATIONS:
            for declaration, function in _objects(request, (*entry, key)):
                in_json_schema = any(function.get(name) is not None for name in _JSON_SCHEMA)
                schema_key = None if in_json_schema else "parameters"
                yield ClientTool(declaration, declaration, function, schema_key)


_DECLARATIONS = ("functionDeclarations", "function_declarations")
_JSON_SCHEMA = ("parametersJsonSchema", "parameters_json_schema")
"""Full JSON Schema in place of `parameters`; the two exclude each other."""

_CLIENT_TOOLS: dict[str, Callable[[dict[str, Any]], Iterator[ClientTool]]] = {
    WireProtocol.ANTHROPIC_MESSAGES: _anthropic_tools,
    WireProtocol.CHAT_COMPLETIONS: _chat_tools,
    WireProtocol.RESPONSES: _responses_tools,
    WireProtocol.GEMINI: _gemini_tools,
}


def _strip_custom_type(mending: RequestMending, tool: ClientTool) -> None:
    is_custom = mending.protocol in CUSTOM_TYPE.protocols and tool.fields.get("type") == "custom"
    if (
        is_custom
        and len(tool.fields) > 1
        and mending.finds(CUSTOM_TYPE, tool.entry, '"type":"custom"', "removed")
    ):
        mending.edits.remove((*tool.owner, "type"))


# What goes


def _drop_nameless(
    mending: RequestMending, request: dict[str, Any], tools: list[ClientTool]
) -> set[Path]:
    """The paths that go: nameless tools, lists left empty, choices left without a tool."""
    removed = {
        tool.entry
        for tool in tools
        if tool.is_nameless and mending.finds(TOOL_WITHOUT_NAME, tool.entry, "no name", "dropped")
    }
    if not removed:
        return removed
    remaining = [tool for tool in tools if tool.entry not in removed]
    removed |= emptied(request, removed)
    if mending.protocol == WireProtocol.GEMINI:
        removed |= _gemini_choice(mending, request, bool(remaining))
    else:
        removed |= _choice(mending, request, removed)
    return removed


def emptied(request: dict[str, Any], removed: set[Path]) -> set[Path]:
    """The entries of `tools` that go because nothing is left in them."""
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


def _choice(mending: RequestMending, request: dict[str, Any], removed: set[Path]) -> set[Path]:
    """Anthropic, Chat and Responses: what goes at the top level; a choice that stays is mended."""
    gone: set[Path] = set()
    for offer, choice, companions in _CHOICES:
        if not any(path[0] == offer for path in removed):
            continue
        if _all_removed(request, (offer,), removed):
            names = (choice, *companions)
            if mending.protocol != WireProtocol.ANTHROPIC_MESSAGES:
                names = (offer, *names)
            found = [name for name in names if name in request]
            if found and mending.finds(
                NO_TOOLS_LEFT, (offer,), "no tools left", f"removed {', '.join(found)}"
            ):
                gone |= {(name,) for name in found}
        elif isinstance(request.get(choice), dict):
            gone |= _mend_choice(mending, (choice,), request[choice])
    return gone


_CHOICES = (
    ("tools", "tool_choice", ("parallel_tool_calls",)),
    ("functions", "function_call", ()),
)
"""The list of tools, the choice among them, and what is refused without them."""

_NAMING_CHOICES: dict[str, tuple[str | None, ...]] = {
    WireProtocol.ANTHROPIC_MESSAGES: ("tool",),
    WireProtocol.CHAT_COMPLETIONS: ("function", "custom", None),
    WireProtocol.RESPONSES: ("function", "custom"),
}
"""The types of choices that name one tool; the legacy `function_call` has none."""


def _mend_choice(mending: RequestMending, path: Path, choice: dict[str, Any]) -> set[Path]:
    kind = choice.get("type")
    if kind == "allowed_tools":
        return _mend_allowed(mending, path, choice)
    inner = choice.get(kind) if isinstance(kind, str) else None
    named = inner if isinstance(inner, dict) else choice
    if kind not in _NAMING_CHOICES[mending.protocol] or not _is_blank(named.get("name")):
        return set()
    if not mending.finds(CHOICE_OF_DROPPED_TOOL, path, "names a dropped tool", "now auto"):
        return set()
    if mending.protocol != WireProtocol.ANTHROPIC_MESSAGES:
        mending.edits.replace(path, b'"auto"')
        return set()
    mending.edits.replace((*path, "type"), b'"auto"')
    return {(*path, "name")} if "name" in choice else set()


def _mend_allowed(mending: RequestMending, path: Path, choice: dict[str, Any]) -> set[Path]:
    """Chat holds the list of allowed tools one level deeper than Responses."""
    nested = isinstance(choice.get("allowed_tools"), dict)
    allowed_path = (*path, "allowed_tools", "tools") if nested else (*path, "tools")
    allowed = (choice["allowed_tools"] if nested else choice).get("tools")
    if not isinstance(allowed, list):
        return set()
    dropped = {(*allowed_path, index) for index, tool in enumerate(allowed) if _names_nothing(tool)}
    if not dropped:
        return set()
    if len(dropped) < len(allowed):
        found = mending.finds(CHOICE_OF_DROPPED_TOOL, allowed_path, "dropped tools", "taken out")
        return dropped if found else set()
    if mending.finds(CHOICE_OF_DROPPED_TOOL, path, "names dropped tools only", "now auto"):
        mending.edits.replace(path, b'"auto"')
    return set()


def _gemini_choice(
    mending: RequestMending, request: dict[str, Any], functions_remain: bool
) -> set[Path]:
    """Gemini: `tools` and the calling mode go when no function is left; names that went, too."""
    gone: set[Path] = set()
    for name in ("toolConfig", "tool_config"):
        parent = (*gemini.request_path(request), name)
        for inner in ("functionCallingConfig", "function_calling_config"):
            path = (*parent, inner)
            config = _value(request, path)
            if not isinstance(config, dict):
                continue
            if functions_remain:
                gone |= _mend_allowed_names(mending, path, config)
            elif mending.finds(NO_TOOLS_LEFT, path, "no function left", "removed"):
                gone.add(path if len(_value(request, parent)) > 1 else parent)
    return gone


def _mend_allowed_names(mending: RequestMending, path: Path, config: dict[str, Any]) -> set[Path]:
    for key in ("allowedFunctionNames", "allowed_function_names"):
        allowed = config.get(key)
        if not isinstance(allowed, list):
            continue
        dropped = {(*path, key, index) for index, name in enumerate(allowed) if _is_blank(name)}
        if not dropped:
            continue
        done = "taken out" if len(dropped) < len(allowed) else "now AUTO"
        if not mending.finds(CHOICE_OF_DROPPED_TOOL, (*path, key), "dropped functions", done):
            continue
        if len(dropped) < len(allowed):
            return dropped
        if config.get("mode") == "ANY":
            mending.edits.replace((*path, "mode"), b'"AUTO"')
        return {(*path, key)}
    return set()


# Looking into parsed JSON


def _objects(request: dict[str, Any], path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    entries = _value(request, path)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield (*path, index), entry


def _value(request: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, int):
            request = request[step]
        else:
            request = request.get(step) if isinstance(request, dict) else None
    return request


def _all_removed(request: dict[str, Any], path: Path, removed: set[Path]) -> bool:
    container = _value(request, path)
    steps = range(len(container)) if isinstance(container, list) else container
    return all((*path, step) in removed for step in steps)


def _is_blank(name: Any) -> bool:
    return name is None or (isinstance(name, str) and not name.strip())


def _names_nothing(tool: Any) -> bool:
    """Whether an allowed tool is a function or custom tool without a name."""
    if not isinstance(tool, dict) or tool.get("type") not in ("function", "custom"):
        return False
    inner = tool.get(tool["type"])
    return _is_blank((inner if isinstance(inner, dict) else tool).get("name"))
