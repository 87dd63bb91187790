"""Learning from rejections: a request is refused, changed and accepted; the lesson is stored."""

import json
import tomllib
from typing import Any

import pytest
from wiremend.adapt.lessons import (
    AS_IS_SECONDS,
    LESSONS_LIMIT,
    Lesson,
    LessonBook,
    PlacedLesson,
    as_toml,
)
from wiremend.adapt.rejection_recovery import AdaptedRequests, AmendmentLimits
from wiremend.config.load import parse_config
from wiremend.config.model import LearntLesson
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import Finding
from wiremend.targets.registry import traits_of

ANTHROPIC = ANTHROPIC
REGEX = {"type": "object", "properties": {"a": {}}, "patternProperties": {"^(.*)$": {}}}
UNION = {"type": "object", "anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}]}
FINE = {"type": "object", "properties": {}}
BETA = (("anthropic-beta", "b-1,b-2"),)


def tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "input_schema": schema}


def request(*tools: dict[str, Any], **fields: Any) -> OutgoingRequest:
    body = json.dumps({"model": "m", "tools": tools, **fields}).encode()
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", body, BETA)
    return OutgoingRequest("p", "m", "https", "p.example", 443, document)


def sending(
    outgoing: OutgoingRequest,
    book: LessonBook | None = None,
    traits: TargetTraits = TargetTraits(),  # noqa: B008 - frozen
    **options: Any,
) -> AdaptedRequests:
    requests = AdaptedRequests(book or LessonBook(), **options)
    requests.add(outgoing, traits)
    return requests


def refuse(requests: AdaptedRequests, message: str, status: int = 400) -> list[Finding]:
    return requests.amend(0, make_error(status=status, message=message))


def sent_tools(requests: AdaptedRequests) -> list[Any]:
    tools: list[Any] = json.loads(requests.at(0).request.body)["tools"]
    return tools


def test_only_the_refused_tool_is_changed_and_the_lesson_is_stored() -> None:
    book = LessonBook()
    requests = sending(request(tool("x", UNION), tool("y", UNION)), book)
    assert sent_tools(requests) == [tool("x", UNION), tool("y", UNION)]
    [finding] = refuse(requests, "tools.1.custom.input_schema: input_schema does not support oneOf")
    assert (finding.code, finding.done) == (
        "T301",
        "sent once more: schema-dialect anthropic for tool 'y'",
    )
    [x, y] = sent_tools(requests)
    assert x == tool("x", UNION)
    assert y == tool("y", {"type": "object", "properties": {"a": {"type": "string"}}})
    assert book.learnt == ()
    assert requests.accepted(0) == (Lesson("schema-dialect", "anthropic", "y"),)
    assert requests.accepted(0) == ()
    later = sending(request(tool("z", UNION), tool("y", UNION)), book)
    assert [tool["input_schema"] == UNION for tool in sent_tools(later)] == [True, False]
    elsewhere = sending(request(tool("y", UNION)), book)
    assert elsewhere.at(0).request.provider == "p"


def test_a_lesson_applies_to_one_provider_and_model() -> None:
    book = LessonBook()
    book.learn("p", "m", [Lesson("field", "a")])
    assert book.of("p", "m") == (Lesson("field", "a"),)
    assert book.of("p", "other") == book.of("other", "m") == ()


def refused_schema(index: int) -> str:
    return f"tools.{index}.custom.input_schema: input_schema does not support oneOf"


def test_two_tools_with_the_same_fault_change_all_tools() -> None:
    book = LessonBook()
    tools = [tool(f"t{number}", UNION) for number in range(17)]
    requests = sending(request(*tools), book)
    refuse(requests, refused_schema(0))
    [finding] = refuse(requests, refused_schema(1))
    assert finding.done == "sent once more: schema-dialect anthropic"
    assert all(sent["input_schema"] != UNION for sent in sent_tools(requests))
    requests.accepted(0)
    assert all(sent["input_schema"] != UNION for sent in sent_tools(sending(request(*tools), book)))


def test_two_tools_in_one_rejection_change_all_tools() -> None:
    requests = sending(request(*(tool(f"t{number}", UNION) for number in range(3))))
    refuse(requests, refused_schema(0) + "; " + refused_schema(2))
    assert all(sent["input_schema"] != UNION for sent in sent_tools(requests))


