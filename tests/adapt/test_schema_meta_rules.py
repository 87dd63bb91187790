"""Converted schemas are checked against independent rules: the meta-schema of draft 2020-12,
OpenAI's rules for structured outputs, and the Google SDK's definition of Gemini's schemas."""

from typing import Any

import pydantic
import pytest
from google.genai import types
from hypothesis import given, settings
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from strategies.schemas import SCHEMAS
from wiremend.adapt.schema_conversion import convert_schema
from wiremend.adapt.schema_dialects import DIALECTS, GEMINI

WORDED = ("anthropic", "openai", "openai-strict", "deepseek", "moonshot", "basic")
"""The dialects that are subsets of draft 2020-12."""

STRICT = Draft202012Validator(
    {
        "$defs": {
            "schema": {
                "type": "object",
                "properties": {
                    "properties": {"additionalProperties": {"$ref": "#/$defs/schema"}},
                    "$defs": {"additionalProperties": {"$ref": "#/$defs/schema"}},
                    "items": {"$ref": "#/$defs/schema"},
                    "anyOf": {"items": {"$ref": "#/$defs/schema"}},
                    "additionalProperties": {"const": False},
                },
                "propertyNames": {
                    "not": {"enum": ["oneOf", "allOf", "not", "if", "then", "else"]},
                },
                "dependentRequired": {"properties": ["required", "additionalProperties"]},
            }
        },
        "$ref": "#/$defs/schema",
        "required": ["type", "properties"],
        "properties": {"type": {"const": "object"}, "anyOf": False},
    }
)
"""https://platform.openai.com/docs/guides/structured-outputs (supported schemas)"""


@pytest.mark.parametrize("dialect", WORDED)
@settings(deadline=None, max_examples=50)
@given(schema=SCHEMAS)
def test_converted_schemas_are_valid_in_draft_2020_12(dialect: str, schema: Any) -> None:
    Draft202012Validator.check_schema(convert_schema(schema, DIALECTS[dialect]))


@settings(deadline=None, max_examples=50)
@given(schema=SCHEMAS)
def test_converted_schemas_are_accepted_by_structured_outputs(schema: Any) -> None:
    converted = convert_schema(schema, DIALECTS["openai-strict"])
    STRICT.validate(converted)
    for part in _objects(converted):
        assert set(part["required"]) == set(part["properties"])


def _objects(schema: Any) -> list[dict[str, Any]]:
    """Return all schemas with properties in a schema."""
    own = [schema] if isinstance(schema.get("properties"), dict) else []
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += schema.get("anyOf", []) + ([schema["items"]] if "items" in schema else [])
    return [*own, *(nested for part in inner for nested in _objects(part))]


@pytest.mark.parametrize(
    ("schema", "check"),
    [
        ({"minimum": 0, "exclusiveMinimum": True}, Draft202012Validator.check_schema),
        ({"type": "array", "items": [{}]}, Draft202012Validator.check_schema),
        ({"type": "object", "properties": {}}, STRICT.validate),
        ({"type": "object", "properties": {}, "required": [], "oneOf": [{}]}, STRICT.validate),
    ],
)
def test_the_independent_rules_refuse_invalid_schemas(schema: Any, check: Any) -> None:
    with pytest.raises((SchemaError, ValidationError)):
        check(schema)


def upper_types(schema: Any) -> Any:
    """Return the schema with upper-case types: the SDK accepts no others, the API accepts both."""
    if isinstance(schema, list):
        return [upper_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.upper()
        if key == "type" and isinstance(value, str)
        else {name: upper_types(inner) for name, inner in value.items()}
        if key == "properties"
        else upper_types(value)
        if key in ("items", "anyOf")
        else value
        for key, value in schema.items()
    }


@settings(deadline=None, max_examples=50)
@given(schema=SCHEMAS)
def test_converted_schemas_are_accepted_by_the_sdk(schema: Any) -> None:
    types.Schema.model_validate(upper_types(convert_schema(schema, GEMINI)))


@pytest.mark.parametrize("key", ["$schema", "patternProperties", "const", "oneOf"])
def test_the_sdk_refuses_keywords_that_the_provider_refuses(key: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        types.Schema.model_validate({"type": "OBJECT", key: "x"})
