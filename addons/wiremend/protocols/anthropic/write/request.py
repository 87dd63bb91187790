"""A conversation as a Messages request.

https://docs.anthropic.com/en/api/messages
"""

from collections.abc import Sequence
from typing import Any

from wiremend.protocols.anthropic.write.blocks import BlockWriter, write_text
from wiremend.protocols.anthropic.write.parameters import write_parameters
from wiremend.protocols.base.middle.content import Part, Result, Text, own_fields
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    FormatKind,
    Role,
    Tool,
    ToolKind,
    Turn,
)
from wiremend.protocols.base.middle.function_tools import FunctionTools
from wiremend.protocols.base.middle.interface import WrittenRequest
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import JSON_ONLY, NO_CONTENT, system_reminder
from wiremend.protocols.base.names import WireProtocol
from wiremend.text import json_value
from wiremend.text.json_value import is_blank

_A = WireProtocol.ANTHROPIC_MESSAGES
_CACHE_MARK = {"type": "ephemeral"}


def write_request(conversation: Conversation, target: Target, losses: Losses) -> WrittenRequest:
    """Return the request for a target. Raises NotCarried."""
    if conversation.source is _A:
        return _own_request(conversation, target, losses)
    tools = FunctionTools(conversation, target, losses)
    writer = BlockWriter(target, tools, losses, is_own=False)
    messages = _Messages(target, writer, losses)
    for turn in conversation.turns:
        messages.add(turn)
    body: dict[str, Any] = {"model": target.model}
    functions = [
        without_nothing(name=one.name, description=one.description)
        | {"input_schema": one.schema}
        | ({"strict": True} if one.tool.strict and target.traits.strict_tools else {})
        for one in tools.functions
    ]
    system = _system(conversation, losses)
    body |= without_nothing(tools=functions, system=system)
    body["messages"] = messages.finished()
    _mark_for_cache(body, target.traits.cache_marks)
    choice = _choice(tools, conversation)
    body |= write_parameters(conversation, target, losses, choice=choice, has_tools=bool(functions))
    return WrittenRequest("/v1/messages", json_value.write(body), tools.sent)


def _own_request(conversation: Conversation, target: Target, losses: Losses) -> WrittenRequest:
    """Return the request as it was read, with the target's model."""
    tools = FunctionTools(Conversation(source=_A), target, losses)
    writer = BlockWriter(target, tools, losses, is_own=True)
    body: dict[str, Any] = {"model": target.model}
    body |= without_nothing(
        tools=[_own_tool(tool) for tool in conversation.tools],
        system=_own_system(conversation),
    )
    if conversation.turns:
        body["messages"] = [_own_message(turn, writer) for turn in conversation.turns]
    choice = _own_choice(conversation)
    body |= write_parameters(conversation, target, losses, choice=choice, has_tools=True)
    own = dict(own_fields(conversation.own, _A))
    if isinstance(own.get("output_config"), dict):
        body["output_config"] = {**body.get("output_config", {}), **own.pop("output_config")}
    return WrittenRequest("/v1/messages", json_value.write({**body, **own}))


def _own_system(conversation: Conversation) -> str | list[dict[str, Any]]:
    if conversation.is_system_plain:
        return conversation.system[0].text
    return [{**write_text(text), **own_fields(text.own, _A)} for text in conversation.system]


def _own_message(turn: Turn, writer: BlockWriter) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role.value}
    first = turn.parts[0] if turn.parts else None
    if turn.is_plain and isinstance(first, Text):
        message["content"] = first.text
    elif turn.parts:
        message["content"] = writer.blocks(turn.parts)
    return {**message, **own_fields(turn.own, _A)}


def _own_tool(tool: Tool) -> dict[str, Any]:
    own = own_fields(tool.own, _A)
    if tool.kind is ToolKind.SERVER:
        return {"type": tool.type, **own}
    if tool.kind is ToolKind.TYPED:
        return {"type": tool.type, "name": tool.name, **own}
    fields = without_nothing(name=tool.name, description=tool.description)
    if tool.schema is not None:
        fields["input_schema"] = tool.schema
    if tool.strict is not None:
        fields["strict"] = tool.strict
    return {**fields, **own}


