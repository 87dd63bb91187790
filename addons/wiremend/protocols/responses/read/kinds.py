"""The types of items and tools in Responses, and their places in the middle form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from wiremend.protocols.base.middle.content import CallKind, Opaque, Own
from wiremend.protocols.base.names import WireProtocol
from wiremend.text import json_value
from wiremend.text.json_edits import Path

PROTOCOL = WireProtocol.RESPONSES
COMPACTION = "compaction"
COMPACTION_TRIGGER = "compaction_trigger"
TOOL_SEARCH = "tool_search"
EXECUTION = "execution"
"""The member that states who runs a search of tools: `CLIENT`, else the provider."""
CLIENT = "client"
TYPE_BY_CALL_KIND: Mapping[CallKind, str] = {
    CallKind.FUNCTION: "function_call",
    CallKind.CUSTOM: "custom_tool_call",
}
CALL_KIND_BY_TYPE = {type: kind for kind, type in TYPE_BY_CALL_KIND.items()}
OUTPUT = "_output"
"""The suffix of the type of a call's result."""
_LOCAL_SHELL = "Runs a command on the local machine."
_APPLY_PATCH = "Creates, changes or deletes a file."
_COMMAND_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["exec"]},
        "command": {"type": "array", "items": {"type": "string"}},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "timeout_ms": {"type": "integer"},
        "user": {"type": "string"},
        "working_directory": {"type": "string"},
    },
    "required": ["type", "command", "env"],
}
_COMMANDS_SCHEMA = {
    "type": "object",
    "properties": {
        "commands": {"type": "array", "items": {"type": "string"}},
        "timeout_ms": {"type": "integer"},
        "max_output_length": {"type": "integer"},
    },
    "required": ["commands"],
}
_PATCH_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
        "path": {"type": "string"},
        "diff": {
            "type": "string",
            "description": "The lines of the file as a V4A diff; not for delete_file.",
        },
    },
    "required": ["type", "path"],
}


@dataclass(frozen=True, slots=True)
class TypedTool:
    """A tool that OpenAI defines and the client runs."""

    name: str
    """The type of its definition, and its name in the middle form."""
    member: str
    """The member of its calls that contains their arguments, an object."""
    description: str
    schema: Mapping[str, Any] | None = field(hash=False)
    """The schema of that object, for targets that know functions only; None: it is a part of the
    definition."""
    item_id: str
    """How the ids of its calls start."""
    always: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Members that all its calls have."""

    @property
    def call(self) -> str:
        """The type of its calls."""
        return f"{self.name}_call"

    @property
    def result(self) -> str:
        """The type of its results."""
        return f"{self.name if self.name == TOOL_SEARCH else self.call}{OUTPUT}"


TYPED_TOOLS: Mapping[str, TypedTool] = {
    tool.name: tool
    for tool in (
        TypedTool("local_shell", "action", _LOCAL_SHELL, _COMMAND_SCHEMA, "lsh"),
        TypedTool("shell", "action", "Runs shell commands in order.", _COMMANDS_SCHEMA, "sh"),
        TypedTool("apply_patch", "operation", _APPLY_PATCH, _PATCH_SCHEMA, "apc"),
        TypedTool(TOOL_SEARCH, "arguments", "", None, "tsc", {EXECUTION: CLIENT}),
    )
}
TYPED_BY_CALL = {tool.call: tool for tool in TYPED_TOOLS.values()}
TYPED_BY_OUTPUT = {tool.result: tool for tool in TYPED_TOOLS.values()}
SERVER_CALLS: Mapping[str, str] = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_execution",
    "image_generation_call": "image_generation",
    "mcp_call": "mcp",
}
"""The types of calls that the provider runs, and the common names of their tools."""
_SERVER_TOOLS: Mapping[str, str] = {"code_interpreter": "code_execution"}


def is_typed(value: Mapping[str, Any], tool: TypedTool | None) -> bool:
    """Return whether this definition, call or result is of a typed tool that the client runs.

    `tool` is the one with its type. Without `execution`, OpenAI runs the search of tools itself.
    """
    if tool is None:
        return False
    return tool.name != TOOL_SEARCH or value.get(EXECUTION) == CLIENT


def server_tool_name(type: str) -> str:
    """Return the common name of a tool that the provider runs, or of an unknown one."""
    if type.startswith("web_search"):
        return "web_search"
    return _SERVER_TOOLS.get(type, type)


def raw_own(value: Any) -> Own:
    """Return a whole JSON value as members that only Responses has; `raw_value` restores it."""
    is_object = isinstance(value, dict) and value.keys() != {""}
    return Own(PROTOCOL, value if is_object else {"": value})


def raw_value(own: Own | None) -> Any:
    """Return the value of `raw_own`."""
    fields = own.of(PROTOCOL) if own is not None else {}
    return fields[""] if fields.keys() == {""} else dict(fields)


def opaque(value: Any, at: Path, text: str = "") -> Opaque:
    """Return an item or a part without a place in the middle form."""
    kind = value.get("type") if isinstance(value, dict) else None
    return Opaque(kind if isinstance(kind, str) else "", text, own=raw_own(value), at=at)


def is_compaction(path: str, request: Mapping[str, Any]) -> bool:
    """Return whether a request asks for a compaction: a summary that replaces the conversation.

    It is sent to `/responses/compact`, or its last item is a `compaction_trigger`.
    """
    items = request.get("input")
    last = items[-1] if isinstance(items, list) and items else None
    is_triggered = isinstance(last, dict) and last.get("type") == COMPACTION_TRIGGER
    return is_triggered or is_compaction_path(path)


def is_compaction_path(path: str) -> bool:
    """Return whether this is the endpoint that answers with a compacted conversation."""
    return path.partition("?")[0].rstrip("/").endswith("/responses/compact")


def compact_json(value: Any) -> str:
    """Return a value as compact JSON text, in the order of its members."""
    return json_value.write(value).decode()


def joined_texts(texts: Sequence[str]) -> str:
    """Return the texts of one reasoning item as one: blank lines between them."""
    return "\n\n".join(texts)
