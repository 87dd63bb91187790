"""Arguments that a tool's schema accepts, and what a converted schema accepts.

Both are judged by the `jsonschema` library. Arguments are generated from the schema and kept only
if the library accepts them.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, UnknownType
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing.exceptions import Unresolvable

_ANYTHING: tuple[Any, ...] = (
    *("x", "", 1, -2, 1.5, True, None, [], ["x"], [1, "x"], [["x", 1], []], {}, {"a": 1}),
    *({"a": {"b": ["x"]}}, [{"a": "x"}]),
)
_TEXTS = (
    *("x", "", "abc", "A-1", "12345", "a_b", "2024-01-01T00:00:00Z", "2024-01-01", "12:00:00"),
    *("https://example.com/a", "a@example.com", "7b1b8c9e-8d1f-4c3e-9f4e-1f6e7d1c2b3a", "/tmp/x"),
    *("x" * 8, "x" * 32, "0" * 24),
)
_TYPES_BY_KEYWORD = {
    "properties": "object",
    "additionalProperties": "object",
    "required": "object",
    "patternProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minLength": "string",
    "pattern": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
}
_DEEPEST = 6
_TRIES_PER_ARGUMENT = 8

type Schema = dict[str, Any]


def validator_of(schema: Schema) -> Validator | None:
    """Return a validator for the draft that the schema names; None if the schema is invalid."""
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except (SchemaError, UnknownType):
        return None
    return kind(schema)


def accepts(validator: Validator, value: Any) -> bool:
    """Return whether a schema accepts a value; not if its references cannot be resolved."""
    try:
        return bool(validator.is_valid(value))
    except (Unresolvable, RecursionError):
        return False


def arguments_of(schema: Schema, chance: Random, count: int = 12) -> list[dict[str, Any]]:
    """Return up to `count` objects that the schema accepts, the same for the same `chance`."""
    validator = validator_of(schema)
    if validator is None:
        return []
    found: list[dict[str, Any]] = []
    for _ in range(count * _TRIES_PER_ARGUMENT):
        value = _Generator(schema, chance).value(schema, 0)
        if isinstance(value, dict) and accepts(validator, value):
            found.append(value)
            if len(found) == count:
                break
    return found


class _Generator:
    def __init__(self, root: Schema, chance: Random) -> None:
        self._root = root
        self._chance = chance

    def value(self, schema: Any, depth: int) -> Any:
        """Return a value that the schema probably accepts."""
        chance = self._chance
        if not isinstance(schema, dict) or not schema or depth > 2 * _DEEPEST:
            return chance.choice(_ANYTHING)
        if isinstance(schema.get("$ref"), str):
            target = _resolved(self._root, schema["$ref"])
            rest = {key: inner for key, inner in schema.items() if key != "$ref"}
            return self.value({**target, **rest} if isinstance(target, dict) else rest, depth + 1)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return chance.choice(schema["enum"])
        rest = {
            key: inner for key, inner in schema.items() if key not in ("anyOf", "oneOf", "allOf")
        }
        parts = [chance.choice(schema[key]) for key in ("anyOf", "oneOf") if schema.get(key)]
        parts += schema.get("allOf") or ()
        if parts and all(isinstance(part, dict) for part in parts):
            values = [self.value(part, depth + 1) for part in parts]
            own = self.value(rest, depth) if _is_typed(rest) else None
            objects = [value for value in (own, *values) if isinstance(value, dict)]
            if objects:
                return {k: v for value in objects for k, v in value.items()}
            listed = [v for p, v in zip(parts, values, strict=True) if {"enum", "const"} & {*p}]
            return (listed or values)[0]
        return self._typed(schema, depth)

    def _typed(self, schema: Schema, depth: int) -> Any:
        chance = self._chance
        declared = schema.get("type")
        names = declared if isinstance(declared, list) else [declared] if declared else []
        if not names:
            inferred = next((t for key, t in _TYPES_BY_KEYWORD.items() if key in schema), None)
            if inferred is None:
                return chance.choice(_ANYTHING)
            names = [inferred]
        match chance.choice(names):
            case "object":
                return dict(self._members(schema, depth))
            case "array":
                return list(self._items(schema, depth))
            case "string":
                texts = [text * 2 if chance.random() < 0.1 else text for text in _TEXTS]
                shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 1000)
                fitting = [text for text in texts if shortest <= len(text) <= longest]
                return chance.choice(fitting or ["x" * shortest])
            case "integer":
                return int(self._number(schema))
            case "number":
                return self._number(schema) + chance.choice((0, 0, 0.5))
            case "boolean":
                return chance.random() < 0.5
        return None

    def _members(self, schema: Schema, depth: int) -> Iterator[tuple[str, Any]]:
        chance = self._chance
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        for name, inner in properties.items():
            if name in required or (depth < _DEEPEST and chance.random() < 0.6):
                yield name, self.value(inner, depth + 1)
        others = schema.get("additionalProperties", "properties" not in schema)
        patterns = list((schema.get("patternProperties") or {}).values())
        if others is not False and depth < _DEEPEST:
            patterns.append(others)
        for inner in patterns:
            for name in chance.sample(["k", "name-1", "x.y", "7"], chance.randint(0, 2)):
                if name not in properties:
                    yield name, self.value(inner, depth + 1)

    def _items(self, schema: Schema, depth: int) -> Iterator[Any]:
        first = schema.get("prefixItems") or ()
        items = schema.get("items", True)
        if isinstance(items, list):
            first, items = items, schema.get("additionalItems", False)
        for inner in first:
            yield self.value(inner, depth + 1)
        least = schema.get("minItems", 0) - len(first)
        if items is not False and not (first and "items" not in schema) and depth < _DEEPEST:
            for _ in range(max(least, self._chance.randint(0, 2))):
                yield self.value(items, depth + 1)

    def _number(self, schema: Schema) -> float:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        most = schema.get("maximum", schema.get("exclusiveMaximum"))
        bounds = [bound for bound in (least, most) if isinstance(bound, int | float)]
        wanted: float = self._chance.choice([*bounds, *(b + 1 for b in bounds), 1, 0, 10, -3])
        return wanted


def _is_typed(schema: Schema) -> bool:
    return "type" in schema or any(key in schema for key in _TYPES_BY_KEYWORD)


def _resolved(root: Schema, reference: str) -> Any:
    value: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def as_json_schema(converted: Any, dialect: str) -> Any:
    """Return a schema in the terms of JSON Schema, so that the library can judge it.

    Gemini's types and `nullable` become those of JSON Schema. In strict mode, models give `null`
    for what is optional, so properties that may be null need not be given.
    """
    if isinstance(converted, list):
        return [as_json_schema(item, dialect) for item in converted]
    if not isinstance(converted, dict):
        return converted
    if isinstance(converted.get("type"), str | int):
        converted = {**converted, "type": _type_name(converted["type"])}
    schema = {
        key: {name: as_json_schema(inner, dialect) for name, inner in value.items()}
        if key in ("properties", "$defs", "definitions", "patternProperties")
        else as_json_schema(value, dialect)
        if key not in ("enum", "const", "default", "example", "examples")
        else value
        for key, value in converted.items()
    }
    if schema.pop("nullable", False) is True:
        return {"anyOf": [schema, {"type": "null"}]}
    if dialect == "openai-strict" and isinstance(schema.get("required"), list):
        properties = schema.get("properties", {})
        schema["required"] = [
            name for name in schema["required"] if not _takes_null(properties.get(name))
        ]
    return schema


_PROTO_TYPES = ("", "string", "number", "integer", "boolean", "array", "object", "null")


def _type_name(declared: str | int) -> str:
    return declared.lower() if isinstance(declared, str) else _PROTO_TYPES[declared]


def _takes_null(schema: Any) -> bool:
    """Return whether the schema has the type null, as converted ones have it."""
    if not isinstance(schema, dict):
        return False
    declared = schema.get("type", ())
    return "null" in declared or any(map(_takes_null, schema.get("anyOf", ())))