def test_a_fault_that_the_provider_has_moved_past_is_stored_at_once() -> None:
    book = LessonBook()
    requests = sending(request(one=1, two=2, three=3), book)
    for number, name in enumerate(("one", "two", "three")):
        assert [placed.lesson.value for placed in book.learnt] == ["one", "two"][
            : max(0, number - 1)
        ]
        assert refuse(requests, f"{name}: Extra inputs are not permitted")
    assert refuse(requests, "overloaded", 529) == []
    assert [placed.lesson.value for placed in book.learnt] == ["one", "two"]
    assert b'"one"' not in sending(request(one=1), book).at(0).request.body
    assert [lesson.value for lesson in requests.accepted(0)] == ["one", "two", "three"]


def test_a_change_that_the_provider_refuses_again_is_not_stored() -> None:
    book = LessonBook()
    requests = sending(request(tool("x", UNION | REGEX), one=1), book)
    refuse(requests, refused_schema(0))
    refuse(requests, refused_schema(0))
    refuse(requests, "one: Extra inputs are not permitted")
    assert [placed.lesson for placed in book.learnt] == [Lesson("schema-dialect", "basic", "x")]


def test_several_fields_of_one_rejection_are_dropped_together() -> None:
    requests = sending(request(one=1, two=2, three=3))
    refuse(requests, "one: Extra inputs are not permitted\ntwo: Extra inputs are not permitted")
    assert json.loads(requests.at(0).request.body) == {"model": "m", "tools": [], "three": 3}


def test_the_number_of_changes_is_bounded_by_the_configuration() -> None:
    fields = {f"f{number}": number for number in range(50)}
    messages = [f"{name}: Extra inputs are not permitted" for name in fields]
    requests = sending(request(**fields))
    changes = [bool(refuse(requests, message)) for message in messages]
    assert sum(changes) == AmendmentLimits().count
    few = sending(request(**fields), limits=AmendmentLimits(count=2))
    assert [bool(refuse(few, message)) for message in messages[:3]] == [True, True, False]


def test_the_time_for_changes_is_bounded() -> None:
    requests = sending(request(one=1, two=2), limits=AmendmentLimits(elapsed_seconds=5.0))
    first, second = (
        make_error(status=400, message=f"{name}: Extra inputs are not permitted")
        for name in ("one", "two")
    )
    assert requests.amend(0, first, 5.0)
    assert requests.amend(0, second, 5.1) == []
    unlimited = sending(request(one=1), limits=AmendmentLimits(elapsed_seconds=0.0))
    assert unlimited.amend(0, first, 1e9)


SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [{"role": "user", "content": "Hello"}, SYSTEM]
UNREADABLE = "invalid params"


def test_tools_are_sent_unchanged_for_a_time_and_other_repairs_stay() -> None:
    now = 1000.0
    book = LessonBook(lambda: now)
    traits = traits_of(ANTHROPIC.name, "api.minimax.io", "MiniMax-M3")
    assert "Q109" in traits.messages.rules

    def sent(requests: AdaptedRequests) -> tuple[bool, bool]:
        body = json.loads(requests.at(0).request.body)
        return body["tools"] == [tool("x", {})], body["messages"] == TURNS

    requests = sending(request(tool("x", {}), messages=TURNS), book, traits)
    assert sent(requests) == (False, False)
    [finding] = refuse(requests, UNREADABLE)
    assert finding.done == "sent with the client's tools unchanged"
    assert sent(requests) == (True, False)
    assert requests.accepted(0) == (Lesson("as-is"),)
    assert sent(sending(request(tool("x", {}), messages=TURNS), book, traits)) == (True, False)
    now += AS_IS_SECONDS
    assert sent(sending(request(tool("x", {}), messages=TURNS), book, traits)) == (False, False)
    assert book.learnt == ()


def test_a_passing_rejection_of_a_repaired_message_teaches_nothing() -> None:
    book = LessonBook()
    traits = traits_of(ANTHROPIC.name, "api.minimax.io", "MiniMax-M3")
    requests = sending(request(messages=TURNS), book, traits)
    repaired = requests.at(0).request.body
    assert [finding.done for finding in refuse(requests, UNREADABLE)] == [
        "sent as the client wrote it"
    ]
    assert requests.accepted(0) == ()
    assert sending(request(messages=TURNS), book, traits).at(0).request.body == repaired


def test_after_unchanged_tools_are_refused_the_whole_request_is_sent_unchanged() -> None:
    traits = traits_of(ANTHROPIC.name, "api.minimax.io", "MiniMax-M3")
    requests = sending(request(tool("x", {}), messages=TURNS), traits=traits)
    assert [len(refuse(requests, UNREADABLE)) for _ in range(3)] == [1, 1, 0]
    assert requests.at(0).request.body == request(tool("x", {}), messages=TURNS).body
    assert requests.accepted(0) == ()


