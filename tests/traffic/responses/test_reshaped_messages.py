"""Tests that the official SDK reads Anthropic streams that gateways reshape, through the proxy.

The provider sends streams of the corpus, event by event. What the SDK assembles is compared with
the content of the repaired stream beside each.
"""

from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import pytest
from sdk.transcript import CORPUS, Transcript, read_anthropic
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.conftest import ATTEMPTS
from traffic.proxy import Proxy
from traffic.responses.corpus_plays import events_in, play, repaired_in

FOLDER = CORPUS / "anthropic_messages"

events_of = partial(events_in, FOLDER)
repaired = partial(repaired_in, FOLDER)

COMPLETED = [
    "broken/tool-goes-on-after-its-stop",
    "broken/tool-goes-on-after-its-stop-and-a-text-block",
    "broken/tool-stopped-before-its-input",
    "broken/two-tools-stopped-inside-their-input",
    "broken/text-goes-on-after-its-stop",
    "broken/usage-inside-text",
    "broken/usage-inside-tool-input",
    "broken/usage-before-the-blocks",
    "broken/usage-after-the-stop-reason",
    "broken/stop-reason-before-the-blocks",
    "broken/input-in-block-start",
    "broken/input-as-text-in-block-start",
    "broken/text-in-block-start",
    "broken/message-with-a-call-in-message-start",
    "broken/signature-after-its-block",
    "broken/signature-inside-the-next-block",
    "broken/message-in-the-event-itself",
    "broken/delta-text-under-another-name",
    "broken/events-in-an-envelope",
    "broken/stop-reason-safety",
    "clean/programmatic-call-in-message-start",
    "clean/stop-reason-refusal",
    "clean/stop-reason-model-context-window-exceeded",
]
CUT_BY_THE_LIMIT = ["clean/max-tokens-inside-a-tool", "broken/length-inside-a-tool"]
FAILED = {
    "broken/stop-reason-inside-text-then-the-end": "before its stop reason",
    "broken/stop-reason-then-half-a-call": "before its stop reason",
    "broken/thinking-alone-without-a-stop-reason": "thinking alone",
    "broken/stop-reason-abort": "'abort'",
    "broken/stop-reason-malformed-function-call": "'MALFORMED_FUNCTION_CALL'",
    "broken/tool-json-truncated-at-stop": "inside its JSON",
    "broken/delta-text-not-found": "not found",
}


def read_message(**options: Any) -> anthropic.types.Message:
    """Make a streaming call with the SDK; return the message that it assembles."""
    with (
        anthropic.Anthropic(max_retries=0, timeout=20.0) as client,
        client.messages.stream(
            model=good.MODELS[good.ANTHROPIC],
            max_tokens=64,
            messages=[{"role": "user", "content": "Hello"}],
            **options,
        ) as events,
    ):
        return events.get_final_message()


def transcript_of(message: anthropic.types.Message) -> Transcript:
    transcript = Transcript(reason=message.stop_reason)
    for block in message.content:
        if block.type == "text":
            transcript.text += block.text
        elif block.type == "thinking":
            transcript.reasoning += block.thinking
        elif block.type == "tool_use":
            transcript.calls.append((block.name, block.input))
    return transcript


@pytest.mark.parametrize("name", COMPLETED)
def test_the_sdk_reads_the_whole_answer_at_the_first_attempt(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    play(provider, events_of(name))
    assert transcript_of(read_message()) == read_anthropic(repaired(name))
    assert len(provider.received) == 1


@pytest.mark.parametrize("name", CUT_BY_THE_LIMIT)
def test_a_call_that_the_output_limit_cuts_is_not_asked_for_again(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    play(provider, events_of(name))
    assert read_message().stop_reason == "max_tokens"
    assert len(provider.received) == 1


@pytest.mark.parametrize(("name", "words"), FAILED.items(), ids=FAILED)
def test_the_sdk_raises_the_error_of_an_answer_that_is_not_whole(
    proxy: Proxy, provider: ScriptedProvider, name: str, words: str
) -> None:
    play(provider, events_of(name))
    with pytest.raises(anthropic.APIError, match=words):
        read_message()
    assert 1 <= len(provider.received) <= ATTEMPTS


def test_a_reset_behind_content_that_followed_the_stop_reason_is_an_error(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    events = events_of("broken/stop-reason-inside-text-then-the-end")
    reset = Reply("reset", (faults.head(), faults.chunks(events), faults.reset))
    provider.script([reset])
    with pytest.raises(anthropic.APIError):
        read_message()


def test_the_final_counts_and_the_stop_reason_both_arrive(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    play(provider, events_of("broken/usage-after-the-stop-reason"))
    message = read_message()
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 42)


def test_a_late_signature_is_in_its_thinking_block(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    play(provider, events_of("broken/signature-after-its-block"))
    blocks = read_message().content
    assert [block.type for block in blocks] == ["thinking", "text"]
    assert blocks[0].type == "thinking"
    assert blocks[0].signature == "EqQBCgIYAhIM"


@pytest.mark.long
def test_a_stop_reason_without_its_end_arrives_and_the_stream_is_completed(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    """The proxy has to act without a further byte of the provider."""
    events = [*good.text_stream(good.ANTHROPIC).events][:-1]
    provider.script([Reply("stalls", (faults.head(), faults.chunks(events), faults.stall))])
    assert read_message().stop_reason == "end_turn"


def test_an_error_in_a_stream_keeps_the_fields_of_the_provider(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    error = (
        b'data: {"error":{"type":"invalid_request_error","code":"tool_use_failed",'
        b'"message":"m","failed_generation":"<f>"}}\n\n'
    )
    play(provider, [events_of("clean/text")[0], error])
    with pytest.raises(anthropic.BadRequestError) as raised:
        read_message()
    body: Any = raised.value.body
    assert body["error"]["failed_generation"] == "<f>"


def test_a_message_in_an_envelope_is_a_message(proxy: Proxy, provider: ScriptedProvider) -> None:
    body = b'{"success":true,"data":%s}' % good.json_body(good.ANTHROPIC)
    provider.script([faults.whole(body)])
    with anthropic.Anthropic(max_retries=0, timeout=20.0) as client:
        message = client.messages.create(
            model=good.MODELS[good.ANTHROPIC],
            max_tokens=64,
            messages=[{"role": "user", "content": "Hello"}],
        )
    assert transcript_of(message).text == good.TEXT


def test_every_stream_exists() -> None:
    names = [*COMPLETED, *CUT_BY_THE_LIMIT, *FAILED]
    assert all(Path(FOLDER / f"{name}.sse").is_file() for name in names)
