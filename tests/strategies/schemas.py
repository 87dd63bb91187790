"""Strategies for the JSON Schemas of tools, valid and broken."""

from typing import Any

from hypothesis import strategies as st

_JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.sampled_from(["", "a", "object", "#"])
    | st.builds(list)
    | st.builds(dict)
    | st.builds(lambda: [[]])
)
_NAMES = st.sampled_from(["a", "b", "type", "properties", "$ref"])
_TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null", "X"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    by_name = st.dictionaries(_NAMES, inner, max_size=3)
    several = st.lists(inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES | st.lists(_TYPES | _JUNK, max_size=3) | _JUNK,
            "properties": by_name | _JUNK,
            "patternProperties": by_name,
            "$defs": by_name | _JUNK,
            "required": st.lists(_NAMES | _JUNK, max_size=3) | _JUNK,
            "items": inner | several | _JUNK,
            "prefixItems": several,
            "additionalProperties": inner | _JUNK,
            "anyOf": several | _JUNK,
            "oneOf": several,
            "allOf": several,
            "not": inner,
            "enum": st.lists(_JUNK, max_size=3) | _JUNK,
            "const": _JUNK,
            "$ref": st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/properties/a", "x", 3, {}]),
            "format": st.sampled_from(["date-time", "uri", 3, []]),
            "minimum": _JUNK,
            "exclusiveMinimum": _JUNK,
            "minLength": _JUNK,
            "description": st.just("d") | _JUNK,
            "nullable": _JUNK,
            "x-unknown": _JUNK,
            "$schema": st.just("http://json-schema.org/draft-07/schema#"),
        },
    )


SCHEMAS = st.recursive(_JUNK | _schemas(_JUNK), _schemas, max_leaves=12)
