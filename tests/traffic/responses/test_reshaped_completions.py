"""Tests that the official SDK reads Chat Completions that gateways reshape, through the proxy.

The provider sends streams of the corpus, event by event. What the SDK assembles is compared with
the content of the repaired stream beside each.
"""

from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from sdk.transcript import CORPUS, Transcript, read_arguments, read_chat
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.conftest import ATTEMPTS
from traffic.proxy import Proxy
from traffic.responses.corpus_plays import events_in, play, repaired_in

FOLDER = CORPUS / "chat_completions"
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("a", "b", "get_weather", "get_time")
]

events_of = partial(events_in, FOLDER)
repaired = partial(repaired_in, FOLDER)

COMPLETED = [
    "broken/finish-reason-on-a-reasoning-chunk",
    "broken/finish-reason-then-text-and-done",
    "broken/finish-reason-then-a-keepalive-and-text",
    "broken/tool-calls-then-more-arguments",
    "broken/stop-then-a-late-call",
    "broken/finish-reasons-differ",
    "broken/call-name-in-pieces",
    "broken/call-name-in-pieces-with-ids",
    "broken/call-name-so-far",
    "broken/chunks-joined",
    "broken/usage-null",
    "broken/text-under-another-name",
    "broken/text-in-the-choice",
    "broken/delta-in-the-chunk",
    "broken/call-without-function",
    "broken/chunk-in-an-envelope",
    "broken/whole-message-after-its-deltas",
    "clean/finish-reason-repeated",
    "clean/finish-reason-beside-the-usage",
    "clean/signature-after-the-finish-reason",
]
CUT_BY_THE_LIMIT = ["clean/length-in-a-call-without-arguments", "broken/native-limit-in-a-call"]
FAILED = {
    "broken/finish-reason-then-half-a-text": "before its finish reason",
    "broken/stop-before-a-cut-call": "before its finish reason",
    "broken/reasoning-alone": "only reasoning",
    "broken/think-tags-alone": "only reasoning",
    "broken/finish-reason-abort": "'abort'",
    "broken/finish-reason-abort-in-a-call": "'abort'",
    "broken/finish-reason-insufficient-system-resource": "'insufficient_system_resource'",
}


def read_completion(**options: Any) -> Any:
    """Make a streaming call with the SDK; return the completion that it assembles."""
    with (
        openai.OpenAI(max_retries=0, timeout=20.0) as client,
        client.chat.completions.stream(
            model=good.MODELS[good.CHAT],
            messages=[{"role": "user", "content": "Hello"}],
            tools=TOOLS,
            **options,
        ) as events,
    ):
        try:
            return events.get_final_completion()
        except openai.LengthFinishReasonError:  # this SDK raises on `length`
            return events.current_completion_snapshot


def transcript_of(completion: Any) -> Transcript:
    [choice] = completion.choices
    message = choice.message
    transcript = Transcript(text=message.content or "", reason=choice.finish_reason)
    transcript.reasoning = getattr(message, "reasoning_content", None) or ""
    for call in message.tool_calls or ():
        transcript.calls.append((call.function.name, read_arguments(call.function.arguments)))
    return transcript


