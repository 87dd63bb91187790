"""Answers inside envelopes of gateways."""

from typing import Any

import pytest
from wiremend.text.json_envelope import is_envelope, unwrapped

ANSWER = {"type": "answer", "text": "Hi"}


def is_answer(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "answer"


@pytest.mark.parametrize(
    "envelope",
    [
        {"success": True, "data": ANSWER},
        {"code": 0, "anything": ANSWER},
        {"data": {"response": ANSWER}},
        {"result": '{"type":"answer","text":"Hi"}'},
        {"data": ' {"body": {"type":"answer","text":"Hi"}}'},
        [ANSWER],
        {"data": [ANSWER]},
    ],
)
def test_the_only_answer_is_unwrapped(envelope: Any) -> None:
    assert unwrapped(envelope, is_answer) == ANSWER


@pytest.mark.parametrize(
    "value",
    [
        {},
        None,
        "text",
        {"data": None},
        {"data": {"text": "Hi"}},
        {"data": ANSWER, "other": ANSWER},
        {"data": {"data": {"data": ANSWER}}},
        {"text": '{"type":"answer"}'},
        {"data": '{"type":"answer"'},
        [ANSWER, ANSWER],
    ],
)
def test_nothing_else_is_unwrapped(value: Any) -> None:
    assert unwrapped(value, is_answer) is None


def test_an_envelope_has_a_member_for_its_content() -> None:
    assert is_envelope({"success": True, "data": None})
    assert not is_envelope({"type": "message", "content": []})
    assert not is_envelope(["data"])
