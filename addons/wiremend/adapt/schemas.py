"""Adapting the tools of a request to one target: schemas in its dialect, and names.

What every target refuses is repaired first (`wiremend.adapt.tool_list`). Only the schemas and names
that the target refuses change; all other bytes are kept.
"""

import hashlib
from collections.abc import Hashable, Mapping
from typing import Any

from wiremend.adapt.schema_conversion import ConversionBudget, SchemaTooLarge, convert_schema
from wiremend.adapt.schema_dialects import (
    DIALECTS,
    GEMINI,
    GEMINI_JSON_SCHEMA,
    Dialect,
    violations,
)
from wiremend.adapt.schema_losses import Losses
from wiremend.adapt.tool_list import adapt_tool_list, is_inside, remove_outermost
from wiremend.adapt.tool_names import ToolNaming
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.tools import ClientTool
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits

_ALL = tuple(WireProtocol)
_NEAREST = (
    "Converts the schema to the closest one that is accepted. What cannot be expressed is added to "
    "the description. The finding contains what is not accepted any more."
)
_SHOWN_VIOLATIONS = 3
_SHOWN_LOSSES = 5


def _dialect_rule(
    *,
    number: int,
    dialect: str,
    rejection: str,
    seen: tuple[str, ...],
    before: str,
    after: str,
    action: str = _NEAREST,
) -> Rule:
    return Rule(
        code=f"T20{number}",
        name=f"{dialect}-dialect",
        detects=f"A tool's schema uses what the target does not accept (dialect `{dialect}`).",
        impact=f"The whole request is rejected: {rejection}.",
        action=action,
        protocols=_ALL,
        seen=seen,
        before=before,
        after=after,
    )


DIALECT_RULES: Mapping[str, Rule] = {
    "openai": _dialect_rule(
        number=1,
        dialect="openai",
        rejection="`array schema missing items`, `object schema missing properties`",
        seen=("openai/codex#1289", "nspady/google-calendar-mcp#39"),
        before='{"type":"object","properties":{"paths":{"type":"array"}}}',
        after='{"type":"object","properties":{"paths":{"type":"array","items":{}}}}',
    ),
    "openai-strict": _dialect_rule(
        number=2,
        dialect="openai-strict",
        rejection="`'additionalProperties' is required to be supplied and to be false`",
        seen=("https://platform.openai.com/docs/guides/structured-outputs",),
        before='{"type":"object","properties":{"path":{"type":"string"}}}',
        after='{"type":"object","properties":{"path":{"type":["string","null"]}},'
        '"required":["path"],"additionalProperties":false}',
    ),
    "anthropic": _dialect_rule(
        number=3,
        dialect="anthropic",
        rejection="`input_schema does not support oneOf, allOf, or anyOf at the top level`",
        seen=(
            "anomalyco/opencode#35516",
            "openclaw/openclaw#29416",
            "anthropics/claude-code#79418",
        ),
        before='{"anyOf":[{"required":["a"]}],"type":"object","properties":{"a":{"type":"string"}}}',
        after='{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}',
    ),
    "gemini": _dialect_rule(
        number=4,
        dialect="gemini",
        rejection="`Unknown name \"$schema\" at 'tools[0].function_declarations[0].parameters'`",
        seen=("router-for-me/CLIProxyAPI#97", "cline/cline#7339"),
        before='{"$schema":"http://json-schema.org/draft-07/schema#","type":"object",'
        '"properties":{"path":{"type":["string","null"]}},"additionalProperties":false}',
        after='{"type":"object","properties":{"path":{"nullable":true,"type":"string"}}}',
        action=_NEAREST + " Where something would be lost and the target accepts JSON Schema, the "
        "schema is sent as `parametersJsonSchema` instead.",
    ),
    "deepseek": _dialect_rule(
        number=5,
        dialect="deepseek",
        rejection="``field `anyOf`: missing field `type` ``",
        seen=("can1357/oh-my-pi#2270",),
        before='{"type":"object","properties":{"a":{"anyOf":[{"minLength":1},{"type":"null"}]}}}',
        after='{"type":"object","properties":{"a":{"anyOf":[{"type":"string","minLength":1},'
        '{"type":"null"}]}}}',
    ),
    "xai": _dialect_rule(
        number=6,
        dialect="xai",
        rejection="`root schema is an anyOf/oneOf union with a non-object branch`",
        seen=("lidge-jun/opencodex#122",),
        before='{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"type":"null"}]}',
        after='{"type":"object","properties":{"a":{"type":"string"}}}',
    ),
    "moonshot": _dialect_rule(
        number=7,
        dialect="moonshot",
        rejection="`not a valid moonshot flavored json schema`",
        seen=("MoonshotAI/kimi-cli#2531", "MoonshotAI/kimi-cli#2061"),
        before='{"type":"object","properties":{"task":{"const":"x","description":"What to do."}}}',
        after='{"type":"object",'
        '"properties":{"task":{"type":"string","description":"What to do.","enum":["x"]}}}',
    ),
    "basic": _dialect_rule(
        number=8,
        dialect="basic",
        rejection="the reason varies; every target accepts this dialect",
        seen=("sgl-project/sglang#35242",),
        before='{"type":"object","properties":{"a":{"type":"string","pattern":"^x"}}}',
        after='{"type":"object",'
        '"properties":{"a":{"type":"string","description":"pattern: \\"^x\\"."}}}',
    ),
}


