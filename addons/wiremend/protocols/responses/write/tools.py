"""Writing tools and the choice of tools."""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.middle.content import CallKind, own_fields
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    Namespace,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
    whole_name,
)
from wiremend.protocols.base.middle.interface import SentTool
from wiremend.protocols.base.middle.losses import Losses, LossKind, NotCarried
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import EMPTY_SCHEMA
from wiremend.protocols.responses.read.kinds import PROTOCOL, TYPED_TOOLS, raw_value
from wiremend.text.json_value import JsonObject

_WEB_SEARCH = "web_search"
_LOCATION = ("type", "city", "region", "country", "timezone")


def own_tools(conversation: Conversation) -> list[Any]:
    """Return the tools of a request that was read from this protocol."""
    namespaces = {namespace.name: namespace for namespace in conversation.namespaces}
    entries: list[Any] = []
    inner: list[Any] = []
    name = ""
    for tool in conversation.tools:
        if tool.is_in_history:
            continue
        if tool.namespace and tool.namespace != name:
            inner = []
            entries.append(_own_namespace(namespaces[tool.namespace], inner))
        name = tool.namespace
        (inner if name else entries).append(_own_tool(tool))
    return entries


def _own_namespace(namespace: Namespace, tools: list[Any]) -> JsonObject:
    described = without_nothing(description=namespace.description)
    own = own_fields(namespace.own, PROTOCOL)
    return {"type": "namespace", "name": namespace.name, **described, **own, "tools": tools}


def _own_tool(tool: Tool) -> Any:
    own = own_fields(tool.own, PROTOCOL)
    described = without_nothing(description=tool.description)
    match tool.kind:
        case ToolKind.SERVER:
            return raw_value(tool.own)
        case ToolKind.TYPED if TYPED_TOOLS[tool.type].schema is None:
            given = {} if tool.schema is None else {"parameters": tool.schema}
            return {"type": tool.type, **described, **given, **own}
        case ToolKind.TYPED:
            return {"type": tool.type, **own}
        case ToolKind.CUSTOM:
            return {"type": "custom", "name": tool.name, **described, **_grammar(tool), **own}
        case ToolKind.FUNCTION:
            fields: JsonObject = {"type": "function", "name": tool.name, **described}
            if tool.schema is not None:
                fields["parameters"] = tool.schema
            if tool.strict is not None:
                fields["strict"] = tool.strict
            return {**fields, **own}


def _grammar(tool: Tool) -> JsonObject:
    if not tool.grammar:
        return {}
    syntax = tool.grammar_syntax or "lark"
    return {"format": {"type": "grammar", "syntax": syntax, "definition": tool.grammar}}


def own_choice(choice: ToolChoice) -> Any:
    """Return the choice of a request that was read from this protocol."""
    if choice.own is not None:
        return dict(own_fields(choice.own, PROTOCOL))
    if choice.allowed is not None:
        tools = [_own_name(name) for name in choice.allowed]
        return {"type": "allowed_tools", "mode": choice.mode.value, "tools": tools}
    return choice.mode.value if choice.forced is None else _own_name(choice.forced)


def _own_name(name: ToolName) -> JsonObject:
    if name.kind is ToolKind.TYPED:
        return {"type": name.name}
    return {"type": name.kind.value, "name": name.name}


