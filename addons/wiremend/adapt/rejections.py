"""Reading the lessons of a provider's rejection: the tool, field or header value that it refuses.

The wordings are facts about vendors (`wiremend.targets`). A message that matches no wording
teaches no lesson.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from wiremend.adapt.learnable_traits import LEARNABLE_TRAITS
from wiremend.adapt.lessons import KINDS, Lesson
from wiremend.adapt.refused_betas import betas_in
from wiremend.adapt.refused_paths import path_steps, refused_paths, resolved
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.tools import value_at
from wiremend.targets.registry import REJECTIONS, TOO_MANY_TOOLS
from wiremend.targets.wordings import (
    POINTER,
    TRAITS_OF_REFUSED_FIELDS,
    WIDELY_ACCEPTED_BETAS,
    Wording,
)
from wiremend.text.patterns import text_pattern

REJECTING_STATUS = frozenset({400, 404, 422})
"""The statuses of rejections that can teach a lesson."""
_LESSONS_LIMIT = 50
_QUOTE = text_pattern(r"[\"'`“„«]")
_QUOTED_CHARACTERS = 24
"""What a message must at least have in common with the request to be a quotation."""
_QUOTATIONS_LIMIT = 20
_MCP_PREFIX, _MCP_SEPARATOR = "mcp__", "__"
"""Claude Code and Codex name tools `mcp__SERVER__TOOL`."""


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool, with the names and places by which an error may mention it."""

    name: str
    """The client's name."""
    sent_name: str
    index: int
    """Its index in the request's list of tools."""
    declaration: int
    """Its index among Gemini's declarations in that entry; otherwise among all functions."""
    is_grouped: bool
    """Whether the entry contains several declarations, as in Gemini."""
    namespace: str = ""
    """The name of the namespace that contains it (Codex)."""
    nested: int | None = None
    """Its index in the namespace."""

    @property
    def description(self) -> str:
        """Its name and that of its MCP server or namespace, as text for the user."""
        return f'tool "{self.name}"' + (f" ({self.group})" if self.group else "")

    @property
    def group(self) -> str:
        """Its MCP server or namespace, as text for the user; empty if it has none."""
        server = mcp_server_of(self.name) or mcp_server_of(f"{self.namespace}__tool")
        if server:
            return f'MCP server "{server}"'
        return f'namespace "{self.namespace}"' if self.namespace else ""


def mcp_server_of(name: str) -> str:
    """Return the MCP server in the name of a tool; empty if there is none."""
    server, _, tool = name.removeprefix(_MCP_PREFIX).partition(_MCP_SEPARATOR)
    return server if tool and name.startswith(_MCP_PREFIX) else ""


class OfferedTools:
    """The tools of a request as sent, with look-ups for the ways in which errors mention them."""

    def __init__(self, document: RequestDocument) -> None:
        self.document = document
        self.tools = list(_offered(document))
        self._by_name = _first_by(lambda tool: tool.sent_name, self.tools)
        self._by_index = _first_by(lambda tool: str(tool.index), self.tools)
        self._by_nested = _first_by(lambda tool: (str(tool.index), str(tool.nested)), self.tools)
        self._by_declaration = _first_by(
            lambda tool: (str(tool.index) if tool.is_grouped else None, str(tool.declaration)),
            self.tools,
        )

    def at(
        self, index: str | None, declaration: str | None, nested: str | None = None
    ) -> OfferedTool | None:
        """Return the tool at `tools[index]`, or at `function_declarations[declaration]` there.

        Gateways to Gemini mention declarations in every client protocol. `nested` is the index in
        a namespace. None if there is no such tool.
        """
        if nested is not None:
            return self._by_nested.get((index or "", nested))
        if declaration is None:
            return self._by_index.get(index or "")
        grouped = self._by_declaration.get((index or "0", declaration))
        return grouped or self._by_declaration.get((None, declaration))

    def named(self, name: str) -> OfferedTool | None:
        """Return the tool that was sent under this name; None if there is none."""
        return self._by_name.get(name)


def _first_by[Key](
    key_of: Callable[[OfferedTool], Key], tools: Iterable[OfferedTool]
) -> dict[Key, OfferedTool]:
    """Return the tools by key; of several with one key, the first."""
    first: dict[Key, OfferedTool] = {}
    for tool in tools:
        first.setdefault(key_of(tool), tool)
    return first


