"""The official Python SDKs' own stream accumulators read every clean and every repaired stream.

Each SDK is the real one; only its HTTP transport is ours. It answers as the proxy would: with the
file's bytes, repaired for the client that the request's headers show.
"""

from collections.abc import Callable, Mapping
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
    """The stream as the proxy sends it to this client."""
    context = StreamContext(client=client_of(headers))
    repair = stream_repair(protocol, context)
    return b"".join(one.data for one in [*repair.feed(stream), *repair.end()])


def http_client(protocol: Protocol, stream: bytes) -> httpx2.Client:
    """What the SDKs of Anthropic and OpenAI send their requests with."""

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
    said = Transcript(reason=message.stop_reason)
    for block in message.content:
        if block.type == "text":
            said.text += block.text
        elif block.type == "thinking":
            said.reasoning += block.thinking
        elif block.type == "tool_use":
            said.calls.append((block.name, block.input))
    return said


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
            # how this SDK says `length` and `content_filter`
            choice = events.current_completion_snapshot.choices[0]
    message = choice.message
    said = Transcript(text=message.content or "", reason=choice.finish_reason)
    said.refusal = message.refusal or ""
    said.reasoning = getattr(message, "reasoning_content", "")
    for call in message.tool_calls or ():
        said.calls.append((call.function.name, read_arguments(call.function.arguments)))
    return said


def with_openai_responses(stream: bytes) -> Transcript:
    transport = http_client(RESPONSES, stream)
    said = Transcript()
    with (
        openai.OpenAI(api_key="none", max_retries=0, http_client=transport) as client,
        client.responses.stream(model="gpt-5.1", input="Hello") as events,
    ):
        for event in events:
            match event.type:
                case "response.output_text.delta":
                    said.text += event.delta
                case "response.refusal.delta":
                    said.refusal += event.delta
                case "response.reasoning_summary_text.delta":
                    said.reasoning += event.delta
                case "response.output_item.done" if event.item.type == "function_call":
                    said.calls.append((event.item.name, read_arguments(event.item.arguments)))
                case "response.output_item.done" if event.item.type == "custom_tool_call":
                    said.calls.append((event.item.name, event.item.input))
                case "response.incomplete":
                    said.reason = event.response.status
                case "response.completed":
                    response = events.get_final_response()
                    said.reason = response.status
                    assert response.output_text == said.text
                case "response.failed" | "error":  # events as others: the SDK raises nothing
                    said.failed = True
    return said


def with_google_genai(stream: bytes) -> Transcript:
    def answer(request: google_http.Request) -> google_http.Response:
        body = as_sent(GEMINI, stream, request.headers)
        return google_http.Response(200, headers=HEAD, content=body)

    transport = google_http.Client(transport=google_http.MockTransport(answer))
    options = genai.types.HttpOptions(httpx_client=transport)
    said = Transcript()
    with genai.Client(api_key="none", http_options=options) as client:
        for chunk in client.models.generate_content_stream(model="gemini-3-pro", contents="Hello"):
            if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
                said.reason = chunk.prompt_feedback.block_reason.value
            for candidate in chunk.candidates or ():
                if not candidate.index:
                    _add_candidate(said, candidate)
    return said


def _add_candidate(said: Transcript, candidate: genai.types.Candidate) -> None:
    if candidate.finish_reason:
        said.reason = candidate.finish_reason.value
    for part in (candidate.content and candidate.content.parts) or ():
        if part.thought:
            said.reasoning += part.text or ""
        else:
            said.text += part.text or ""
        if part.function_call:
            said.calls.append((part.function_call.name, part.function_call.args))


SDKS: dict[str, tuple[str, Callable[[bytes], Transcript], type[Exception]]] = {
    "anthropic": ("anthropic_messages", with_anthropic, anthropic.APIError),
    "openai-chat": ("chat_completions", with_openai_chat, openai.APIError),
    "openai-responses": ("responses", with_openai_responses, openai.APIError),
    "google-genai": ("gemini", with_google_genai, genai_errors.APIError),
}
"""The folder of an SDK's streams, how it reads one, and how it reports the provider's error."""

KNOWN_REFUSALS: dict[tuple[str, str], tuple[type[Exception], str]] = {
    ("openai-chat", "clean/custom-tool-call"): (
        AttributeError,
        "`stream()` assembles no custom tools: it fails where it would log so",
    ),
    ("openai-responses", "clean/codex-backend-metadata"): (
        RuntimeError,
        "only Codex calls the backend that puts an event before `response.created`",
    ),
}
"""Legal streams that an SDK does not read, and that no rule could mend without loss."""

READ_OTHERWISE = {
    ("anthropic", "clean/max-tokens-inside-a-tool"): Transcript(
        calls=[("get_weather", {})], reason="max_tokens"
    ),
}
"""What an SDK makes of others: of arguments that are cut, the fields that are whole."""


def each(refused: bool) -> list[pytest.param]:
    return [
        pytest.param(sdk, path, id=f"{sdk}-{name_of(path)}")
        for sdk, (folder, _, _) in SDKS.items()
        for path in streams(folder)
        if ((sdk, name_of(path)) in KNOWN_REFUSALS) is refused
    ]


# python-genai and openai-python say so of names newer than themselves
@pytest.mark.filterwarnings("ignore:A_NEW_REASON is not a valid FinishReason:UserWarning")
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize(("sdk", "path"), each(refused=False))
def test_an_sdk_assembles_what_the_stream_says_or_raises_its_error(sdk: str, path: Path) -> None:
    folder, assemble, api_error = SDKS[sdk]
    stream = path.read_bytes()
    expected = READ_OTHERWISE.get((sdk, name_of(path))) or READERS[folder](stream)
    try:
        said = assemble(stream)
    except api_error:
        assert expected.failed
    else:
        assert said == expected


@pytest.mark.parametrize(("sdk", "path"), each(refused=True))
def test_a_known_refusal_is_still_one(sdk: str, path: Path) -> None:
    error, _ = KNOWN_REFUSALS[sdk, name_of(path)]
    with pytest.raises(error):
        SDKS[sdk][1](path.read_bytes())
