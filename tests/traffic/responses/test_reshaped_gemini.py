"""Tests that google-genai reads Gemini streams that gateways reshape, through the proxy.

The provider sends streams of the corpus, event by event. What the SDK assembles is compared with
the content of the repaired stream beside each.
"""

import json
from functools import partial
from typing import Any

import pytest
from google import genai
from google.genai import errors
from sdk.transcript import CORPUS, Transcript, read_gemini
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import Http1Call
from traffic.conftest import ATTEMPTS
from traffic.proxy import Proxy
from traffic.responses.corpus_plays import events_in, play, repaired_in

FOLDER = CORPUS / "gemini"

events_of = partial(events_in, FOLDER)
repaired = partial(repaired_in, FOLDER)

COMPLETED = [
    "clean/code-execution-stop-on-the-code",
    "clean/code-execution-stop-on-the-code-without-usage",
    "clean/early-finish-then-another",
    "clean/stop-in-every-event",
    "clean/unexpected-tool-call",
    "clean/malformed-function-call",
    "clean/safety-stop",
    "broken/args-cut-at-max-tokens",
    "broken/arguments-instead-of-args",
    "broken/candidate-left-out",
    "broken/content-text",
    "broken/events-without-blank-line",
    "broken/final-call-repeated-after-metadata",
    "broken/final-event-repeated",
    "broken/final-event-repeated-without-counts",
    "broken/parts-as-text",
    "broken/response-in-envelope",
    "broken/response-in-envelope-as-text",
    "broken/snake-case-names",
    "broken/text-in-a-candidate",
    "broken/usage-counts-null",
]
FAILED = {
    "broken/args-cut-before-the-stop": "broken JSON text",
    "broken/code-execution-cut-after-the-code": "before the result of its code",
    "broken/code-execution-cut-after-the-result": "before its finish reason",
    "broken/content-after-the-finish-then-cut": "before its finish reason",
    "broken/error-in-envelope": "Too many requests",
    "broken/error-in-wrapper": "overloaded",
    "broken/finish-reason-abort": "'abort'",
    "broken/finish-reason-network-error": "'NETWORK_ERROR'",
    "broken/thoughts-without-finish-reason": "before its finish reason",
}


def read_stream() -> tuple[Transcript, list[Any]]:
    """Make a streaming call with the SDK; return what it reads, and its responses."""
    transcript, responses = Transcript(), []
    with genai.Client(http_options={"timeout": 20_000}) as client:
        for response in client.models.generate_content_stream(
            model=good.MODELS[good.GEMINI], contents="Hello"
        ):
            responses.append(response)
            for candidate in response.candidates or ():
                for part in (candidate.content and candidate.content.parts) or ():
                    if part.text is not None:
                        if part.thought:
                            transcript.reasoning += part.text
                        else:
                            transcript.text += part.text
                    if part.function_call is not None:
                        call = part.function_call
                        transcript.calls.append((str(call.name), call.args or {}))
                if candidate.finish_reason is not None:
                    transcript.reason = candidate.finish_reason.value
    return transcript, responses


