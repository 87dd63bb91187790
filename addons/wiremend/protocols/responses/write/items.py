"""Writing the turns of a conversation as items of the input."""

from typing import Any

from wiremend.protocols.base.middle.call_ids import SentIds
from wiremend.protocols.base.middle.content import (
    Call,
    CallKind,
    Opaque,
    Part,
    Result,
    ServerCall,
    Text,
    Thinking,
    own_fields,
)
from wiremend.protocols.base.middle.conversation import AUTHORITIES, Conversation, Role, Turn
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import failed_result, system_reminder
from wiremend.protocols.responses.read.content import INPUT_TEXT, OUTPUT_TEXT
from wiremend.protocols.responses.read.kinds import (
    OUTPUT,
    PROTOCOL,
    TYPE_BY_CALL_KIND,
    TYPED_TOOLS,
    raw_value,
)
from wiremend.protocols.responses.write.content import ContentWriter
from wiremend.protocols.responses.write.tools import ToolWriter
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject


def write_input(conversation: Conversation, target: Target, losses: Losses) -> Any:
    """Return the input of a request that was read from this protocol: items, or one string."""
    first = conversation.turns[0]
    if first.at == ("input",) and first.is_plain and first.role is Role.USER:
        texts = [part.text for part in first.parts if isinstance(part, Text)]
        if texts:
            return "".join(texts)
    writer = _OwnItems(ContentWriter(target, losses, is_own=True), target, losses)
    return [item for turn in conversation.turns for item in writer.items(turn)]


def write_items(
    conversation: Conversation, target: Target, tools: ToolWriter, losses: Losses
) -> list[JsonObject]:
    """Return the items of a conversation of another protocol."""
    writer = _Items(target, tools, losses)
    return [item for turn in conversation.turns for item in writer.items(turn)]


class _OwnItems:
    """Restores items."""

    def __init__(self, content: ContentWriter, target: Target, losses: Losses) -> None:
        self._content = content
        self._target = target
        self._losses = losses

    def items(self, turn: Turn) -> list[Any]:
        part = turn.parts[0] if len(turn.parts) == 1 else None
        own = own_fields(part.own, PROTOCOL) if part is not None else {}
        match part:
            case Opaque() if turn.is_plain:
                return [raw_value(part.own)] if part.own is not None else []
            case ServerCall():
                return [raw_value(part.own)]
            case Call():
                return [{**_own_call(part), **own}]
            case Result(kind=CallKind.TYPED):
                return [{"type": TYPED_TOOLS[part.name].result, **own}]
            case Result():
                return [{**self._result(part), **own}]
            case Thinking():
                return self._thinking(part)
            case _:
                return [self._message(turn)]

    def _message(self, turn: Turn) -> JsonObject:
        own = own_fields(turn.own, PROTOCOL)
        if turn.is_plain:
            content: Any = _plain_text(turn.parts)
        else:
            text_type = OUTPUT_TEXT if turn.role is Role.ASSISTANT else INPUT_TEXT
            content = self._content.content(turn.parts, text_type)
        return {**own, "role": turn.role.value, "content": content}

    def _result(self, part: Result) -> JsonObject:
        output: Any = _plain_text(part.parts)
        if not part.is_plain:
            output = self._content.content(part.parts, INPUT_TEXT)
        kind = f"{TYPE_BY_CALL_KIND[part.kind]}{OUTPUT}"
        return {"type": kind, "call_id": part.call_id, "output": output}

    def _thinking(self, part: Thinking) -> list[JsonObject]:
        own = own_fields(part.own, PROTOCOL)
        if part.state is None and part.own is not None:
            return [{"type": "reasoning", **own}]
        encrypted = encrypted_content(part.state, self._target)
        if encrypted is not None:
            return [{"type": "reasoning", **own, "encrypted_content": encrypted}]
        self._losses.add_once(LossKind.REASONING, "reasoning of another provider", path=part.at)
        return []


def _own_call(part: Call) -> JsonObject:
    fields: JsonObject = {"call_id": part.id}
    if part.kind is CallKind.TYPED:
        tool = TYPED_TOOLS[part.name]
        return {"type": tool.call, **fields, tool.member: json_value.read(part.arguments)}
    fields |= {"type": TYPE_BY_CALL_KIND[part.kind], "name": part.name}
    fields["input" if part.kind is CallKind.CUSTOM else "arguments"] = part.arguments
    if part.namespace:
        fields["namespace"] = part.namespace
    return fields


