"""The stream accumulators of the official Python SDKs read every clean and every repaired stream.

The SDKs are real; only their HTTP transport is replaced. It responds like the proxy, with the
bytes of the file, repaired for the client in the request's headers.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from wiremend.clients import client_of
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.repair.stream import stream_repair

try:
    import httpx as google_http  # google-genai 2, on Python 3.12
except ImportError:
    import httpx2 as google_http  # google-genai 3

from .transcript import READERS, Transcript, name_of, read_arguments, streams

HEAD = {"content-type": "text/event-stream"}


def as_sent(protocol: Protocol, stream: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the stream as the proxy sends it to this client."""
    context = StreamContext(client=client_of(headers.items()))
    repair = stream_repair(protocol, context)
    return b"".join(item.data for item in [*repair.feed(stream), *repair.end()])


def http_client(protocol: Protocol, stream: bytes) -> httpx2.Client:
    """Return the HTTP client for the SDKs of Anthropic and OpenAI."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = as_sent(protocol, stream, request.headers)
        return httpx2.Response(200, headers=HEAD, content=body)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def with_anthropic(stream: bytes) -> Transcript:
    transport = http_client(ANTHROPIC, stream)
    with (
        anthropic.Anthropic(api_key="none", max_retries=0, http_client=transport) as client,
        client.messages.stream(
            model="claude-sonnet-4-5",
            max_tokens=64,
            messages=[{"role": "user", "content": "Hello"}],
        ) as events,
    ):
        message = events.get_final_message()
    transcript = Transcript(reason=message.stop_reason)
    for block in message.content:
        if block.type == "text":
            transcript.text += block.text
        elif block.type == "thinking":
            transcript.reasoning += block.thinking
        elif block.type == "tool_use":
            transcript.calls.append((block.name, block.input))
    return transcript


def with_openai_chat(stream: bytes) -> Transcript:
    transport = http_client(CHAT, stream)
    with (
        openai.OpenAI(api_key="none", max_retries=0, http_client=transport) as client,
        client.chat.completions.stream(
            model="gpt-5.1", messages=[{"role": "user", "content": "Hello"}]
        ) as events,
    ):
        try:
            choice = events.get_final_completion().choices[0]
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
            # this SDK raises on `length` and `content_filter`
            choice = events.current_completion_snapshot.choices[0]
    message = choice.message
    transcript = Transcript(text=message.content or "", reason=choice.finish_reason)
    transcript.refusal = message.refusal or ""
    transcript.reasoning = getattr(message, "reasoning_content", "")
    for call in message.tool_calls or ():
        transcript.calls.append((call.function.name, read_arguments(call.function.arguments)))
    return transcript


def with_openai_responses(stream: bytes) -> Transcript:
    transport = http_client(RESPONSES, stream)
    transcript = Transcript()
    with (
        openai.OpenAI(api_key="none", max_retries=0, http_client=transport) as client,
        client.responses.stream(model="gpt-5.1", input="Hello") as events,
    ):
        for event in events:
            match event.type:
                case "response.output_text.delta":
                    transcript.text += event.delta
                case "response.refusal.delta":
                    transcript.refusal += event.delta
                case "response.reasoning_summary_text.delta":
                    transcript.reasoning += event.delta
                case "response.output_item.done" if event.item.type == "function_call":
                    transcript.calls.append((event.item.name, read_arguments(event.item.arguments)))
                case "response.output_item.done" if event.item.type == "custom_tool_call":
                    transcript.calls.append((event.item.name, event.item.input))
                case "response.incomplete":
                    transcript.reason = event.response.status
                    details = event.response.incomplete_details
                    transcript.why_incomplete = details.reason if details else None
                case "response.completed":
                    response = events.get_final_response()
                    transcript.reason = response.status
                    assert response.output_text == transcript.text
                case "response.failed" | "error":  # ordinary events: the SDK does not raise
                    transcript.failed = True
    return transcript


def with_google_genai(stream: bytes) -> Transcript:
    def answer(request: google_http.Request) -> google_http.Response:
        body = as_sent(GEMINI, stream, request.headers)
        return google_http.Response(200, headers=HEAD, content=body)

    transport = google_http.Client(transport=google_http.MockTransport(answer))
    options = genai.types.HttpOptions(httpx_client=transport)
    transcript = Transcript()
    with genai.Client(api_key="none", http_options=options) as client:
        for chunk in client.models.generate_content_stream(model="gemini-3-pro", contents="Hello"):
            if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
                transcript.reason = chunk.prompt_feedback.block_reason.value
            for candidate in chunk.candidates or ():
                if not candidate.index:
                    _add_candidate(transcript, candidate)
    return transcript


def _add_candidate(transcript: Transcript, candidate: genai.types.Candidate) -> None:
    if candidate.finish_reason:
        transcript.reason = candidate.finish_reason.value
    for part in (candidate.content and candidate.content.parts) or ():
        if part.thought:
            transcript.reasoning += part.text or ""
        else:
            transcript.text += part.text or ""
        if part.function_call:
            transcript.calls.append((part.function_call.name, part.function_call.args))


SDKS: dict[str, tuple[str, Callable[[bytes], Transcript], type[Exception]]] = {
    "anthropic": ("anthropic_messages", with_anthropic, anthropic.APIError),
    "openai-chat": ("chat_completions", with_openai_chat, openai.APIError),
    "openai-responses": ("responses", with_openai_responses, openai.APIError),
    "google-genai": ("gemini", with_google_genai, genai_errors.APIError),
}
"""The folder of an SDK's streams, its reader, and its exception for errors of the provider."""

