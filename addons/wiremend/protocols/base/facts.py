"""Reading a request whose body contains model, streaming and tools: all protocols but Gemini."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.protocol import RequestFacts
from wiremend.text.json_value import JsonObject, dicts_in


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
    owners = dicts_in(fields.get("tools")) + dicts_in(fields.get("functions"))
    members = set[str]().union(*owners)
    if "tools" in members:
        owners = [tool for group in owners for tool in (group, *dicts_in(group.get("tools")))]
        members = members.union(*owners)
    if "function" in members or "custom" in members:
        owners = list(map(_named_part, owners))
    return tuple([n for owner in owners if isinstance(n := owner.get("name"), str) and n])


def _named_part(tool: JsonObject) -> JsonObject:
    inner = tool.get("function", tool.get("custom"))
    return inner if isinstance(inner, dict) else tool