def _plain_text(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def encrypted_content(state: State | None, target: Target) -> str | None:
    """Return the encrypted reasoning in a state of this target; None if there is none."""
    if state is None or not state.is_for(target.origin) or not isinstance(state.payload, dict):
        return None
    encrypted = state.payload.get("encrypted_content")
    return encrypted if isinstance(encrypted, str) else None


class _Items:
    """Writes the items of a conversation of another protocol."""

    def __init__(self, target: Target, tools: ToolWriter, losses: Losses) -> None:
        self._target = target
        self._tools = tools
        self._losses = losses
        self._content = ContentWriter(target, losses, is_own=False)
        self._ids = SentIds(target.traits.call_ids)

    def items(self, turn: Turn) -> list[JsonObject]:
        role = self._role(turn)
        if turn.role in AUTHORITIES and role == "user":
            self._losses.add_once(LossKind.POSITION, "system message", "sent as a user's", turn.at)
            texts = [
                Text(system_reminder(part.text)) for part in turn.parts if isinstance(part, Text)
            ]
            return _messages(role, self._content.content(tuple(texts), INPUT_TEXT))
        items: list[JsonObject] = []
        run: list[Part] = []
        for part in turn.parts:
            if not isinstance(part, Call | Result | Thinking):
                run.append(part)
                continue
            items += self._message(role, run)
            run = []
            items += self._item(part)
        return [*items, *self._message(role, run)]

    def _message(self, role: str, parts: list[Part]) -> list[JsonObject]:
        """Return the message with these parts; none without content.

        The texts of the assistant are one string: parts of type `output_text` would need the id of
        a message that the provider wrote.
        """
        if role != "assistant":
            return _messages(role, self._content.content(tuple(parts), INPUT_TEXT))
        pieces: list[str] = []
        is_text = is_cited = False
        for part in parts:
            content = self._content.content((part,), OUTPUT_TEXT)
            text = "".join(one["text"] for one in content)
            has_sources = isinstance(part, Text) and bool(part.citations)
            continues = isinstance(part, Text) and is_text and (is_cited or has_sources)
            if pieces and text and not continues:
                pieces.append("\n\n")
            pieces.append(text)
            is_text, is_cited = isinstance(part, Text), has_sources
        return _messages(role, "".join(pieces))

    def _role(self, turn: Turn) -> str:
        if turn.role not in AUTHORITIES:
            return turn.role.value
        if not self._target.traits.system_in_place:
            return "user"
        return "developer" if self._target.traits.developer_role else "system"

    def _item(self, part: Call | Result | Thinking) -> list[JsonObject]:
        match part:
            case Call():
                return [self._call(part)]
            case Result():
                return [self._result(part)]
            case Thinking():
                return self._thinking(part)

    def _call(self, part: Call) -> JsonObject:
        fields: JsonObject = {
            "type": "function_call",
            "call_id": self._ids.of(part.id),
            "name": self._tools.sent_name(part.name, part.namespace),
        }
        if part.kind is CallKind.CUSTOM:
            return {**fields, "type": "custom_tool_call", "input": part.arguments}
        return {**fields, "arguments": part.arguments if part.arguments.strip() else "{}"}

    def _result(self, part: Result) -> JsonObject:
        content = self._content.content(part.parts, INPUT_TEXT)
        if all(one.get("type") == INPUT_TEXT for one in content):
            output: Any = "\n".join(one["text"] for one in content)
            if part.is_error:
                output = failed_result(output)
        else:
            output = [{"type": INPUT_TEXT, "text": failed_result("")}] if part.is_error else []
            output += content
        if part.is_error:
            self._losses.add_once(LossKind.ERROR_FLAG, "is_error", "sent in the text", part.at)
        is_custom = part.kind is CallKind.CUSTOM
        kind = TYPE_BY_CALL_KIND[CallKind.CUSTOM if is_custom else CallKind.FUNCTION]
        call_id = self._ids.of(part.call_id)
        return {"type": f"{kind}{OUTPUT}", "call_id": call_id, "output": output}

    def _thinking(self, part: Thinking) -> list[JsonObject]:
        """Return the reasoning item that the target wrote itself, without its id.

        The provider looks for an id among the responses that it stored.
        """
        payload = part.state.payload if part.state is not None else None
        if part.state is None or not part.state.is_for(self._target.origin):
            payload = None
        if not isinstance(payload, dict):
            found = "reasoning of another provider"
            self._losses.add_once(LossKind.REASONING, found, path=part.at)
            return []
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        return [{"type": "reasoning", "summary": summary, **payload}]


def _messages(role: str, content: list[Any] | str) -> list[JsonObject]:
    """Return one message; none without content, which would separate a call from its reasoning."""
    return [{"type": "message", "role": role, "content": content}] if content else []
