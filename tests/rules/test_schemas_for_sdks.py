"""What we write for Gemini, held against the official SDK's own definition of its schemas."""

from typing import Any

import pytest
from google.genai import types
from hypothesis import given, settings
from pydantic import ValidationError
from strategies.schemas import SCHEMAS
from wiremend.rules.schema_conversion import convert_schema
from wiremend.rules.schema_dialects import GEMINI


def upper_types(schema: Any) -> Any:
    """The SDK knows types by their own names only; the API takes both."""
    if isinstance(schema, list):
        return [upper_types(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.upper()
        if key == "type" and isinstance(value, str)
        else {name: upper_types(one) for name, one in value.items()}
        if key == "properties"
        else upper_types(value)
        if key in ("items", "anyOf")
        else value
        for key, value in schema.items()
    }


@settings(deadline=None)
@given(schema=SCHEMAS)
def test_any_schema_becomes_one_that_the_sdk_knows(schema: Any) -> None:
    types.Schema.model_validate(upper_types(convert_schema(schema, GEMINI)))


@pytest.mark.parametrize("key", ["$schema", "patternProperties", "const", "oneOf"])
def test_the_sdk_refuses_what_the_provider_does(key: str) -> None:
    with pytest.raises(ValidationError):
        types.Schema.model_validate({"type": "OBJECT", key: "x"})
