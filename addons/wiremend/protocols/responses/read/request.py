"""Reading a request into the middle form.

https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.middle.content import Text
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    FormatKind,
    Need,
    OutputFormat,
    Parameters,
    Reasoning,
    Role,
    ThinkingMode,
    ToolChoice,
    Turn,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.responses.read.items import needs_of, read_items, trigger
from wiremend.protocols.responses.read.kinds import (
    PROTOCOL,
    is_compaction,
    is_compaction_path,
)
from wiremend.protocols.responses.read.tools import ToolReader, read_choice, tools_in_items

_STORED: Mapping[str, str] = {
    "previous_response_id": "the history is stored at the client's provider",
    "conversation": "the history is stored at the client's provider",
    "prompt": "the prompt is stored at the client's provider",
    "background": "the answer would be stored at the client's provider",
}
_FORMATS = {kind.value: kind for kind in FormatKind}


def read_request(path: str, body: Mapping[str, Any]) -> Conversation:
    """Return the request that a parsed body contains."""
    members = Members(body)
    model = members.text("model")
    instructions = members.text("instructions")
    turns = _turns(members)
    compacts = is_compaction(path, body)
    if is_compaction_path(path):
        turns = (*turns, trigger(("input",)))
    tools = ToolReader()
    tools.read(members.list("tools") or [], ("tools",))
    for place, values in tools_in_items(dict(body)):
        tools.read(values, place, is_in_history=True)
    # A summary is asked for with the tools, since the provider's cache of the prompt has them.
    choice = read_choice(members) if not compacts else None
    if compacts and tools.tools:
        choice = ToolChoice(ChoiceMode.NONE)
    is_stream = members.peek("stream") is True
    if is_stream:
        members.drop("stream")
    return Conversation(
        source=PROTOCOL,
        model=model,
        system=(Text(instructions, at=("instructions",)),) if instructions else (),
        is_system_plain=bool(instructions),
        turns=turns,
        tools=tuple(tools.tools),
        namespaces=tuple(tools.namespaces),
        choice=choice,
        format=_format(members),
        reasoning=_reasoning(members),
        parameters=Parameters(
            max_output_tokens=members.integer("max_output_tokens"),
            temperature=members.number("temperature"),
            top_p=members.number("top_p"),
            parallel_calls=members.flag("parallel_tool_calls"),
        ),
        session=members.text("prompt_cache_key"),
        stream=is_stream,
        needs=(*_stored(body), *needs_of(turns)),
        own=members.own(PROTOCOL),
    )


def _turns(members: Members) -> tuple[Turn, ...]:
    """Take the input. The path of a turn is `input` itself if the input is one string."""
    value = members.peek("input")
    at = ("input",)
    if isinstance(value, str):
        members.drop("input")
        return (Turn(Role.USER, (Text(value, at=at),), is_plain=True, at=at),)
    return read_items(members.drop("input"), at) if isinstance(value, list) and value else ()


def _stored(body: Mapping[str, Any]) -> Iterator[Need]:
    for name, reason in _STORED.items():
        if body.get(name):
            yield Need(name, reason, (name,))


def _format(members: Members) -> OutputFormat | None:
    """Take the format of the text; the other members of `text` remain."""
    text = members.peek("text")
    value = text.get("format") if isinstance(text, dict) else None
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(kind, str) or kind not in _FORMATS:
        return None
    rest = {key: one for key, one in text.items() if key != "format"}
    members.drop("text")
    if rest:
        members.keep("text", rest)
    inner = Members(value)
    inner.drop("type")
    return OutputFormat(
        _FORMATS[kind],
        schema=inner.object("schema"),
        name=inner.text("name"),
        description=inner.text("description"),
        strict=inner.flag("strict"),
        own=inner.own(PROTOCOL),
        at=("text", "format"),
    )


def _reasoning(members: Members) -> Reasoning:
    value = members.object("reasoning")
    if not value:
        if value is not None:
            members.keep("reasoning", value)
        return Reasoning()
    inner = Members(value)
    effort = inner.text("effort")
    summary = value.get("summary", value.get("generate_summary"))
    if summary == "auto" and "generate_summary" not in value:
        inner.drop("summary")
    mode = ThinkingMode.OFF if effort == "none" else None
    is_shown = True if summary else None
    own = inner.own(PROTOCOL)
    return Reasoning(mode, effort, is_shown=is_shown, own=own, at=("reasoning",))
