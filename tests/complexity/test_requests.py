"""The time to plan and adapt a request grows linearly, whatever is repeated in it."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from wiremend.adapt.lessons import Lesson
from wiremend.adapt.passes import adapt_request
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.adapt.rejections import OfferedTools, explanation, read_rejection
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.catalogue import catalogue
from wiremend.config.routes import When
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.tools import value_at
from wiremend.protocols.base.traits import CallIdLimit, FieldChanges, MessageTraits, TargetTraits
from wiremend.protocols.registry import PROTOCOLS, read_request
from wiremend.repair.tool_names import restore_tool_names
from wiremend.routing.model_name import requested_model, rewrite_model
from wiremend.routing.shape import CallShape
from wiremend.routing.token_counts import estimated_answer, rewrite_counted_model
from wiremend.rules.rule import Notes

from complexity.amplify import LISTS, MOST_LISTS, SCALARS
from complexity.growth import Sizes, Work, assert_linear
from complexity.requests import PATHS, Sample, samples

pytestmark = pytest.mark.complexity

STRICT = TargetTraits(
    dialect="openai",
    names=NameLimit(first="a-zA-Z_", others="a-zA-Z0-9_-", length=64),
    unique_names=True,
    strip_custom_type=True,
    refused_betas=("x-*",),
    messages=MessageTraits(
        rules=frozenset(rule.code for rule in catalogue()),
        call_ids=CallIdLimit(characters="a-zA-Z0-9", longest=9, exact=True),
        max_output_tokens=8000,
        efforts=("low", "high"),
        thinking_type="adaptive",
        max_thinking_budget=1024,
        max_images=2,
        max_image_bytes=8,
        refused_images=("messages.0.content.0",),
    ),
    refused_fields=(
        "context_management",
        "messages.*.content.*.cache_control",
        "input.*.content.*.text",
        "contents.*.parts.*.thoughtSignature",
    ),
    changes=(
        FieldChanges(
            rename={"messages.*.content.*.text": "messages.*.content.*.words"},
            drop=("input.*.id", "tools.*"),
            set={"messages.*.role": "user", "contents.*.parts.*": {"thought": True}},
        ),
    ),
)
"""A target that refuses everything, so that every pass runs."""
SIZES = Sizes(first=128, last=1 << 13, seconds=0.1)
SAMPLES = samples()
ALL_PARTS = [sample for sample in SAMPLES if sample.name == "all-parts"]


def request_of(protocol: WireProtocol, body: bytes) -> OutgoingRequest:
    document = RequestDocument.of(PROTOCOLS[protocol], PATHS[protocol], body)
    return OutgoingRequest(
        provider="p", model="m", scheme="https", host="h", port=443, document=document
    )


def adapting(sample: Sample, variant: str, traits: TargetTraits) -> Any:
    change = (LISTS | SCALARS)[variant]

    def prepare(size: int) -> Work:
        body = change(sample.body, size)
        return lambda: adapt_request(request_of(sample.protocol, body), traits)

    return prepare


@pytest.mark.parametrize("variant", MOST_LISTS)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_the_examples_of_rules_with_many_items(sample: Sample, variant: str) -> None:
    assert_linear(adapting(sample, variant, STRICT), SIZES)


@pytest.mark.parametrize("variant", LISTS)
@pytest.mark.parametrize("sample", ALL_PARTS, ids=str)
def test_requests_with_many_items(sample: Sample, variant: str) -> None:
    assert_linear(adapting(sample, variant, STRICT), SIZES)


@pytest.mark.parametrize("variant", SCALARS)
@pytest.mark.parametrize("sample", ALL_PARTS, ids=str)
def test_requests_with_large_values(sample: Sample, variant: str) -> None:
    assert_linear(adapting(sample, variant, STRICT), replace(SIZES, last=1 << 15))


@pytest.mark.parametrize("variant", ["lists-distinct", "inner-lists-distinct", "members"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_tools_of_every_dialect(dialect: str, variant: str) -> None:
    traits = replace(STRICT, dialect=dialect)
    assert_linear(adapting(ALL_PARTS[0], variant, traits), SIZES)


EVERY_CONDITION = When(
    background=False,
    has_images=False,
    input_tokens_over=0,
    subagent=False,
    thinking=False,
    web_search=False,
)


@pytest.mark.parametrize(
    "variant", ["lists-distinct", "inner-lists-same", "members", "strings-own"]
)
@pytest.mark.parametrize("sample", ALL_PARTS, ids=str)
def test_planning(sample: Sample, variant: str) -> None:
    change = (LISTS | SCALARS)[variant]

    def prepare(size: int) -> Work:
        body = change(sample.body, size)

        def work() -> None:
            document = request_of(sample.protocol, body).document
            read_request(document)
            EVERY_CONDITION.accepts(CallShape(document, streaming=True))
            requested_model(document)
            rewrite_model(document, "other", Notes())
            rewrite_counted_model(document, "other", Notes())
            if document.protocol.token_count is not None:
                estimated_answer(document)

        return work

    assert_linear(prepare, SIZES)


MESSAGES = {
    "many tools": lambda n: " ".join(f"tools.{i}.custom.input_schema: bad" for i in range(n)),
    "many declarations": lambda n: " ".join(
        f"tools[{i}].function_declarations[{i}].parameters: bad" for i in range(n)
    ),
    "many fields": lambda n: " ".join(
        f"messages.{i}.content.{i}.x{i}: Extra inputs are not permitted" for i in range(n)
    ),
    "many functions": lambda n: " ".join(
        f"Invalid schema for function 'a.b_{i}'" for i in range(n)
    ),
    "one letter": lambda n: "x" * n,
    "one pointer": lambda n: "tools.0" * n,
    "one field": lambda n: "x.y" * n,
    "one beta": lambda n: "Unexpected value(s) " * n,
    "one function": lambda n: "Invalid schema for function '" * n,
    "context": lambda n: "Invalid schema for function 'x': In context=(" * n,
    "more than": lambda n: "more than " + "1" * n,
    "space": lambda n: "try again in" + " " * n,
    "digits": lambda n: "try again in 1" + "1" * n,
    "JSON": lambda n: '{"error":{"message":"' + "x" * n + '"}}',
    "brackets": lambda n: "[" * n,
}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("sample", ALL_PARTS, ids=str)
def test_rejections(sample: Sample, message: str) -> None:
    """The number of tools and the length of the message grow together."""

    def prepare(size: int) -> Work:
        body = LISTS["inner-lists-distinct"](sample.body, size // 4)
        error = make_error(status=400, message=MESSAGES[message](size))
        renamed = adapt_request(request_of(sample.protocol, body), STRICT).request.document
        _ = renamed.fields

        def work() -> None:
            tools = OfferedTools(renamed)
            read_rejection(error, tools)
            explanation(error.message, tools)

        return work

    assert_linear(prepare, SIZES)


@pytest.mark.parametrize("sample", ALL_PARTS, ids=str)
def test_amending_and_explaining(sample: Sample) -> None:
    def prepare(size: int) -> Work:
        body = LISTS["lists-distinct"](sample.body, size)
        error = make_error(status=400, message=MESSAGES["many tools"](size))

        def work() -> None:
            requests = AdaptedRequests()
            requests.add(request_of(sample.protocol, body), TargetTraits())
            requests.at(0)
            requests.amend(0, error)
            requests.explain(0, error.message)
            requests.accepted(0)

        return work

    assert_linear(prepare, SIZES)


def test_many_lessons() -> None:
    def prepare(size: int) -> Work:
        body = LISTS["lists-distinct"](ALL_PARTS[0].body, size)
        lessons = [Lesson("schema-dialect", "basic", f"read_{i}") for i in range(size)]
        request = request_of(ALL_PARTS[0].protocol, body)
        return lambda: adapt_request(request, TargetTraits(), lessons)

    assert_linear(prepare, replace(SIZES, last=2048))


@pytest.mark.parametrize("escapes", [rb"\ud83d", rb"\udc00\ud83d", rb"\ud83d\ude00", rb"\\\\"])
def test_lone_surrogates(escapes: bytes) -> None:
    def prepare(size: int) -> Work:
        body = b'{"messages":[{"role":"user","content":"\\ud83d' + escapes * size + b'"}]}'
        return lambda: adapt_request(request_of(WireProtocol.CHAT_COMPLETIONS, body), STRICT)

    assert_linear(prepare, replace(SIZES, last=1 << 16))


def test_a_header_with_many_betas() -> None:
    def prepare(size: int) -> Work:
        betas = ",".join(f"x-{i}" for i in range(size))
        request = request_of(WireProtocol.ANTHROPIC_MESSAGES, b"{}")
        document = replace(request.document, headers=(("anthropic-beta", betas),))
        return lambda: adapt_request(replace(request, document=document), STRICT)

    assert_linear(prepare, replace(SIZES, last=1 << 16))


def test_restoring_many_tool_names() -> None:
    """The number of renamed tools and the length of the response grow together."""

    def prepare(size: int) -> Work:
        names = {f"tool_{i}_0123abcd": f"tool.{i}" for i in range(size)}
        calls = [{"type": "tool_use", "name": f"tool_{i}_0123abcd"} for i in range(size)]
        body, other = orjson.dumps({"content": calls}), orjson.dumps(["x"] * size)

        def work() -> None:
            restored = restore_tool_names(body, names)
            assert value_at(orjson.loads(restored), ("content", 0, "name")) == "tool.0"
            restore_tool_names(other, names)

        return work

    assert_linear(prepare, SIZES)


def test_events_without_renamed_tools() -> None:
    def prepare(size: int) -> Work:
        names = {f"tool_{i}_0123abcd": f"tool.{i}" for i in range(size)}

        def work() -> None:
            for _ in range(size):
                restore_tool_names(b'{"type":"ping"}', names)

        return work

    assert_linear(prepare, SIZES)