KNOWN_REFUSALS: dict[tuple[str, str], tuple[type[Exception], str]] = {
    ("openai-chat", "clean/custom-tool-call"): (
        AttributeError,
        "`stream()` does not support custom tools and fails on them",
    ),
    ("openai-responses", "clean/codex-backend-metadata"): (
        RuntimeError,
        "only Codex calls the backend that sends an event before `response.created`",
    ),
}
"""Legal streams that an SDK refuses, and that no rule could repair without loss."""

CUT = Transcript(calls=[("get_weather", {})], reason="max_tokens")
READ_OTHERWISE = {
    # `stream()` skips chunks with another `object`; Perplexity's clients tell its chunks by it.
    ("openai-chat", "clean/perplexity-done-object"): Transcript(text="Hello"),
    ("anthropic", "clean/max-tokens-inside-a-tool"): CUT,
    ("anthropic", "clean/max-tokens-inside-a-tool-then-empty-text"): CUT,
    ("anthropic", "clean/max-tokens-inside-two-tools"): replace(CUT, calls=CUT.calls * 2),
    ("anthropic", "broken/length-inside-a-tool"): CUT,
}
"""Streams that an SDK reads differently: of truncated arguments, it keeps the complete fields."""


def each(refused: bool) -> list[pytest.param]:
    return [
        pytest.param(sdk, path, id=f"{sdk}-{name_of(path)}")
        for sdk, (folder, _, _) in SDKS.items()
        for path in streams(folder)
        if ((sdk, name_of(path)) in KNOWN_REFUSALS) is refused
    ]


# python-genai and openai-python warn about names that they do not know
@pytest.mark.filterwarnings("ignore:A_NEW_REASON is not a valid FinishReason:UserWarning")
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize(("sdk", "path"), each(refused=False))
def test_an_sdk_assembles_the_content_or_raises_the_error(sdk: str, path: Path) -> None:
    folder, assemble, api_error = SDKS[sdk]
    stream = path.read_bytes()
    expected = READ_OTHERWISE.get((sdk, name_of(path))) or READERS[folder](stream)
    try:
        transcript = assemble(stream)
    except api_error:
        assert expected.failed
    else:
        assert transcript == expected


@pytest.mark.parametrize(("sdk", "path"), each(refused=True))
def test_known_refusals_are_current(sdk: str, path: Path) -> None:
    error, _ = KNOWN_REFUSALS[sdk, name_of(path)]
    with pytest.raises(error):
        SDKS[sdk][1](path.read_bytes())
