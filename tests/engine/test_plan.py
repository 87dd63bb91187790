"""Tests of planning a call, each step with and without its feature."""

from dataclasses import FrozenInstanceError, replace

import orjson
import pytest
from wiremend.engine.call import AcknowledgedCall, Call
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.health import ProviderHealth
from wiremend.engine.plan import STEPS, make_machine, plan_acknowledgement, plan_call
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Feature, Heartbeat, Knowledge, Settings, Timeouts
from wiremend.engine.unrepaired.fire_and_forget import Acknowledgement
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import Headers, OutgoingRequest, RequestDocument
from wiremend.protocols.base.middle.state import Origin, State, seal
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.routing.fire_and_forget import FireAndForget
from wiremend.routing.match import Route
from wiremend.routing.providers import ProviderAddress

EVERYTHING = frozenset(Feature)
TOOL = {"name": "now", "input_schema": {}}
BODY = orjson.dumps({"model": "claude-haiku-4-5", "stream": True, "tools": [TOOL]})
HEADERS = (
    ("content-type", "application/json"),
    ("accept-encoding", "gzip, br"),
    ("x-api-key", "sk-client"),
)


def received_with(headers: Headers) -> OutgoingRequest:
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", BODY, headers)
    return OutgoingRequest("api.anthropic.com", "", "https", "api.anthropic.com", 443, document)


RECEIVED = received_with(HEADERS)
GO = ProviderAddress("go", "https://opencode.ai/zen/go", api_key="sk-go")
SETTINGS = Settings(
    timeouts=Timeouts(connect=1.0),
    heartbeat=Heartbeat(after=2.0),
    retry=RetryPolicy(attempts=3),
    routes=(Route("claude-haiku-*", model="kimi-k3", provider="go", fallback=("glm-5",)),),
    providers={"go": GO},
    stream_codes=frozenset({"S101"}),
    disabled=frozenset({"T999"}),
)


def planned(
    *features: Feature,
    received: OutgoingRequest = RECEIVED,
    settings: Settings = SETTINGS,
    knowledge: Knowledge | None = None,
) -> Call:
    call = plan_call(received, set(features), settings, knowledge or Knowledge())
    assert isinstance(call, Call)
    return call


def accepted_codings(request: OutgoingRequest) -> list[str]:
    return [value for name, value in request.headers if name == "accept-encoding"]


def test_a_call_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        planned(Feature.REPAIR).streaming = False  # type: ignore[misc]


@pytest.mark.parametrize("features", [set(), {Feature.ACKNOWLEDGE}])
def test_a_call_without_features_is_not_planned(features: set[Feature]) -> None:
    assert plan_call(RECEIVED, features, SETTINGS, Knowledge()) is None


def test_features_that_are_not_requested_change_nothing() -> None:
    call = planned(Feature.RAISE)
    assert call.raise_errors
    assert call.requests == (replace(RECEIVED, model="claude-haiku-4-5"),)
    assert call.retry.attempts == 1
    assert call.timeouts == Timeouts()
    assert call.heartbeat.after == 0
    assert call.context.disabled == {"S101", "T999"}
    assert (call.adapted, call.findings, call.refusal) == (None, (), None)
    assert [(target.provider, target.model, target.health) for target in call.targets] == [
        ("api.anthropic.com", "claude-haiku-4-5", None)
    ]


@pytest.mark.parametrize(
    ("feature", "attempts", "connect", "after", "disabled"),
    [
        (Feature.REPAIR, 1, 1.0, 2.0, {"T999"}),
        (Feature.RETRY, 3, 1.0, 0.0, {"T999", "S101"}),
        (Feature.ROUTE, 1, Timeouts().connect, 0.0, {"T999", "S101"}),
    ],
)
def test_each_feature_sets_up_its_part_of_the_response(
    feature: Feature, attempts: int, connect: float, after: float, disabled: set[str]
) -> None:
    call = planned(feature)
    assert call.retry.attempts == attempts
    assert call.timeouts.connect == connect
    assert call.heartbeat.after == after
    assert call.context.disabled == disabled


def test_targets_are_chosen_by_the_first_route_that_matches() -> None:
    call = planned(Feature.ROUTE)
    assert [(request.provider, request.model, request.host) for request in call.requests] == [
        ("go", "kimi-k3", "opencode.ai"),
        ("go", "glm-5", "opencode.ai"),
    ]
    assert orjson.loads(call.requests[1].body)["model"] == "glm-5"
    assert "sk-client" not in str([request.headers for request in call.requests])
    assert call.context.shown_model == "claude-haiku-4-5"
    assert [finding.code for finding in call.findings] == ["M001", "M002"]


