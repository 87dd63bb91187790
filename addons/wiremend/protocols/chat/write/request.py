"""A conversation as a Chat Completions request.

https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Any

from wiremend.protocols.base.middle.content import own_fields
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    FormatKind,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
)
from wiremend.protocols.base.middle.function_tools import FunctionTool, FunctionTools
from wiremend.protocols.base.middle.interface import WrittenRequest
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import JSON_ONLY, report_prefill
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.chat.read.request import LEGACY, LIMITS, WEB_SEARCH
from wiremend.protocols.chat.write.cache_marks import mark_for_cache
from wiremend.protocols.chat.write.messages import MessageWriter
from wiremend.protocols.chat.write.own_messages import own_message
from wiremend.protocols.chat.write.parameters import own_parameters, write_parameters
from wiremend.text import json_value

_C = WireProtocol.CHAT_COMPLETIONS
PATH = "/v1/chat/completions"


def write_request(conversation: Conversation, target: Target, losses: Losses) -> WrittenRequest:
    """Return the request for a target. Raises NotCarried."""
    if conversation.source is _C:
        return _own_request(conversation, target)
    tools = FunctionTools(conversation, target, losses)
    writer = MessageWriter(target, tools, losses)
    body: dict[str, Any] = {"model": target.model}
    body |= without_nothing(tools=[_function(one, target) for one in tools.functions])
    system = [text.text for text in conversation.system]
    writer.add_system(system, _format_text(conversation, target))
    for turn in conversation.turns:
        writer.add(turn)
    report_prefill(conversation, losses)
    mark_for_cache(writer.messages, target.traits.cache_marks)
    body["messages"] = writer.messages
    body |= write_parameters(conversation, target, tools, losses)
    return WrittenRequest(PATH, json_value.write(body), tools.sent)


def _function(function: FunctionTool, target: Target) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": function.name}
    fields |= without_nothing(description=function.description)
    fields["parameters"] = function.schema
    if function.tool.strict is not None and target.traits.strict_tools:
        fields["strict"] = function.tool.strict
    return {"type": "function", "function": fields}


def _format_text(conversation: Conversation, target: Target) -> str:
    """Return what the system text must say about the format of the output."""
    form = conversation.format
    if form is None or form.kind is FormatKind.TEXT:
        return ""
    if form.kind is FormatKind.SCHEMA and not target.traits.schema_formats:
        schema = json_value.write(form.schema or {}).decode()
        return f"{JSON_ONLY} It must match this JSON Schema: {schema}"
    return ""


def _own_request(conversation: Conversation, target: Target) -> WrittenRequest:
    """Return the request as it was read, with the target's model."""
    own = dict(own_fields(conversation.own, _C))
    body: dict[str, Any] = {"model": target.model}
    body |= without_nothing(
        tools=[
            _own_tool(tool) for tool in conversation.tools if tool.type not in (LEGACY, WEB_SEARCH)
        ],
        messages=[own_message(turn) for turn in conversation.turns],
    )
    if conversation.choice is not None and "function_call" not in own:
        body["tool_choice"] = _own_choice(conversation.choice)
    body |= own_parameters(conversation)
    if not any(key in own for key in LIMITS) and conversation.parameters.max_output_tokens:
        body["max_tokens"] = conversation.parameters.max_output_tokens
    return WrittenRequest(PATH, json_value.write({**body, **own}))


def _own_tool(tool: Tool) -> dict[str, Any]:
    own = dict(own_fields(tool.own, _C))
    if tool.kind is ToolKind.SERVER:
        return {"type": tool.type, **own}
    key = tool.kind.value
    inner: dict[str, Any] = without_nothing(name=tool.name, description=tool.description)
    if tool.schema is not None:
        inner["parameters"] = tool.schema
    if tool.strict is not None:
        inner["strict"] = tool.strict
    return {"type": key, key: {**inner, **own.pop(key, {})}, **own}


def _own_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.allowed is not None:
        mode = "required" if choice.mode is ChoiceMode.REQUIRED else "auto"
        names = [_own_name(name) for name in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": names}}
    return choice.mode.value if choice.forced is None else _own_name(choice.forced)


def _own_name(name: ToolName) -> dict[str, Any]:
    return {"type": name.kind.value, name.kind.value: {"name": name.name}}
