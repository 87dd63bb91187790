"""The tools that Anthropic defines and clients run, as functions with schemas.

Their definitions in requests have no schema, since the model was trained on them.
https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TypedTool:
    """A tool that other providers receive as a function."""

    name: str
    description: str
    schema: Mapping[str, Any]


def _schema(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_RANGE = {"type": "array", "items": _INTEGER}

TYPED_TOOLS: Mapping[str, TypedTool] = {
    "bash": TypedTool(
        "bash",
        "Runs a command in a persistent bash session and returns its output.",
        _schema([], command=_STRING, restart={"type": "boolean"}),
    ),
    "text_editor": TypedTool(
        "str_replace_based_edit_tool",
        "Views, creates and edits text files.",
        _schema(
            ["command", "path"],
            command={
                "type": "string",
                "enum": ["view", "create", "str_replace", "insert", "undo_edit"],
            },
            path=_STRING,
            file_text=_STRING,
            old_str=_STRING,
            new_str=_STRING,
            insert_line=_INTEGER,
            insert_text=_STRING,
            view_range=_RANGE,
        ),
    ),
    "memory": TypedTool(
        "memory",
        "Stores and reads files in the directory /memories, which lasts between conversations.",
        _schema(
            ["command"],
            command={
                "type": "string",
                "enum": ["view", "create", "str_replace", "insert", "delete", "rename"],
            },
            path=_STRING,
            file_text=_STRING,
            old_str=_STRING,
            new_str=_STRING,
            insert_line=_INTEGER,
            insert_text=_STRING,
            view_range=_RANGE,
            old_path=_STRING,
            new_path=_STRING,
        ),
    ),
    "computer": TypedTool(
        "computer",
        "Controls a computer with mouse and keyboard, and returns screenshots.",
        _schema(
            ["action"],
            action=_STRING,
            coordinate=_RANGE,
            start_coordinate=_RANGE,
            text=_STRING,
            duration={"type": "number"},
            scroll_direction=_STRING,
            scroll_amount=_INTEGER,
            region=_RANGE,
        ),
    ),
}
"""By the type without its date."""