def test_a_route_to_the_same_model_changes_nothing() -> None:
    same = Route("claude-*", model="claude-haiku-4-5", stream="buffered")
    call = planned(Feature.ROUTE, Feature.RAISE, settings=replace(SETTINGS, routes=(same,)))
    assert call.requests[0].body is RECEIVED.body
    assert call.context.shown_model is None
    assert call.showing == "buffered"


def test_a_route_is_ignored_if_its_rule_is_disabled() -> None:
    settings = replace(SETTINGS, disabled=frozenset({"M001"}))
    call = planned(Feature.ROUTE, Feature.RAISE, settings=settings)
    assert call.requests[0].host == "api.anthropic.com"


@pytest.mark.parametrize(
    "routes",
    [
        (),
        (Route("gpt-*", model="kimi-k3"),),
        (Route("*", stream="guarded"),),
        (Route("*", model="claude-haiku-4-5"),),
    ],
)
def test_a_call_that_no_route_changes_is_not_planned_for_routing_alone(
    routes: tuple[Route, ...],
) -> None:
    """Its response would be read, and a broken one ended in another way, without repair."""
    settings = replace(SETTINGS, routes=routes)
    assert plan_call(RECEIVED, {Feature.ROUTE}, settings, Knowledge()) is None
    assert plan_call(RECEIVED, {Feature.ROUTE, Feature.RAISE}, settings, Knowledge()) is not None


def test_a_web_page_gets_no_configured_key() -> None:
    page = received_with((*HEADERS, ("origin", "https://page.example")))
    call = planned(*EVERYTHING, received=page)
    assert call.refusal is not None
    assert call.refusal.head.status == 403
    assert call.requests[0].host == "api.anthropic.com"
    allowed = replace(SETTINGS, origins=frozenset({"https://page.example"}))
    assert planned(*EVERYTHING, received=page, settings=allowed).refusal is None


@pytest.mark.parametrize("features", [{Feature.REPAIR}, {Feature.REPAIR, Feature.ROUTE}])
def test_every_target_gets_accept_encoding_identity(features: set[Feature]) -> None:
    call = planned(*features)
    assert [accepted_codings(request) for request in call.requests] == [["identity"]] * len(
        call.requests
    )


def test_a_request_without_accept_encoding_stays_without_it() -> None:
    bare = received_with((("content-type", "application/json"),))
    call = planned(Feature.REPAIR, received=bare)
    assert call.requests[0].headers is bare.headers


def test_each_request_is_adapted_to_its_target() -> None:
    call = planned(Feature.ADAPT, Feature.ROUTE)
    for target, request in enumerate(call.requests):
        sent = orjson.loads(call.request_for(target).body)
        assert sent["tools"][0]["input_schema"]["type"] == "object"
        assert sent["model"] == request.model
    assert "T102" in [finding.code for finding in call.findings]


def test_an_adapted_request_keeps_the_headers_of_earlier_steps() -> None:
    call = planned(Feature.ADAPT, Feature.REPAIR)
    assert accepted_codings(call.request_for(0)) == ["identity"]


def test_targets_have_health_when_calls_are_retried() -> None:
    knowledge = Knowledge(health=ProviderHealth())
    call = planned(Feature.RETRY, Feature.ROUTE, knowledge=knowledge)
    assert [target.model for target in call.targets] == ["kimi-k3", "glm-5"]
    assert all(target.health is not None for target in call.targets)


def test_a_call_with_all_features_is_changed_by_every_step() -> None:
    """If a step were missing, one of these assertions would fail."""
    call = planned(*EVERYTHING)
    assert call.retry.attempts == 3
    assert call.requests[0].provider == "go"
    assert accepted_codings(call.requests[0]) == ["identity"]
    assert call.adapted is not None
    assert call.targets[0].health is not None
    assert len(STEPS) == 3


def test_a_call_is_translated_for_a_provider_of_another_protocol() -> None:
    chat = replace(GO, protocols=(("*", WireProtocol.CHAT_COMPLETIONS),))
    settings = replace(SETTINGS, providers={"go": chat})
    call = planned(Feature.ROUTE, received=answerable(), settings=settings)
    assert call.protocol is ANTHROPIC
    assert call.raise_errors
    translation = call.targets[0].translation
    assert translation is not None
    assert translation.provider is CHAT
    assert call.context_at(0).tool_names == ("now",)
    assert call.context_at(0).disabled == {"T999"}
    assert call.requests[0].path == "/zen/go/v1/chat/completions"


