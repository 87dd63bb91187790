"""Reading the input of a request: each item is a turn.

A turn that is an item of another type than a message consists of one part: a call, a result,
reasoning. If that part is opaque, `is_plain` is set, which tells it apart from a message with one
opaque part.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.middle.content import (
    Call,
    CallKind,
    Opaque,
    Part,
    Result,
    ServerCall,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.conversation import Need, Role, Turn, whole_name
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.state import is_sealed, read_state, unseal
from wiremend.protocols.base.middle.wording import arguments_object
from wiremend.protocols.responses.read.content import INPUT_TEXT, OUTPUT_TEXT, read_parts
from wiremend.protocols.responses.read.kinds import (
    CALL_KIND_BY_TYPE,
    COMPACTION,
    COMPACTION_TRIGGER,
    OUTPUT,
    PROTOCOL,
    SERVER_CALLS,
    TOOL_SEARCH,
    TYPED_BY_CALL,
    TYPED_BY_OUTPUT,
    TypedTool,
    compact_json,
    is_typed,
    joined_texts,
    opaque,
    raw_own,
)
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import dicts_in

COMPACTION_PROMPT = """\
Summarize this conversation for another model, which will continue the work and will not see the \
messages above. Include:
- what the user asked for, with constraints and preferences in the user's words
- what was done and decided, and what was learnt: files, commands, results, errors
- what remains to be done, and the next steps
- data, names, paths and references that are needed to continue

Answer with the summary alone. Do not call tools."""
_SUMMARY_HEAD = "Summary of the conversation so far; the messages that it replaces were removed:"
_ROLES = {role.value: role for role in Role}
_ROLE_BY_TYPE = {
    "additional_tools": Role.DEVELOPER,
    "mcp_approval_response": Role.USER,
    "item_reference": Role.USER,
}
"""Who an item is from; all others are the assistant's."""
_AGENT_MESSAGE = "agent_message"
"""A message of another agent, which Codex passes to the model."""
_REASONS = {
    "item_reference": "the item is stored at the client's provider",
    COMPACTION: "the summary of the conversation is encrypted by the client's provider",
}


def read_items(values: list[Any], path: Path) -> tuple[Turn, ...]:
    """Return the turns of a list of items."""
    return tuple(_read_item(value, (*path, index)) for index, value in enumerate(values))


def trigger(at: Path, value: dict[str, Any] | None = None) -> Turn:
    """Return the turn that asks for a compaction; `value` is its item, if there is one."""
    own = raw_own(value) if value is not None else None
    part = Opaque(COMPACTION_TRIGGER, COMPACTION_PROMPT, own=own, at=at)
    return Turn(Role.USER, (part,), is_plain=True, at=at)


def needs_of(turns: tuple[Turn, ...]) -> Iterator[Need]:
    """Yield the items whose content only the client's provider has."""
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, Opaque) and turn.is_plain and part.kind in _REASONS:
                yield Need(part.kind, _REASONS[part.kind], part.at)


def _read_item(value: Any, at: Path) -> Turn:
    if not isinstance(value, dict):
        return _item_turn(opaque(value, at), Role.USER)
    kind = value.get("type", "message")
    if kind == "message":
        return _message(value, at) or _item_turn(opaque(value, at), Role.USER)
    if not isinstance(kind, str):
        return _item_turn(opaque(value, at), Role.USER)
    if kind == COMPACTION_TRIGGER:
        return trigger(at, value)
    if kind == COMPACTION and is_sealed(value.get("encrypted_content")):
        return Turn(Role.USER, (_summary(value, at),), at=at)
    if kind == _AGENT_MESSAGE:
        text = _message_of_agent(value)
        return _item_turn(Opaque(kind, text, own=raw_own(value), at=at), Role.USER)
    if kind.endswith(OUTPUT):
        return _item_turn(_result(value, kind, at) or opaque(value, at), Role.USER)
    part = _assistant_part(value, kind, at)
    return _item_turn(part, _ROLE_BY_TYPE.get(kind, Role.ASSISTANT))


