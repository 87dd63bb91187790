import json
from typing import Any

import pytest
from wiremend.protocols.base.document import RequestBody
from wiremend.protocols.base.message_rules.words import BLANK, LONE_SURROGATES, last_steps, words_of

WORDS: dict[str, tuple[Any, set[str]]] = {
    "names of members": ({"a": 1, "b": {"c": None}}, {"a", "b", "c"}),
    "types and roles": ({"type": "image", "role": "user"}, {"type", "role", "image", "user"}),
    "a type that is no text": ({"type": ["image"]}, {"type"}),
    "a blank text": ({"text": " \n"}, {"text", BLANK}),
    "an empty text": ({"text": ""}, {"text", BLANK}),
    "an empty list": ({"content": []}, {"content", BLANK}),
    "an empty object": ({"parts": [{}]}, {"parts", BLANK}),
    "another text": ({"text": " x"}, {"text"}),
    "lists in lists": ({"a": [[{"b": 1}]]}, {"a", "b"}),
    "texts in lists": ({"a": ["type", ""]}, {"a"}),
    "tools": ({"tools": [{"name": "f", "x": {"y": 1}}, 7]}, {"tools", "name", "x"}),
    "functions": ({"tools": [{"function": {"x": {"y": 1}}}]}, {"tools", "function", "x"}),
    "tools that are no list": ({"tools": {"x": {"y": 1}}}, {"tools"}),
}


@pytest.mark.parametrize(("request_body", "expected"), WORDS.values(), ids=WORDS.keys())
def test_the_words_of_a_request(request_body: Any, expected: set[str]) -> None:
    assert words_of(request_body) == expected
    assert RequestBody(json.dumps(request_body).encode()).words == expected


def test_a_request_that_may_contain_lone_surrogates() -> None:
    assert RequestBody(rb'{"a":"\ud83d"}').words == {"a", LONE_SURROGATES}


def test_a_body_that_is_no_object_has_no_words() -> None:
    assert RequestBody(b'[{"a":1}]').words == frozenset()
    assert RequestBody(b"{").words == frozenset()


def test_a_deep_request_has_words() -> None:
    request: Any = {"innermost": 1}
    for _ in range(10_000):
        request = {"a": [request]}
    assert words_of(request) == {"a", "innermost"}


def test_the_last_steps_of_paths() -> None:
    assert last_steps([("a", "b"), ("c",)]) == {"b", "c"}
