"""Traits of a target that are learnt from its words, on a host about which nothing is known."""

import json
from typing import Any

import pytest
from wiremend.adapt.learnable_traits import LEARNABLE_TRAITS, trait_problem, with_trait
from wiremend.adapt.lessons import Lesson, LessonBook
from wiremend.adapt.passes import with_lessons
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.catalogue import catalogue
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import MessageTraits, TargetTraits
from wiremend.protocols.chat import CHAT
from wiremend.protocols.registry import MESSAGE_CODES

CALL = {"role": "assistant", "tool_calls": [{"id": "c"}]}
USER = {"role": "user", "content": "Hello"}

# report, protocol, message, request, request that is accepted
LEARNT: list[tuple[str, Protocol, str, dict[str, Any], dict[str, Any]]] = [
    ("ericc-ch/copilot-api#258", CHAT,
     "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
     "'max_completion_tokens' instead.",
     {"max_tokens": 5}, {"max_completion_tokens": 5}),
    ("nowledge-co/nowledge-mem#36", CHAT,
     "The `reasoning_content` in the thinking mode must be passed back to the API.",
     {"messages": [USER, CALL, {"role": "tool", "tool_call_id": "c", "content": "ok"}]},
     {"messages": [USER, {**CALL, "reasoning_content": " "},
                   {"role": "tool", "tool_call_id": "c", "content": "ok"}]}),
    ("aattaran/deepclaude#29", ANTHROPIC,
     "Failed to deserialize the JSON body into the target type: messages[1].role: unknown variant "
     "`system`, expected `user` or `assistant` at line 1 column 80",
     {"messages": [USER, {"role": "system", "content": "Be brief."}]},
     {"messages": [USER, {"role": "user", "content": "<system-reminder>\nBe brief.\n"
                          "</system-reminder>"}]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "message", "before", "after"),
    [pytest.param(*row[1:], id=f"{row[0]}: {row[2][:60]}") for row in LEARNT],
)
def test_a_repair_is_learnt_from_the_words_of_any_host(
    protocol: Protocol, message: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    book = LessonBook()

    def request() -> AdaptedRequests:
        document = RequestDocument.of(protocol, "/", json.dumps(before).encode())
        requests = AdaptedRequests(book)
        requests.add(OutgoingRequest("p", "m", "https", "p.example", 443, document), TargetTraits())
        return requests

    refused = request()
    assert json.loads(refused.at(0).request.body) == before
    [finding] = refused.amend(0, make_error(status=400, message=message))
    assert finding.code == "T301"
    assert json.loads(refused.at(0).request.body) == after
    refused.accepted(0)
    assert json.loads(request().at(0).request.body) == after


def test_every_trait_names_rules_and_a_field_that_exist() -> None:
    names = {rule.code: rule.name for rule in catalogue()}
    for trait in LEARNABLE_TRAITS.values():
        assert trait.rules or trait.field
        assert MESSAGE_CODES.issuperset(trait.rules)
        if len(trait.rules) == 1 and not trait.field:
            assert trait.name == names[trait.rules[0]]
        if trait.field:
            assert hasattr(MessageTraits(), trait.field) or hasattr(TargetTraits(), trait.field)


def test_a_later_lesson_replaces_the_argument_of_an_earlier_one() -> None:
    first, second = (
        Lesson("trait", f"token-limit-name={name}")
        for name in ("max_completion_tokens", "max_tokens")
    )
    assert with_lessons(TargetTraits(), [first]).messages.rules == {"Q203"}
    taught = with_lessons(TargetTraits(), [first, second]).messages
    assert taught.token_limit_name == "max_tokens"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("nothing", "there is no trait 'nothing'"),
        ("token-limit-name", "expected token-limit-name=ARGUMENT"),
        ("token-limit-name=a b", "expected token-limit-name=ARGUMENT"),
        ("system-in-messages=1", "has no argument"),
    ],
)
def test_an_invalid_trait_changes_nothing(value: str, problem: str) -> None:
    assert problem in trait_problem(value)
    assert with_trait(TargetTraits(), value) == TargetTraits()
