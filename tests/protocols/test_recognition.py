"""Recognising calls by host, path, content type and body; each as a table."""

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.protocol import Protocol, RequestFacts
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import (
    is_websocket_upgrade,
    read_request,
    recognise,
)
from wiremend.protocols.responses import RESPONSES
from wiremend.targets.hosts import PROVIDER_HOSTS, InterceptedHosts

PROVIDERS = [
    "api.anthropic.com",
    "API.Anthropic.COM",
    "api.anthropic.com.",
    "api.anthropic.com:443",
    "api.openai.com",
    "eu.api.openai.com",
    "chatgpt.com",
    "generativelanguage.googleapis.com",
    "us-central1-aiplatform.googleapis.com",
    "aiplatform.googleapis.com",
    "cloudcode-pa.googleapis.com",
    "opencode.ai",
    "openrouter.ai",
    "api.moonshot.cn",
    "dashscope.aliyuncs.com",
    "dashscope-intl.aliyuncs.com",
    "coding-intl.dashscope.aliyuncs.com",
    "my-team.openai.azure.com",
    "my-team.services.ai.azure.com",
    "bedrock-runtime.eu-west-1.amazonaws.com",
    "api.individual.githubcopilot.com",
    "models.github.ai",
    "ollama.com",
    "api.together.ai",
    "hyper.charm.land",
    "api.cline.bot",
    "api.doubleword.ai",
    "api.avian.io",
    "api.ai21.com",
    "api.inference.crusoecloud.com",
    "us.inference.heroku.com",
    "gateway.pydantic.dev",
    "api.portkey.ai",
]
OTHER_HOSTS = [
    "",
    ".",
    "github.com",
    "api.github.com",
    "packages.example.com",
    "packages.example.org",
    "models.opencode.ai",
    "auth.openai.com",
    "ab.chatgpt.com",
    "statsig.anthropic.com",
    "storage.googleapis.com",
    "s3.eu-west-1.amazonaws.com",
    "oss.aliyuncs.com",
    "api.anthropic.com.evil.example",
    "evil-api.anthropic.com",
    "apixanthropic.com",
    "localhost",
    "127.0.0.1",
    "::1",
    "api.cloudflare.com",
    "team.snowflakecomputing.com",
    "adb-1.2.azuredatabricks.net",
    "registry.ollama.ai",
    "api.heroku.com",
    "charm.land",
]


@pytest.mark.parametrize("host", PROVIDERS)
def test_a_providers_host_is_intercepted(host: str) -> None:
    assert InterceptedHosts().matches(host)


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_any_other_host_is_not_intercepted(host: str) -> None:
    assert not InterceptedHosts().matches(host)


CONFIGURED = {
    "a host": ("llm.example.com", "llm.example.com"),
    "in another case": ("LLM.Example.com", "llm.EXAMPLE.com"),
    "a glob": ("*.example.com", "a.b.example.com"),
    "a glob for one character": ("10.0.0.?", "10.0.0.7"),
    "an address": ("127.0.0.1", "127.0.0.1:8080"),
    "an IPv6 address": ("::1", "::1"),
    "an IPv6 address in brackets with a port": ("::1", "[::1]:8080"),
    "everything": ("*", "github.com"),
}


@pytest.mark.parametrize(("glob", "host"), CONFIGURED.values(), ids=CONFIGURED.keys())
def test_configured_hosts_are_added(glob: str, host: str) -> None:
    assert not InterceptedHosts().matches(host)
    assert InterceptedHosts([glob]).matches(host)
    assert InterceptedHosts([glob]).matches("api.openai.com")


def test_a_glob_for_subdomains_does_not_match_the_domain() -> None:
    assert not InterceptedHosts(["*.example.com"]).matches("example.com")


