"""Tests that the official SDK reads Responses streams that gateways reshape, through the proxy.

The provider sends streams of the corpus, event by event. What the SDK assembles is compared with
the content of the repaired stream beside each.
"""

from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from sdk.transcript import CORPUS, Transcript, read_arguments, read_responses
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.conftest import ATTEMPTS
from traffic.proxy import Proxy
from traffic.responses.corpus_plays import events_in, repaired_in

FOLDER = CORPUS / "responses"

events_of = partial(events_in, FOLDER)
repaired = partial(repaired_in, FOLDER)
CODEX = {"originator": "codex_cli_rs"}
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": {}, "strict": False}

READ = [
    "broken/cut-call-then-incomplete",
    "broken/cut-call-then-completed-that-is-incomplete",
    "broken/cut-call-without-arguments-then-incomplete",
    "broken/cut-second-call-then-incomplete",
    "broken/completed-that-is-incomplete",
    "broken/completed-with-a-reason-why-it-is-incomplete",
    "broken/incomplete-with-the-status-completed",
    "broken/done-instead-of-completed",
    "broken/completed-inside-text-then-the-rest-and-another",
    "broken/completed-inside-arguments-then-the-rest",
    "broken/delta-repeated",
    "broken/last-events-repeated",
    "broken/last-delta-lost",
    "broken/last-delta-of-arguments-lost",
    "broken/part-never-done",
    "broken/response-in-the-event-itself",
    "broken/delta-under-the-name-text",
    "broken/item-in-the-event-itself",
    "broken/events-in-an-envelope",
    "broken/name-in-pieces",
    "broken/cut-inside-the-terminal-event",
    "broken/cut-after-a-final-answer",
    "clean/call-of-a-program",
    "clean/incomplete-before-the-arguments-of-a-call",
    "clean/openai-python-event-lines-missing",
    "clean/openai-python-mcp-list-tools-never-done",
]
FAILED = [
    "broken/cut-call-then-completed",
    "broken/cut-call-then-the-end",
    "broken/completed-inside-text-then-half-of-it",
    "broken/completed-with-the-status-abort",
    "broken/completed-with-the-status-cancelled",
    "broken/incomplete-because-of-abort",
    "broken/reasoning-then-done-marker",
    "broken/cut-between-parallel-calls",
    "broken/cut-between-a-message-and-a-call",
    "broken/cut-inside-the-next-item",
    "broken/cut-after-the-start-of-the-next-item",
    "broken/completed-missing-item-not-done",
]
FOR_CODEX = [
    "clean/codex-output-empty",
    "clean/codex-sequence-numbers-missing",
    "clean/codex-event-lines-missing",
    "clean/codex-response-id-changes",
    "clean/codex-content-index-from-1",
    "clean/codex-items-without-ids",
    "clean/codex-keepalive",
    "clean/codex-mcp-list-tools-never-done",
]


def read_stream() -> Transcript:
    """Make a streaming call with the SDK; return what it assembles."""
    transcript = Transcript()
    with (
        openai.OpenAI(max_retries=0, timeout=20.0) as client,
        client.responses.stream(
            model=good.MODELS[good.RESPONSES], input="Hello", tools=[TOOL]
        ) as events,
    ):
        for event in events:
            match event.type:
                case "response.output_text.delta":
                    transcript.text += event.delta
                case "response.reasoning_summary_text.delta":
                    transcript.reasoning += event.delta
                case "response.output_item.done" if event.item.type == "function_call":
                    arguments = read_arguments(event.item.arguments)
                    transcript.calls.append((event.item.name, arguments))
                case "response.completed" | "response.incomplete":
                    transcript.reason = event.response.status
                    details = event.response.incomplete_details
                    transcript.why_incomplete = details.reason if details else None
                case "response.failed" | "error":
                    transcript.failed = True
    return transcript


@pytest.mark.parametrize("name", READ)
def test_the_sdk_reads_the_answer_at_the_first_attempt(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    provider.script([faults.streamed(events_of(name))])
    assert read_stream() == read_responses(repaired(name))
    assert len(provider.received) == 1


@pytest.mark.parametrize("name", FAILED)
def test_an_answer_that_is_not_whole_is_an_error(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    provider.script([faults.streamed(events_of(name))])
    assert fails()
    assert 1 <= len(provider.received) <= ATTEMPTS


@pytest.mark.parametrize("name", ["cut-between-parallel-calls", "cut-before-a-compaction"])
def test_a_reset_between_items_is_an_error(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    events = events_of(f"broken/{name}")
    provider.script([Reply("reset", (faults.head(), faults.chunks(events), faults.reset))])
    assert fails()


@pytest.mark.parametrize("name", FOR_CODEX)
def test_codex_receives_the_bytes_of_the_provider(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    events = events_of(name)
    provider.script([faults.streamed(events)])
    assert post(CODEX, stream=True) == b"".join(events)


def test_an_early_end_is_released_if_no_event_follows(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    """The proxy has to act without a further byte of the provider."""
    events = events_of("broken/completed-inside-text-and-nothing-more")[:-1]
    provider.script([Reply("stalls", (faults.head(), faults.chunks(events), faults.stall))])
    assert read_stream().reason == "completed"


def test_an_envelope_around_a_response_is_removed(proxy: Proxy, provider: ScriptedProvider) -> None:
    body = b'{"success":true,"data":%s}' % good.json_body(good.RESPONSES)
    provider.script([faults.whole(body)])
    with openai.OpenAI(max_retries=0, timeout=20.0) as client:
        response = client.responses.create(model=good.MODELS[good.RESPONSES], input="Hello")
    assert response.output_text == good.TEXT


@pytest.mark.parametrize("status", ["abort", "cancelled", "network_error"])
def test_a_whole_response_with_a_bad_status_is_an_error(
    proxy: Proxy, provider: ScriptedProvider, status: str
) -> None:
    body = good.json_body(good.RESPONSES).replace(b'"completed"', b'"%s"' % status.encode(), 1)
    provider.script([faults.whole(body)])
    with (
        openai.OpenAI(max_retries=0, timeout=20.0) as client,
        pytest.raises(openai.APIStatusError, match=status),
    ):
        client.responses.create(model=good.MODELS[good.RESPONSES], input="Hello")


def fails() -> bool:
    """Make a streaming call; return whether the SDK raises, or reports a failed response."""
    try:
        return read_stream().failed
    except openai.APIError:
        return True


def post(headers: dict[str, str], **fields: Any) -> bytes:
    """Make a call with an HTTP client; return the body of the answer."""
    url = f"https://{good.HOSTS[good.RESPONSES]}/v1/responses"
    body = {"model": good.MODELS[good.RESPONSES], "input": "Hello", **fields}
    with httpx2.Client(timeout=20.0) as client:
        return client.post(url, json=body, headers=headers).raise_for_status().content


def test_every_stream_exists() -> None:
    assert all(Path(FOLDER / f"{name}.sse").is_file() for name in [*READ, *FAILED, *FOR_CODEX])