_EVERY_TOOL = ""
_ABOUT_BETAS = text_pattern(
    r"\b(?:invalid|unsupported|unknown|unrecogni[sz]ed|disallowed)\b.{0,40}?\bbeta\b"
    r"|\bbetas?\b.{0,80}?\b(?:not (?:supported|allowed|available|enabled|valid|recogni[sz]ed)"
    r"|unsupported|invalid|unknown)\b",
    ignore_case=True,
)
_HEADER_VALUE = text_pattern(r"[\w.-]++")
_TOO_MANY_TOOLS = text_pattern(TOO_MANY_TOOLS, ignore_case=True)
_WORDINGS = sorted(REJECTIONS, key=lambda wording: KINDS.index(wording.kind))


def read_rejection(error: ProviderError, tools: OfferedTools) -> tuple[Lesson, ...]:
    """Return the lessons that an error teaches about a request that offered these tools."""
    if error.status not in REJECTING_STATUS:
        return ()
    error = error.with_message(_without_quotations(error.message, tools.document))
    lessons: dict[tuple[str, str, str], Lesson] = {}
    texts = dict.fromkeys((error.message, *_located(error)))
    for wording in _WORDINGS:
        for match in (match for text in texts for match in wording.pattern.finditer(text)):
            for lesson in _lessons_of(wording, match.groupdict(), tools):
                # of other kinds there is one lesson for each tool: that of the first wording
                has_many_values = lesson.kind in ("field", "beta", "trait")
                key = (lesson.kind, lesson.tool, lesson.value if has_many_values else "")
                lessons.setdefault(key, lesson)
    kinds = {lesson.kind for lesson in lessons.values()}
    if "beta" not in kinds and _ABOUT_BETAS.search(error.message):
        return (*lessons.values(), *_refused_betas(error.message, tools.document))[:_LESSONS_LIMIT]
    if "trait" not in kinds:
        for lesson in _refused_fields(error, tools, kinds):
            lessons.setdefault((lesson.kind, "", lesson.value), lesson)
    return tuple(lessons.values())[:_LESSONS_LIMIT]


def _without_quotations(message: str, document: RequestDocument) -> str:
    """Return a message without what it quotes of the request, such as a prompt that is flagged.

    Words in a prompt teach nothing. What agrees with the request up to the end of the message is
    no quotation: a user may have pasted an earlier error of the provider.
    """
    starts = [
        match.end()
        for match in _QUOTE.finditer(message)
        if " " in message[match.end() : match.end() + _QUOTED_CHARACTERS]
    ]
    texts = list(_long_strings(document.fields)) if starts else []
    parts, position = [], 0
    for start in starts[:_QUOTATIONS_LIMIT]:
        end = max((_agreement(message, start, text) for text in texts), default=start)
        if position <= start < end < len(message):
            parts.append(message[position:start])
            position = end
    return "…".join((*parts, message[position:]))


def _agreement(message: str, start: int, text: str) -> int:
    """Return where the message ceases to agree with a text that contains its words at `start`."""
    words = message[start : start + _QUOTED_CHARACTERS]
    found = text.find(words) if len(words) == _QUOTED_CHARACTERS else -1
    if found < 0:
        return start
    pairs = zip(message[start:], text[found : found + len(message)], strict=False)
    length = next((n for n, (one, other) in enumerate(pairs) if one != other), None)
    return start + (min(len(message) - start, len(text) - found) if length is None else length)


