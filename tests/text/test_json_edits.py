"""Spans of values in any valid JSON text; edits keep all other bytes."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.text.json_edits import Edit, Edits, Path, items, members, parse, root_span, splice
from wiremend.text.json_edits import value_span as locate

_SPACE = st.text(" \t\n\r", max_size=2)
_TEXT = st.text(max_size=6) | st.sampled_from(['"', "\\", "[{", '}]"', "\\u0041", "\u2028"])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # no surrogates: orjson could not read the expected value back
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


@st.composite
def json_texts(draw: st.DrawFn) -> tuple[Any, bytes]:
    """A value and one of its JSON texts."""
    value = draw(_VALUES)
    return value, (draw(_SPACE) + _written(draw, value) + draw(_SPACE)).encode()


def _written(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, dict):
        entries = [
            draw(_SPACE) + _string(draw, key) + draw(_SPACE) + ":" + draw(_SPACE)
            + _written(draw, inner) + draw(_SPACE)
            for key, inner in value.items()
        ]  # fmt: skip
        return "{" + (",".join(entries) or draw(_SPACE)) + "}"
    if isinstance(value, list):
        parts = [draw(_SPACE) + _written(draw, inner) + draw(_SPACE) for inner in value]
        return "[" + (",".join(parts) or draw(_SPACE)) + "]"
    return _string(draw, value) if isinstance(value, str) else json.dumps(value)


def _string(draw: st.DrawFn, text: str) -> str:
    return json.dumps(text, ensure_ascii=draw(st.booleans()))


def _paths(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else [])
    )
    paths = [(path, value)]
    for step, inner in children:
        paths += _paths(inner, (*path, step))
    return paths


def _at(body: bytes, path: Path) -> bytes | None:
    span = locate(body, path)
    return None if span is None else body[span.start : span.end]


@given(json_texts())
def test_the_span_of_every_path_parses_to_the_value_at_that_path(
    case: tuple[Any, bytes],
) -> None:
    value, body = case
    assert parse(body) == value
    for path, expected in _paths(value):
        text = _at(body, path)
        assert text is not None
        assert json.loads(text) == expected
        assert text == text.strip()


@given(json_texts(), st.data())
def test_replacing_a_value_keeps_all_other_bytes(
    case: tuple[Any, bytes], data: st.DataObject
) -> None:
    value, body = case
    path, _ = data.draw(st.sampled_from(_paths(value)))
    edits = Edits(body)
    edits.replace(path, b'"new"')
    edited = edits.apply()
    before, after = locate(body, path), locate(edited, path)
    assert before is not None
    assert after is not None
    assert edited[after.start : after.end] == b'"new"'
    assert edited[: after.start] + edited[after.end :] == body[: before.start] + body[before.end :]


@given(json_texts(), st.data())
def test_removing_any_children_leaves_the_others_in_valid_json(
    case: tuple[Any, bytes], data: st.DataObject
) -> None:
    value, body = case
    containers = [(path, inner) for path, inner in _paths(value) if isinstance(inner, list | dict)]
    if not containers:
        return
    path, container = data.draw(st.sampled_from(containers))
    steps = list(container) if isinstance(container, dict) else list(range(len(container)))
    removed = data.draw(st.lists(st.sampled_from(steps), unique=True)) if steps else []
    edits = Edits(body)
    for step in removed:
        edits.remove((*path, step))
    remaining = _at(edits.apply(), path)
    assert remaining is not None
    expected: Any = (
        {key: inner for key, inner in container.items() if key not in removed}
        if isinstance(container, dict)
        else [inner for index, inner in enumerate(container) if index not in removed]
    )
    assert json.loads(remaining) == expected


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        pytest.param(b'{"model":"a"}', ("model",), b'"a"', id="plain"),
        pytest.param(b'\xef\xbb\xbf {"model":"a"}', ("model",), b'"a"', id="byte order mark"),
        pytest.param(b'{"mod\\u0065l":"a"}', ("model",), b'"a"', id="escaped key"),
        pytest.param(b'{ "model"\t:\r\n"a" }', ("model",), b'"a"', id="space of any form"),
        pytest.param(b'{"x":{"model":1},"model":2}', ("model",), b"2", id="nested namesake"),
        pytest.param(b'{"x":"\\"model\\":1","model":2}', ("model",), b"2", id="inside a string"),
        pytest.param(b'{"x":"\\\\","model":2}', ("model",), b"2", id="escaped backslash"),
        pytest.param(b'{"model":1,"model":2}', ("model",), b"2", id="the last duplicate wins"),
        pytest.param(b'{"a":[1,[2,{"b":-1.5e9}]]}', ("a", 1, 1, "b"), b"-1.5e9", id="deep"),
        pytest.param(b'{"a":[ ],"b":{ },"c":1}', ("c",), b"1", id="after empty containers"),
        pytest.param(b"[[[[[[1]]]]],2]", (1,), b"2", id="after deep containers"),
        pytest.param(b'{"\\ud83d":1,"b":2}', ("b",), b"2", id="lone surrogate"),
        pytest.param(b"3", (), b"3", id="scalar root"),
        pytest.param(b'{"a":1}', ("b",), None, id="no such key"),
        pytest.param(b"[1]", (1,), None, id="no such index"),
        pytest.param(b"[1]", (-1,), None, id="negative index"),
        pytest.param(b'{"a":1}', ("a", "b"), None, id="into a scalar"),
        pytest.param(b"[1]", ("a",), None, id="key into a list"),
    ],
)
def test_a_path_leads_to_its_bytes(body: bytes, path: Path, expected: bytes | None) -> None:
    parse(body)
    assert _at(body, path) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{invalid}", b"[1,]", b'{"a":NaN}', b'{"a":"\xff"}',
        b'{"\\u0061":NaN}', b'{"\\ud83d":Infinity}', b'{"\\ud83d":}',
    ],
)  # fmt: skip
def test_invalid_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(body)


def test_extremely_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(b'["\\ud83d",' + b"[" * 200_000 + b"]" * 200_000 + b"]")


def test_members_and_items_are_returned_in_order_with_duplicates() -> None:
    body = b' {"a" : 1, "a":[2 , 3], "\\u0062":{}} '
    listed = list(members(body, root_span(body)))
    assert [member.key for member in listed] == ["a", "a", "b"]
    assert [body[slice(*member.extent)] for member in listed] == [
        b'"a" : 1',
        b'"a":[2 , 3]',
        b'"\\u0062":{}',
    ]
    assert [body[slice(*item)] for item in items(body, listed[1].value)] == [b"2", b"3"]


@pytest.mark.parametrize(
    ("body", "keys", "expected"),
    [
        pytest.param(b'{"a":1, "b":2, "c":3}', ["a"], b'{"b":2, "c":3}', id="first"),
        pytest.param(b'{"a":1, "b":2, "c":3}', ["b"], b'{"a":1, "c":3}', id="middle"),
        pytest.param(b'{"a":1, "b":2, "c":3}', ["c"], b'{"a":1, "b":2}', id="last"),
        pytest.param(b'{"a":1, "b":2, "c":3}', ["a", "c"], b'{"b":2}', id="both ends"),
        pytest.param(b'{"a":1, "b":2, "c":3}', ["b", "c"], b'{"a":1}', id="two at the end"),
        pytest.param(b'{ "a":1, "b":2 }', ["a", "b"], b"{  }", id="all"),
        pytest.param(b'{"a":1,"b":2,"a":3}', ["a"], b'{"b":2}', id="all duplicates"),
    ],
)
def test_removing_a_member_removes_exactly_one_comma(
    body: bytes, keys: list[str], expected: bytes
) -> None:
    edits = Edits(body)
    for key in keys:
        edits.remove((key,))
    assert edits.apply() == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", b'{"z":0}'),
        (b"{ }", b'{"z":0 }'),
        (b'{ "a":1 }', b'{"z":0, "a":1 }'),
    ],
)
def test_a_member_is_added_at_the_start(body: bytes, expected: bytes) -> None:
    edits = Edits(body)
    edits.prepend((), b'"z":0')
    assert edits.apply() == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", b'{"z":0}'),
        (b'{ "a":1 }', b'{ "a":1,"z":0 }'),
    ],
)
def test_a_member_is_added_at_the_end(body: bytes, expected: bytes) -> None:
    edits = Edits(body)
    edits.append((), b'"z":0')
    assert edits.apply() == expected


def test_a_member_appended_after_the_last_is_kept_when_the_last_is_removed() -> None:
    edits = Edits(b'{"a":1,"b":2}')
    edits.append((), b'"z":0')
    edits.remove(("b",))
    assert edits.apply() == b'{"a":1,"z":0}'


def test_replacing_applies_to_all_duplicates() -> None:
    edits = Edits(b'{"a":1,"a":2}')
    edits.replace(("a",), b"3")
    assert edits.apply() == b'{"a":3,"a":3}'


def test_without_edits_the_same_object_is_returned() -> None:
    body = orjson.dumps({"a": 1})
    assert Edits(body).apply() is body


def test_a_path_that_does_not_exist_cannot_be_edited() -> None:
    with pytest.raises(KeyError):
        Edits(b"[1]").replace((1,), b"2")


@pytest.mark.parametrize(
    ("body", "index", "expected"),
    [
        (b"[ 1 , 2 ]", 0, b"[ 9,1 , 2 ]"),
        (b"[ 1 , 2 ]", 1, b"[ 1,9 , 2 ]"),
        (b"[ 1 , 2 ]", 2, b"[ 1 , 2,9 ]"),
        (b"[ 1 , 2 ]", 7, b"[ 1 , 2,9 ]"),
        (b"[ ]", 0, b"[9 ]"),
    ],
)
def test_an_item_is_inserted_before_another_or_at_the_end(
    body: bytes, index: int, expected: bytes
) -> None:
    edits = Edits(body)
    edits.insert_item((), index, b"9")
    assert edits.apply() == expected


@pytest.mark.parametrize(("index", "expected"), [(0, b"[9,2,3]"), (1, b"[9,1,3]"), (2, b"[9,1,2]")])
def test_an_item_is_inserted_while_another_is_removed(index: int, expected: bytes) -> None:
    edits = Edits(b"[1,2,3]")
    edits.insert_item((), 0, b"9")
    edits.remove((index,))
    assert edits.apply() == expected


def test_renaming_a_member_applies_to_its_duplicates() -> None:
    edits = Edits(b'{ "a" : 1.0e0, "b": 2, "\\u0061":3}')
    edits.rename(("a",), 'c"')
    assert edits.apply() == b'{ "c\\"" : 1.0e0, "b": 2, "c\\"":3}'


def test_the_text_of_a_value_is_returned_unchanged() -> None:
    assert Edits(b'{"a":[1, "\\u00e9" ]}').text(("a", 1)) == b'"\\u00e9"'


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        splice(b"abcdef", [Edit(0, 3, b""), Edit(2, 4, b"")])


def test_edits_apply_in_any_order() -> None:
    assert splice(b"abcdef", [Edit(4, 6, b"Z"), Edit(0, 1, b"A"), Edit(0, 0, b">")]) == b">AbcdZ"


def test_a_value_is_located_at_any_depth_that_can_be_parsed() -> None:
    path: Path = ("a",) * 1000
    text = b'{"a":' * 1000 + b"1" + b"}" * 1000
    parse(text)
    assert locate(text, path) == (5000, 5001)


@pytest.mark.parametrize("ending", [b"1", b'"\\u00e9"'])
def test_too_deep_nesting_is_refused_with_and_without_escapes(ending: bytes) -> None:
    with pytest.raises(ValueError, match="depth"):
        parse(b'{"a":' * 2000 + ending + b"}" * 2000)


def test_what_is_computed_from_the_text_is_computed_once_for_these_edits() -> None:
    computed: list[object] = []

    def first(document: dict[str, int]) -> int:
        computed.append(document)
        return document["a"]

    edits = Edits(b'{"a":1}')
    assert [edits.once(first, {"a": 1}), edits.once(first, {"a": 1})] == [1, 1]
    assert edits.once(len, {"a": 1}) == 1
    assert Edits(b'{"a":2}').once(first, {"a": 2}) == 2
    assert computed == [{"a": 1}, {"a": 2}]