def test_the_globs_are_unique_and_in_lower_case() -> None:
    assert len(set(PROVIDER_HOSTS)) == len(PROVIDER_HOSTS)
    assert all(glob == glob.lower() for glob in PROVIDER_HOSTS)
    globs = InterceptedHosts(["A.example", "a.example", "opencode.ai"]).globs
    assert globs == (*PROVIDER_HOSTS, "a.example")


CALLS = {
    "/v1/messages": ANTHROPIC,
    "/v1/messages?beta=true": ANTHROPIC,
    "/zen/go/v1/messages": ANTHROPIC,
    "/anthropic/v1/messages": ANTHROPIC,
    "/v1/chat/completions": CHAT,
    "/chat/completions": CHAT,
    "/api/v1/chat/completions": CHAT,
    "/api/paas/v4/chat/completions": CHAT,
    "/openai/deployments/gpt-5/chat/completions?api-version=2025-01-01": CHAT,
    "/v1/responses": RESPONSES,
    "/v1/responses/compact": RESPONSES,
    "/backend-api/codex/responses/compact": RESPONSES,
    "/responses": RESPONSES,
    "/backend-api/codex/responses": RESPONSES,
    "/openai/responses?api-version=preview": RESPONSES,
    "/client/v4/accounts/a1/ai/v1/chat/completions": CHAT,
    "/studio/v1/chat/completions": CHAT,
    "/proxy/anthropic/v1/messages": ANTHROPIC,
    "/serving-endpoints/chat/completions": CHAT,
    "/v1beta/models/gemini-3-pro:generateContent": GEMINI,
    "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse": GEMINI,
    "/v1beta/models/gemini-3-pro%3AgenerateContent": GEMINI,
    "/v1beta/tunedModels/mine:generateContent": GEMINI,
    "/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent": GEMINI,
    "/v1internal:streamGenerateContent?alt=sse": GEMINI,
}


@pytest.mark.parametrize(("path", "protocol"), CALLS.items())
def test_a_call_is_recognised_by_the_end_of_its_path(path: str, protocol: Protocol) -> None:
    assert recognise("POST", path, "application/json") is protocol


OTHER_PATHS = [
    "",
    "/",
    "*",
    "/v1/messages/count_tokens?beta=true",
    "/v1/messages/batches",
    "/v1/messages/batches/b1/results",
    "/messages",
    "/v2/messages",
    "/v1/messagesx",
    "/v1/completions",
    "/v1/chat/completions/c1",
    "/v1/chat/completions/c1/messages",
    "/v1/responses/r1",
    "/v1/responses/r1/cancel",
    "/v1/responses/compacted",
    "/v1/responses/input_tokens",
    "/v1/xresponses",
    "/v1/embeddings",
    "/v1/models",
    "/v1beta/models/gemini-3-pro",
    "/v1beta/models/gemini-3-pro:countTokens",
    "/v1beta/models/gemini-3-pro:batchGenerateContent",
    "/v1beta/models/gemini-3-pro:embedContent",
    "/v1/search?path=/v1/messages",
    "/backend-api/conversation",
    "/api/claude_code/settings",
    "/session/s1/prompt_async",
]


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_any_other_path_is_not_a_call(path: str) -> None:
    assert recognise("POST", path, "application/json") is None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "CONNECT", ""])
def test_only_a_post_is_a_call(method: str) -> None:
    assert recognise(method, "/v1/messages", "application/json") is None


CONTENT_TYPES = {
    "application/json": True,
    "Application/JSON": True,
    "application/json; charset=utf-8": True,
    "application/json;charset=UTF-8": True,
    "application/vnd.api+json": True,
    "": True,
    "multipart/form-data; boundary=x": False,
    "application/x-www-form-urlencoded": False,
    "text/plain": False,
    "application/jsonl": False,
    "text/html; note=application/json": False,
}


@pytest.mark.parametrize(("content_type", "is_call"), CONTENT_TYPES.items())
def test_a_call_has_json_as_content_type(content_type: str, is_call: bool) -> None:
    assert (recognise("POST", "/v1/messages", content_type) is not None) == is_call