class AcceptedSchemas:
    """Remembers which schemas a dialect accepts.

    To check the schemas of forty tools takes several milliseconds.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._digests: dict[tuple[str, bytes], None] = {}
        """Of the dialect's name and the schema's text, the oldest first."""

    def contains(self, schema: dict[str, Any], dialect: Dialect) -> bool:
        """Return whether the dialect accepts a schema as it is."""
        key = dialect.name, hashlib.sha256(json_value.write(schema)).digest()
        if key in self._digests:
            return True
        if violations(schema, dialect):
            return False
        self._digests[key] = None
        if len(self._digests) > self._limit:
            del self._digests[next(iter(self._digests))]
        return True


class AcceptedTools:
    """Remembers which lists of tools a target accepts: those in each request of a session."""

    def __init__(self, limit: int = 1024) -> None:
        self.schemas = AcceptedSchemas()
        self._limit = limit
        self._keys: dict[Hashable, None] = {}
        """Of the lists, the oldest first."""

    def contains(self, key: Hashable) -> bool:
        """Return whether the list with this key is accepted."""
        return key in self._keys

    def add(self, key: Hashable) -> None:
        """Remember a list; forget the oldest beyond the limit."""
        self._keys[key] = None
        if len(self._keys) > self._limit:
            del self._keys[next(iter(self._keys))]


def adapt_tools(
    document: RequestDocument,
    traits: TargetTraits,
    notes: Notes,
    accepted: AcceptedTools | None = None,
) -> RequestDocument:
    """Return the request with its tools adapted to this target.

    `accepted` remembers lists from one request to the next.
    """
    if document.fields is None:
        return document
    if document.words.isdisjoint(_DEFINITIONS):
        return _adapt_mentioned_names(document, traits, notes)
    accepted = accepted or AcceptedTools()
    key = _key_of(document, document.fields, traits, notes)
    if accepted.contains(key):
        return _adapt_mentioned_names(document, traits, notes)
    adapted = adapt_tool_list(document, traits, notes)
    adapted = adapt_names_and_schemas(adapted, traits, notes, accepted.schemas)
    if adapted is document and not notes.findings:
        accepted.add(key)
    return adapted


_DEFINITIONS = frozenset({"tools", "functions"})
"""Members of requests that contain the definitions of tools."""


def _key_of(
    document: RequestDocument, fields: dict[str, Any], traits: TargetTraits, notes: Notes
) -> Hashable:
    """Return everything that decides what is done with the tools of a request."""
    requests = [fields, *(fields.get(name) for name in document.protocol.request_wrappers)]
    definitions = [
        request.get(name)
        for request in requests
        if isinstance(request, dict)
        for name in _DEFINITIONS
    ]
    return (
        document.protocol.name,
        traits.dialect,
        traits.names,
        traits.unique_names,
        traits.strip_custom_type,
        traits.json_schema_key,
        tuple(traits.dialect_by_tool.items()),
        frozenset(notes.disabled),
        hashlib.sha256(json_value.write(definitions)).digest(),
    )


def _adapt_mentioned_names(
    document: RequestDocument, traits: TargetTraits, notes: Notes
) -> RequestDocument:
    """Return the request with the names of tools adapted that are not in its list of tools."""
    request = document.fields
    is_without = document.words.isdisjoint(document.protocol.mention_words)
    if request is None or traits.names is None or is_without:
        return document
    edits = Edits(document.body)
    naming = ToolNaming(document.protocol, request, edits, notes, traits.names)
    naming.adapt_mentions()
    return document.edited(edits, tool_names_by_sent=naming.names_by_sent)


def adapt_names_and_schemas(
    document: RequestDocument,
    traits: TargetTraits,
    notes: Notes,
    accepted: AcceptedSchemas | None = None,
) -> RequestDocument:
    """Return the request with the names and schemas of its tools adapted to this target.

    `accepted` remembers schemas from one request to the next.
    """
    request = document.fields
    needs_nothing = traits.dialect == "plain" and not (
        traits.dialect_by_tool or traits.names or traits.unique_names
    )
    if request is None or needs_nothing:
        return document
    edits = Edits(document.body)
    naming = ToolNaming(document.protocol, request, edits, notes, traits.names)
    tools = list(document.protocol.client_tools(request))
    budget = ConversionBudget()
    accepted = accepted or AcceptedSchemas()
    removed = naming.find_repetitions(tools) if traits.unique_names else set()
    for tool in tools:
        if removed and is_inside(tool.entry, removed):
            continue
        naming.adapt_name(tool)
        if tool.schema_key is not None:
            _adapt_schema(edits, notes, tool, tool.schema_key, traits, budget, accepted)
    remove_outermost(edits, removed)
    naming.adapt_mentions()
    return document.edited(edits, tool_names_by_sent=naming.names_by_sent)


def _adapt_schema(
    edits: Edits,
    notes: Notes,
    tool: ClientTool,
    key: str,
    traits: TargetTraits,
    budget: ConversionBudget,
    accepted: AcceptedSchemas,
) -> None:
    """Convert the schema at a key of a tool to the target's dialect, if it violates the dialect.

    A schema for Gemini that would lose something is sent under another key that accepts it as it
    is. A schema that exceeds the budget is left unchanged, with a finding.
    """
    schema = tool.fields.get(key)
    if not isinstance(schema, dict):
        return
    name = traits.dialect_by_tool.get(str(tool.fields.get("name", "")), traits.dialect)
    if name == "openai" and tool.fields.get("strict") is True:
        name = "openai-strict"
    rule = DIALECT_RULES.get(name)
    if rule is None or not notes.is_on(rule):
        return
    dialect = DIALECTS[name]
    if accepted.contains(schema, dialect):
        return
    place, losses = BodyPlace((*tool.owner, key)), Losses()
    try:
        converted = convert_schema(schema, dialect, budget, losses)
    except SchemaTooLarge:
        found = _describe_violations(schema, dialect)
        notes.note(rule, place, found, "sent unchanged: its references expand too far")
        return
    if converted is schema:
        return
    found = _describe_violations(schema, dialect)
    if dialect is GEMINI and tool.schema_key == "parameters" and losses != Losses():
        json_schema = _as_json_schema(tool, schema, traits, budget)
        if json_schema is not None:
            new_key = "parametersJsonSchema"
            if notes.note(rule, place, found, f"sent as {new_key}, which loses nothing"):
                edits.rename(place.path, new_key)
                edits.replace(place.path, json_value.write(json_schema))
            return
    if notes.note(rule, place, found, _describe(losses)):
        edits.replace(place.path, json_value.write(converted))


def _as_json_schema(
    tool: ClientTool, schema: dict[str, Any], traits: TargetTraits, budget: ConversionBudget
) -> dict[str, Any] | None:
    """Return the schema for `parametersJsonSchema`; None if the target does not accept it.

    A tool whose schema was refused before has a dialect of its own. In Google's own form,
    `nullable` has a meaning that JSON Schema does not know.
    """
    has_own_dialect = str(tool.fields.get("name", "")) in traits.dialect_by_tool
    if not traits.json_schema_key or has_own_dialect or b'"nullable"' in json_value.write(schema):
        return None
    without_draft = {key: value for key, value in schema.items() if key != "$schema"}
    try:
        return convert_schema(without_draft, GEMINI_JSON_SCHEMA, budget)
    except SchemaTooLarge:
        return None


def _describe(losses: Losses) -> str:
    """Return what was done to a schema, as text for the user."""
    listed = losses.refused
    if not listed:
        return "converted"
    hidden = len(listed) - _SHOWN_LOSSES
    more = f" and {hidden} more" if hidden > 0 else ""
    return f"converted; not accepted any more: {'; '.join(listed[:_SHOWN_LOSSES])}{more}"


def _describe_violations(schema: dict[str, Any], dialect: Dialect) -> str:
    listed = violations(schema, dialect)
    hidden = len(listed) - _SHOWN_VIOLATIONS
    more = f" and {hidden} more" if hidden > 0 else ""
    return "; ".join(listed[:_SHOWN_VIOLATIONS]) + more
