"""Tools as one target accepts them: their schemas in its dialect, under names that it takes.

The plain repairs (`wiremend.adapt.tool_list`) come first; this is for what only some targets
refuse. Only the schemas and names that leave the dialect change; every other byte stays.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from wiremend.adapt.schema_conversion import convert_schema
from wiremend.adapt.schema_dialects import DIALECTS, Dialect, violations
from wiremend.adapt.tool_list import emptied
from wiremend.protocols.base.document import RequestMending
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.tools import ClientTool
from wiremend.rules.rule import Finding, Rule
from wiremend.targets.registry import NAMES_BY_DIALECT
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path, parse

_ALL = tuple(WireProtocol)
_NEAREST = "The schema becomes the nearest one that is accepted; what cannot be said is described."
_SHOWN_VIOLATIONS = 3


def _dialect_rule(
    number: int, dialect: str, hurts: str, seen: tuple[str, ...], before: str, after: str
) -> Rule:
    return Rule(
        code=f"T20{number}",
        name=f"{dialect}-dialect",
        finds=f"A tool's schema says what the target cannot read (dialect `{dialect}`).",
        hurts=f"The whole request is refused: {hurts}.",
        mends=_NEAREST,
        protocols=_ALL,
        seen=seen,
        before=before,
        after=after,
    )


DIALECT_RULES: Mapping[str, Rule] = {
    "openai": _dialect_rule(
        1,
        "openai",
        "`array schema missing items`, `object schema missing properties`",
        ("openai/codex#1289", "nspady/google-calendar-mcp#39"),
        '{"type":"object","properties":{"paths":{"type":"array"}}}',
        '{"type":"object","properties":{"paths":{"type":"array","items":{"type":"string"}}}}',
    ),
    "openai-strict": _dialect_rule(
        2,
        "openai-strict",
        "`'additionalProperties' is required to be supplied and to be false`",
        ("https://platform.openai.com/docs/guides/structured-outputs",),
        '{"type":"object","properties":{"path":{"type":"string"}}}',
        '{"type":"object","properties":{"path":{"type":["string","null"]}},"required":["path"],'
        '"additionalProperties":false}',
    ),
    "anthropic": _dialect_rule(
        3,
        "anthropic",
        "`input_schema does not support oneOf, allOf, or anyOf at the top level`",
        ("anomalyco/opencode#35516", "openclaw/openclaw#29416", "anthropics/claude-code#79418"),
        '{"anyOf":[{"required":["a"]}],"type":"object","properties":{"a":{"type":"string"}}}',
        '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}',
    ),
    "gemini": _dialect_rule(
        4,
        "gemini",
        "`Unknown name \"$schema\" at 'tools[0].function_declarations[0].parameters'`",
        ("router-for-me/CLIProxyAPI#97", "cline/cline#7339"),
        '{"$schema":"http://json-schema.org/draft-07/schema#","type":"object",'
        '"properties":{"path":{"type":["string","null"]}},"additionalProperties":false}',
        '{"type":"object","properties":{"path":{"nullable":true,"type":"string"}}}',
    ),
    "deepseek": _dialect_rule(
        5,
        "deepseek",
        "``field `anyOf`: missing field `type` ``",
        ("can1357/oh-my-pi#2270",),
        '{"type":"object","properties":{"a":{"anyOf":[{"minLength":1},{"type":"null"}]}}}',
        '{"type":"object","properties":{"a":{"anyOf":[{"type":"string","minLength":1},'
        '{"type":"null"}]}}}',
    ),
    "xai": _dialect_rule(
        6,
        "xai",
        "`root schema is an anyOf/oneOf union with a non-object branch`",
        ("lidge-jun/opencodex#122",),
        '{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"type":"null"}]}',
        '{"type":"object","properties":{"a":{"type":"string"}}}',
    ),
    "moonshot": _dialect_rule(
        7,
        "moonshot",
        "`not a valid moonshot flavored json schema`",
        ("MoonshotAI/kimi-cli#2531", "MoonshotAI/kimi-cli#2061"),
        '{"type":"object","properties":{"task":{"description":"What to do."}}}',
        '{"type":"object","properties":{"task":{"type":"string","description":"What to do."}}}',
    ),
    "basic": _dialect_rule(
        8,
        "basic",
        "the reason differs, and this is what every target reads",
        ("sgl-project/sglang#35242",),
        '{"type":"object","properties":{"a":{"type":"string","pattern":"^x"}}}',
        '{"type":"object","properties":{"a":{"type":"string","description":"pattern: \\"^x\\"."}}}',
    ),
}
NAME_NOT_TAKEN = Rule(
    code="T005",
    name="tool-name-not-taken",
    finds="A tool's name is longer than the target takes, or has characters that it does not.",
    hurts="The whole request is refused: `Expected a string with maximum length 64`, "
    "`String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`.",
    mends="It gets a name that is taken, ending in a piece of its hash, in the history too; the "
    "answer names it as the client does.",
    protocols=_ALL,
    seen=("nanbingxyz/5ire#403", "home-assistant/core#147760", "kaitranntt/ccs#25"),
    before='"tools":[{"name":"caldav.create-event","input_schema":{…}}]',
    after='"tools":[{"name":"caldav_create-event_49e5f1c2","input_schema":{…}}]',
)
NAME_TWICE = Rule(
    code="T006",
    name="tool-name-twice",
    finds="Two tools have one name.",
    hurts="Anthropic: `tools: Tool names must be unique`; Gemini: `Duplicate function "
    "declaration found`.",
    mends="A repetition is dropped. A different tool of the same name gets a name of its own, and "
    "the answer names it as the client does.",
    protocols=_ALL,
    seen=("anthropics/claude-code#10687", "danny-avila/LibreChat#13162", "tridz-dev/huf#341"),
    before='"tools":[{"name":"search"},{"name":"search"}]',
    after='"tools":[{"name":"search"}]',
)
RULES = (*DIALECT_RULES.values(), NAME_NOT_TAKEN, NAME_TWICE)


@dataclass(slots=True)
class FittedTools:
    """What a request body became for one target; the same object where nothing changed."""

    body: bytes
    findings: list[Finding] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    """The client's name for each name that was changed."""


