"""Decoding a streamed JSON array: any chunking, all bytes kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.text.json_array import ArrayDecoder
from wiremend.text.sse import Event


def decode(*chunks: bytes) -> list[Event]:
    decoder = ArrayDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.end()


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


CASES: dict[str, tuple[bytes, list[tuple[bytes, bytes | None]]]] = {
    "nothing": (b"", []),
    "empty": (b"[]", [(b"[]", None)]),
    "one": (b'[{"a":1}]', [(b'[{"a":1}', b'{"a":1}'), (b"]", None)]),
    "two": (
        b'[{"a":1},\r\n{"b":2}\r\n]',
        [(b'[{"a":1}', b'{"a":1}'), (b',\r\n{"b":2}', b'{"b":2}'), (b"\r\n]", None)],
    ),
    "brackets and braces in strings": (
        b'[{"a":"]},{["},{"b":"[\\"}"}]',
        [
            (b'[{"a":"]},{["}', b'{"a":"]},{["}'),
            (b',{"b":"[\\"}"}', b'{"b":"[\\"}"}'),
            (b"]", None),
        ],
    ),
    "a backslash at a string's end": (
        b'[{"a":"\\\\"},{}]',
        [(b'[{"a":"\\\\"}', b'{"a":"\\\\"}'), (b",{}", b"{}"), (b"]", None)],
    ),
    "nested": (b'[{"a":[{}]}]', [(b'[{"a":[{}]}', b'{"a":[{}]}'), (b"]", None)]),
    "lists": (b"[[1],[]]", [(b"[[1]", b"[1]"), (b",[]", b"[]"), (b"]", None)]),
    "scalars": (
        b'[1, null ,"]"]',
        [(b"[1", b"1"), (b", null", b"null"), (b' ,"]"', b'"]"'), (b"]", None)],
    ),
    "no brackets": (b"{} {}", [(b"{}", b"{}"), (b" {}", b"{}")]),
    "a stray bracket": (b"]", [(b"]", None)]),
    "white space alone": (b" \n", [(b" \n", None)]),
    "cut before an element": (b"[{},", [(b"[{}", b"{}"), (b",", b"")]),
    "cut in an element": (b'[{"a":"x', [(b'[{"a":"x', b'{"a":"x')]),
    "cut in an escape": (b'["\\', [(b'["\\', b'"\\')]),
    "cut in a scalar": (b"[tru", [(b"[tru", b"tru")]),
}


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES.keys())
def test_the_raw_bytes_of_an_element_include_the_bytes_before_it(
    data: bytes, expected: list[tuple[bytes, bytes | None]]
) -> None:
    for chunks in ([data], byte_by_byte(data)):
        assert [(event.raw, event.data) for event in decode(*chunks)] == expected


def test_an_element_is_returned_with_its_last_byte() -> None:
    decoder = ArrayDecoder()
    assert decoder.feed(b'[{"a":1') == []
    assert [event.data for event in decoder.feed(b"}")] == [b'{"a":1}']
    assert decoder.end() == []


def test_an_unfinished_element_is_not_complete() -> None:
    (event,) = decode(b'[{"a"')
    assert not event.complete


@given(st.binary(max_size=60), st.integers(0, 60))
def test_all_bytes_are_kept_for_any_cut(data: bytes, cut: int) -> None:
    assert b"".join(event.raw for event in decode(data[:cut], data[cut:])) == data


_mark = st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b"\n", b"1", b"a"])


@given(st.lists(_mark, max_size=40).map(b"".join))
def test_the_elements_do_not_depend_on_the_chunks(data: bytes) -> None:
    def elements(*chunks: bytes) -> list[bytes | None]:
        return [event.data for event in decode(*chunks) if event.data is not None]

    assert elements(*byte_by_byte(data)) == elements(data)
    assert b"".join(event.raw for event in decode(*byte_by_byte(data))) == data


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.lists(_json, max_size=5), st.sampled_from([None, 1]), st.integers(0, 200))
def test_the_elements_are_those_of_the_array(
    values: list[object], indent: int | None, cut: int
) -> None:
    data = json.dumps(values, indent=indent).encode()
    events = decode(data[:cut], data[cut:])
    assert [json.loads(event.data) for event in events if event.data is not None] == values


@pytest.mark.parametrize(
    ("start", "filler", "end"),
    [
        (b'[{"a":"', b"x", b'"}'),
        (b'[{"a":"', b"\\n", b'"}'),
        (b'[{"a":"', b'\\"', b'"}'),
        (b"[{", b"[", b"]" * 300 + b"}"),
        (b"[1", b"1", b""),
        (b'["', b"x", b'"'),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 50])
def test_an_element_past_the_limit_is_returned_in_parts(
    start: bytes, filler: bytes, end: bytes, size: int
) -> None:
    data = start + filler * 300 + end + b", 2]"
    decoder = ArrayDecoder(limit_bytes=100)
    events = [e for at in range(0, len(data), size) for e in decoder.feed(data[at : at + size])]
    parts = [event for event in events if event.is_part]
    assert b"".join(event.raw for event in events) == data
    assert b"".join(part.raw for part in parts) == start + filler * 300 + end
    assert [part.complete for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [event.data for event in events if not event.is_part] == [b"2", None]


def test_white_space_past_the_limit_is_returned() -> None:
    decoder = ArrayDecoder(limit_bytes=100)
    events = [event for _ in range(30) for event in decoder.feed(b"\n" * 10)]
    assert b"".join(event.raw for event in events + decoder.end()) == b"\n" * 300
    assert events


def test_the_limit_does_not_apply_to_several_elements_together() -> None:
    decoder = ArrayDecoder(limit_bytes=100)
    assert len(decoder.feed(b"[" + b'{"a":"xxxxxxxxxx"},' * 50)) == 50
