"""Marks for prompt caches, toward providers of Chat Completions that take `cache_control`."""

from typing import Any

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.chat import CHAT

from translate.directions import sent

type Json = dict[str, Any]

TURNS: list[Json] = [
    {"role": "user", "content": "Read a and b."},
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"file": "a"}},
            {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {"file": "b"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "A"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "B"},
        ],
    },
]
MARK = {"type": "ephemeral"}


def messages(turns: list[Json], marks: int, **more: Any) -> list[Json]:
    tools = [{"name": "read", "input_schema": {"type": "object"}}]
    body = {"model": "m", "max_tokens": 9, "tools": tools, "messages": turns, **more}
    written: list[Json] = sent(ANTHROPIC, body, CHAT, cache_marks=marks)["messages"]
    return written


def marked(turns: list[Json], marks: int) -> list[str]:
    """The texts that are marked, in order."""
    written = messages(turns, marks, system="Be brief.")
    parts = [part for one in written if isinstance(one["content"], list) for part in one["content"]]
    return [part["text"] for part in parts if part.get("cache_control") == MARK]


@pytest.mark.parametrize(
    ("turns", "marks", "expected"),
    [
        (1, 3, ["Be brief.", "Read a and b."]),
        (3, 3, ["Be brief.", "Read a and b.", "B"]),
        (3, 2, ["Be brief.", "B"]),
        (3, 0, []),
    ],
)
def test_the_system_text_and_the_ends_of_the_last_requests_are_marked(
    turns: int, marks: int, expected: list[str]
) -> None:
    assert marked(TURNS[:turns], marks) == expected


def test_a_mark_is_in_the_last_text_of_a_message_with_an_image() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "text", "text": "Look."}, {"type": "image", "source": source}]
    (message,) = messages([{"role": "user", "content": content}], 3)
    text, image = message["content"]
    assert text == {"type": "text", "text": "Look.", "cache_control": MARK}
    assert image["type"] == "image_url"


def test_an_empty_result_is_not_marked() -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_2", "content": ""}
    last = {"role": "user", "content": [TURNS[2]["content"][0], result]}
    assert marked([*TURNS[:2], last], 3) == ["Be brief.", "Read a and b."]


def test_without_marks_a_longer_conversation_begins_like_a_shorter_one() -> None:
    shorter, longer = (messages(TURNS[:end], 3, system="s") for end in (1, 3))
    assert plain(longer)[: len(shorter)] == plain(shorter)


def plain(written: list[Json]) -> list[Json]:
    """The messages as they are without marks: content of one text is a string."""
    return [
        {**one, "content": one["content"][0]["text"]} if isinstance(one["content"], list) else one
        for one in written
    ]
