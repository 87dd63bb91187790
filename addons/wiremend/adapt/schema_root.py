"""Repairing the root of a tool's parameter schema: an object with properties for every target.

Only the root is checked, and only the wrong bytes change; numbers, key order and white space
elsewhere are kept. Dialects of JSON Schema are handled in `schemas`.
"""

from typing import Any

from wiremend.adapt.schema_dialects import type_name
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.tools import SchemaForm
from wiremend.rules.rule import BodyPlace, Finding, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path, parse

_ALL = tuple(WireProtocol)

SCHEMA_MISSING = Rule(
    code="T101",
    name="schema-missing",
    detects="A tool has no parameter schema, or null.",
    impact="Anthropic and Responses require one; MiniMax: `function name or parameters is empty`.",
    action="Adds the schema of a tool without parameters. Gemini allows tools without a schema: "
    "they are not changed.",
    protocols=_ALL,
    seen=("routatic/proxy#80", "QwenLM/qwen-code#11834"),
    before='{"name":"now"}',
    after='{"name":"now","input_schema":'
    '{"type":"object","properties":{},"additionalProperties":false}}',
)
SCHEMA_EMPTY = Rule(
    code="T102",
    name="schema-empty",
    detects="A tool's parameter schema is `{}`.",
    impact="Providers reject a schema without a type: `parameters schema should be of type "
    "OBJECT`.",
    action="Replaces it with the schema of a tool without parameters.",
    protocols=_ALL,
    seen=("routatic/proxy#80", "diegosouzapw/OmniRoute#3360"),
    before='{"name":"now","input_schema":{ }}',
    after='{"name":"now","input_schema":'
    '{"type":"object","properties":{},"additionalProperties":false}}',
)
SCHEMA_NOT_AN_OBJECT = Rule(
    code="T103",
    name="schema-not-an-object",
    detects="A tool's parameter schema is a string, a number, a list or a boolean.",
    impact="Every provider rejects the whole request.",
    action="Parses a string that contains a JSON object; replaces any other value with the schema "
    "of a tool without parameters.",
    protocols=_ALL,
    seen=("routatic/proxy#80",),
    before='{"name":"now","input_schema":"{invalid"}',
    after='{"name":"now","input_schema":'
    '{"type":"object","properties":{},"additionalProperties":false}}',
)
TYPE_MISSING = Rule(
    code="T104",
    name="schema-type-missing",
    detects="A tool's parameter schema has no `type` at its root, or null.",
    impact="Anthropic, Moonshot and Gemini reject it; MiniMax-M3 and MiMo then return the "
    "arguments as one string.",
    action='Adds `"type":"object"`.',
    protocols=_ALL,
    seen=("routatic/proxy#80", "MiMo-Code#1371", "googleapis/python-genai#981"),
    before='{"properties":{"query":{"type":"string"}}}',
    after='{"type":"object","properties":{"query":{"type":"string"}}}',
)
TYPE_NOT_OBJECT = Rule(
    code="T105",
    name="schema-type-not-object",
    detects="The root type of a tool's parameter schema is not `object`, or is a list of types.",
    impact="Arguments are an object; other types are rejected: `schema must be … of type object`.",
    action='Sets the type to `"object"`, except next to anyOf, oneOf, allOf or $ref.',
    protocols=_ALL,
    seen=("routatic/proxy#80",),
    before='{"type":["object","null"],"properties":{}}',
    after='{"type":"object","properties":{}}',
)
PROPERTIES_MISSING = Rule(
    code="T106",
    name="schema-properties-missing",
    detects="A tool's parameter schema is an object without `properties`.",
    impact="OpenAI and compatible providers reject it: `object schema missing properties`.",
    action='Adds `"properties":{}`, except next to anyOf, oneOf, allOf or $ref.',
    protocols=_ALL,
    seen=("routatic/proxy#80", "openai/codex#1289"),
    before='{"type":"object"}',
    after='{"type":"object","properties":{}}',
)
PROPERTIES_NOT_AN_OBJECT = Rule(
    code="T107",
    name="schema-properties-not-an-object",
    detects="The `properties` of a tool's parameter schema are a list, null or a scalar.",
    impact="Every provider rejects it; PHP clients encode an empty object as `[]`.",
    action="Replaces them with `{}`.",
    protocols=_ALL,
    seen=("routatic/proxy#80",),
    before='{"type":"object","properties":[]}',
    after='{"type":"object","properties":{}}',
)

_COMPOSITION = frozenset({"anyOf", "oneOf", "allOf", "$ref", "$dynamicRef"})


