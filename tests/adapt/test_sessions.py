"""A conversation with signed thinking keeps the form with which it began."""

import json
from typing import Any

import pytest
from wiremend.adapt.lessons import Lesson, LessonBook
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.adapt.sessions import SESSIONS_LIMIT, Sessions, Terms
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import MessageTraits, TargetTraits

UNION = {"type": "object", "anyOf": [{"type": "object", "properties": {}}]}
REFUSED = "tools.0.custom.input_schema: input_schema does not support oneOf"
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk" * 10}
REDACTED = {"type": "redacted_thinking", "data": "x"}
PLAIN = TargetTraits()


class Conversations:
    """Adapts the requests of conversations with one target."""

    def __init__(self) -> None:
        self.book = LessonBook()
        self.sessions = Sessions()
        self.traits = PLAIN

    def turn(
        self, *history: dict[str, Any], start: str = "Hello", session: str = "s", **fields: Any
    ) -> AdaptedRequests:
        """Adapt one request; `history` are the blocks of the assistant's last message."""
        messages = [{"role": "user", "content": [{"type": "text", "text": start}]}]
        if history:
            go_on = {"role": "user", "content": [{"type": "text", "text": "Go on."}]}
            messages += [{"role": "assistant", "content": [*history]}, go_on]
        body = {
            "model": "m",
            "tools": [{"name": "x", "input_schema": UNION}],
            "messages": messages,
            "metadata": {"user_id": session},
            **fields,
        }
        document = RequestDocument.of(ANTHROPIC, "/v1/messages", json.dumps(body).encode())
        requests = AdaptedRequests(self.book, sessions=self.sessions)
        requests.add(OutgoingRequest("p", "m", "https", "p.example", 443, document), self.traits)
        return requests


def is_converted(requests: AdaptedRequests) -> bool:
    schema = json.loads(requests.at(0).request.body)["tools"][0]["input_schema"]
    return bool(schema != UNION)


def codes(requests: AdaptedRequests) -> list[str]:
    return [finding.code for finding in requests.at(0).findings]


@pytest.mark.parametrize("block", [THINKING, REDACTED], ids=["signed", "redacted"])
def test_a_lesson_of_another_conversation_does_not_change_a_running_one(
    block: dict[str, Any],
) -> None:
    conversations = Conversations()
    assert not is_converted(conversations.turn())
    conversations.book.learn("p", "m", [Lesson("schema-dialect", "anthropic", "x")])
    running = conversations.turn(block)
    assert not is_converted(running)
    [finding] = running.at(0).findings
    assert finding.code == "T307"
    assert "schema-dialect anthropic for tool 'x'" in finding.found
    assert finding.done.endswith("applies to conversations that begin later")
    assert is_converted(conversations.turn(start="Another"))
    assert is_converted(conversations.turn(session="another"))
    assert is_converted(conversations.turn(block, start="Begun before the proxy"))


def test_a_conversation_without_signed_thinking_takes_lessons_at_once() -> None:
    conversations = Conversations()
    conversations.turn().at(0)
    conversations.book.learn("p", "m", [Lesson("schema-dialect", "anthropic", "x")])
    unsigned = conversations.turn({"type": "text", "text": "Hi"}, {**THINKING, "signature": ""})
    assert is_converted(unsigned)
    assert "T307" not in codes(unsigned)


def test_the_lesson_of_a_conversations_own_rejection_applies_to_it() -> None:
    conversations = Conversations()
    conversations.turn().at(0)
    refused = conversations.turn(THINKING)
    [finding] = refused.amend(0, make_error(status=400, message=REFUSED))
    assert finding.done.endswith("(for this conversation, and for those that begin later)")
    assert is_converted(refused)
    refused.accepted(0)
    later = conversations.turn(THINKING)
    assert is_converted(later)
    assert "T307" not in codes(later)
    assert is_converted(conversations.turn(start="Another"))


def test_a_rejection_of_a_kept_form_is_still_repaired() -> None:
    conversations = Conversations()
    conversations.turn().at(0)
    conversations.book.learn("p", "m", [Lesson("schema-dialect", "anthropic", "x")])
    running = conversations.turn(THINKING)
    assert not is_converted(running)
    assert running.amend(0, make_error(status=400, message=REFUSED))
    assert is_converted(running)


def test_a_lesson_about_other_fields_applies_to_a_running_conversation() -> None:
    conversations = Conversations()
    conversations.turn(context_management={}).at(0)
    conversations.book.learn("p", "m", [Lesson("field", "context_management")])
    running = conversations.turn(THINKING, context_management={})
    assert "context_management" not in json.loads(running.at(0).request.body)
    assert "T307" not in codes(running)


def test_a_reloaded_configuration_does_not_change_a_running_conversation() -> None:
    conversations = Conversations()
    conversations.turn(system="").at(0)
    conversations.traits = TargetTraits(messages=MessageTraits(rules=frozenset({"Q007"})))
    running = conversations.turn(THINKING, system="")
    assert json.loads(running.at(0).request.body)["system"] == ""
    assert codes(running) == ["T307"]
    assert "system" not in json.loads(
        conversations.turn(start="Another", system="").at(0).request.body
    )


def test_a_mark_for_the_cache_does_not_begin_a_conversation() -> None:
    conversations = Conversations()
    conversations.turn().at(0)
    conversations.book.learn("p", "m", [Lesson("schema-dialect", "anthropic", "x")])
    marked = [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]
    history = [
        {"role": "user", "content": marked},
        {"role": "assistant", "content": [THINKING]},
        {"role": "user", "content": "Go on."},
    ]
    assert not is_converted(conversations.turn(messages=history))


def test_the_number_of_conversations_is_limited() -> None:
    sessions = Sessions()
    for number in range(SESSIONS_LIMIT + 1):
        sessions.remember(number, Terms(PLAIN))
    assert sessions.terms(0) is None
    assert sessions.terms(1) == Terms(PLAIN)
