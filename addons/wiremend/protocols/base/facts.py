"""The facts of a request whose body names model, streaming and tools: all but Gemini's."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.protocol import RequestFacts
from wiremend.text.json_value import dicts_in


def facts_of_body(_: str, fields: Mapping[str, Any] | None) -> RequestFacts:
    """The facts of a parsed body; `fields` is None when it is not a JSON object.

    A missing `stream` means a whole answer (Claude Code's fallback leaves it out).
    """
    if fields is None:
        return RequestFacts(valid=False)
    return RequestFacts(
        model=model_in(fields),
        streaming=fields.get("stream") is True,
        tool_names=_tool_names(fields),
    )


def model_in(fields: Mapping[str, Any]) -> str:
    """The model that a body names, or an empty string.

    A name with half a character (`"\\ud83d"`) counts as none: error bodies and logs are UTF-8.
    """
    model = fields.get("model")
    if not isinstance(model, str):
        return ""
    try:
        model.encode()
    except UnicodeEncodeError:
        return ""
    return model


def _tool_names(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Of `tools`, of the tools inside a namespace (Codex), and of the older `functions`."""
    names: list[str] = []
    for tool in (*dicts_in(fields.get("tools")), *dicts_in(fields.get("functions"))):
        for owner in (tool, *dicts_in(tool.get("tools"))):
            inner = owner.get("function", owner.get("custom"))
            name = inner.get("name") if isinstance(inner, dict) else owner.get("name")
            if isinstance(name, str) and name:
                names.append(name)
    return tuple(names)