class ToolWriter:
    """Writes the tools of a conversation of another protocol.

    Tools that only the client's provider runs are dropped beside others. Raises NotCarried if one
    is forced, or if there is no other tool.
    """

    def __init__(self, conversation: Conversation, target: Target, losses: Losses) -> None:
        self._target = target
        self._losses = losses
        self.sent: dict[str, SentTool] = {}
        """`WrittenRequest.tools`."""
        choice = conversation.choice
        forced = choice.forced if choice is not None else None
        self.tools = list(self._tools(conversation.tools, forced))
        """The tools, in order."""
        self.choice = self._choice(choice) if choice is not None and self.tools else None
        """The written choice; None if it is the default."""

    def sent_name(self, name: str, namespace: str = "") -> str:
        """Return the name under which a tool is sent."""
        return self._target.traits.names.fit(whole_name(name, namespace))

    def _tools(self, tools: tuple[Tool, ...], forced: ToolName | None) -> Iterator[JsonObject]:
        taken = self._target.traits.server_tools
        is_alone = all(tool.kind is ToolKind.SERVER and tool.name not in taken for tool in tools)
        seen: set[str] = set()
        for tool in tools:
            if tool.kind is ToolKind.SERVER:
                yield from self._server_tool(tool, forced, is_alone=is_alone)
                continue
            name = self.sent_name(tool.name, tool.namespace)
            if name in seen:
                self._losses.add(LossKind.TOOL, f"a second tool {name!r}", path=tool.at)
                continue
            seen.add(name)
            yield self._tool(tool, name)

    def _tool(self, tool: Tool, name: str) -> JsonObject:
        is_custom = tool.kind is ToolKind.CUSTOM
        kind = CallKind.CUSTOM if is_custom else CallKind.FUNCTION
        if tool.kind is ToolKind.TYPED:
            kind = CallKind.TYPED
            found = f"{tool.kind} tool {tool.name!r}"
            self._losses.add(LossKind.TOOL, found, "sent as a function", tool.at)
        if name != tool.name or kind is CallKind.TYPED:
            self.sent[name] = SentTool(tool.name, tool.namespace, kind)
        described = without_nothing(description=tool.description)
        if is_custom:
            return {"type": "custom", "name": name, **described, **_grammar(tool)}
        # Left out, `strict` means that the provider tries to enforce the schema.
        strict = bool(tool.strict) and self._target.traits.strict_tools
        return {
            "type": "function",
            "name": name,
            **described,
            "parameters": tool.schema or EMPTY_SCHEMA,
            "strict": strict,
        }

    def _server_tool(
        self, tool: Tool, forced: ToolName | None, *, is_alone: bool
    ) -> Iterator[JsonObject]:
        what = f"tool {tool.name!r}"
        if tool.name in self._target.traits.server_tools:
            if tool.name == _WEB_SEARCH:
                yield self._web_search(tool)
            else:
                yield {"type": tool.name}
            return
        if forced is not None and forced.name == tool.name:
            reason = "the request forces a tool that only the client's provider runs"
            raise NotCarried(what, reason, tool.at)
        if is_alone:
            reason = "it is the only tool, and only the client's provider runs it"
            raise NotCarried(what, reason, tool.at)
        self._losses.add(LossKind.SERVER_TOOL, what, path=tool.at)

    def _web_search(self, tool: Tool) -> JsonObject:
        """Return the search with its filters. Their names are the same in Anthropic Messages."""
        given = tool.own.fields if tool.own is not None else {}
        if given.get("blocked_domains"):
            reason = "the provider's search cannot exclude domains"
            raise NotCarried("blocked_domains", reason, (*tool.at, "blocked_domains"))
        fields: JsonObject = {"type": _WEB_SEARCH}
        domains, place = given.get("allowed_domains"), given.get("user_location")
        if isinstance(domains, list) and domains:
            fields["filters"] = {"allowed_domains": domains}
        if isinstance(place, dict):
            fields["user_location"] = {key: place[key] for key in _LOCATION if key in place}
        return fields

    def _choice(self, choice: ToolChoice) -> Any:
        if choice.allowed is not None:
            sent = {tool["name"] for tool in self.tools if "name" in tool}
            names = [self._named(name) for name in choice.allowed]
            names = [name for name in names if name.get("name") in sent]
            mode = "auto" if choice.mode is ChoiceMode.AUTO else "required"
            return {"type": "allowed_tools", "mode": mode, "tools": names} if names else None
        if choice.forced is not None:
            return self._named(choice.forced)
        return choice.mode.value if choice.mode is not ChoiceMode.AUTO else None

    def _named(self, name: ToolName) -> JsonObject:
        if name.kind is ToolKind.SERVER or (
            name.name in self._target.traits.server_tools and name.kind is ToolKind.FUNCTION
        ):
            return {"type": name.name}
        is_custom = name.kind is ToolKind.CUSTOM
        sent = self.sent_name(name.name, name.namespace)
        return {"type": "custom" if is_custom else "function", "name": sent}
