"""What a provider's rejection teaches: which tool, field or header value it names, and the mend.

The wordings are facts about vendors (`wiremend.targets`); this is their reader. A message that
matches no wording teaches nothing.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wiremend.adapt.lessons import KINDS, Lesson
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.targets.registry import REJECTIONS, TOO_MANY_TOOLS
from wiremend.targets.wordings import POINTER, Wording

REJECTING_STATUS = frozenset({400, 422})
_LESSONS_LIMIT = 50
_MCP_TOOL = re.compile(r"mcp__(.+?)__.+")
"""How Claude Code and Codex name the tools of an MCP server."""


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool as an error may name it."""

    name: str
    """As the client calls it."""
    sent_name: str
    index: int
    """Its place in the request's list of tools."""
    declaration: int
    """Its place among Gemini's declarations in that entry; else its place among all functions."""
    is_grouped: bool
    """Whether the entry contains several declarations, as in Gemini."""

    @property
    def told(self) -> str:
        """Its name, and its MCP server's if it has one, for people."""
        server = _MCP_TOOL.fullmatch(self.name)
        return f'tool "{self.name}"' + (f' (MCP server "{server[1]}")' if server else "")


class OfferedTools:
    """The tools of a request as it was sent, found again by what an error says of them."""

    def __init__(self, document: RequestDocument) -> None:
        self.tools = list(_offered(document))

    def at(self, index: str | None, declaration: str | None) -> OfferedTool | None:
        """The tool at `tools[index]`, or at `function_declarations[declaration]` there.

        Gateways to Gemini speak of declarations whatever the client's protocol is.
        """
        if declaration is None:
            found = (tool for tool in self.tools if str(tool.index) == index)
        else:
            entry = index or "0"
            found = (
                tool
                for tool in self.tools
                if str(tool.declaration) == declaration
                and (not tool.is_grouped or str(tool.index) == entry)
            )
        return next(found, None)

    def named(self, name: str) -> OfferedTool | None:
        """The tool that was sent under this name."""
        return next((tool for tool in self.tools if tool.sent_name == name), None)


_EVERY_TOOL = ""
_HEADER_VALUE = re.compile(r"[\w.-]+")
_TOO_MANY_TOOLS = re.compile(TOO_MANY_TOOLS, re.IGNORECASE)
_WORDINGS = sorted(REJECTIONS, key=lambda wording: KINDS.index(wording.kind))


def read_rejection(error: ProviderError, tools: OfferedTools) -> tuple[Lesson, ...]:
    """What the error teaches of a request that offered these tools; empty if nothing."""
    if error.status not in REJECTING_STATUS:
        return ()
    lessons: dict[tuple[str, str, str], Lesson] = {}
    for wording in _WORDINGS:
        for match in wording.pattern.finditer(error.message):
            for lesson in _lessons_of(wording, match.groupdict(), tools):
                value_counts = lesson.kind in ("field", "beta")  # else the first wording does
                key = (lesson.kind, lesson.tool, lesson.value if value_counts else "")
                lessons.setdefault(key, lesson)
    return tuple(lessons.values())[:_LESSONS_LIMIT]


def explanation(message: str, tools: OfferedTools) -> str:
    """Which tools an error message means, to be put behind it; empty if it means none."""
    if _TOO_MANY_TOOLS.search(message):
        return _counted(tools.tools)
    meant: dict[str, str] = {}
    for match in _ANY_POINTER.finditer(message):
        groups = match.groupdict()
        index = groups["index"] or groups["index2"]
        tool = tools.at(index, groups["declaration"] or groups["alone"])
        if tool is not None:
            meant.setdefault(match[0], f"{match[0]} is {tool.told}")
    for tool in tools.tools:
        if tool.sent_name != tool.name and tool.sent_name in message:
            meant.setdefault(tool.sent_name, f"{tool.sent_name} is {tool.told}")
    return "; ".join(list(meant.values())[:_LESSONS_LIMIT])


_ANY_POINTER = re.compile(POINTER + r"|function_?[dD]eclarations\[(?P<alone>\d+)\]")


def _lessons_of(wording: Wording, groups: dict[str, Any], tools: OfferedTools) -> Iterator[Lesson]:
    kind, value = wording.kind, wording.value
    if kind == "field":
        yield Lesson(kind, _pattern_of(groups["value"]))
    elif "values" in groups:
        yield from (Lesson(kind, stated) for stated in _HEADER_VALUE.findall(groups["values"]))
    elif kind != "schema-dialect" or not groups:
        yield Lesson(kind, value, _EVERY_TOOL)
    else:
        index = groups.get("index") or groups.get("index2")
        if groups.get("tool") is not None:
            tool = tools.named(groups["tool"])
        else:
            tool = tools.at(index, groups.get("declaration"))
        if tool is not None:
            yield Lesson(kind, value, tool.name)


def _pattern_of(path: str) -> str:
    """`messages[0].content.3.cache_control` with `*` for the places in lists."""
    steps = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    return ".".join("*" if step.isdecimal() else step for step in steps)


def _counted(tools: Sequence[OfferedTool]) -> str:
    servers: Counter[str] = Counter()
    for tool in tools:
        server = _MCP_TOOL.fullmatch(tool.name)
        servers[f'of the MCP server "{server[1]}"' if server else "others"] += 1
    told = ", ".join(f"{count} {server}" for server, count in servers.most_common())
    return f"{len(tools)} tools were offered: {told}; none was left out, switch some off"


def _offered(document: RequestDocument) -> Iterator[OfferedTool]:
    names = document.tool_names_by_sent
    for number, tool in enumerate(document.protocol.client_tools(document.fields or {})):
        name = tool.fields.get("name")
        if isinstance(name, str):
            index = tool.entry[-3 if tool.is_grouped else 1]
            declaration = tool.entry[-1] if tool.is_grouped else number
            assert isinstance(index, int)
            assert isinstance(declaration, int)
            client_name = names.get(name, name)
            yield OfferedTool(client_name, name, index, declaration, tool.is_grouped)