def _item_turn(part: Part, role: Role) -> Turn:
    return Turn(role, (part,), is_plain=isinstance(part, Opaque), at=part.at)


def _message(value: dict[str, Any], at: Path) -> Turn | None:
    """Return a message; None if its role or content has an unknown form."""
    members = Members(value)
    role, content = _ROLES.get(str(members.drop("role"))), members.drop("content")
    if role is None or not isinstance(content, str | list):
        return None
    own = members.own(PROTOCOL)
    if isinstance(content, str):
        parts: tuple[Part, ...] = (Text(content, at=(*at, "content")),) if content else ()
        return Turn(role, parts, is_plain=True, own=own, at=at)
    text_type = OUTPUT_TEXT if role is Role.ASSISTANT else INPUT_TEXT
    return Turn(role, read_parts(content, text_type, (*at, "content")), own=own, at=at)


def _assistant_part(value: dict[str, Any], kind: str, at: Path) -> Part:
    if kind in CALL_KIND_BY_TYPE:
        return _call(value, CALL_KIND_BY_TYPE[kind], at) or opaque(value, at)
    tool = TYPED_BY_CALL.get(kind)
    if tool is not None:
        return read_typed_call(value, tool, at) or opaque(value, at)
    if kind == "reasoning":
        return read_thinking(value, at)
    if kind in SERVER_CALLS:
        return read_server_call(value, kind, at)
    return opaque(value, at)


def _call(value: dict[str, Any], kind: CallKind, at: Path) -> Call | None:
    members = Members(value)
    members.drop("type")
    call_id, name = members.text("call_id"), members.text("name")
    text = members.drop("input" if kind is CallKind.CUSTOM else "arguments")
    if not call_id or not name or not isinstance(text, str):
        return None
    namespace = members.text("namespace")
    return Call(call_id, name, text, kind, namespace, own=members.own(PROTOCOL), at=at)


def read_typed_call(value: dict[str, Any], tool: TypedTool, at: Path = ()) -> Call | None:
    """Return the call of a tool that OpenAI defines; None if it has no id or no arguments.

    Arguments as JSON text, which the search of tools may have, remain in `own`.
    """
    members = Members(value)
    members.drop("type")
    call_id, arguments = members.text("call_id"), members.object(tool.member)
    if arguments is None and isinstance(text := members.peek(tool.member), str):
        arguments = arguments_object(text)
    if not call_id or arguments is None or not is_typed(value, tool):
        return None
    own = members.own(PROTOCOL)
    return Call(call_id, tool.name, compact_json(arguments), CallKind.TYPED, own=own, at=at)


def read_server_call(value: dict[str, Any], kind: str, at: Path = ()) -> ServerCall:
    """Return a call that the provider ran; `own` contains the whole item."""
    call_id = value.get("id")
    return ServerCall(
        call_id if isinstance(call_id, str) else "",
        SERVER_CALLS[kind],
        _server_arguments(value),
        own=raw_own(value),
        at=at,
    )


def _server_arguments(value: dict[str, Any]) -> str:
    """Return what the provider ran, as JSON; empty if the item does not contain it."""
    arguments = value.get("action", value.get("arguments"))
    if isinstance(arguments, str) and json_value.parses(arguments):
        return arguments
    if isinstance(arguments, dict):
        return compact_json(arguments)
    given = {key: value[key] for key in ("code", "queries", "arguments") if value.get(key)}
    return compact_json(given) if given else ""


def read_thinking(value: dict[str, Any], at: Path = ()) -> Thinking:
    """Return reasoning. Its texts remain in `own`, since the text joins them."""
    members = Members(value)
    members.drop("type")
    encrypted = members.peek("encrypted_content")
    state = read_state(encrypted, PROTOCOL)
    if state is not None or is_sealed(encrypted):
        members.drop("encrypted_content")
    if state is not None and state.is_native:
        state = replace(state, payload={"encrypted_content": encrypted})
    texts = [*_texts_of(value.get("summary")), *_texts_of(value.get("content"))]
    return Thinking(joined_texts(texts), state, own=members.own(PROTOCOL), at=at)


