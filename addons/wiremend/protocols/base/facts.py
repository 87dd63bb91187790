"""Reading a request whose body contains model, streaming and tools: all protocols but Gemini."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.protocol import RequestFacts
from wiremend.text.json_value import dicts_in


def facts_of_body(_: str, fields: Mapping[str, Any] | None) -> RequestFacts:
    """Return the facts of a parsed body; `fields` is None if it is not a JSON object.

    Without `stream` the response is not streamed (Claude Code's fallback omits it).
    """
    if fields is None:
        return RequestFacts(valid=False)
    return RequestFacts(
        model=model_in(fields),
        streaming=fields.get("stream") is True,
        tool_names=_tool_names(fields),
    )


def model_in(fields: Mapping[str, Any]) -> str:
    """Return the model in a body, or an empty string.

    A name with a lone surrogate (`"\\ud83d"`) is ignored: error bodies and logs are UTF-8.
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
    """Return the names in `tools`, in namespaces of tools (Codex) and in legacy `functions`."""
    names: list[str] = []
    for tool in (*dicts_in(fields.get("tools")), *dicts_in(fields.get("functions"))):
        owners = (tool, *dicts_in(tool["tools"])) if "tools" in tool else (tool,)
        for owner in owners:
            inner = owner.get("function", owner.get("custom"))
            name = inner.get("name") if isinstance(inner, dict) else owner.get("name")
            if isinstance(name, str) and name:
                names.append(name)
    return tuple(names)
