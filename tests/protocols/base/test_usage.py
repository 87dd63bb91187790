"""Token counts are read from every protocol's responses into one form."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.usage import NAME_OF_COUNTS, Usage, UsageMeter
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES

TEXT = 'the text "usage": {"input_tokens": 99} and "usageMetadata": {"promptTokenCount": 99}'


def event(value: Any) -> bytes:
    return b"event: e\ndata: " + json.dumps(value).encode() + b"\n\n"


def body(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


START = {"input_tokens": 10, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 5}
CHAT_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
RESPONSES_USAGE = {
    "input_tokens": 20,
    "output_tokens": 9,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens_details": {"reasoning_tokens": 4},
}
GEMINI_USAGE = {
    "promptTokenCount": 20,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 4,
    "cachedContentTokenCount": 16,
}
ALL_COUNTS = Usage(input_tokens=20, output_tokens=9, cached_tokens=16, reasoning_tokens=4)
FROM_ANTHROPIC = Usage(input_tokens=215, output_tokens=7, cached_tokens=200, cache_write_tokens=5)

RESPONSES_OF: dict[str, tuple[Protocol, list[bytes], Usage | None]] = {
    "anthropic, at the start and at the end": (
        ANTHROPIC,
        [
            event({"type": "message_start", "message": {"usage": START | {"output_tokens": 1}}}),
            event({"type": "content_block_delta", "delta": {"text": TEXT}}),
            event({"type": "message_delta", "usage": {"output_tokens": 7}}),
        ],
        FROM_ANTHROPIC,
    ),
    "anthropic, all in one read": (
        ANTHROPIC,
        [
            event({"type": "message_start", "message": {"usage": START}})
            + event({"type": "message_delta", "usage": {"output_tokens": 7}})
        ],
        FROM_ANTHROPIC,
    ),
    "anthropic, counted again at the end": (
        ANTHROPIC,
        [
            event({"type": "message_start", "message": {"usage": {"input_tokens": 0}}}),
            event({"type": "message_delta", "usage": START | {"output_tokens": 7}}),
        ],
        FROM_ANTHROPIC,
    ),
    "anthropic, a whole message": (
        ANTHROPIC,
        [body({"content": [{"text": TEXT}], "usage": START | {"output_tokens": 7}})],
        FROM_ANTHROPIC,
    ),
    "chat, in the last chunk": (
        CHAT,
        [
            event({"choices": [{"delta": {"content": TEXT}}], "usage": None}),
            event({"choices": [], "usage": CHAT_USAGE}),
            b"data: [DONE]\n\n",
        ],
        ALL_COUNTS,
    ),
    "chat, in a choice": (CHAT, [event({"choices": [{"usage": CHAT_USAGE}]})], ALL_COUNTS),
    "chat, cached tokens under DeepSeek's name": (
        CHAT,
        [body({"usage": {"prompt_tokens": 20, "prompt_cache_hit_tokens": 16}})],
        Usage(input_tokens=20, cached_tokens=16),
    ),
    "responses, in the terminal event": (
        RESPONSES,
        [
            event({"type": "response.created", "response": {"usage": None}}),
            event({"type": "response.completed", "response": {"usage": RESPONSES_USAGE}}),
        ],
        ALL_COUNTS,
    ),
    "responses, a whole response": (RESPONSES, [body({"usage": RESPONSES_USAGE})], ALL_COUNTS),
    "gemini, in every event": (
        GEMINI,
        [
            event({"usageMetadata": {"promptTokenCount": 20, "thoughtsTokenCount": 1}}),
            event({"usageMetadata": {"promptTokenCount": 20, "thoughtsTokenCount": 2}}),
            event({"usageMetadata": GEMINI_USAGE}),
        ],
        ALL_COUNTS,
    ),
    "gemini, in an array": (
        GEMINI,
        [b"[" + body({"candidates": []}), b",\r\n" + body({"usageMetadata": GEMINI_USAGE}), b"]"],
        ALL_COUNTS,
    ),
    "gemini, for Code Assist": (
        GEMINI,
        [event({"response": {"usageMetadata": GEMINI_USAGE}})],
        ALL_COUNTS,
    ),
    "text alone": (GEMINI, [event({"candidates": [{"text": TEXT}]})], None),
    "no counts in it": (CHAT, [event({"usage": {"cost": 1}})], None),
    "counts of the wrong type": (
        CHAT,
        [event({"usage": {"prompt_tokens": -1, "completion_tokens": "9", "cached_tokens": True}})],
        None,
    ),
    "a count beyond 64 bits": (CHAT, [b'data: {"usage":{"prompt_tokens":1e300}}\n\n'], None),
    "a float without a fraction": (
        CHAT,
        [b'data: {"usage":{"prompt_tokens":3.0}}\n\n'],
        Usage(input_tokens=3),
    ),
    "half an event": (CHAT, [b'data: {"usage":{"prompt_tokens":3'], None),
}


@pytest.mark.parametrize(("protocol", "data", "usage"), RESPONSES_OF.values(), ids=RESPONSES_OF)
def test_counts_have_one_form(protocol: Protocol, data: list[bytes], usage: Usage | None) -> None:
    meter = UsageMeter(protocol.usage_format)
    for one in data:
        meter.feed(one)
    assert meter.usage == usage
    assert usage is None or any(NAME_OF_COUNTS in one for one in data)


def test_counts_that_were_asked_for_early_still_grow() -> None:
    meter = UsageMeter(ANTHROPIC.usage_format)
    meter.feed(event({"type": "message_start", "message": {"usage": START}}))
    assert meter.usage == Usage(input_tokens=215, cached_tokens=200, cache_write_tokens=5)
    meter.feed(event({"type": "message_delta", "usage": {"output_tokens": 7}}))
    assert meter.usage == FROM_ANTHROPIC


FORMS = {
    "LF": lambda stream: stream,
    "CR LF": lambda stream: stream.replace(b"\n", b"\r\n"),
    "CR": lambda stream: stream.replace(b"\n", b"\r"),
    "a byte order mark": lambda stream: b"\xef\xbb\xbf" + stream,
    "data on several lines": lambda stream: stream.replace(b'"delta"', b'\ndata: "delta"'),
    "no blank line at the end": lambda stream: stream.rstrip(b"\n"),
    "more blank lines": lambda stream: stream.replace(b"\n\n", b"\n\n\n\n\n"),
    "comments": lambda stream: stream.replace(b"\n\n", b"\n\n: usage\n\n"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_counts_are_found_in_any_form_of_a_stream(form: Callable[[bytes], bytes]) -> None:
    parts = [
        event({"type": "message_start", "message": {"usage": START}}),
        event({"type": "content_block_delta", "delta": {"text": TEXT}}),
        event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 7}}),
    ]
    meter = UsageMeter(ANTHROPIC.usage_format)
    meter.feed(form(b"".join(parts)))
    assert meter.usage == FROM_ANTHROPIC