def _long_strings(value: Any) -> Iterator[str]:
    """Yield the strings in a value that may be quoted. Iterative: values may nest deeply."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if len(value) >= _QUOTED_CHARACTERS:
                yield value
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()


def _located(error: ProviderError) -> Iterator[str]:
    """Yield each place that a validator lists as a text: `messages.0.content: MESSAGE`."""
    for place in error.places:
        path = ".".join(str(step) for step in place.path if step != "body")
        yield f"{path}: {place.message}"


def _refused_fields(error: ProviderError, tools: OfferedTools, kinds: Set[str]) -> Iterator[Lesson]:
    """Yield a lesson for each field that the error refuses: to drop it, or to use another one.

    `kinds` are those of the lessons found so far. If one of them converts the schema of a tool,
    fields within tools are left out, since the conversion removes them.
    """
    protocol = tools.document.protocol.name
    for path in refused_paths(error, tools.document.fields or {}):
        trait = TRAITS_OF_REFUSED_FIELDS.get((protocol, path))
        if trait is not None:
            yield Lesson("trait", trait)
        elif "schema-dialect" not in kinds or not path.startswith("tools."):
            yield Lesson("field", path)


def _refused_betas(message: str, document: RequestDocument) -> Iterator[Lesson]:
    """Yield a lesson for each beta that the message names; if it names none, for the newest one.

    Providers know the older betas. If it was not the newest one, the next rejection teaches the
    next one, and so on; those that most providers accept come last.
    """
    betas = betas_in(document.headers)
    named = [beta for beta in betas if beta in message]
    newest = sorted(betas, key=_date_of, reverse=True)
    suspects = [beta for beta in newest if beta not in WIDELY_ACCEPTED_BETAS] or newest
    for beta in named or suspects[:1]:
        yield Lesson("beta", beta)
    if not betas and "anthropic_beta" in (document.fields or {}):
        yield Lesson("field", "anthropic_beta")


def _date_of(beta: str) -> str:
    """Return the date at the end of a beta's name (`-2025-05-14`, `-20250219`), in digits."""
    return "".join(character for character in beta if character.isdecimal())[-8:]


def explanation(message: str, tools: OfferedTools, error: ProviderError | None = None) -> str:
    """Return a text to append to an error message: the names of the tools that it mentions.

    A tool can also be mentioned in the other parts of `error`. Empty if no tool is mentioned, or
    only by the client's name.
    """
    if _TOO_MANY_TOOLS.search(message):
        return _count_by_server(tools.tools)
    mentioned: dict[str, str] = {}
    param = (error.param or "") if error is not None else ""
    located = list(_located(error)) if error is not None else []
    for match in (m for text in (message, param, *located) for m in _ANY_POINTER.finditer(text)):
        groups = match.groupdict()
        index = groups["index"] or groups["index2"]
        tool = tools.at(index, groups["declaration"] or groups["alone"], groups["nested"])
        if tool is not None and tool.namespace and groups["nested"] is None:
            mentioned.setdefault(match[0], f"{match[0]} is {tool.group}")
        elif tool is not None:
            mentioned.setdefault(match[0], f"{match[0]} is {tool.description}")
    for tool in tools.tools:
        if tool.sent_name != tool.name and tool.sent_name in message:
            mentioned.setdefault(tool.sent_name, f"{tool.sent_name} is {tool.description}")
    return "; ".join(list(mentioned.values())[:_LESSONS_LIMIT])


_ANY_POINTER = text_pattern(
    POINTER
    + r"(?:\.tools[.\[](?P<nested>\d{1,9}+)\]?)?|function_?[dD]eclarations\[(?P<alone>\d{1,9}+)\]"
)


def _lessons_of(wording: Wording, groups: dict[str, Any], tools: OfferedTools) -> Iterator[Lesson]:
    kind, value = wording.kind, wording.value
    if kind == "field":
        steps = path_steps(groups["value"])
        path = resolved(tools.document.fields or {}, steps)
        yield Lesson(kind, path or ".".join("*" if step.isdecimal() else step for step in steps))
    elif kind == "trait":
        name, _, argument = value.partition("=")
        taught = LEARNABLE_TRAITS[name].lesson_value(groups.get("argument") or argument)
        if taught is not None:
            yield Lesson(kind, taught)
    elif "values" in groups:
        yield from (Lesson(kind, found[0]) for found in _HEADER_VALUE.finditer(groups["values"]))
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


def _count_by_server(tools: Sequence[OfferedTool]) -> str:
    servers: Counter[str] = Counter()
    for tool in tools:
        servers[f"of the {tool.group}" if tool.group else "others"] += 1
    counts = ", ".join(f"{count} {server}" for server, count in servers.most_common())
    return f"{len(tools)} tools were offered: {counts}; to send fewer, switch some off"


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
            namespace, nested = "", None
            if len(tool.entry) == 4 and tool.entry[2] == "tools":
                namespace = str(value_at(document.fields, tool.entry[:2]).get("name", ""))
                nested = tool.entry[3] if isinstance(tool.entry[3], int) else None
            yield OfferedTool(
                client_name, name, index, declaration, tool.is_grouped, namespace, nested
            )