CLAUDE_CODES_BETAS = (
    "claude-code-20250219",
    "interleaved-thinking-2025-05-14",
    "thinking-binding-controls-2026-08-01",
    "effort-2025-11-24",
)


@pytest.mark.parametrize(
    "message",
    [
        "invalid beta flag",
        "Unsupported beta header",
        "The provided anthropic-beta header is not supported for this model.",
        "This beta feature is not available",
    ],
)
def test_betas_are_left_out_newest_first_until_the_provider_accepts(message: str) -> None:
    book = LessonBook()
    header = (("anthropic-beta", ",".join(CLAUDE_CODES_BETAS)),)

    def with_betas() -> OutgoingRequest:
        document = RequestDocument.of(ANTHROPIC, "/v1/messages", b'{"model":"m"}', header)
        return OutgoingRequest("p", "m", "https", "p.example", 443, document)

    requests = sending(with_betas(), book)
    for _ in range(2):
        assert refuse(requests, message)
    requests.accepted(0)
    kept = (("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14"),)
    assert requests.at(0).request.headers == kept
    assert sending(with_betas(), book).at(0).request.headers == kept
    assert refuse(requests, message)
    # Bedrock accepts it
    assert requests.at(0).request.headers == (("anthropic-beta", CLAUDE_CODES_BETAS[1]),)
    assert refuse(requests, message)
    assert requests.at(0).request.headers == ()
    assert refuse(requests, message) == []


def test_a_beta_that_the_message_names_is_left_out() -> None:
    requests = sending(request())
    assert refuse(requests, "invalid beta flag: b-1")
    assert requests.at(0).request.headers == (("anthropic-beta", "b-2"),)


def test_betas_in_the_body_are_left_out() -> None:
    document = RequestDocument.of(
        ANTHROPIC, "/v1/messages", b'{"model":"m","anthropic_beta":["b"]}'
    )
    requests = sending(OutgoingRequest("p", "m", "https", "p.example", 443, document))
    assert refuse(requests, "invalid beta flag")
    assert requests.at(0).request.body == b'{"model":"m"}'


def test_nothing_is_tried_twice() -> None:
    requests = sending(request(one=1))
    message = "one: Extra inputs are not permitted"
    assert refuse(requests, message)
    assert refuse(requests, message) == []


def test_a_schema_refused_although_in_its_dialect_is_converted_to_basic() -> None:
    requests = sending(
        request(tool("x", REGEX)), traits=traits_of(ANTHROPIC, "api.anthropic.com", "m")
    )
    message = "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft"
    [finding] = refuse(requests, message)
    assert finding.done == "sent once more: schema-dialect basic for tool 'x'"
    assert sent_tools(requests) == [tool("x", {"type": "object", "properties": {"a": {}}})]
    assert refuse(requests, message) == []  # the client's own request was refused already


def test_after_a_rejection_without_a_lesson_the_original_is_sent_once() -> None:
    book = LessonBook()
    requests = sending(request(tool("x", {})), book)
    assert sent_tools(requests) != [tool("x", {})]
    [finding] = refuse(requests, "the tools are not to my taste")
    assert (finding.code, sent_tools(requests)) == ("T302", [tool("x", {})])
    assert requests.accepted(0) == (Lesson("as-is"),)
    assert sent_tools(sending(request(tool("x", {})), book)) == [tool("x", {})]
    assert refuse(requests, "the tools are not to my taste") == []


def test_after_the_original_no_further_change_is_tried() -> None:
    requests = sending(request(tool("x", {}), tool("y", UNION)))
    refuse(requests, "no")
    assert (
        refuse(requests, "tools.1.custom.input_schema: input_schema does not support oneOf") == []
    )


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("prompt is too long: 203000 tokens > 200000 maximum", 400),
        ("Your credit balance is too low", 400),
        ("Invalid 'tools': array too long. Expected an array with maximum length 128", 400),
        ("no", 401),
        ("no", 500),
    ],
)
def test_the_original_is_not_sent_for_an_error_that_it_would_receive_too(
    message: str, status: int
) -> None:
    assert refuse(sending(request(tool("x", {}))), message, status) == []


def test_an_unchanged_request_that_is_refused_is_not_sent_again() -> None:
    assert refuse(sending(request(tool("x", FINE))), "no") == []


