"""The dialects of JSON Schema that providers accept for a tool's parameters, and a checker.

A dialect is a row of data. `violations` lists where a schema violates a dialect; an empty list
means that the provider accepts it, as far as is known. `schema_conversion` converts schemas.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from wiremend.text.patterns import TextPattern, text_pattern

type Schema = dict[str, Any]

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
COMPOSITION = ("allOf", "anyOf", "oneOf")

SCHEMA_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
"""Keywords whose value contains schemas by name."""
SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords whose value is a list of schemas."""
SCHEMA_VALUES = frozenset(
    {"items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"}
)
"""Keywords whose value is one schema."""

_DESCRIBING = frozenset({"type", "title", "description", "default", "enum", "format"})
_BOUNDS = frozenset(
    {"minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems"}
)
_STRICT_KEYWORDS = (
    _DESCRIBING
    | _BOUNDS - {"minLength", "maxLength"}
    | {"const", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"properties", "required", "additionalProperties", "items", "anyOf", "$ref", "$defs"}
)
_GEMINI_KEYWORDS = (
    _DESCRIBING
    | _BOUNDS
    | {"properties", "required", "items", "anyOf", "nullable", "example", "propertyOrdering"}
    | {"minProperties", "maxProperties"}
)
_MOONSHOT_KEYWORDS = (
    _DESCRIBING | _BOUNDS | {"properties", "required", "additionalProperties", "items", "anyOf"}
)
GEMINI_FORMATS = frozenset({"enum", "date-time", "float", "double", "int32", "int64"})


