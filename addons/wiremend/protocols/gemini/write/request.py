"""A conversation as a Gemini request.

https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.middle.content import own_fields
from wiremend.protocols.base.middle.conversation import (
    Conversation,
    FormatKind,
    Role,
    Tool,
    ToolKind,
    Turn,
)
from wiremend.protocols.base.middle.function_tools import FunctionTool, FunctionTools
from wiremend.protocols.base.middle.interface import WrittenRequest
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import JSON_ONLY
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini.own_form import form_of, restored
from wiremend.protocols.gemini.read.tools import DECLARATIONS
from wiremend.protocols.gemini.request import ModelOfPath
from wiremend.protocols.gemini.write.contents import Contents
from wiremend.protocols.gemini.write.own_parts import write_own_part, write_own_parts
from wiremend.protocols.gemini.write.parameters import (
    write_config,
    write_own_choice,
    write_own_config,
    write_tool_config,
)
from wiremend.text import json_value

_G = WireProtocol.GEMINI
_SERVER_TOOLS: Mapping[str, str] = {
    "web_search": "googleSearch",
    "web_fetch": "urlContext",
    "code_execution": "codeExecution",
}
_METHODS = {True: ":streamGenerateContent?alt=sse", False: ":generateContent"}


def write_request(conversation: Conversation, target: Target, losses: Losses) -> WrittenRequest:
    """Return the request for a target. Raises NotCarried."""
    if conversation.source is _G:
        return _own_request(conversation, target)
    provided, rest = _provided_tools(conversation, target)
    allowed = rest.choice if rest.choice is not None and rest.choice.allowed is not None else None
    if allowed is not None:
        rest = replace(rest, choice=None)
    tools = FunctionTools(rest, target, losses)
    contents = Contents(target, tools, losses)
    for turn in conversation.turns:
        contents.add(turn)
    has_format = not tools.functions and target.traits.schema_formats
    texts = [{"text": text.text} for text in conversation.system]
    texts += _format_in_words(conversation, losses) if not has_format else []
    declarations = [_declaration(one, losses) for one in tools.functions]
    body = without_nothing(
        systemInstruction={"parts": texts} if texts else None,
        tools=provided or ([{DECLARATIONS: declarations}] if declarations else None),
    )
    body["contents"] = contents.written()
    body |= without_nothing(
        toolConfig=write_tool_config(tools.choice, allowed, tools),
        generationConfig=write_config(conversation, target, losses, has_format=has_format),
    )
    return WrittenRequest(_path(target, conversation), json_value.write(body), tools.sent)


def _path(target: Target, conversation: Conversation) -> str:
    path = f"/v1beta/models/x{_METHODS[conversation.stream]}"
    return ModelOfPath().write(path, target.model)


def _provided_tools(
    conversation: Conversation, target: Target
) -> tuple[list[dict[str, Any]], Conversation]:
    """Return the entries of tools that the target runs, and the conversation without them.

    Most models refuse such tools beside functions. Then they are dropped like all others.
    """
    known = target.traits.server_tools & _SERVER_TOOLS.keys()
    names = [tool.name for tool in conversation.tools if tool.kind is ToolKind.SERVER]
    if len(names) < len(conversation.tools) or not known.issuperset(names):
        return [], conversation
    entries: list[dict[str, Any]] = [{_SERVER_TOOLS[name]: {}} for name in dict.fromkeys(names)]
    return entries, replace(conversation, tools=(), choice=None)


def _declaration(function: FunctionTool, losses: Losses) -> dict[str, Any]:
    if function.tool.strict:
        losses.add_once(LossKind.PARAMETER, "strict", path=function.tool.at)
    named = without_nothing(name=function.name, description=function.description)
    return {**named, "parametersJsonSchema": function.schema}


def _format_in_words(conversation: Conversation, losses: Losses) -> list[dict[str, Any]]:
    """Return system text that asks for the format: most models refuse it beside functions."""
    form = conversation.format
    if form is None or form.kind is FormatKind.TEXT:
        return []
    losses.add(LossKind.FORMAT, form.kind.value, "asked for in the system text", form.at)
    text = JSON_ONLY
    if form.schema is not None:
        text += f" It follows this schema: {json_value.write(form.schema).decode()}"
    return [{"text": text}]


# A conversation of this protocol


def _own_request(conversation: Conversation, target: Target) -> WrittenRequest:
    """Return the request as it was read, with the target's model."""
    form = form_of(conversation.own)
    body = without_nothing(
        systemInstruction=_own_system(conversation),
        tools=form.get("tools") or _own_tools(conversation.tools),
        contents=[_own_content(turn) for turn in conversation.turns],
    )
    if conversation.choice is not None:
        body["toolConfig"] = write_own_choice(conversation.choice)
    config = write_own_config(conversation)
    if config is not None:
        body["generationConfig"] = config
    body = restored(body, conversation.own)
    if "systemInstruction" in form:
        body["systemInstruction"] = form["systemInstruction"]
    if "model" in form:
        body["model"] = form["model"]
    wrapper = form.get("wrapper")
    if wrapper is None:
        return WrittenRequest(_path(target, conversation), json_value.write(body))
    path = f"/v1internal{_METHODS[conversation.stream]}"
    wrapped = {**wrapper, "model": target.model, "request": body}
    return WrittenRequest(path, json_value.write(wrapped))


def _own_system(conversation: Conversation) -> dict[str, Any] | None:
    parts = [write_own_part(text) for text in conversation.system]
    return {"parts": parts} if parts else None


def _own_content(turn: Turn) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if not form_of(turn.own).get("no_role"):
        content["role"] = "model" if turn.role is Role.ASSISTANT else "user"
    if turn.parts:
        content["parts"] = [one for part in turn.parts for one in write_own_parts(part)]
    return restored(content, turn.own)


def _own_tools(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    """Return the entries of tools, as they were grouped."""
    entries: dict[Any, dict[str, Any]] = {}
    for tool in tools:
        form = form_of(tool.own)
        entry = entries.setdefault(form.get("entry"), {})
        if tool.kind is ToolKind.SERVER:
            entry[tool.type] = form.get("config")
            continue
        fields = without_nothing(name=tool.name, description=tool.description)
        if "parameters" in form:
            fields["parameters"] = form["parameters"]
        elif tool.schema is not None:
            fields["parametersJsonSchema"] = tool.schema
        entry.setdefault(DECLARATIONS, []).append({**fields, **own_fields(tool.own, _G)})
    return list(entries.values())