def test_a_target_that_cannot_carry_a_call_is_skipped() -> None:
    """Its fallback does not need a translation."""
    chat = ProviderAddress("c", "https://c.example", protocols=(("*", CHAT.name),))
    route = Route("*", model="k", provider="c", fallback=("go/claude",))
    settings = replace(SETTINGS, routes=(route,), providers={"c": chat, "go": GO})
    call = planned(Feature.ROUTE, received=answerable(mcp_servers=[{}]), settings=settings)
    assert [request.provider for request in call.requests] == ["go"]
    assert call.targets[0].translation is None
    assert "X100" in [finding.code for finding in call.findings]
    alone = replace(settings, routes=(replace(route, fallback=()),))
    call = planned(Feature.ROUTE, received=answerable(mcp_servers=[{}]), settings=alone)
    assert call.refusal is not None
    assert call.refusal.head.status == 400
    assert b"mcp_servers" in call.refusal.body


def test_the_state_of_a_translated_provider_is_not_sent_to_another() -> None:
    """Also not when the configuration no longer contains that provider."""
    state = State(Origin(CHAT.name, "c.example", "k"), {"x": 1})
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": seal(state)}
    said = {"role": "assistant", "content": [thinking, {"type": "text", "text": "Hi"}]}
    received = answerable(said)
    settings = replace(SETTINGS, routes=(), providers={})
    [request] = planned(Feature.ROUTE, Feature.RAISE, received=received, settings=settings).requests
    assert b"Hm." not in request.body
    assert b'"text":"Hi"' in request.body


def answerable(*said: object, **more: object) -> OutgoingRequest:
    """A request with a message from the user, and then these."""
    asked = {**orjson.loads(BODY), "max_tokens": 9, **more}
    messages = [{"role": "user", "content": "Hi"}, *said]
    body = orjson.dumps({**asked, "messages": messages})
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", body, HEADERS)
    return replace(RECEIVED, document=document)


def test_a_fire_and_forget_request_is_acknowledged() -> None:
    settings = replace(
        SETTINGS, fire_and_forget=FireAndForget(["/*/prompt_async"]), ack_after_seconds=7.0
    )
    request = ("POST", "/session/prompt_async", "host")
    call = plan_acknowledgement(*request, {Feature.ACKNOWLEDGE}, settings)
    assert call == AcknowledgedCall("host", 7.0, settings.timeouts.answer)
    assert plan_acknowledgement(*request, {Feature.REPAIR}, settings) is None
    assert plan_acknowledgement("GET", *request[1:], {Feature.ACKNOWLEDGE}, settings) is None
    machine = make_machine(call, random=lambda: 0.0, wall_clock=lambda: 0.0)
    assert isinstance(machine, Acknowledgement)


def test_a_model_call_gets_a_call_machine() -> None:
    machine = make_machine(planned(Feature.REPAIR), random=lambda: 0.0, wall_clock=lambda: 0.0)
    assert isinstance(machine, CallMachine)


@pytest.mark.parametrize(
    ("is_configured", "body", "expected"),
    [
        (True, {"tools": [TOOL], "messages": [{"role": "user", "content": "x"}]}, True),
        (False, {"tools": [TOOL], "messages": [{"role": "user", "content": "x"}]}, False),
        (True, {"messages": [{"role": "user", "content": "x"}]}, False),
        (
            True,
            {
                "tools": [TOOL],
                "messages": [{"role": "user", "content": [{"type": "tool_result"}]}],
            },
            False,
        ),
    ],
)
def test_a_silent_call_is_asked_again_only_if_configured_and_not_behind_a_result(
    is_configured: bool, body: dict[str, object], expected: bool
) -> None:
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", orjson.dumps(body), HEADERS)
    received = replace(RECEIVED, document=document)
    settings = replace(SETTINGS, retry=RetryPolicy(silent_stop=is_configured))
    assert planned(Feature.RETRY, received=received, settings=settings).asks_again_at(0) is expected
    assert not planned(Feature.REPAIR, received=received, settings=settings).asks_again_at(0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"stream":true}', True),
        (b'{"stream":false}', True),
        (b'{"stream":null}', True),
        (b"{}", True),
        (b'{"stream":"true"}', False),
        (b'{"stream":1}', False),
        (b"not JSON", False),
        (b"", False),
    ],
)
def test_it_is_known_whether_the_client_expects_json(body: bytes, expected: bool) -> None:
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", body, HEADERS)
    call = planned(Feature.REPAIR, received=replace(RECEIVED, document=document))
    assert call.is_kind_known is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (":generateContent", True),
        (":generateContent?alt=sse", False),
        (":streamGenerateContent?alt=sse", True),
        (":streamGenerateContent", True),
    ],
)
def test_geminis_query_may_ask_for_events(path: str, expected: bool) -> None:
    document = RequestDocument.of(GEMINI, f"/v1beta/models/g{path}", b"{}", HEADERS)
    call = planned(Feature.REPAIR, received=replace(RECEIVED, document=document))
    assert call.is_kind_known is expected