_ANNOTATIONS = frozenset(
    {
        *("title", "description", "default", "example", "examples", "deprecated", "readOnly"),
        *("writeOnly", "$comment", "$schema", "$id", "$defs", "definitions", "nullable"),
    }
)
_OBJECT_KEYWORDS = frozenset({"properties", "additionalProperties"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a provider allows and requires in schemas."""

    name: str
    nested: bool = True
    """Whether schemas below the root are checked."""
    keywords: frozenset[str] | None = None
    """The allowed keywords; None means all."""
    references: bool = True
    """Whether `$ref` is allowed."""
    root_composition: bool = False
    """Whether anyOf, oneOf and allOf are allowed at the root."""
    root_unions: bool = False
    """Whether anyOf and oneOf are allowed at the root if every branch has the type object."""
    root_keys: TextPattern[str] | None = None
    """A pattern for the names of the root's properties; None means any name."""
    booleans: bool = True
    """Whether `true` and `false` are allowed as schemas."""
    type_lists: bool = True
    """Whether `type` may be a list."""
    types_required: bool = False
    """Every schema must have a type; one with anyOf must have it in the branches only. As values of
    `additionalProperties`, anything may be allowed by `{}`."""
    anything: bool = True
    """Whether a schema may allow anything, as `{}` does."""
    branch_types_required: bool = False
    """Every branch of anyOf must have a type."""
    items_required: bool = False
    """Arrays must have `items`."""
    properties_required: bool = False
    """Objects must have `properties`."""
    known_required: bool = False
    """`required` may contain declared properties only."""
    closed: bool = False
    """Every object must list all its properties as required and allow no others."""
    string_enums: bool = False
    """`enum` may contain non-empty strings only."""
    proto_types: bool = False
    """Whether types may be those of Google's protocol buffers: in upper case, or their numbers."""
    formats: frozenset[str] | None = None
    """The allowed values of `format`; None means all."""

    @property
    def nullable(self) -> bool:
        """Whether `nullable` has a meaning in it, rather than the type null."""
        return self.keywords is not None and "nullable" in self.keywords

    def allows(self, keyword: str) -> bool:
        """Return whether the dialect allows the keyword."""
        return self.keywords is None or keyword in self.keywords


PLAIN = Dialect("plain", nested=False, root_composition=True)
"""An object with properties at the root: what `wiremend.adapt.schema_root` ensures."""
OPENAI = Dialect("openai", items_required=True)
"""`array schema missing items` (openai/codex#1289). Properties are required at the root only."""
OPENAI_STRICT = Dialect(
    "openai-strict",
    keywords=_STRICT_KEYWORDS,
    booleans=False,
    anything=False,
    items_required=True,
    properties_required=True,
    known_required=True,
    closed=True,
)
"""https://platform.openai.com/docs/guides/structured-outputs (supported schemas)

A schema that allows anything is refused: `schema must have a 'type' key`.
"""
ANTHROPIC = Dialect("anthropic", root_keys=text_pattern(r"[a-zA-Z0-9_.-]{1,64}+\Z"))
"""Draft 2020-12 without composition at the root (anomalyco/opencode#35516, openclaw#29416).

`Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'` (anthropics/claude-code#79418) is
checked at the root only.
"""
GEMINI = Dialect(
    "gemini",
    keywords=_GEMINI_KEYWORDS,
    references=False,
    booleans=False,
    type_lists=False,
    types_required=True,
    items_required=True,
    known_required=True,
    string_enums=True,
    proto_types=True,
    formats=GEMINI_FORMATS,
)
"""https://ai.google.dev/api/caching#Schema (router-for-me/CLIProxyAPI#97, cline/cline#7339)"""
GEMINI_JSON_SCHEMA = Dialect("gemini-json-schema")
"""JSON Schema in `parametersJsonSchema` (NousResearch/hermes-agent#98928); not to be configured."""
DEEPSEEK = Dialect("deepseek", root_composition=True, branch_types_required=True)
"""``field `anyOf`: missing field `type` `` (can1357/oh-my-pi#2270)."""
XAI = Dialect("xai", nested=False, root_unions=True)
"""`root schema is an anyOf/oneOf union with a non-object branch` (lidge-jun/opencodex#122)."""
MOONSHOT = Dialect(
    "moonshot",
    keywords=_MOONSHOT_KEYWORDS,
    references=False,
    booleans=False,
    type_lists=False,
    types_required=True,
    items_required=True,
    known_required=True,
)
"""`not a valid moonshot flavored json schema` (MoonshotAI/kimi-cli#2531, #2061)."""
BASIC = Dialect(
    "basic",
    keywords=_MOONSHOT_KEYWORDS - {"pattern", "format"},
    references=False,
    booleans=False,
    items_required=True,
    properties_required=True,
    known_required=True,
)
"""What all providers accept: for a tool that was refused for an unknown reason.

Patterns and formats are not allowed: `'…' is not a 'regex'` (bman654/clodex#203).
"""

DIALECTS = {
    dialect.name: dialect
    for dialect in (PLAIN, OPENAI, OPENAI_STRICT, ANTHROPIC, GEMINI, DEEPSEEK, XAI, MOONSHOT, BASIC)
}


def violations(schema: Any, dialect: Dialect) -> list[str]:
    """Return where and how a tool's parameter schema violates the dialect; empty if it does not."""
    if not isinstance(schema, dict):
        return ["root: not an object"]
    return [
        *_root_violations(schema, dialect),
        *(_violations(schema, dialect) if dialect.nested else ()),
    ]


def resolve(root: Schema, reference: Any) -> Any:
    """Return the schema that a local `$ref` refers to; None if it cannot be resolved."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    value: Any = root
    for step in unquote(reference[2:]).split("/") if len(reference) > 1 else ():
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif (
            isinstance(value, list)
            and name.isdecimal()
            and len(name) < 10
            and int(name) < len(value)
        ):
            value = value[int(name)]
        else:
            return None
    return value if isinstance(value, dict | bool) else None


def is_well_formed(keyword: str, value: Any) -> bool:
    """Return whether a keyword's value has the form of draft 2020-12, ignoring its content."""
    if keyword in SCHEMA_MAPS:
        return isinstance(value, dict)
    if keyword in SCHEMA_LISTS:
        return isinstance(value, list) and bool(value)
    if keyword in SCHEMA_VALUES:
        return isinstance(value, dict | bool)
    check = _FORMS.get(keyword)
    return check is None or check(value)


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the declared types in lower case; empty if none or malformed."""
    declared = schema.get("type")
    listed = declared if isinstance(declared, list) else [declared]
    return tuple(name for item in listed if (name := type_name(item)) is not None)


def type_name(declared: Any) -> str | None:
    """Return the name of a type in lower case, also for a number of Google's enumeration.

    The number is that of `Type` in https://ai.google.dev/api/caching#Type. None if it is neither a
    name nor such a number.
    """
    if isinstance(declared, str):
        return declared.lower()
    is_number = isinstance(declared, int) and not isinstance(declared, bool)
    return _PROTO_TYPES.get(declared) if is_number else None


_PROTO_TYPES = dict(
    enumerate(("string", "number", "integer", "boolean", "array", "object", "null"), start=1)
)


def allows_anything(schema: Schema) -> bool:
    """Return whether a schema has no keyword that limits the values that it allows."""
    return _ANNOTATIONS.issuperset(schema)


def describes_object(schema: Schema) -> bool:
    """Return whether a schema is for objects, by its type or by keywords about properties."""
    return "object" in types_of(schema) or not _OBJECT_KEYWORDS.isdisjoint(schema)


def _root_violations(schema: Schema, dialect: Dialect) -> Iterator[str]:
    composed = [name for name in COMPOSITION if name in schema]
    referring = "$ref" in schema and dialect.references
    if (
        types_of(schema) != ("object",)
        or isinstance(schema["type"], list)
        or (schema["type"] != "object" and not dialect.proto_types)
    ):
        yield "root: type is not object"
    yield from (f"root: property key {key!r}" for key in disallowed_keys(schema, dialect))
    if dialect.root_unions and not unions_of_objects(schema):
        yield "root: a union with a branch that is not an object"
    elif not dialect.root_composition and not dialect.root_unions:
        yield from (f"root: {name} at the top level" for name in composed)
    elif composed:
        return
    if not isinstance(schema.get("properties"), dict) and not referring:
        yield "root: no properties"


def disallowed_keys(schema: Schema, dialect: Dialect) -> list[str]:
    """Return the names of the root's properties that the dialect does not allow."""
    properties = schema.get("properties")
    if dialect.root_keys is None or not isinstance(properties, dict):
        return []
    return [key for key in properties if not dialect.root_keys.match(key)]


def unions_of_objects(schema: Schema) -> bool:
    """Return whether every branch of the root's anyOf and oneOf has the type object."""
    unions = [schema[keyword] for keyword in ("anyOf", "oneOf") if keyword in schema]
    return all(
        isinstance(union, list)
        and union
        and all(isinstance(branch, dict) and branch.get("type") == "object" for branch in union)
        for union in unions
    )


type _Place = tuple["_Place", str, str | int] | None
"""The place of a schema inside the root: the place of its parent, a keyword, a name or an index."""

_NAMED_PLACES = 50
"""The number of violations whose place is returned; a schema may have any number of them."""
_STEP_CHARACTERS = 60
_DEEPEST_STEPS = 50


def _violations(root: Schema, dialect: Dialect) -> Iterator[str]:
    """Yield the violations in the whole schema, without recursion since it may be nested deeply."""
    named = 0
    waiting: list[tuple[Any, _Place]] = [(root, None)]
    while waiting:
        schema, place = waiting.pop()
        if isinstance(schema, bool) and dialect.booleans:
            continue
        for found in _violations_of(schema, root, dialect):
            named += 1
            yield f"{_text_of(place)}: {found}" if named <= _NAMED_PLACES else found
        if isinstance(schema, dict):
            inner = [(child, (place, keyword, step)) for keyword, step, child in children(schema)]
            waiting += reversed(inner)


def _text_of(place: _Place) -> str:
    """Return a place as text, such as `root.properties.a.anyOf[0]`."""
    steps: list[str] = []
    while place is not None and len(steps) < _DEEPEST_STEPS:
        place, keyword, step = place
        name = f"[{step}]" if isinstance(step, int) else f".{step[:_STEP_CHARACTERS]}"
        steps.append(f".{keyword}{name if step != '' else ''}")
    return ("root" if place is None else "…") + "".join(reversed(steps))


def _violations_of(schema: Any, root: Schema, dialect: Dialect) -> Iterator[str]:
    """Yield the violations of one schema, without those in the schemas inside it."""
    if not isinstance(schema, dict):
        yield "not an object"
        return
    for keyword, value in schema.items():
        if not dialect.allows(keyword):
            yield f"unknown keyword {keyword}"
        elif not is_well_formed(keyword, value):
            yield f"malformed {keyword}"
    yield from _own_violations(schema, dialect)
    if "$ref" in schema and resolve(root, schema["$ref"]) is None:
        yield "$ref cannot be resolved"


def children(schema: Schema) -> Iterator[tuple[str, str | int, Any]]:
    """Yield the schemas inside a schema, each with its keyword, and its name or index there.

    The name is empty for a keyword whose value is one schema.
    """
    for keyword, value in schema.items():
        if keyword in SCHEMA_MAPS and isinstance(value, dict):
            yield from ((keyword, name, child) for name, child in value.items())
        elif keyword in SCHEMA_LISTS and isinstance(value, list):
            yield from ((keyword, index, child) for index, child in enumerate(value))
        elif keyword == "additionalProperties" and (isinstance(value, bool) or value == {}):
            continue
        elif keyword in SCHEMA_VALUES and isinstance(value, dict | bool):
            yield keyword, "", value


def _own_violations(schema: Schema, dialect: Dialect) -> Iterator[str]:
    """Yield how the values of a schema's keywords violate a dialect. Inner schemas are not read.

    The keywords themselves are checked by the caller.
    """
    types = types_of(schema)
    declared = schema.get("properties")
    properties = declared if isinstance(declared, dict) else {}
    names = schema.get("required")
    listed = [n for n in names if isinstance(n, str)] if isinstance(names, list) else []
    required = dict.fromkeys(listed)
    declared_type = schema.get("type")
    if isinstance(declared_type, list) and not dialect.type_lists:
        yield "a list of types"
    is_name = not isinstance(declared_type, str | int) or declared_type in TYPES
    if not is_name and not dialect.proto_types:
        yield "unknown type"
    if not dialect.anything and allows_anything(schema):
        yield "type is not defined"
    if dialect.types_required:
        if "type" in schema and "anyOf" in schema:
            yield "type beside anyOf"
        if "type" not in schema and "anyOf" not in schema:
            yield "type is not defined"
    if dialect.branch_types_required and not all(map(_has_type, _branches(schema))):
        yield "a branch of anyOf has no type"
    if dialect.items_required and "array" in types and "items" not in schema:
        yield "array schema missing items"
    if dialect.properties_required and "object" in types and "properties" not in schema:
        yield "object schema missing properties"
    if dialect.known_required:
        yield from (
            f"required {name!r} is not a property" for name in listed if name not in properties
        )
    if dialect.closed and describes_object(schema):
        if schema.get("additionalProperties") is not False:
            yield "additionalProperties is not false"
        yield from (f"{name!r} is not required" for name in properties if name not in required)
    if dialect.string_enums and "enum" in schema:
        values = schema["enum"] if isinstance(schema["enum"], list) else []
        if types != ("string",) or not all(isinstance(value, str) and value for value in values):
            yield "enum with values that are not strings"
    text = schema.get("format")
    if dialect.formats is not None and isinstance(text, str) and text not in dialect.formats:
        yield f"format {text!r}"


def _branches(schema: Schema) -> list[Any]:
    branches = schema.get("anyOf")
    return branches if isinstance(branches, list) else []


def _has_type(branch: Any) -> bool:
    return isinstance(branch, dict) and ("type" in branch or "$ref" in branch)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return (
        bool(names)
        and all(type_name(name) in TYPES for name in names)
        and len(set(names)) == len(names)
        and (not isinstance(value, list) or all(name in TYPES for name in names))
    )


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_FORMS: dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "required": _is_names,
    "enum": lambda value: isinstance(value, list) and bool(value),
    **dict.fromkeys(
        ("title", "description", "format", "pattern", "$ref", "$id", "$schema"), _is_text
    ),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        _is_number,
    ),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        _is_count,
    ),
    "uniqueItems": lambda value: isinstance(value, bool),
    "nullable": lambda value: isinstance(value, bool),
}
"""The form of each keyword's value in draft 2020-12. Other keywords may have any value."""
