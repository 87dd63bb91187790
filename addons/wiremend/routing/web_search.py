"""The tools that a request offers, and whether the provider is to search the web for it."""

from collections.abc import Iterator, Mapping
from typing import Any

_MEMBERS = ("web_search_options", "enable_search")
"""Chat: OpenAI; Qwen."""
_GEMINI = ("googleSearch", "google_search", "googleSearchRetrieval", "google_search_retrieval")


def offered_tools(request: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the entries of all lists of tools in a request, whatever their types.

    Codex offers some models their tools in an item of the input, `additional_tools`.
    """
    holders = [request]
    items = request.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            holders.append(item)
    for holder in holders:
        for key in ("tools", "functions"):
            tools = holder.get(key)
            yield from tools if isinstance(tools, list) else ()


def offers_web_search(request: Mapping[str, Any]) -> bool:
    """Return whether a request offers a web search that the provider runs.

    A tool of the client that is named so does not count: the client runs it.
    """
    if any(request.get(name) not in (None, False) for name in _MEMBERS):
        return True
    return any(_is_web_search(tool) for tool in offered_tools(request))


def _is_web_search(tool: Any) -> bool:
    if not isinstance(tool, dict):
        return False
    kind = tool.get("type")
    if isinstance(kind, str) and kind.startswith("web_search"):  # with a date, `_preview` …
        return True
    if kind == "builtin_function":  # Kimi
        function = tool.get("function")
        return isinstance(function, dict) and function.get("name") == "$web_search"
    return any(name in tool for name in _GEMINI)
