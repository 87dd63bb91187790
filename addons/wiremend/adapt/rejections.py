"""What a provider's rejection teaches: which tool, field or header value it names, and the mend.

A table of patterns, each from messages that providers really sent; `tests/rules/
test_rejections.py` has them word for word. What matches nothing teaches nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wiremend.adapt.lessons import Lesson, LessonKind
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.text.json_edits import parse

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

    def __init__(self, protocol: Protocol, body: bytes, client_name: Callable[[str], str]) -> None:
        self.tools = list(_offered(protocol, body, client_name))

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


_POINTER = (
    r"tools(?:\.(?P<index>\d+)|\[(?P<index2>\d+)\])"
    r"(?:\.function_?[dD]eclarations\[(?P<declaration>\d+)\])?"
)
_DECLARATION = r"(?:tools\[(?P<index>\d+)\]\.)?function_?[dD]eclarations\[(?P<declaration>\d+)\]"
_FUNCTION = r"Invalid schema for function '(?P<tool>[^']*)'"
_EVERY_TOOL = ""


def _row(kind: LessonKind, value: str, pattern: str) -> tuple[LessonKind, str, re.Pattern[str]]:
    return kind, value, re.compile(pattern, re.IGNORECASE | re.DOTALL)


_PATTERNS = (
    # kind of lesson, its value (empty: what the pattern calls `value`), the message
    _row("schema-dialect", "anthropic", _POINTER + r"\.custom\.input_schema: input_schema does"),
    _row("schema-dialect", "anthropic", _POINTER + r"\.custom\.input_schema: JSON schema is inv"),
    _row("schema-dialect", "anthropic", _POINTER + r"\.custom\.input_schema\.properties: Property"),
    _row("schema-dialect", "openai-strict", _FUNCTION + r": In context=\(.*?\), '(?:additionalProp"
         r"erties|required)' is required to be supplied"),
    _row("schema-dialect", "openai-strict", _FUNCTION + r": In context=\(.*?\), '\w+' is not "
         r"permitted"),
    _row("schema-dialect", "openai", _FUNCTION),
    _row("schema-dialect", "gemini", _DECLARATION + r"\.(?:parameters|response)\b"),
    _row("schema-dialect", "gemini", r"`(?P<tool>[^`]+)` functionDeclaration `(?:parameters|respons"
         r"e)\b"),
    _row("schema-dialect", "gemini", r"(?:Schema\.|\$)ref '[^']*' was set alongside unsupported"),
    _row("schema-dialect", "xai", r"(?:\A|\s)(?P<tool>[^\s:]+):\s+tool parameter root must be"),
    _row("schema-dialect", "deepseek", r"invalid tool parameters schema\s*:"),
    _row("schema-dialect", "moonshot", r"moonshot flavou?red json schema|<At path '"
         r"|Conflict in schema definitions for key '"),
    _row("schema-dialect", "basic", r"\bTool (?P<index>\d+) function has invalid 'parameters'"),
    _row("schema-dialect", "basic", _POINTER + r"\.(?:\S*\.)?(?:input_schema|parameters)\b(?!\.?"
         r"\S*: Extra inputs)"),
    _row("tool-names", "gemini", r"Invalid function name\. Must start with a letter or an under"),
    _row("tool-names", "moonshot", r"function name is invalid, must start with a letter"),
    _row("tool-names", "openai", r"name: String should (?:match pattern \S*\{1,64\}|have at most"
         r" 64)"),
    _row("tool-names", "anthropic", r"name: String should (?:match pattern|have at most 128)"),
    _row("tool-names", "openai", r"Invalid 'tools\S*name': string (?:too long|does not match)"),
    _row("unique-names", "", r"Tool names must be unique|Duplicate function declaration found"),
    _row("custom-type", "", r"(?:invalid tool type|function name or parameters is empty)\W+2013"),
    _row("beta", "fine-grained-tool-streaming-2025-05-14",
         r"function name or parameters is empty \(2013\)"),
    _row("field", "", r"(?P<value>[a-z_][\w.]*): Extra inputs are not permitted"),
    _row("field", "", r"Extra inputs are not permitted, field: '?(?P<value>[\w.\[\]]+)"),
)  # fmt: skip
_BETAS = re.compile(r"Unexpected value\(s\) (.+?) for the `?anthropic-beta`? header", re.DOTALL)
_BETA = re.compile(r"[\w.-]+")
_TOO_MANY = re.compile(
    r"'?tools'?\s*: (?:array too long|maximum number of items)|maximum tools limit reached"
    r"|not include more than \d+ tools",
    re.IGNORECASE,
)


def read_rejection(error: ProviderError, tools: OfferedTools) -> tuple[Lesson, ...]:
    """What the error teaches of a request that offered these tools; empty if nothing."""
    if error.status not in REJECTING_STATUS:
        return ()
    lessons: dict[tuple[str, str, str], Lesson] = {}
    for kind, value, pattern in _PATTERNS:
        for match in pattern.finditer(error.message):
            for lesson in _lessons_of(kind, value, match.groupdict(), tools):
                value_counts = kind in ("field", "beta")  # else the first row that matches does
                key = (kind, lesson.tool, lesson.value if value_counts else "")
                lessons.setdefault(key, lesson)
    for stated in _BETAS.findall(error.message):
        for beta in _BETA.findall(stated):
            lessons.setdefault(("beta", "", beta), Lesson("beta", beta))
    return tuple(lessons.values())[:_LESSONS_LIMIT]


def explanation(message: str, tools: OfferedTools) -> str:
    """Which tools an error message means, to be put behind it; empty if it means none."""
    if _TOO_MANY.search(message):
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


_ANY_POINTER = re.compile(_POINTER + r"|function_?[dD]eclarations\[(?P<alone>\d+)\]")


def _lessons_of(
    kind: LessonKind, value: str, groups: dict[str, Any], tools: OfferedTools
) -> Iterator[Lesson]:
    if kind == "field":
        yield Lesson(kind, _pattern_of(groups["value"]))
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


def _offered(
    protocol: Protocol, body: bytes, client_name: Callable[[str], str]
) -> Iterator[OfferedTool]:
    try:
        request = parse(body)
    except ValueError:
        return
    if not isinstance(request, dict):
        return
    for number, tool in enumerate(protocol.client_tools(request)):
        name = tool.fields.get("name")
        if isinstance(name, str):
            index = tool.entry[-3 if tool.is_grouped else 1]
            declaration = tool.entry[-1] if tool.is_grouped else number
            assert isinstance(index, int)
            assert isinstance(declaration, int)
            yield OfferedTool(client_name(name), name, index, declaration, tool.is_grouped)