def facts(model: str = "m", **others: object) -> RequestFacts:
    return RequestFacts(model=model, **others)  # type: ignore[arg-type]


def gemini_facts(model: str = "m", **others: object) -> RequestFacts:
    return facts(model, **{"in_wrapper": False, **others})


SSE = "/v1beta/models/m:streamGenerateContent?alt=sse"
ARRAY = "/v1beta/models/m:streamGenerateContent"
WHOLE = "/v1beta/models/m:generateContent"
REQUESTS = {
    "stream: true": (ANTHROPIC, "/", b'{"model":"m","stream":true}', facts(streaming=True)),
    "stream: false": (CHAT, "/", b'{"model":"m","stream":false}', facts()),
    "stream is missing": (RESPONSES, "/", b'{"model":"m"}', facts()),
    "stream as text": (CHAT, "/", b'{"model":"m","stream":"true"}', facts()),
    "stream as a number": (CHAT, "/", b'{"model":"m","stream":1}', facts()),
    "white space and other keys": (
        CHAT,
        "/",
        b' {\n "metadata" : {"model":"x"},\t"model" : "m" }\r\n',
        facts(),
    ),
    "no model": (RESPONSES, "/", b"{}", facts("")),
    "a model that is a number": (CHAT, "/", b'{"model":5}', facts("")),
    "Anthropic's tools": (
        ANTHROPIC,
        "/",
        b'{"model":"m","tools":[{"name":"a","input_schema":{}},{"name":"b"}]}',
        facts(tool_names=("a", "b")),
    ),
    "Chat's tools, custom ones and old functions": (
        CHAT,
        "/",
        b'{"model":"m","tools":[{"type":"function","function":{"name":"a"}},'
        b'{"type":"custom","custom":{"name":"b"}}],"functions":[{"name":"c"}]}',
        facts(tool_names=("a", "b", "c")),
    ),
    "the tools of Responses, built in, custom and in a namespace": (
        RESPONSES,
        "/",
        b'{"model":"m","tools":[{"type":"function","name":"a"},{"type":"web_search"},'
        b'{"type":"custom","name":"b"},{"type":"namespace","name":"n","tools":'
        b'[{"type":"function","name":"c"}]}]}',
        facts(tool_names=("a", "b", "n", "c")),
    ),
    "invalid tools": (
        CHAT,
        "/",
        b'{"model":"m","tools":[null,1,"x",[],{},{"function":{"name":5}},{"name":""}]}',
        facts(),
    ),
    "tools as an object": (CHAT, "/", b'{"model":"m","tools":{"name":"a"}}', facts()),
    "Gemini as events": (GEMINI, SSE, b"{}", gemini_facts(streaming=True)),
    "Gemini as one array": (GEMINI, ARRAY, b"{}", gemini_facts(streaming=True, array=True)),
    "Gemini as one array, with alt=json": (
        GEMINI,
        ARRAY + "?alt=json&key=k",
        b"{}",
        gemini_facts(streaming=True, array=True),
    ),
    "Gemini whole": (GEMINI, WHOLE, b"{}", gemini_facts()),
    "Gemini whole, with alt=sse": (GEMINI, WHOLE + "?alt=sse", b"{}", gemini_facts()),
    "Gemini's stream member is ignored": (GEMINI, WHOLE, b'{"stream":true}', gemini_facts()),
    "Gemini's model is the one in the path": (GEMINI, WHOLE, b'{"model":"x"}', gemini_facts()),
    "Gemini's model with an escaped character": (
        GEMINI,
        "/v1beta/models/a%40b%3AgenerateContent",
        b"{}",
        gemini_facts("a@b"),
    ),
    "Gemini's tuned model": (
        GEMINI,
        "/v1beta/tunedModels/x:generateContent",
        b"{}",
        gemini_facts("tunedModels/x"),
    ),
    "Gemini at Vertex": (
        GEMINI,
        "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
        b"{}",
        gemini_facts(),
    ),
    "Gemini's tools in both spellings": (
        GEMINI,
        WHOLE,
        b'{"tools":[{"functionDeclarations":[{"name":"a"},{"name":"b"}]},{"googleSearch":{}},'
        b'{"function_declarations":[{"name":"c"}]}]}',
        gemini_facts(tool_names=("a", "b", "c")),
    ),
    "Code Assist": (
        GEMINI,
        "/v1internal:streamGenerateContent?alt=sse",
        b'{"model":"m","request":{"tools":[{"functionDeclarations":[{"name":"a"}]}]}}',
        gemini_facts(in_wrapper=True, streaming=True, tool_names=("a",)),
    ),
}


