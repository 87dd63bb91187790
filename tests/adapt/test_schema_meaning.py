"""What a tool's schema accepts is still accepted after its conversion, or is reported.

The `jsonschema` library judges both schemas, on generated schemas and arguments.
"""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies.arguments import accepts, arguments_of, as_json_schema, validator_of
from wiremend.adapt.schema_conversion import convert_schema
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.adapt.schema_losses import Losses

_TEXT = st.sampled_from(["a", "b", "c-1", "$top"])
_SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "enum": ["x", "abc"]},
        {"type": "string", "enum": ["", "x"]},
        {"type": "string", "minLength": 3, "description": "d"},
        {"type": "string", "format": "uri"},
        {"type": "string", "default": "x"},
        {"type": "integer", "minimum": 1, "exclusiveMaximum": 20},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["string", "null"]},
        {"type": ["integer", "string"], "enum": [1, "x"]},
        {"type": ["array", "string"]},
        {"type": "array"},
        {"type": "object"},
        {"const": "x"},
        {"const": None},
        {"enum": ["a", 1, 2.5, None]},
        {},
        {"description": "anything"},
        True,
        {"$ref": "#/$defs/tree"},
        {"$ref": "#/$defs/value"},
        {"$ref": "#/$defs/text", "description": "d"},
    ]
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    by_name = st.dictionaries(_TEXT, inner, min_size=1, max_size=3)
    objects = by_name.flatmap(
        lambda properties: st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.just(properties)},
            optional={
                "required": st.lists(st.sampled_from(sorted(properties)), unique=True),
                "additionalProperties": st.booleans() | inner,
                "description": st.just("d"),
            },
        )
    )
    maps = st.fixed_dictionaries(
        {"type": st.just("object"), "additionalProperties": inner},
        optional={"description": st.just("d")},
    )
    patterns = st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "patternProperties": inner.map(lambda value: {"^[a-z]": value}),
            "additionalProperties": st.booleans(),
        }
    )
    lists = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner}, optional={"minItems": st.just(1)}
    )
    tuples = st.fixed_dictionaries(
        {"type": st.just("array"), "prefixItems": st.lists(inner, min_size=1, max_size=2)}
    )
    several = st.lists(inner, min_size=1, max_size=3)
    unions = st.fixed_dictionaries({"anyOf": several}, optional={"description": st.just("d")})
    return objects | maps | patterns | lists | tuples | unions


_SCHEMAS = st.recursive(_SCALARS, _nested, max_leaves=8)
_DEFINITIONS = {
    "text": {"type": "string", "maxLength": 40},
    "tree": {
        "type": "object",
        "properties": {"value": True, "children": {"items": {"$ref": "#/$defs/tree"}}},
    },
    "value": {
        "anyOf": [
            {"type": ["string", "number"]},
            {"type": "array", "items": {"$ref": "#/$defs/value"}},
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/value"}},
        ]
    },
}
TOOLS = st.dictionaries(_TEXT, _SCHEMAS, min_size=1, max_size=3).flatmap(
    lambda properties: st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.just(properties),
            "required": st.lists(st.sampled_from(sorted(properties)), unique=True),
            # Only where they are used: what is lost in them would be reported for every tool.
            **({"$defs": st.just(_DEFINITIONS)} if "$ref" in str(properties) else {}),
        }
    )
)
"""Schemas as tools have them, with maps, tuples, unions, references, and anything."""


@pytest.mark.parametrize("name", DIALECTS)
@settings(deadline=None, max_examples=60)
@given(schema=TOOLS, seed=st.integers(0, 2**16))
def test_what_a_schema_accepts_is_still_accepted_or_reported(
    name: str, schema: dict[str, Any], seed: int
) -> None:
    losses = Losses()
    converted = convert_schema(schema, DIALECTS[name], losses=losses)
    judge = validator_of(as_json_schema(converted, name))
    assert judge is not None
    for arguments in arguments_of(schema, Random(seed), 5):
        assert accepts(judge, arguments) or losses.refused


