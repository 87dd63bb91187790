"""Writing a request from the middle form.

https://platform.openai.com/docs/api-reference/responses/create
"""

from wiremend.protocols.base.middle.content import Opaque, own_fields
from wiremend.protocols.base.middle.conversation import (
    Conversation,
    FormatKind,
    OutputFormat,
)
from wiremend.protocols.base.middle.interface import WrittenRequest
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import JSON_ONLY, NO_CONTENT, report_prefill
from wiremend.protocols.responses.read.content import INPUT_TEXT
from wiremend.protocols.responses.read.kinds import COMPACTION_TRIGGER, PROTOCOL
from wiremend.protocols.responses.write.items import write_input, write_items
from wiremend.protocols.responses.write.parameters import (
    own_format,
    own_parameters,
    write_parameters,
)
from wiremend.protocols.responses.write.tools import ToolWriter, own_choice, own_tools
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject

_PATH = "/v1/responses"
_NO_MESSAGE = {
    "type": "message",
    "role": "user",
    "content": [{"type": INPUT_TEXT, "text": NO_CONTENT}],
}
"""An empty input is refused."""


def write_request(conversation: Conversation, target: Target, losses: Losses) -> WrittenRequest:
    """Return the request for a target. Raises NotCarried."""
    if conversation.source is PROTOCOL:
        return _own_request(conversation, target, losses)
    tools = ToolWriter(conversation, target, losses)
    texts = [text.text for text in conversation.system]
    texts += filter(None, [_format_text(conversation.format, target)])
    body: JsonObject = {"model": target.model}
    body |= without_nothing(instructions="\n\n".join(texts), tools=tools.tools)
    body["input"] = write_items(conversation, target, tools, losses) or [_NO_MESSAGE]
    report_prefill(conversation, losses)
    body |= write_parameters(conversation, target, tools, losses)
    return WrittenRequest(_PATH, json_value.write(body), tools.sent)


def _format_text(form: OutputFormat | None, target: Target) -> str:
    """Return what the instructions must say about the format of the output."""
    if form is None or form.kind is not FormatKind.SCHEMA or target.traits.schema_formats:
        return ""
    schema = json_value.write(form.schema or {}).decode()
    return f"{JSON_ONLY} It must match this JSON Schema: {schema}"


def _own_request(conversation: Conversation, target: Target, losses: Losses) -> WrittenRequest:
    """Return a request that was read from this protocol."""
    own = own_fields(conversation.own, PROTOCOL)
    system = "".join(text.text for text in conversation.system)
    body = without_nothing(model=target.model, instructions=system, tools=own_tools(conversation))
    if conversation.turns:
        body["input"] = write_input(conversation, target, losses)
    compaction = _compaction(conversation)
    if conversation.choice is not None and compaction is None:
        body["tool_choice"] = own_choice(conversation.choice)
    body |= own_parameters(conversation)
    if conversation.stream:
        body["stream"] = True
    body |= own
    if conversation.format is not None:
        body["text"] = {**own.get("text", {}), "format": own_format(conversation.format)}
    is_compact_path = compaction is not None and compaction.own is None
    path = f"{_PATH}/compact" if is_compact_path else _PATH
    return WrittenRequest(path, json_value.write(body))


def _compaction(conversation: Conversation) -> Opaque | None:
    """Return the part that asks for a compaction; None if there is none."""
    last = conversation.turns[-1] if conversation.turns else None
    part = last.parts[0] if last is not None and len(last.parts) == 1 else None
    return part if isinstance(part, Opaque) and part.kind == COMPACTION_TRIGGER else None
