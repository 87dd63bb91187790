"""The tools of a conversation as functions of a target: their names, and what replaces them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wiremend.protocols.base.middle.content import Call, CallKind
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
    whole_name,
)
from wiremend.protocols.base.middle.interface import SentTool
from wiremend.protocols.base.middle.losses import Losses, LossKind, NotCarried
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import (
    CUSTOM_ARGUMENT,
    EMPTY_SCHEMA,
    custom_schema,
    function_description,
)
from wiremend.text import json_value

_CALL_KINDS: Mapping[ToolKind, CallKind] = {
    ToolKind.FUNCTION: CallKind.FUNCTION,
    ToolKind.CUSTOM: CallKind.CUSTOM,
    ToolKind.TYPED: CallKind.TYPED,
    ToolKind.SERVER: CallKind.FUNCTION,
}


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool as a function of the target."""

    name: str
    """As it is sent."""
    description: str
    schema: Mapping[str, Any]
    tool: Tool


class FunctionTools:
    """The tools of a conversation, each as a function, for targets without other kinds.

    Tools that the provider runs are dropped beside others. Raises NotCarried if one is forced, or
    if there is no other tool.
    """

    def __init__(self, conversation: Conversation, target: Target, losses: Losses) -> None:
        self._names = target.traits.names
        self._losses = losses
        self.sent: dict[str, SentTool] = {}
        """`WrittenRequest.tools`."""
        self.choice = _choice_of(conversation)
        """The choice; None if it is the default, or if there are no tools."""
        self.functions = list(self._functions(conversation))
        """The functions, in order."""
        if not self.functions:
            self.choice = None
        if self.choice is not None and self.choice.allowed is not None:
            self.choice = self._without_allowed(self.choice)

    def sent_name(self, name: str, namespace: str = "") -> str:
        """Return the name under which a tool is sent."""
        return self._names.fit(whole_name(name, namespace))

    def sent_call(self, call: Call) -> tuple[str, str]:
        """Return the name and the arguments of a call of the history as a call of a function."""
        name = self.sent_name(call.name, call.namespace)
        if call.kind is not CallKind.CUSTOM:
            return name, call.arguments
        return name, json_value.write({CUSTOM_ARGUMENT: call.arguments}).decode()

    def _functions(self, conversation: Conversation) -> Iterator[FunctionTool]:
        server_tools = [tool for tool in conversation.tools if tool.kind is ToolKind.SERVER]
        client_tools = [tool for tool in conversation.tools if tool.kind is not ToolKind.SERVER]
        self._drop(server_tools, are_alone=not client_tools)
        described = {one.name: one.description for one in conversation.namespaces}
        seen: set[str] = set()
        for tool in client_tools:
            name = self.sent_name(tool.name, tool.namespace)
            if name in seen:
                self._losses.add(LossKind.TOOL, f"a second tool {name!r}", path=tool.at)
                continue
            seen.add(name)
            yield self._function(tool, name, described.pop(tool.namespace, ""))

    def _function(self, tool: Tool, name: str, described: str) -> FunctionTool:
        """Return a function. The first one of a namespace has the description of that, too."""
        kind = _CALL_KINDS[tool.kind]
        is_custom = kind is CallKind.CUSTOM
        if name != tool.name or kind is not CallKind.FUNCTION:
            argument = CUSTOM_ARGUMENT if is_custom else ""
            self.sent[name] = SentTool(tool.name, tool.namespace, kind, argument)
        if kind is not CallKind.FUNCTION:
            found = f"{tool.kind} tool {tool.name!r}"
            self._losses.add(LossKind.TOOL, found, "sent as a function", tool.at)
        schema = custom_schema(tool) if is_custom else tool.schema or EMPTY_SCHEMA
        description = function_description(tool)
        if described and described not in description:
            about = f"About the tools {whole_name('*', tool.namespace)}: {described}"
            description = "\n\n".join(filter(None, [description, about]))
        return FunctionTool(name, description, schema, tool)

    def _drop(self, tools: list[Tool], *, are_alone: bool) -> None:
        forced = self.choice.forced if self.choice is not None else None
        for tool in tools:
            what = f"tool {tool.name!r}"
            if forced is not None and forced.name == tool.name:
                reason = "the request forces a tool that only the client's provider runs"
                raise NotCarried(what, reason, tool.at)
            if are_alone:
                reason = "it is the only tool, and only the client's provider runs it"
                raise NotCarried(what, reason, tool.at)
            self._losses.add(LossKind.SERVER_TOOL, what, path=tool.at)

    def _without_allowed(self, choice: ToolChoice) -> ToolChoice | None:
        """Return the choice without a list of allowed tools.

        A required choice of one tool forces it, one of several leaves out the other tools. Where
        the model is free to choose, all tools are sent: the list would change the cached prefix.
        """
        allowed = choice.allowed or ()
        choice = replace(choice, allowed=None)
        if choice.mode is not ChoiceMode.REQUIRED:
            self._losses.add(LossKind.CHOICE, "allowed_tools", "all are allowed", choice.at)
            return choice
        names = {self.sent_name(one.name, one.namespace) for one in allowed}
        self.functions = [one for one in self.functions if one.name in names]
        if not self.functions:
            return None
        if len(self.functions) == 1:
            tool = self.functions[0].tool
            return replace(choice, forced=ToolName(tool.name, tool.namespace, tool.kind))
        return choice


def _choice_of(conversation: Conversation) -> ToolChoice | None:
    choice = conversation.choice
    if choice is None or (choice.mode is ChoiceMode.AUTO and choice.allowed is None):
        return None
    return choice