def test_lessons_about_headers_and_fields_are_learnt() -> None:
    book = LessonBook()
    requests = sending(request(context_management={}, messages=[]), book)
    refuse(requests, "Unexpected value(s) `b-1` for the `anthropic-beta` header.")
    assert requests.at(0).request.headers == (("anthropic-beta", "b-2"),)
    refuse(requests, "context_management: Extra inputs are not permitted")
    assert requests.at(0).request.headers == (("anthropic-beta", "b-2"),)
    assert b"context_management" not in requests.at(0).request.body
    assert requests.accepted(0) == (Lesson("beta", "b-1"), Lesson("field", "context_management"))


class RaisingSet(frozenset[str]):
    """Codes of disabled rules that make any rule fail."""

    def __contains__(self, code: object) -> bool:
        raise ValueError(code)

    def __or__(self, more: Any) -> Any:
        return self


def test_after_an_exception_in_a_pass_the_original_request_is_sent() -> None:
    outgoing = request(tool("x", UNION))
    requests = AdaptedRequests(disabled=RaisingSet())
    requests.add(outgoing, traits_of(ANTHROPIC, "api.anthropic.com", "m"))
    adapted = requests.at(0)
    assert adapted.request is outgoing
    assert [finding.code for finding in adapted.findings] == ["T305"]


@pytest.mark.parametrize("code", ["T301", "T302"])
def test_a_disabled_rule_learns_nothing(code: str) -> None:
    requests = sending(request(tool("x", {})), disabled={"T301", "T302"} - {code})
    findings = refuse(requests, "Unexpected value(s) `b-1` for the `anthropic-beta` header.")
    assert [finding.code for finding in findings] == [code]


def test_an_error_contains_the_clients_name_of_the_tool() -> None:
    requests = sending(
        request(tool("mcp__s__a.b", FINE)), traits=traits_of(ANTHROPIC, "api.anthropic.com", "m")
    )
    message = "tools.0.custom.input_schema: bad"
    expected = f'{message} (tools.0 is tool "mcp__s__a.b" (MCP server "s"))'
    assert requests.explain(0, message) == expected
    assert requests.explain(0, "overloaded") == "overloaded"
    off = sending(request(tool("x", FINE)), disabled={"E006"})
    assert off.explain(0, message) == message


def test_the_last_lesson_about_a_targets_tools_applies() -> None:
    book = LessonBook()
    book.learn("p", "m", [Lesson("schema-dialect", "basic", "x"), Lesson("field", "a")])
    book.learn("p", "m", [Lesson("as-is")])
    assert book.of("p", "m") == (Lesson("field", "a"), Lesson("as-is"))
    book.learn("p", "m", [Lesson("unique-names")])
    assert book.of("p", "m") == (Lesson("field", "a"), Lesson("unique-names"))


def test_the_number_of_lessons_is_limited() -> None:
    book = LessonBook()
    for number in range(LESSONS_LIMIT + 10):
        book.learn("p", "m", [Lesson("field", f"f{number}")])
    assert len(book.learnt) == LESSONS_LIMIT
    assert book.learnt[0].lesson.value == "f10"


LESSONS = [
    PlacedLesson(
        "api.kimi.com", "kimi-k3", Lesson("schema-dialect", "moonshot", 'a "b"\n\\ \x7f é')
    ),
    PlacedLesson("go", "*", Lesson("beta", "b-1")),
    PlacedLesson("go", "m[1m]", Lesson("unique-names")),
]


def test_lessons_are_written_as_configuration_and_read_again() -> None:
    text = as_toml(LESSONS)
    assert len(tomllib.loads(text)["lessons"]) == 3
    read = parse_config(text, "x", {}).lessons
    assert [
        PlacedLesson(entry.provider, entry.model, Lesson(entry.kind, entry.value, entry.tool))
        for entry in read
    ] == LESSONS
    assert as_toml([]) == ""


def test_configured_lessons_apply_and_can_be_replaced() -> None:
    book = LessonBook()
    book.configure(LESSONS)
    assert book.of("go", "anything") == (Lesson("beta", "b-1"),)
    assert book.of("go", "M[1m]") == (Lesson("beta", "b-1"),)
    assert book.of("go", "m[1m]") == (Lesson("beta", "b-1"), Lesson("unique-names"))
    assert book.learnt == ()
    book.configure(())
    assert book.of("go", "m[1m]") == ()


@pytest.mark.parametrize(
    ("lesson", "complaint"),
    [
        ({"kind": "schema-dialect", "value": "gemni"}, "did you mean 'gemini'"),
        ({"kind": "tool-names", "value": "x"}, "expected one of"),
        ({"kind": "field"}, "is required for the kind 'field'"),
        ({"kind": "other"}, "schema-dialect"),
    ],
)
def test_an_invalid_lesson_is_refused(lesson: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        LearntLesson.model_validate({"provider": "p", **lesson})
