"""Tests of leaving out long strings while an event is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.text.json_shortening import LEFT_OUT, STRING_LIMIT_BYTES, Shortener

LONG = "x" * (STRING_LIMIT_BYTES + 1)
VALUES = [
    {"a": LONG, "b": 1},
    {"a": [{"data": LONG}, "short", LONG], "finishReason": "STOP"},
    {LONG: "key"},
    {"a": "\\" * STRING_LIMIT_BYTES, "b": '"'},
    {"a": '"' * STRING_LIMIT_BYTES, "b": "\\"},
    {"a": "\n\u2713" * STRING_LIMIT_BYTES},
    {"a": "x" * STRING_LIMIT_BYTES},
    LONG,
]


def shortened(value: object) -> object:
    if isinstance(value, dict):
        return {shortened(key): shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, str) and len(json.dumps(value)) - 2 > STRING_LIMIT_BYTES:
        return json.loads(b'"' + LEFT_OUT + b'"')
    return value


def read(data: bytes, size: int) -> bytes | None:
    shortener = Shortener(10_000)
    for at in range(0, len(data), size):
        shortener.feed(data[at : at + size])
    return shortener.shortened


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("size", [1, 7, 1000, 1_000_000])
def test_only_long_strings_are_left_out(value: object, size: int) -> None:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    shape = read(data, size)
    assert shape is not None
    assert json.loads(shape.removeprefix(b"data: ")) == shortened(value)


@given(st.recursive(st.text() | st.integers(), st.lists), st.integers(1, 20))
def test_an_event_without_long_strings_is_unchanged(value: object, size: int) -> None:
    data = json.dumps(value).encode()
    assert len(data) > 10_000 or read(data, size) == data


def test_a_shape_that_is_too_large_is_given_up() -> None:
    assert read(b"[" * 20_000, 1000) is None
    assert read(json.dumps(["a"] * 20_000).encode(), 1000) is None


def test_what_stands_for_a_string_is_json_as_tool_arguments_are() -> None:
    assert json.loads(json.loads(b'"' + LEFT_OUT + b'"')) == {"left out by wiremend": True}