def adapt_schema_root(
    edits: Edits, notes: Notes, form: SchemaForm, owner: Path, fields: dict[str, Any], key: str
) -> None:
    """Repair the schema at `key` of the object at `owner`, whose parsed members are `fields`."""
    path = (*owner, key)
    if fields.get(key) is None:
        _adapt_missing(edits, notes, form, owner, fields, key)
        return
    schema = fields[key]
    if isinstance(schema, dict):
        _adapt_object(edits, notes, form, path, schema)
    elif isinstance(schema, str) and (unwrapped := _object_in(schema)) is not None:
        if notes.note(SCHEMA_NOT_AN_OBJECT, BodyPlace(path), "JSON in a string", "parsed"):
            edits.replace(path, _adapted_text(form, path, *unwrapped, notes))
    elif notes.note(
        SCHEMA_NOT_AN_OBJECT, BodyPlace(path), f"is {_shown(schema)}", "replaced with no parameters"
    ):
        edits.replace(path, form.no_parameters)


def _adapt_missing(
    edits: Edits, notes: Notes, form: SchemaForm, owner: Path, fields: dict[str, Any], key: str
) -> None:
    if form.may_be_absent and key not in fields:
        return
    path = (*owner, key)
    if not notes.note(
        SCHEMA_MISSING, BodyPlace(path), "null" if key in fields else "absent", "added"
    ):
        return
    if key in fields:
        edits.replace(path, form.no_parameters)
    else:
        edits.append(owner, json_value.write(key) + b":" + form.no_parameters)


def _adapt_object(
    edits: Edits, notes: Notes, form: SchemaForm, path: Path, schema: dict[str, Any]
) -> None:
    if not schema:
        if notes.note(SCHEMA_EMPTY, BodyPlace(path), "{}", "replaced with no parameters"):
            edits.replace(path, form.no_parameters)
        return
    composed = not _COMPOSITION.isdisjoint(schema)
    _adapt_type(edits, notes, form, path, schema)
    if not composed:
        _adapt_properties(edits, notes, path, schema)


def _adapt_type(
    edits: Edits, notes: Notes, form: SchemaForm, path: Path, schema: dict[str, Any]
) -> None:
    declared = schema.get("type")
    composed = not _COMPOSITION.isdisjoint(schema)
    if _is_object_type(form, declared):
        return
    if "type" not in schema:
        if notes.note(TYPE_MISSING, BodyPlace(path), "no type", '"type":"object" added'):
            edits.prepend(path, b'"type":"object"')
    elif declared is None:
        if notes.note(TYPE_MISSING, BodyPlace(path), "type is null", 'set to "object"'):
            edits.replace((*path, "type"), b'"object"')
    elif not composed and notes.note(
        TYPE_NOT_OBJECT, BodyPlace(path), f"type is {_shown(declared)}", 'set to "object"'
    ):
        edits.replace((*path, "type"), b'"object"')


def _adapt_properties(edits: Edits, notes: Notes, path: Path, schema: dict[str, Any]) -> None:
    properties = schema.get("properties")
    if isinstance(properties, dict):
        return
    if "properties" in schema:
        found = f"properties are {_shown(properties)}"
        if notes.note(PROPERTIES_NOT_AN_OBJECT, BodyPlace(path), found, "replaced with {}"):
            edits.replace((*path, "properties"), b"{}")
    elif notes.note(PROPERTIES_MISSING, BodyPlace(path), "no properties", '"properties":{} added'):
        if "type" in schema:
            edits.insert_after((*path, "type"), b'"properties":{}')
        else:
            edits.prepend(path, b'"properties":{}')


def _object_in(text: str) -> tuple[bytes, dict[str, Any]] | None:
    """Return the JSON object that a string contains, as bytes and parsed; None if it has none."""
    try:
        encoded = text.strip("\ufeff \t\r\n").encode()
        value = parse(encoded)
    except ValueError:
        return None
    return (encoded, value) if isinstance(value, dict) else None


def _adapted_text(
    form: SchemaForm, path: Path, text: bytes, schema: dict[str, Any], notes: Notes
) -> bytes:
    """Return the repaired text of a schema that was in a string; findings refer to that string."""
    edits, inner = Edits(text), Notes(notes.disabled)
    _adapt_object(edits, inner, form, (), schema)
    place = BodyPlace(path)
    notes.findings += (Finding(f.code, place, f.found, f.done) for f in inner.findings)
    return edits.apply()


def _is_object_type(form: SchemaForm, declared: Any) -> bool:
    if not form.is_json_schema:
        declared = type_name(declared)
    return bool(declared == "object")


def _shown(value: Any) -> str:
    """Return a value as text for a log line, at most 60 characters long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
