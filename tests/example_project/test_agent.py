"""Traffic tests: recorded calls and a scripted provider, with and without faults."""

import pytest
from agent import ask

ANSWER = {"answer": "anthropic-messages"}
START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    },
}
WRONG_INDEX = {
    "events": [
        START,
        {"type": "content_block_start", "index": 3, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 3,
            "delta": {"type": "text_delta", "text": "It rains."},
        },
        {"type": "content_block_stop", "index": 3},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
}
"""A stream whose only content block has the index 3 instead of 0."""


def test_a_clean_call(wiremend, wiremend_provider):
    """Nothing was wrong with the request and the response."""
    wiremend_provider.script([ANSWER])
    assert ask("Say hello.").startswith("Hello")
    wiremend.assert_clean()
    wiremend.assert_no_failures()


@pytest.mark.wiremend(config="[retry]\nbackoff_initial = 0.01\n")
def test_a_broken_provider_is_repaired(wiremend, wiremend_provider):
    """The first response is a reset, the second one has wrong block indices."""
    wiremend_provider.script([{"events": [START], "ending": "reset"}, WRONG_INDEX])
    assert ask("How is the weather?") == "It rains."
    assert len(wiremend.attempts) == 2
    assert {finding.code for finding in wiremend.findings} == {"R002", "S105"}
    wiremend.assert_clean(ignore=["R002", "S105"])
    wiremend.assert_no_failures()


@pytest.mark.wiremend(cassette="weather.mitm")
def test_recorded_calls(wiremend):
    """The answers are those of the recording: a tool call, then text."""
    assert ask("How is the weather in Paris?") == "It rains in Paris, at 12 \u00b0C."
    wiremend.assert_clean()
    assert len(wiremend.calls) == 2


@pytest.mark.wiremend(
    cassette="weather.mitm",
    config="[retry]\nbackoff_initial = 0.01\n",
    faults={"kind": "reset", "at": "in-event", "after_events": 0, "call": 2},
)
def test_recorded_calls_from_a_provider_that_fails(wiremend):
    """The same calls; the connection of the second one breaks in its first event."""
    assert ask("How is the weather in Paris?").startswith("It rains in Paris")
    assert len(wiremend.attempts) == 3
    wiremend.assert_no_failures()