def _nothing_is_lost(name: str, properties: dict[str, Any], **arguments: Any) -> None:
    schema = {"type": "object", "properties": properties}
    losses = Losses()
    converted = convert_schema(schema, DIALECTS[name], losses=losses)
    judge = validator_of(as_json_schema(converted, name))
    assert judge is not None
    assert accepts(judge, arguments)


ANYTHING = [None, "x", 1, 1.5, True, {}, {"a": [{"b": 1}]}, [], ["x", 1, None], [["x"], [1]]]


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "openai-strict"])
@pytest.mark.parametrize("value", ANYTHING)
@pytest.mark.parametrize("schema", [{}, True, {"description": "Text, or rows."}])
def test_anything_stays_anything(name: str, schema: Any, value: Any) -> None:
    _nothing_is_lost(name, {"content": schema, "n": {"const": 1}}, content=value, n=1)
    _nothing_is_lost(name, {"list": {"type": "array"}, "n": {"const": 1}}, list=[value])
    a_map = {"type": "object", "additionalProperties": schema}
    _nothing_is_lost(name, {"filter": a_map, "n": {"const": 1}}, filter={"a": value})


@pytest.mark.parametrize("value", [None, "x", 1, 1.5, True, [], ["x", None], [["x"], [1]]])
def test_a_strict_tool_still_takes_anything_but_objects(value: Any) -> None:
    _nothing_is_lost("openai-strict", {"content": {}}, content=value)


REPORTED = [
    ("openai-strict", {"content": {}}, "objects in content"),
    ("openai-strict", {"labels": {"type": "object"}}, "properties with any name in labels"),
    ("openai-strict", {"a": {"type": "array", "items": {
        "type": "object", "additionalProperties": {"type": "string"}}}},
     "properties with any name in a.[]"),
    ("openai-strict", {"m": {"type": "object", "patternProperties": {"^x": {}},
                             "additionalProperties": False}}, "properties with any name in m"),
    ("gemini", {"content": {}}, "lists that are nested more than 2 levels deep in content"),
    ("anthropic", {"filter[id]": {"type": "string"}}, "the properties filter[id]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "properties", "loss"), REPORTED)
def test_what_is_not_accepted_any_more_is_reported(
    name: str, properties: dict[str, Any], loss: str
) -> None:
    losses = Losses()
    convert_schema({"type": "object", "properties": properties}, DIALECTS[name], losses=losses)
    assert loss in losses.refused


MAPS = [
    {"type": "object", "additionalProperties": {"type": "integer", "description": "x" * 300}},
    {"type": "object", "additionalProperties": {"properties": {
        f"property-{number}": {"type": "integer"} for number in range(30)}, "type": "object"}},
    {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
]  # fmt: skip


@pytest.mark.parametrize("name", ["gemini", "openai-strict"])
@pytest.mark.parametrize("schema", MAPS)
def test_the_values_of_a_map_are_described_where_the_dialect_has_no_maps(
    name: str, schema: dict[str, Any]
) -> None:
    losses = Losses()
    root = {"type": "object", "properties": {"m": schema}}
    converted = convert_schema(root, DIALECTS[name], losses=losses)["properties"]["m"]
    text = str(converted)
    assert "Properties: {" in text
    assert '"type":"integer"' in text or '"type":"object"' in text
    assert losses.is_described
    assert losses.refused or name == "gemini"


@pytest.mark.parametrize("keyword", ["$schema", "title", "$id", "additionalProperties"])
def test_a_conversion_without_a_loss_reports_none(keyword: str) -> None:
    value = False if keyword == "additionalProperties" else "x"
    losses = Losses()
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, keyword: value}
    convert_schema(schema, DIALECTS["gemini"], losses=losses)
    assert losses == Losses()
