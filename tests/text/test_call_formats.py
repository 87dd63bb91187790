"""Reading calls that models wrote as text, and the types of their arguments."""

from typing import Any

import pytest
from leaking import LEAKS, SCHEMAS, Leak
from wiremend.text.call_formats import (
    FORMATS,
    NotACall,
    SectionReader,
    TextEnds,
    WrittenCall,
    typed,
)
from wiremend.text.call_scanner import HEAD_LIMIT, CallScanner

each_leak = pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
ALL = list(FORMATS.values())
OFFERED = frozenset(SCHEMAS)


def scanned(text: str, *, size: int = 1 << 30) -> tuple[CallScanner, list[WrittenCall]]:
    scanner = CallScanner(ALL, OFFERED)
    for start in range(0, len(text), size):
        scanner.feed(text[start : start + size])
    return scanner, scanner.end()


@each_leak
def test_a_section_is_read_and_nothing_behind_it(leak: Leak) -> None:
    reader = SectionReader(leak.text + "<more", 0, OFFERED)
    calls = FORMATS[leak.format].read(reader)
    assert [call.name for call in calls] == [name for name, _ in leak.calls[: len(calls)]]
    assert leak.text.startswith(leak.text[: reader.position])
    assert leak.text[: reader.position].endswith(reader.end)


@each_leak
def test_no_beginning_of_a_section_is_read_as_a_call(leak: Leak) -> None:
    reader = SectionReader(leak.text, 0, OFFERED)
    FORMATS[leak.format].read(reader)
    for end in range(reader.position):
        with pytest.raises(TextEnds):
            FORMATS[leak.format].read(SectionReader(leak.text[:end], 0, OFFERED))


@each_leak
def test_a_call_may_be_written_in_one_format_only(leak: Leak) -> None:
    for format in ALL:
        if format.name != leak.format:
            with pytest.raises((NotACall, TextEnds)):
                format.read(SectionReader(leak.text, 0, OFFERED))


@each_leak
@pytest.mark.parametrize("size", [1, 2, 7, 1 << 30])
def test_the_length_of_the_calls_is_known_while_the_text_arrives(leak: Leak, size: int) -> None:
    before = "a < b, <b>bold</b>, <tool_, <|, `<function`: "
    scanner, calls = scanned(f"{before}{leak.text}\n ", size=size)
    assert scanner.length == len(leak.text) + 2
    assert [(call.name, typed(call, SCHEMAS[call.name])) for call in calls] == list(leak.calls)


NO_BEGINNINGS = (
    "<tool_call> is a tag",
    "<tool_call>\n\nreading",
    "<tool_calls>",
    "<function=read",
    "<function = read>",
    "<function=write>",
    "<tool_call>{'name': 'read'}",
    '<tool_call>{"arguments": {}, "name": "read"}',
    "<tool_call>" + " " * (HEAD_LIMIT + 1),
    "<|tool_call_begin|>read(5)",
    "<|DSML|invoke name='read'>",
    "<minimax:tool_call>read",
    "<" * 5000,
    "<tool_call" * 500,
)


@pytest.mark.parametrize("size", [1, 100, 1 << 30])
@pytest.mark.parametrize("text", NO_BEGINNINGS)
def test_other_text_is_not_held_back(text: str, size: int) -> None:
    """At most the characters that may become the beginning of a section."""
    scanner = CallScanner(ALL, OFFERED)
    for start in range(0, len(text), size):
        scanner.feed(text[start : start + size])
    scanner.feed(" and so on")
    assert scanner.length == 0
    assert scanner.end() == []


def test_a_call_after_text_that_was_none_is_found() -> None:
    call = "<tool_call>get_time</tool_call>"
    for before in NO_BEGINNINGS:
        scanner, calls = scanned(f"{before}. {call}", size=13)
        assert (scanner.length, len(calls)) == (len(call), 1), before
    for before in (call, "<tool_call>read<arg_key></tool_call>"):
        scanner, calls = scanned(f"{before}. {call}", size=13)
        assert (scanner.length, len(calls)) == (len(call), 1), before


def test_the_last_reason_is_kept() -> None:
    scanner, calls = scanned("<tool_call>write</tool_call> <tool_call>read<arg_key>")
    assert not calls
    assert scanner.rejected is not None
    assert (scanner.rejected.name, scanner.rejected.reason) == ("read", "it is not complete")


TYPES: dict[str, tuple[Any, str, Any]] = {
    "text": ({"type": "string"}, "5", "5"),
    "text that looks like an object": ({"type": "string"}, '{"a":1}', '{"a":1}'),
    "text or null": ({"type": ["string", "null"]}, "5", "5"),
    "text by a choice of texts": ({"enum": ["1", "2"]}, "1", "1"),
    "a choice of anything": ({"enum": ["1", 1]}, "1", 1),
    "Gemini's name of the type": ({"type": "STRING"}, "5", "5"),
    "text in one of several": ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "5", "5"),
    "text or a list": ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "[1]", [1]),
    "text or a list, text": ({"oneOf": [{"type": "string"}, {"type": "array"}]}, "[1", "[1"),
    "a number": ({"type": "integer"}, "5", 5),
    "a number that is none": ({"type": "integer"}, "five", "five"),
    "a boolean": ({"type": "boolean"}, "true", True),
    "a list": ({"type": "array"}, '["a", "b"]', ["a", "b"]),
    "an object": ({"type": "object"}, '{"a": null}', {"a": None}),
    "an unknown type": ({}, "5", 5),
    "no schema": (None, "hello", "hello"),
    "a schema that is none": (True, "5", 5),
}


@pytest.mark.parametrize(("schema", "text", "value"), TYPES.values(), ids=TYPES)
def test_text_gets_the_type_that_the_schema_says(schema: Any, text: str, value: Any) -> None:
    call = WrittenCall("read", {"a": text, "b": "5"}, frozenset({"a"}))
    known = {"properties": {} if schema is None else {"a": schema}}
    assert typed(call, known) == {"a": value, "b": "5"}


@pytest.mark.parametrize("schema", [None, True, {}, {"properties": None}, {"properties": []}])
def test_a_tool_may_have_any_schema(schema: Any) -> None:
    call = WrittenCall("read", {"a": "5"}, frozenset({"a"}))
    assert typed(call, schema) == {"a": 5}
