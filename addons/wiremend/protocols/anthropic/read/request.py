"""A Messages request as a conversation.

https://docs.anthropic.com/en/api/messages
"""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.protocols.anthropic.read.blocks import read_text, take_content
from wiremend.protocols.anthropic.read.tools import read_choice, read_tool
from wiremend.protocols.base.middle.content import Text
from wiremend.protocols.base.middle.conversation import (
    Conversation,
    FormatKind,
    Need,
    OutputFormat,
    Parameters,
    Reasoning,
    Role,
    ThinkingMode,
    Turn,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.names import WireProtocol
from wiremend.text import json_value
from wiremend.text.json_edits import Path

_A = WireProtocol.ANTHROPIC_MESSAGES
BILLING_LINE = "x-anthropic-billing-header:"
"""The start of a system text that Claude Code changes in every request."""
_ROLES = frozenset({"user", "assistant", "system"})
_MODES: Mapping[str, ThinkingMode] = {
    "enabled": ThinkingMode.ON,
    "adaptive": ThinkingMode.ADAPTIVE,
    "disabled": ThinkingMode.OFF,
}


def read_request(_: str, body: Mapping[str, Any]) -> Conversation:
    """Return the conversation in the parsed body of a request."""
    members = Members(body)
    model = members.text("model")
    system, is_system_plain = _system(members)
    turns = _turns(members.list("messages") or ())
    tools = tuple(
        read_tool(tool, ("tools", at))
        for at, tool in enumerate(members.list("tools") or ())
        if isinstance(tool, dict)
    )
    choice, parallel = read_choice(members)
    output = Members(members.object("output_config") or {})
    form = _format(output)
    reasoning = _reasoning(members, output)
    rest = output.own(_A)
    if rest is not None:
        members.keep("output_config", rest.fields)
    parameters = Parameters(
        max_output_tokens=members.integer("max_tokens"),
        temperature=members.number("temperature"),
        top_p=members.number("top_p"),
        top_k=members.number("top_k"),
        stops=_strings(members, "stop_sequences"),
        parallel_calls=parallel,
    )
    return Conversation(
        source=_A,
        model=model,
        system=system,
        is_system_plain=is_system_plain,
        turns=turns,
        tools=tools,
        choice=choice,
        format=form,
        reasoning=reasoning,
        parameters=parameters,
        session=_session(body.get("metadata")),
        stream=members.switch("stream"),
        needs=_needs(body),
        own=members.own(_A),
    )


def _system(members: Members) -> tuple[tuple[Text, ...], bool]:
    system = members.peek("system")
    if isinstance(system, str) and system:
        members.drop("system")
        return (Text(system, is_private=_is_private(system), at=("system",)),), True
    blocks = system if isinstance(system, list) else []
    texts = [block for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    if not texts or len(texts) < len(blocks):
        return (), False
    members.drop("system")
    return tuple(
        read_text(block, ("system", at), is_private=_is_private(block.get("text")))
        for at, block in enumerate(texts)
    ), False


def _is_private(text: Any) -> bool:
    return isinstance(text, str) and text.startswith(BILLING_LINE)


def _turns(messages: Sequence[Any]) -> tuple[Turn, ...]:
    return tuple(
        _turn(message, ("messages", at))
        for at, message in enumerate(messages)
        if isinstance(message, dict)
    )


def _turn(message: Mapping[str, Any], at: Path) -> Turn:
    members = Members(message)
    role = Role(members.word("role", _ROLES) or Role.USER)
    parts, is_plain = take_content(members, at)
    return Turn(role, parts, is_plain, own=members.own(_A), at=at)


def _format(output: Members) -> OutputFormat | None:
    form = output.peek("format")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return None
    members = Members(form)
    schema = members.object("schema")
    if schema is None:
        return None
    output.drop("format")
    members.drop("type")
    at = ("output_config", "format")
    return OutputFormat(FormatKind.SCHEMA, schema, own=members.own(_A), at=at)


def _reasoning(members: Members, output: Members) -> Reasoning:
    thinking = members.peek("thinking")
    effort = output.text("effort")
    if not isinstance(thinking, dict) or thinking.get("type") not in _MODES:
        return Reasoning(effort=effort, at=("output_config", "effort"))
    members.drop("thinking")
    inner = Members(thinking)
    mode = _MODES[inner.text("type")]
    budget = inner.integer("budget_tokens")
    display = inner.word("display", frozenset({"summarized", "omitted"}))
    is_shown = display == "summarized" if display else None
    return Reasoning(mode, effort, budget, is_shown, own=inner.own(_A), at=("thinking",))


def _strings(members: Members, key: str) -> tuple[str, ...]:
    value = members.peek(key)
    if not isinstance(value, list) or not value:
        return ()
    if not all(isinstance(one, str) for one in value):
        return ()
    members.drop(key)
    return tuple(value)


def _session(metadata: Any) -> str:
    """Return the session in Claude Code's `user_id`, which is a JSON text with account and device.

    Older versions wrote `user_…_account_…_session_…`.
    """
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user, str):
        return ""
    session = json_value.member(user.encode("utf-8", "replace"), "session_id")
    if isinstance(session, str):
        return session
    return user.rpartition("_session_")[2] if "_session_" in user else ""


def _needs(body: Mapping[str, Any]) -> tuple[Need, ...]:
    needs = []
    if body.get("mcp_servers"):
        reason = "the client's provider would connect to these servers"
        needs.append(Need("mcp_servers", reason, ("mcp_servers",)))
    return tuple(needs)