def _texts_of(parts: Any) -> list[str]:
    return [part["text"] for part in dicts_in(parts) if isinstance(part.get("text"), str)]


def _result(value: dict[str, Any], kind: str, at: Path) -> Result | None:
    """Return the result of a call; None if it is of an unknown tool or has another form."""
    tool = TYPED_BY_OUTPUT.get(kind)
    call_kind = CALL_KIND_BY_TYPE.get(kind.removesuffix(OUTPUT))
    members = Members(value)
    members.drop("type")
    if tool is not None:
        return _typed_result(members, tool, at) if is_typed(value, tool) else None
    call_id, output = members.text("call_id"), members.drop("output")
    place = (*at, "output")
    if isinstance(output, str):
        parts = _output_text(output, place)
    elif isinstance(output, list):
        parts = read_parts(output, INPUT_TEXT, place)
    else:
        return None
    if call_kind is None or not call_id:
        return None
    is_plain, own = isinstance(output, str), members.own(PROTOCOL)
    return Result(call_id, parts, kind=call_kind, is_plain=is_plain, own=own, at=at)


def _output_text(text: str, at: Path) -> tuple[Part, ...]:
    return (Text(text, at=at),) if text else ()


def _typed_result(members: Members, tool: TypedTool, at: Path) -> Result | None:
    """Return the result of a tool that OpenAI defines; it is restored from `own`."""
    call_id = members.peek("call_id") or members.peek("id")
    if not isinstance(call_id, str):
        return None
    output = members.peek("output")
    if tool.name == TOOL_SEARCH:
        text = _found(members.peek("tools"))
    else:
        text = output if isinstance(output, str) else "\n".join(map(_shown, dicts_in(output)))
    is_error = members.peek("status") == "failed" if tool.name == "apply_patch" else None
    parts = _output_text(text, (*at, "output"))
    own = members.own(PROTOCOL)
    return Result(call_id, parts, is_error, tool.name, CallKind.TYPED, True, own=own, at=at)


def _found(tools: Any) -> str:
    """Return the names of the tools that a search found, which are defined from then on."""
    names: list[str] = []
    for tool in dicts_in(tools):
        inner = dicts_in(tool.get("tools")) if tool.get("type") == "namespace" else [tool]
        namespace = tool.get("name") if tool.get("type") == "namespace" else ""
        names += [whole_name(str(one.get("name") or ""), str(namespace or "")) for one in inner]
    if not names:
        return "No tools were found."
    return "\n".join(f"Tool {name} is now available." for name in names)


def _shown(chunk: dict[str, Any]) -> str:
    """Return the output of one command of a shell call, and how the command ended."""
    texts = [text for key in ("stdout", "stderr") if isinstance(text := chunk.get(key), str)]
    outcome = chunk.get("outcome")
    if isinstance(outcome, dict) and outcome.get("type") == "timeout":
        texts.append("(timeout)")
    elif isinstance(outcome, dict) and outcome.get("exit_code"):
        texts.append(f"(exit code {outcome['exit_code']})")
    return "\n".join(filter(None, texts))


def _message_of_agent(value: dict[str, Any]) -> str:
    """Return what an agent wrote to another one; empty if all of it is encrypted."""
    text = "\n".join(_texts_of(value.get("content")))
    names = [str(value.get(key) or "an agent") for key in ("author", "recipient")]
    return f"Message from {names[0]} to {names[1]}:\n{text}" if text else ""


def _summary(value: dict[str, Any], at: Path) -> Part:
    """Return the summary that an earlier answer of another provider put into an envelope."""
    text = summary_text(value)
    return Text(text, at=at) if text else opaque(value, at)


def summary_text(value: dict[str, Any]) -> str:
    """Return the text for the model of a compaction in an envelope; empty if there is none."""
    if value.get("type") != COMPACTION:
        return ""
    content = value.get("encrypted_content")
    state = unseal(content) if is_sealed(content) else None
    payload = state.payload if state is not None else None
    summary = payload.get("summary") if isinstance(payload, dict) else None
    if not isinstance(summary, str) or not summary:
        return ""
    return f"{_SUMMARY_HEAD}\n\n{summary}"
