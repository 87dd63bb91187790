"""The time to check and convert a schema grows linearly, or is bounded where a schema explodes."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from wiremend.adapt.schema_conversion import SchemaTooLarge, convert_schema
from wiremend.adapt.schema_dialects import DIALECTS, violations
from wiremend.adapt.schemas import DIALECT_RULES
from wiremend.text import json_value

from complexity.amplify import LISTS, MOST_CHANGES, SCALARS
from complexity.growth import Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

type Schema = dict[str, Any]

SIZES = Sizes(first=64, last=1 << 14, seconds=0.06)


def _object(**fields: Any) -> Schema:
    return {"type": "object", "properties": {"a": {"type": "string"}}, **fields}


def _chain(size: int) -> Schema:
    definitions = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(size)}
    definitions[f"d{size}"] = {"type": "string"}
    return _object(properties={"a": {"$ref": "#/$defs/d0"}}, **{"$defs": definitions})


def _fan_out(size: int) -> Schema:
    """Each definition refers to the next one twice, so that inlining makes 2 ** size schemas."""
    definitions: Schema = {
        f"d{i}": {"type": "object", "properties": {
            name: {"$ref": f"#/$defs/d{i + 1}"} for name in "ab"}}
        for i in range(size)
    }  # fmt: skip
    definitions[f"d{size}"] = {"type": "string"}
    return _object(properties={"a": {"$ref": "#/$defs/d0"}}, **{"$defs": definitions})


def _nested(size: int, key: str, *, in_list: bool) -> Schema:
    depth = min(size, 40)
    inner: Any = {"type": "string"}
    for _ in range(depth):
        inner = {key: [inner] if in_list else inner}
    return _object(properties={f"p{i}": inner for i in range(max(1, size // depth))})


SCHEMAS: dict[str, Callable[[int], Schema]] = {
    "allOf with required": lambda n: _object(allOf=[{"required": [f"p{i}"]} for i in range(n)]),
    "allOf with properties": lambda n: _object(
        allOf=[{"properties": {f"p{i}": {"type": "string"}}} for i in range(n)]
    ),
    "allOf with one property": lambda n: _object(
        allOf=[{"properties": {"p": {"enum": [i]}}} for i in range(n)]
    ),
    "allOf in a property": lambda n: _object(
        properties={"p": {"allOf": [{"required": [f"p{i}"]} for i in range(n)]}}
    ),
    "allOf in allOf": lambda n: _nested(n, "allOf", in_list=True),
    "anyOf in anyOf": lambda n: _nested(n, "anyOf", in_list=True),
    "items in items": lambda n: _nested(n, "items", in_list=False),
    "not in not": lambda n: _nested(n, "not", in_list=False),
    "anyOf at the root": lambda n: _object(
        anyOf=[_object(required=[f"p{i}", "a"]) for i in range(n)]
    ),
    "anyOf with one property": lambda n: _object(
        anyOf=[_object(properties={"p": {"enum": [i]}}, required=["p"]) for i in range(n)]
    ),
    "anyOf with many required": lambda n: _object(
        anyOf=[_object(required=[f"p{i}" for i in range(int(n**0.5))]) for _ in range(int(n**0.5))]
    ),
    "oneOf with null": lambda n: _object(
        properties={"p": {"oneOf": [{"const": i} for i in range(n)] + [{"type": "null"}]}}
    ),
    "properties": lambda n: _object(
        properties={f"p{i}": {"type": "string"} for i in range(n)},
        required=[f"p{i}" for i in range(n)],
    ),
    "properties with odd names": lambda n: _object(
        properties={f"p{i} ?": {"type": "string"} for i in range(n)},
        required=[f"p{i} ?" for i in range(n)],
    ),
    "required without properties": lambda n: _object(required=[f"p{i}" for i in range(n)]),
    "required repeated": lambda n: _object(required=["a"] * n),
    "an enum": lambda n: _object(properties={"p": {"enum": list(range(n))}}),
    "nullable branches": lambda n: _object(
        properties={"p": {"nullable": True, "anyOf": [{"const": i} for i in range(n)]}}
    ),
    "an enum of objects": lambda n: _object(
        properties={"p": {"enum": [{"a": i} for i in range(n)]}}
    ),
    "types": lambda n: _object(properties={"p": {"type": ["string", "null"] * n}}),
    "type lists": lambda n: _object(
        properties={f"p{i}": {"type": ["string", "array", "null"]} for i in range(n)}
    ),
    "items in a list": lambda n: _object(
        properties={"p": {"type": "array", "items": [{"type": "string"}] * n}}
    ),
    "unknown keywords": lambda n: _object(**{f"x-{i}": i for i in range(n)}),
    "described keywords": lambda n: _object(
        properties={f"p{i}": {"multipleOf": 3, "default": i, "const": i} for i in range(n)}
    ),
    "definitions": lambda n: _object(
        properties={f"p{i}": {"$ref": f"#/$defs/d{i}"} for i in range(n)},
        **{"$defs": {f"d{i}": {"type": "string"} for i in range(n)}},
    ),
    "one definition": lambda n: _object(
        properties={f"p{i}": {"$ref": "#/$defs/d"} for i in range(n)},
        **{"$defs": {"d": {"type": "string"}}},
    ),
    "a large definition": lambda n: _object(
        properties={f"p{i}": {"$ref": "#/$defs/d"} for i in range(n)},
        **{"$defs": {"d": _object(required=[f"p{i}" for i in range(n)])}},
    ),
    "a long reference": lambda n: _object(properties={"a": {"$ref": "#" + "/a" * n}}),
    "a long index": lambda n: _object(allOf=[{"$ref": "#/allOf/" + "1" * n}]),
    "references that fail": lambda n: _object(
        properties={f"p{i}": {"$ref": f"#/$defs/d{i}"} for i in range(n)}
    ),
    "a chain of references": _chain,
    "a recursive definition": lambda n: _object(
        properties={f"p{i}": {"$ref": "#"} for i in range(n)}
    ),
    "maps in maps": lambda n: _nested(n, "additionalProperties", in_list=False),
    "a map of many properties": lambda n: _object(
        additionalProperties=_object(properties={f"p{i}": {"type": "string"} for i in range(n)})
    ),
    "a map of many patterns": lambda n: _object(
        properties={
            "p": {
                "patternProperties": {f"^x{i}": {"const": i} for i in range(n)},
                "additionalProperties": False,
            }
        }
    ),
    "maps of one definition": lambda n: _object(
        properties={f"p{i}": {"additionalProperties": {"$ref": "#/$defs/d"}} for i in range(n)},
        **{"$defs": {"d": {"additionalProperties": {"$ref": "#/$defs/d"}}}},
    ),
    "anything": lambda n: _object(properties={f"p{i}": {"description": "d"} for i in range(n)}),
    "lists of anything": lambda n: _object(
        properties={f"p{i}": {"type": "array"} for i in range(n)}
    ),
    "a long description": lambda n: _object(properties={"p": {"description": "x" * n, "const": 1}}),
    "a long name": lambda n: _object(properties={"x" * n: {"type": "string"}}),
    "a long format": lambda n: _object(properties={"p": {"type": "string", "format": "x" * n}}),
}


def converting(make: Callable[[int], Any], dialect: str) -> Callable[[int], Work]:
    def prepare(size: int) -> Work:
        schema = json_value.read(json_value.write(make(size)))

        def work() -> None:
            violations(schema, DIALECTS[dialect])
            with suppress(SchemaTooLarge):
                convert_schema(schema, DIALECTS[dialect])

        return work

    return prepare


@pytest.mark.parametrize("dialect", ["anthropic", "openai-strict", "deepseek", "gemini"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas(name: str, dialect: str) -> None:
    assert_linear(converting(SCHEMAS[name], dialect), SIZES)


@pytest.mark.parametrize("variant", MOST_CHANGES)
@pytest.mark.parametrize("dialect", DIALECT_RULES)
def test_the_examples_of_the_rules(dialect: str, variant: str) -> None:
    example = DIALECT_RULES[dialect].before.encode()
    change = (LISTS | SCALARS)[variant]
    assert_linear(converting(lambda n: orjson.loads(change(example, n)), dialect), SIZES)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_references_that_multiply(dialect: str) -> None:
    """Twenty definitions make a million schemas: the work is bounded."""
    sizes = Sizes(first=20, last=320, seconds=10.0)
    assert_linear(converting(_fan_out, dialect), sizes)
