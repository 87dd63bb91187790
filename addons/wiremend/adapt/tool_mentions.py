"""Where a request names a tool besides offering it: the choice among them, and the history.

Anthropic's `server_tool_use`, and whatever else the provider runs, is not the client's to name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini import grammar as gemini
from wiremend.text.json_edits import Path

type Mention = tuple[Path, str]
"""The path of a name, and the name."""


def tool_mentions(protocol: str, request: Mapping[str, Any]) -> Iterator[Mention]:
    """Every place of a parsed request that names a tool, but for the offers themselves."""
    mentions = _MENTIONS.get(protocol)
    return mentions(request) if mentions else iter(())


def _anthropic(request: Mapping[str, Any]) -> Iterator[Mention]:
    yield from _named(request, ("tool_choice",), "name")
    for path, block in _entries(request, "messages", "*", "content", "*"):
        if block.get("type") == "tool_use":
            yield from _name(path, block)
        elif block.get("type") == "tool_result":
            for inner, reference in _entries(block, "content", "*"):
                if reference.get("type") == "tool_reference":
                    yield from _name((*path, *inner), reference, "tool_name")


def _chat(request: Mapping[str, Any]) -> Iterator[Mention]:
    for choice in (("tool_choice", "function"), ("tool_choice", "custom"), ("function_call",)):
        yield from _named(request, choice, "name")
    for path, _ in _entries(request, "tool_choice", "allowed_tools", "tools", "*"):
        yield from _named(request, (*path, "function"), "name")
    for path, message in _entries(request, "messages", "*"):
        if message.get("role") in ("tool", "function"):
            yield from _name(path, message)
        yield from _named(request, (*path, "function_call"), "name")
    for path, _ in _entries(request, "messages", "*", "tool_calls", "*"):
        yield from _named(request, (*path, "function"), "name")
        yield from _named(request, (*path, "custom"), "name")


def _responses(request: Mapping[str, Any]) -> Iterator[Mention]:
    for path, choice in _entries(request, "tool_choice"):
        if choice.get("type") in ("function", "custom"):
            yield from _name(path, choice)
    for path, allowed in _entries(request, "tool_choice", "tools", "*"):
        if allowed.get("type") in ("function", "custom"):
            yield from _name(path, allowed)
    for path, item in _entries(request, "input", "*"):
        if item.get("type") in ("function_call", "custom_tool_call"):
            yield from _name(path, item)


def _gemini(request: Mapping[str, Any]) -> Iterator[Mention]:
    wrapper = gemini.request_path(request)
    for path, part in _entries(request, *wrapper, "contents", "*", "parts", "*"):
        for key in _GEMINI_PARTS & part.keys():
            yield from _named(request, (*path, key), "name")
    for outer in ("toolConfig", "tool_config"):
        for inner in ("functionCallingConfig", "function_calling_config"):
            for path, calling in _entries(request, *wrapper, outer, inner):
                for key in ("allowedFunctionNames", "allowed_function_names"):
                    names = calling.get(key)
                    for index, name in enumerate(names if isinstance(names, list) else ()):
                        if isinstance(name, str):
                            yield (*path, key, index), name


_GEMINI_PARTS = {"functionCall", "function_call", "functionResponse", "function_response"}
_MENTIONS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Mention]]] = {
    WireProtocol.ANTHROPIC_MESSAGES: _anthropic,
    WireProtocol.CHAT_COMPLETIONS: _chat,
    WireProtocol.RESPONSES: _responses,
    WireProtocol.GEMINI: _gemini,
}


def _entries(value: Any, *steps: str, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The objects that these steps lead to; `*` stands for every item of a list."""
    if not steps:
        if isinstance(value, dict):
            yield path, value
    elif steps[0] != "*":
        if isinstance(value, dict) and steps[0] in value:
            yield from _entries(value[steps[0]], *steps[1:], path=(*path, steps[0]))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _entries(item, *steps[1:], path=(*path, index))


def _named(request: Mapping[str, Any], path: Path, key: str) -> Iterator[Mention]:
    value: Any = request
    for step in path:
        if isinstance(step, int):
            value = value[step]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, dict):
        yield from _name(path, value, key)


def _name(path: Path, named: Mapping[str, Any], key: str = "name") -> Iterator[Mention]:
    if isinstance(named.get(key), str):
        yield (*path, key), named[key]