def _own_choice(conversation: Conversation) -> dict[str, Any] | None:
    choice = conversation.choice
    if choice is None:
        return None
    kind = {"auto": "auto", "required": "any", "none": "none"}[choice.mode]
    written: dict[str, Any] = {"type": "tool" if choice.forced else kind}
    if choice.forced:
        written |= without_nothing(name=choice.forced.name)
    if conversation.parameters.parallel_calls is not None:
        written["disable_parallel_tool_use"] = not conversation.parameters.parallel_calls
    return {**written, **own_fields(choice.own, _A)}


def _system(conversation: Conversation, losses: Losses) -> list[dict[str, Any]]:
    blocks = [{"type": "text", "text": text.text} for text in conversation.system]
    form = conversation.format
    if form is not None and form.kind is FormatKind.JSON:
        losses.add(LossKind.FORMAT, "json_object", "asked for in the system text", form.at)
        blocks.append({"type": "text", "text": JSON_ONLY})
    return blocks


def _choice(tools: FunctionTools, conversation: Conversation) -> dict[str, Any] | None:
    choice = tools.choice
    is_serial = conversation.parameters.parallel_calls is False
    if not tools.functions or (choice is None and not is_serial):
        return None
    written: dict[str, Any] = {"type": "auto"}
    if choice is not None and choice.forced is not None:
        forced = choice.forced
        written = {"type": "tool", "name": tools.sent_name(forced.name, forced.namespace)}
    elif choice is not None and choice.mode is not ChoiceMode.AUTO:
        written = {"type": "any" if choice.mode is ChoiceMode.REQUIRED else "none"}
    if is_serial and written["type"] != "none":
        written["disable_parallel_tool_use"] = True
    return written


class _Messages:
    """The messages of a request: turns that alternate, and begin with the user's."""

    def __init__(self, target: Target, writer: BlockWriter, losses: Losses) -> None:
        self._target = target
        self._writer = writer
        self._losses = losses
        self.messages: list[dict[str, Any]] = []

    def add(self, turn: Turn) -> None:
        """Add a turn; it joins the last message if that is of the same role."""
        if turn.role in (Role.SYSTEM, Role.DEVELOPER):
            self._add_system(turn)
            return
        blocks = self._writer.blocks(turn.parts)
        blocks = [block for block in blocks if not is_blank(block.get("text"))]
        if turn.role is Role.USER:
            blocks = [*_media_in_order(turn.parts, blocks)]
        self._add(turn.role.value, blocks)

    def finished(self) -> list[dict[str, Any]]:
        """Return the messages: at least one. A last one by the assistant must not end in white
        space."""
        if not self.messages:
            self._add("user", [{"type": "text", "text": NO_CONTENT}])
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == "assistant" and "text" in last["content"][-1]:
            block = last["content"][-1]
            last["content"][-1] = {**block, "text": block["text"].rstrip()}
        return self.messages

    def _add_system(self, turn: Turn) -> None:
        texts = [part.text for part in turn.parts if isinstance(part, Text)]
        if self._target.traits.system_in_place:
            self._add("system", [{"type": "text", "text": text} for text in texts])
            return
        self._losses.add(LossKind.POSITION, "system message", "sent as user text", turn.at)
        self._add("user", [{"type": "text", "text": system_reminder(text)} for text in texts])

    def _add(self, role: str, blocks: Sequence[dict[str, Any]]) -> None:
        if not blocks:
            return
        if not self.messages and role != "user":
            note = {"type": "text", "text": NO_CONTENT}
            self.messages.append({"role": "user", "content": [note]})
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == role:
            last["content"] += blocks
        else:
            self.messages.append({"role": role, "content": [*blocks]})


def _media_in_order(
    parts: Sequence[Part], blocks: list[dict[str, Any]]
) -> Sequence[dict[str, Any]]:
    """Return the blocks of a user's turn with the results first."""
    if not any(isinstance(part, Result) for part in parts):
        return blocks
    results = [block for block in blocks if block.get("type") == "tool_result"]
    return [*results, *(block for block in blocks if block.get("type") != "tool_result")]


def _mark_for_cache(body: dict[str, Any], marks: int) -> None:
    """Set up to this many marks: at the last tool, the system text, and the last user turns."""
    users = [message for message in body["messages"] if message["role"] == "user"]
    ends: list[list[dict[str, Any]]] = [body.get("tools", []), body.get("system", [])]
    ends += [message["content"] for message in users[:-3:-1]]
    for blocks in [one for one in ends if one][:marks]:
        blocks[-1] = {**blocks[-1], "cache_control": _CACHE_MARK}
