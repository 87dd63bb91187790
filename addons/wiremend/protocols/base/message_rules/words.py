"""The words of a request: which members, types and roles occur in it.

Almost every pass over a request concerns something that most requests do not contain, such as
images or marks for the cache. One traversal finds the words of a request, and only the passes that
concern one of them run.
"""

from collections.abc import Iterable
from typing import Any

from wiremend.text.json_edits import Path

BLANK = ""
"""The word for a text, list or object that is empty, or a text of white space only."""
LONE_SURROGATES = "\ud800"
"""The word for a text that may contain half of a surrogate pair."""


def words_of(value: Any) -> frozenset[str]:
    """Return the words of a parsed request.

    They are the names of all members, and the values of `type` and `role`. Of a tool's definition
    only its own members are included, and those of its `function` instead of that name, which is
    also a role. Strings in lists are not included.

    Iterative: values may nest deeply.
    """
    words: set[str] = set()
    waiting: list[Any] = [value]
    while waiting:
        value = waiting.pop()
        if not value:
            words.add(BLANK)
        elif type(value) is list:
            for item in value:
                kind = type(item)  # quicker than `isinstance`, and parsed JSON has no other types
                if kind is dict or kind is list:
                    waiting.append(item)
        elif type(value) is dict:
            words.update(value)
            tools = value.get("tools")
            if type(tools) is list:
                _add_tools(words, tools)
            for name, item in value.items():
                kind = type(item)
                if kind is str:
                    if name == "type" or name == "role":
                        words.add(item)
                    elif not item or (item[0].isspace() and item.isspace()):
                        words.add(BLANK)
                elif (kind is dict or kind is list) and item is not tools:
                    waiting.append(item)
    return frozenset(words)


def _add_tools(words: set[str], tools: list[Any]) -> None:
    entries = [tool for tool in tools if isinstance(tool, dict)]
    members = set[str]().union(*entries)
    if "function" in members:
        members.remove("function")
        members.update(*[f for tool in entries if isinstance(f := tool.get("function"), dict)])
    words |= members


def last_steps(paths: Iterable[Path]) -> frozenset[str]:
    """Return the words of which a request with a value at one of these paths contains one."""
    return frozenset(str(path[-1]) for path in paths)