@pytest.mark.parametrize("name", COMPLETED)
def test_the_sdk_reads_the_whole_answer_at_the_first_attempt(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    play(provider, events_of(name))
    assert transcript_of(read_completion()) == read_chat(repaired(name))
    assert len(provider.received) == 1


@pytest.mark.parametrize("name", CUT_BY_THE_LIMIT)
def test_a_call_that_the_output_limit_cuts_is_not_asked_for_again(
    proxy: Proxy, provider: ScriptedProvider, name: str
) -> None:
    play(provider, events_of(name))
    assert read_completion().choices[0].finish_reason == "length"
    assert len(provider.received) == 1


@pytest.mark.parametrize(("name", "words"), FAILED.items(), ids=FAILED)
def test_the_sdk_raises_the_error_of_an_answer_that_is_not_whole(
    proxy: Proxy, provider: ScriptedProvider, name: str, words: str
) -> None:
    play(provider, events_of(name))
    with pytest.raises(openai.APIError, match=words):
        read_completion()
    assert 1 <= len(provider.received) <= ATTEMPTS


def test_a_reset_behind_content_that_followed_the_finish_reason_is_an_error(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    events = events_of("broken/finish-reason-then-half-a-text")
    reset = Reply("reset", (faults.head(), faults.chunks(events), faults.reset))
    provider.script([reset])
    with pytest.raises(openai.APIError):
        read_completion()


def test_reasoning_alone_is_asked_for_again_while_nothing_was_shown(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    alone = b"".join(events_of("broken/reasoning-alone"))
    whole = events_of("broken/finish-reason-on-a-reasoning-chunk")
    provider.script([faults.streamed([alone]), faults.streamed(whole)])
    assert transcript_of(read_completion()).text == "Hello, world."
    assert len(provider.received) == 2


@pytest.mark.long
def test_a_finish_reason_without_its_end_arrives_and_the_stream_is_completed(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    """The proxy has to act without a further byte of the provider."""
    events = [*good.text_stream(good.CHAT).events]
    finish = next(at for at, one in enumerate(events) if b'"stop"' in one)
    steps = (faults.head(), faults.chunks(events[: finish + 1]), faults.stall)
    provider.script([Reply("stalls", steps)])
    assert transcript_of(read_completion()).reason == "stop"


def test_a_forced_call_ends_in_stop(proxy: Proxy, provider: ScriptedProvider) -> None:
    play(provider, events_of("broken/stop-with-a-call"))
    forced = {"type": "function", "function": {"name": "get_weather"}}
    assert transcript_of(read_completion(tool_choice=forced)).reason == "stop"
    play(provider, events_of("broken/stop-with-a-call"))
    assert transcript_of(read_completion()).reason == "tool_calls"


def test_null_counts_are_numbers(proxy: Proxy, provider: ScriptedProvider) -> None:
    play(provider, events_of("broken/usage-null"))
    usage = read_completion().usage
    counts = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    assert counts == (9, 3, 12)


ERROR = (
    b'{"error":{"type":"invalid_request_error","code":"tool_use_failed","message":"m",'
    b'"failed_generation":"<f>"}}'
)


@pytest.mark.parametrize("streamed", [True, False])
def test_an_error_in_a_200_keeps_the_fields_of_the_provider(
    proxy: Proxy, provider: ScriptedProvider, streamed: bool
) -> None:
    if streamed:
        play(provider, [b"data: " + ERROR + b"\n\n"])
    else:
        provider.script([faults.whole(ERROR)])
    with (
        openai.OpenAI(max_retries=0, timeout=20.0) as client,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        client.chat.completions.create(
            model=good.MODELS[good.CHAT],
            messages=[{"role": "user", "content": "Hello"}],
            stream=streamed,
        )
    body: Any = raised.value.body
    assert body["failed_generation"] == "<f>"


def test_a_completion_in_an_envelope_is_one(proxy: Proxy, provider: ScriptedProvider) -> None:
    body = b'{"success":true,"data":%s}' % good.json_body(good.CHAT)
    provider.script([faults.whole(body)])
    with openai.OpenAI(max_retries=0, timeout=20.0) as client:
        completion = client.chat.completions.create(
            model=good.MODELS[good.CHAT], messages=[{"role": "user", "content": "Hello"}]
        )
    assert transcript_of(completion).text == good.TEXT


@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource"])
def test_a_whole_answer_that_reports_a_failure_is_an_error(
    proxy: Proxy, provider: ScriptedProvider, reason: str
) -> None:
    body = good.json_body(good.CHAT).replace(b'"stop"', b'"%s"' % reason.encode())
    provider.script([faults.whole(body)])
    with (
        openai.OpenAI(max_retries=0, timeout=20.0) as client,
        pytest.raises(openai.InternalServerError, match=reason),
    ):
        client.chat.completions.create(
            model=good.MODELS[good.CHAT], messages=[{"role": "user", "content": "Hello"}]
        )


def test_every_stream_exists() -> None:
    names = [*COMPLETED, *CUT_BY_THE_LIMIT, *FAILED]
    assert all(Path(FOLDER / f"{name}.sse").is_file() for name in names)