@pytest.mark.parametrize(
    ("protocol", "path", "body", "expected"), REQUESTS.values(), ids=REQUESTS.keys()
)
def test_a_request_is_read(
    protocol: Protocol, path: str, body: bytes, expected: RequestFacts
) -> None:
    assert read_request(RequestDocument.of(protocol, path, body)) == expected


ODD_BODIES = {
    "a byte order mark": (b'\xef\xbb\xbf{"model":"m","stream":true}', "m"),
    "a lone surrogate in a text": (b'{"model":"m","stream":true,"system":"\\ud83d"}', "m"),
    "a lone surrogate in the model": (b'{"model":"m\\ud83d","stream":true}', ""),
}


@pytest.mark.parametrize(("body", "model"), ODD_BODIES.values(), ids=ODD_BODIES.keys())
@pytest.mark.parametrize("protocol", [ANTHROPIC, CHAT, RESPONSES])
def test_odd_bodies_are_read(protocol: Protocol, body: bytes, model: str) -> None:
    assert read_request(RequestDocument.of(protocol, "/", body)) == facts(model, streaming=True)


BAD_BODIES = {
    "nothing": b"",
    "half an object": b'{"model":"m","stream":true',
    "a list": b'[{"model":"m"}]',
    "a string": b'"m"',
    "null": b"null",
    "two objects": b'{"model":"m"}{"model":"m"}',
    "not UTF-8": b'{"model":"\xff"}',
    "compressed bytes": b"\x28\xb5\x2f\xfd\x00\x00",
    "deep lists": b"[" * 100_000,
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
@pytest.mark.parametrize("protocol", [ANTHROPIC, CHAT, RESPONSES])
def test_a_body_that_is_not_an_object_is_invalid(protocol: Protocol, body: bytes) -> None:
    assert read_request(RequestDocument.of(protocol, "/", body)) == facts("", valid=False)


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_the_path_of_a_request_with_an_invalid_gemini_body_is_read(body: bytes) -> None:
    assert read_request(RequestDocument.of(GEMINI, ARRAY, body)) == gemini_facts(
        streaming=True, array=True, valid=False
    )


WEBSOCKET = {"upgrade": "websocket", "connection": "Upgrade"}
UPGRADES = {
    "Codex": ("GET", "/v1/responses", WEBSOCKET, True),
    "Codex with an account": ("GET", "/backend-api/codex/responses", WEBSOCKET, True),
    "in another case": ("get", "/responses?x=1", {"Upgrade": "WebSocket"}, True),
    "no upgrade": ("GET", "/v1/responses", {}, False),
    "another upgrade": ("GET", "/v1/responses", {"upgrade": "h2c"}, False),
    "a call": ("POST", "/v1/responses", WEBSOCKET, False),
    "a stored response": ("GET", "/v1/responses/r1", WEBSOCKET, False),
    "speech": ("GET", "/v1/realtime?model=m", WEBSOCKET, False),
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"), UPGRADES.values(), ids=UPGRADES.keys()
)
def test_a_websocket_on_a_model_path_is_recognised(
    method: str, path: str, headers: dict[str, str], expected: bool
) -> None:
    assert is_websocket_upgrade(method, path, headers) is expected