def fit_tools(
    protocol: Protocol,
    body: bytes,
    dialect_of: Callable[[str], str],
    *,
    names: NameLimit | None = None,
    unique: bool = False,
    disabled: Set[str] = frozenset(),
) -> FittedTools:
    """The request body with tools that one target accepts; untouched if they are, or if no JSON.

    `dialect_of` says in which dialect (a name of `schema_dialects.DIALECTS`) the tool of this
    name must be. `unique`: no two tools may have one name.
    """
    try:
        request = parse(body)
    except ValueError:
        return FittedTools(body)
    if not isinstance(request, dict):
        return FittedTools(body)
    mending = RequestMending(Edits(body), disabled)
    naming = _Naming(protocol, mending, request, names)
    tools = list(protocol.client_tools(request))
    removed = naming.without_repetitions(tools) if unique else set()
    for tool in tools:
        if any(tool.entry[:depth] in removed for depth in range(1, len(tool.entry) + 1)):
            continue
        naming.name(tool)
        if tool.schema_key is not None:
            _fit_schema(mending, tool, tool.schema_key, dialect_of)
    for path in removed:
        if not any(path[:depth] in removed for depth in range(1, len(path))):
            mending.edits.remove(path)
    naming.name_mentions()
    return FittedTools(mending.edits.apply(), mending.findings, naming.renamed)


def _fit_schema(
    mending: RequestMending, tool: ClientTool, key: str, dialect_of: Callable[[str], str]
) -> None:
    schema = tool.fields.get(key)
    if not isinstance(schema, dict):
        return
    named = dialect_of(str(tool.fields.get("name", "")))
    if named == "openai" and tool.fields.get("strict") is True:
        named = "openai-strict"
    rule = DIALECT_RULES.get(named)
    if rule is None or rule.code in mending.disabled:
        return
    dialect = DIALECTS[named]
    converted = convert_schema(schema, dialect)
    path = (*tool.owner, key)
    if converted is not schema and mending.finds(rule, path, _told(schema, dialect), "converted"):
        mending.edits.replace(path, json_value.write(converted))


def _told(schema: dict[str, Any], dialect: Dialect) -> str:
    found = violations(schema, dialect)
    more = f" and {len(found) - _SHOWN_VIOLATIONS} more" if len(found) > _SHOWN_VIOLATIONS else ""
    return "; ".join(found[:_SHOWN_VIOLATIONS]) + more


class _Naming:
    """The names of one request on their way: which are kept, and what the others become."""

    def __init__(
        self,
        protocol: Protocol,
        mending: RequestMending,
        request: dict[str, Any],
        limit: NameLimit | None,
    ) -> None:
        self._protocol = protocol
        self.renamed: dict[str, str] = {}
        self._mending = mending
        self._request = request
        self._limit = limit if NAME_NOT_TAKEN.code not in mending.disabled else None
        self._own: dict[Path, str] = {}

    def name(self, tool: ClientTool) -> None:
        """Give a tool a name that the target takes."""
        name = tool.fields.get("name")
        if not isinstance(name, str):
            return
        path = (*tool.owner, "name")
        new = self._own.get(path) or self._fitted(name)
        if new == name:
            return
        if path not in self._own:
            self._find_not_taken(path, name, new)
        self._replace(path, name, new)

    def name_mentions(self) -> None:
        """The choice and the history name tools as they are offered."""
        if self._limit is None:
            return
        for path, name in self._protocol.tool_mentions(self._request):
            new = self._fitted(name)
            if new != name:
                if new not in self.renamed:
                    self._find_not_taken(path, name, new)
                self._replace(path, name, new)

    def without_repetitions(self, tools: list[ClientTool]) -> set[Path]:
        """What is dropped of tools whose name came before; others get a name of their own."""
        known: dict[str, list[Any]] = {
            name: [] for name in self._protocol.server_tool_names(self._request)
        }
        removed: set[Path] = set()
        for tool in tools:
            name = tool.fields.get("name")
            if not isinstance(name, str):
                continue
            if name not in known:
                known[name] = [tool.fields]
                continue
            path = (*tool.owner, "name")
            if tool.fields in known[name]:
                if self._mending.finds(NAME_TWICE, path, f"{name!r} came before", "dropped"):
                    removed.add(tool.entry)
                continue
            limit = self._limit or NAMES_BY_DIALECT["openai"]
            new = limit.distinct(name, json_value.write(tool.fields))
            if self._mending.finds(
                NAME_TWICE, path, f"{name!r} is another tool's", f"sent as {new!r}"
            ):
                self._own[path] = new
                known[name].append(tool.fields)
        return removed | emptied(self._request, removed) if removed else removed

    def _fitted(self, name: str) -> str:
        return self._limit.fit(name) if self._limit is not None and name.strip() else name

    def _find_not_taken(self, path: Path, name: str, new: str) -> None:
        self._mending.finds(NAME_NOT_TAKEN, path, f"{name!r} is not taken", f"sent as {new!r}")

    def _replace(self, path: Path, name: str, new: str) -> None:
        self._mending.edits.replace(path, json_value.write(new))
        self.renamed[new] = name