@pytest.mark.parametrize("name", COMPLETED)
def test_the_sdk_reads_the_whole_answer_at_the_first_attempt(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    play(provider, events_of(name))
    assert read_stream()[0] == read_gemini(repaired(name))
    assert len(provider.received) == 1


@pytest.mark.parametrize(("name", "words"), FAILED.items(), ids=FAILED)
def test_the_sdk_raises_the_error_of_an_answer_that_is_not_whole(
    proxy: Proxy, provider: ScriptedProvider, name: str, words: str
) -> None:
    play(provider, events_of(name))
    with pytest.raises(errors.APIError, match=words):
        read_stream()
    assert 1 <= len(provider.received) <= ATTEMPTS


@pytest.mark.parametrize(
    "name",
    [
        "broken/content-after-the-finish-then-cut",
        "broken/code-execution-cut-after-the-code",
        "broken/code-execution-cut-after-the-result",
        "clean/stop-in-every-event",
    ],
)
def test_a_reset_behind_a_stop_that_is_not_the_last_one_is_an_error(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    events = events_of(name)[:3]
    provider.script([Reply("reset", (faults.head(), faults.chunks(events), faults.reset))])
    with pytest.raises(errors.APIError):
        read_stream()


def test_a_reset_behind_the_last_stop_is_not_an_error(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    events = events_of("clean/code-execution-stop-on-the-code")
    provider.script([Reply("reset", (faults.head(), faults.chunks(events), faults.reset))])
    assert read_stream()[0].text == "It is 42."


def test_null_counts_are_numbers(proxy: Proxy, provider: ScriptedProvider) -> None:
    play(provider, events_of("broken/usage-counts-null"))
    usage = read_stream()[1][-1].usage_metadata
    assert (usage.candidates_token_count, usage.thoughts_token_count) == (2, 0)


def test_an_error_in_a_stream_keeps_the_fields_of_the_provider(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    play(provider, events_of("broken/error-with-own-fields"))
    with pytest.raises(errors.APIError) as raised:
        read_stream()
    details: Any = raised.value.details
    assert details["error"]["failed_generation"] == "<function=a>"


@pytest.mark.parametrize("key", ["data", "result", "response"])
def test_a_response_in_an_envelope_is_a_response(
    proxy: Proxy, provider: ScriptedProvider, key: str
) -> None:
    body = b'{"success":true,"%s":%s}' % (key.encode(), good.json_body(good.GEMINI))
    provider.script([faults.whole(body)])
    with genai.Client(http_options={"timeout": 20_000}) as client:
        response = client.models.generate_content(model=good.MODELS[good.GEMINI], contents="Hello")
    assert response.text == good.TEXT


@pytest.mark.parametrize(
    "query", ["%24alt=json%3Benum-encoding%3Dint", "$alt=json;enum-encoding=int"]
)
def test_numbers_that_the_client_asked_for_keep_their_bytes(
    proxy: Proxy, provider: ScriptedProvider, query: str
) -> None:
    body = (
        b'{\n  "candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": 1}],\n'
        b'  "usageMetadata": {"trafficType": 1}\n}\n'
    )
    provider.script([faults.whole(body)])
    request = json.dumps(good.request_body(good.GEMINI, False)).encode()
    with Http1Call(proxy, good.HOSTS[good.GEMINI]) as call:
        path = f"{good.PATHS[good.GEMINI, False]}?{query}"
        call.send("POST", path, {"content-type": "application/json"}, request)
        response = call.response()
    assert (response.status, response.body) == (200, body)
    assert len(provider.received) == 1


def stream_array(proxy: Proxy, provider: ScriptedProvider, body: bytes, query: str) -> bytes:
    """Make a streaming call without `alt=sse`; return the body of the response."""
    middle = len(body) // 2
    parts = (faults.chunks([body[:middle], body[middle:]]), faults.end)
    provider.script([Reply("array", (faults.head(200, faults.JSON), *parts))])
    path = good.PATHS[good.GEMINI, True].partition("?")[0]
    request = json.dumps(good.request_body(good.GEMINI, True)).encode()
    with Http1Call(proxy, good.HOSTS[good.GEMINI]) as call:
        call.send("POST", f"{path}?{query}", {"content-type": "application/json"}, request)
        response = call.response()
    assert response.status == 200
    return response.body


def test_an_array_with_numbers_keeps_its_bytes(proxy: Proxy, provider: ScriptedProvider) -> None:
    body = (FOLDER / "clean/array-code-execution-stop-on-the-code.json").read_bytes()
    numbered = body.replace(b'"STOP"', b"1")
    assert stream_array(proxy, provider, numbered, "$alt=json;enum-encoding=int") == numbered


@pytest.mark.parametrize(
    "name",
    [
        "array-code-execution-cut-after-the-code",
        "array-content-after-the-finish-then-cut",
        "array-not-closed-after-an-early-stop",
    ],
)
def test_an_array_that_is_not_whole_ends_in_an_error(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    path = FOLDER / "broken" / f"{name}.json"
    expected = path.with_suffix(".mended.json").read_bytes()
    assert stream_array(proxy, provider, path.read_bytes(), "alt=json") == expected


def test_every_stream_exists() -> None:
    names = [*COMPLETED, *FAILED]
    assert all((FOLDER / f"{name}.sse").is_file() for name in names)
