"""Targets that have another protocol than the client: addresses, headers, refusals."""

from typing import Any

import orjson
import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.responses import RESPONSES
from wiremend.routing.providers import ProviderAddress
from wiremend.routing.translation import RoutedRequest, route

SECRET = "sk-client-secret"
HEADERS = (
    ("host", "api.anthropic.com"),
    ("content-type", "application/json"),
    ("accept", "application/json"),
    ("user-agent", "claude-cli/2.0"),
    ("x-api-key", SECRET),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "context-1m"),
    ("x-stainless-lang", "js"),
    ("cookie", SECRET),
)
BODY = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def routed(
    base_url: str,
    protocol: WireProtocol,
    body: dict[str, Any] = BODY,
    *,
    stream: bool = False,
    raw: bytes | None = None,
) -> RoutedRequest:
    content = orjson.dumps({**body, "stream": stream}) if raw is None else raw
    document = RequestDocument.of(ANTHROPIC, "/v1/messages?beta=true", content, HEADERS)
    own = OutgoingRequest("own", "claude-x", "https", "api.anthropic.com", 443, document)
    there = ProviderAddress("there", base_url, "key-there", protocols=(("*", protocol),))
    [target] = route(own, model="m-1", provider="there", fallback=[], providers={"there": there})
    return target


SESSION = "x-opencode-session"


def session(
    text: str = "Hi",
    *more: str,
    host: str = "opencode.ai",
    protocol: WireProtocol = WireProtocol.CHAT_COMPLETIONS,
    received: dict[str, str] | None = None,
    configured: dict[str, str] | None = None,
) -> str | None:
    """The header with the session, of a request with these messages to a provider at `host`."""
    roles = ["user", "assistant"] * 5
    messages = [
        {"role": role, "content": one} for role, one in zip(roles, [text, *more], strict=False)
    ]
    headers = (*HEADERS, *(received or {}).items())
    content = orjson.dumps({**BODY, "messages": messages})
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", content, headers)
    own = OutgoingRequest("own", "claude-x", "https", "api.anthropic.com", 443, document)
    url = f"https://{host}/zen/go/v1"
    there = ProviderAddress("there", url, headers=configured or {}, protocols=(("*", protocol),))
    [target] = route(own, model="m", provider="there", fallback=[], providers={"there": there})
    values = [value for name, value in target.request.headers if name.lower() == SESSION]
    assert len(values) <= 1
    return values[0] if values else None


@pytest.mark.parametrize(
    "protocol", [WireProtocol.CHAT_COMPLETIONS, WireProtocol.ANTHROPIC_MESSAGES]
)
def test_a_provider_that_requires_a_session_gets_the_same_one_in_each_turn(
    protocol: WireProtocol,
) -> None:
    first = session("Hi", protocol=protocol)
    assert first is not None
    assert session("Hi", "Hello.", "More.", protocol=protocol) == first
    assert session("Other.", protocol=protocol) != first
    client = {"x-claude-code-session-id": "5b1c"}
    named = session("Hi", protocol=protocol, received=client)
    assert session("Compacted.", protocol=protocol, received=client) == named != first


def test_the_session_of_the_client_or_the_configuration_is_kept() -> None:
    assert session(received={"X-OpenCode-Session": "ses_1"}) == "ses_1"
    assert session(configured={"X-Opencode-Session": "mine"}) == "mine"
    assert session(host="a.example", received={SESSION: "ses_1"}) is None
    assert session(host="a.example") is None


CHAT, GEMINI = WireProtocol.CHAT_COMPLETIONS, WireProtocol.GEMINI


@pytest.mark.parametrize(
    ("base_url", "protocol", "stream", "path"),
    [
        ("https://a.example", CHAT, False, "/v1/chat/completions"),
        ("https://a.example/v1", CHAT, True, "/v1/chat/completions"),
        ("https://api.z.ai/api/paas/v4", CHAT, True, "/api/paas/v4/chat/completions"),
        ("https://a.example/zen/go/", CHAT, True, "/zen/go/v1/chat/completions"),
        ("https://a.example", WireProtocol.RESPONSES, True, "/v1/responses"),
        ("https://a.example", GEMINI, False, "/v1beta/models/m-1:generateContent"),
        (
            "https://a.example/v1beta",
            GEMINI,
            True,
            "/v1beta/models/m-1:streamGenerateContent?alt=sse",
        ),
    ],
)
def test_the_path_is_that_of_the_providers_protocol(
    base_url: str, protocol: WireProtocol, stream: bool, path: str
) -> None:
    target = routed(base_url, protocol, stream=stream)
    assert not target.is_refused
    assert target.request.path == path
    assert target.request.document.protocol.name is protocol


def test_only_headers_that_describe_the_message_are_sent() -> None:
    request = routed("https://a.example", CHAT).request
    assert dict(request.headers) == {
        "host": "a.example",
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "claude-cli/2.0",
        "authorization": "Bearer key-there",
    }


def test_the_protocol_is_that_of_the_first_glob_that_matches() -> None:
    globs = (("MiniMax-*", WireProtocol.ANTHROPIC_MESSAGES), ("kimi*", CHAT))
    address = ProviderAddress("p", "https://a.example", protocols=globs)
    assert address.protocol_for("minimax-m3") is WireProtocol.ANTHROPIC_MESSAGES
    assert address.protocol_for("kimi-k3") is CHAT
    assert address.protocol_for("glm") is None


def test_a_request_in_the_protocol_of_the_provider_keeps_its_bytes() -> None:
    raw = b'{ "model":"m-1",  "max_tokens": 9}'
    target = routed("https://a.example", ANTHROPIC.name, raw=raw)
    assert target.translated is None
    assert target.request.body == raw
    assert target.request.path == "/v1/messages?beta=true"


def test_a_request_that_is_not_a_json_object_is_refused() -> None:
    target = routed("https://a.example", CHAT, raw=b"[]")
    assert target.is_refused
    assert target.translated is not None
    assert target.translated.refusal is not None
    assert target.translated.refusal.status == 400


def test_a_target_that_cannot_carry_the_request_is_refused_alone() -> None:
    body = orjson.dumps({"model": "gpt", "input": "Hi", "previous_response_id": "resp_1"})
    document = RequestDocument.of(RESPONSES, "/v1/responses", body)
    own = OutgoingRequest("own", "gpt", "https", "api.openai.com", 443, document)
    providers = {
        "a": ProviderAddress("a", "https://a.example", "k", protocols=(("*", CHAT),)),
        "r": ProviderAddress("r", "https://r.example", "k"),
    }
    targets = route(own, model="m", provider="a", fallback=["r/gpt"], providers=providers)
    assert [target.is_refused for target in targets] == [True, False]
    assert targets[1].request.host == "r.example"
