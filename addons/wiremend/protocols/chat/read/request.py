"""A Chat Completions request as a conversation.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    FormatKind,
    Need,
    OutputFormat,
    Parameters,
    Reasoning,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.chat.read.messages import read_messages
from wiremend.text.json_edits import Path
from wiremend.text.json_value import dicts_in, is_integer

_C = WireProtocol.CHAT_COMPLETIONS
LIMITS = ("max_completion_tokens", "max_tokens")
_MODES = frozenset({"auto", "required", "none"})
WEB_SEARCH = "web_search_options"
LEGACY = "functions"
"""The member with the tools of requests before `tools`, and the type of such a tool here."""


def read_request(_: str, body: Mapping[str, Any]) -> Conversation:
    """Return the conversation in the parsed body of a request.

    Members that this protocol has twice (`max_tokens`, `functions`, a `stop` that is a string)
    also stay in `own`, so that they are restored under their name.
    """
    members = Members(body)
    model = members.text("model")
    turns = read_messages(members.list("messages") or ())
    choice = _choice(members)
    parameters = Parameters(
        max_output_tokens=_limit(members),
        temperature=members.number("temperature"),
        top_p=members.number("top_p"),
        stops=_stops(members),
        seed=members.integer("seed"),
        presence_penalty=members.number("presence_penalty"),
        frequency_penalty=members.number("frequency_penalty"),
        parallel_calls=members.flag("parallel_tool_calls"),
    )
    return Conversation(
        source=_C,
        model=model,
        turns=turns,
        tools=(*_tools(members), *_other_tools(body)),
        choice=choice,
        format=_format(members),
        reasoning=Reasoning(effort=members.text("reasoning_effort"), at=("reasoning_effort",)),
        parameters=parameters,
        session=members.text("prompt_cache_key"),
        stream=members.switch("stream"),
        needs=tuple(_needs(body)),
        own=members.own(_C),
    )


def _limit(members: Members) -> int | None:
    for key in LIMITS:
        if is_integer(members.peek(key)):
            limit: int = members.peek(key)
            return limit
    return None


def _stops(members: Members) -> tuple[str, ...]:
    stop = members.peek("stop")
    if isinstance(stop, str) and stop:
        return (stop,)
    if isinstance(stop, list) and stop and all(isinstance(one, str) for one in stop):
        members.drop("stop")
        return tuple(stop)
    return ()


def _tools(members: Members) -> Iterator[Tool]:
    for number, tool in enumerate(members.list("tools") or ()):
        if isinstance(tool, dict):
            yield _tool(tool, ("tools", number))


def _tool(tool: Mapping[str, Any], at: Path) -> Tool:
    members = Members(tool)
    kind = members.text("type") or "function"
    inner = members.object(kind)
    if kind == "custom" and inner is not None:
        fields = Members(inner)
        name, description = fields.text("name"), fields.text("description")
        form = fields.peek("format")
        grammar = form.get("grammar") if isinstance(form, dict) else None
        definition = grammar if isinstance(grammar, dict) else {}
        _keep_rest(members, kind, fields)
        return Tool(
            name,
            ToolKind.CUSTOM,
            description,
            grammar=str(definition.get("definition") or ""),
            grammar_syntax=str(definition.get("syntax") or ""),
            own=members.own(_C),
            at=at,
        )
    if kind == "function" and inner is not None:
        fields = Members(inner)
        name, description = fields.text("name"), fields.text("description")
        schema, strict = fields.object("parameters"), fields.flag("strict")
        _keep_rest(members, kind, fields)
        own = members.own(_C)
        return Tool(name, ToolKind.FUNCTION, description, schema, strict, own=own, at=at)
    if inner is not None:
        members.keep(kind, inner)
    return Tool(kind, ToolKind.SERVER, type=kind, own=members.own(_C), at=at)


def _keep_rest(members: Members, kind: str, inner: Members) -> None:
    rest = inner.own(_C)
    if rest is not None:
        members.keep(kind, rest.fields)


def _other_tools(body: Mapping[str, Any]) -> Iterator[Tool]:
    """Yield the tools that are not in the list of tools; the same protocol has them in `own`."""
    for number, function in enumerate(dicts_in(body.get(LEGACY))):
        fields = Members(function)
        name, description = fields.text("name"), fields.text("description")
        schema = fields.object("parameters")
        yield Tool(name, ToolKind.FUNCTION, description, schema, type=LEGACY, at=(LEGACY, number))
    if isinstance(body.get(WEB_SEARCH), dict):
        yield Tool("web_search", ToolKind.SERVER, type=WEB_SEARCH, at=(WEB_SEARCH,))


def _choice(members: Members) -> ToolChoice | None:
    at = ("tool_choice",)
    word = members.word("tool_choice", _MODES)
    if word:
        return ToolChoice(ChoiceMode(word), at=at)
    choice = members.peek("tool_choice")
    if not isinstance(choice, dict):
        return _legacy_choice(members)
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict):
        members.drop("tool_choice")
        names = tuple(_named(tool) for tool in dicts_in(allowed.get("tools")))
        is_required = allowed.get("mode") == "required"
        mode = ChoiceMode.REQUIRED if is_required else ChoiceMode.AUTO
        return ToolChoice(mode, allowed=names, at=at)
    if not _named(choice).name:
        return None
    members.drop("tool_choice")
    return ToolChoice(ChoiceMode.REQUIRED, _named(choice), at=at)


def _named(tool: Mapping[str, Any]) -> ToolName:
    kind = ToolKind.CUSTOM if tool.get("type") == "custom" else ToolKind.FUNCTION
    inner = tool.get(kind.value)
    name = inner.get("name") if isinstance(inner, dict) else tool.get("name")
    return ToolName(name if isinstance(name, str) else "", kind=kind)


def _legacy_choice(members: Members) -> ToolChoice | None:
    """Return the choice in `function_call`, which also stays where it is."""
    choice, at = members.peek("function_call"), ("function_call",)
    if choice in ("auto", "none"):
        return ToolChoice(ChoiceMode(choice), at=at)
    name = choice.get("name") if isinstance(choice, dict) else None
    if not isinstance(name, str):
        return None
    return ToolChoice(ChoiceMode.REQUIRED, ToolName(name), at=at)


def _format(members: Members) -> OutputFormat | None:
    form, at = members.peek("response_format"), ("response_format",)
    kind = form.get("type") if isinstance(form, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        return None
    assert isinstance(form, dict)
    rest = Members(form)
    rest.drop("type")
    if kind != "json_schema":
        members.drop("response_format")
        return OutputFormat(FormatKind(kind), own=rest.own(_C), at=at)
    definition = rest.object("json_schema")
    if definition is None:
        return None
    members.drop("response_format")
    fields = Members(definition)
    schema, name = fields.object("schema"), fields.text("name")
    description, strict = fields.text("description"), fields.flag("strict")
    _keep_rest(rest, "json_schema", fields)
    own = rest.own(_C)
    return OutputFormat(FormatKind.SCHEMA, schema, name, description, strict, own=own, at=at)


def _needs(body: Mapping[str, Any]) -> Iterator[Need]:
    count = body.get("n")
    if is_integer(count) and count > 1:
        yield Need("n", "the provider returns one answer", ("n",))
    modalities = body.get("modalities")
    if body.get("audio") or (isinstance(modalities, list) and "audio" in modalities):
        yield Need("audio", "the provider answers in text", ("audio",))
