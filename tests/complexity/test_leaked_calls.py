"""The time to look for calls in the text of a response, and in the request, grows linearly."""

import json
from collections.abc import Callable

import pytest
from leaking import (
    BAR,
    LEAKS,
    ONE_OF_EACH,
    SCHEMAS,
    body_of,
    context_of,
    protocol_of,
    request_of,
    stream_of,
)
from wiremend.repair.body import repair_body
from wiremend.repair.stream import stream_repair
from wiremend.text.call_formats import FORMATS
from wiremend.text.call_scanner import CallScanner

from complexity.growth import Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

CHARACTERS = Sizes(first=1 << 12, last=1 << 20, seconds=0.1)
EVENTS = Sizes(first=256, last=1 << 13, seconds=0.1)
REPEATED = {
    "brackets": "<",
    "tags": "<tool_call>",
    "tags and space": "<tool_call>" + 900 * " ",
    "tags and names": "<tool_call>read",
    "beginnings": "<tool_call>read<arg_key>",
    "beginnings and ends": "<tool_call>read<arg_key></tool_call>",
    "functions": "<tool_call><function=read>",
    "parameters": "<function=read><parameter=path>",
    "open invokes": f'<{BAR}DSML{BAR}invoke name="read">',
    "sections of Kimi": "<|tool_calls_section_begin|><|tool_call_begin|>",
    "strange names": "<tool_call>write<arg_key>",
    "long names": "<tool_call>" + 300 * "a",
    "JSON": '<tool_call>{"name":"read"',
    "ends": "</tool_call>",
    "halves of an end": "<tool_call>read<arg_key></tool_",
    "invokes": "<minimax:tool_call><invoke name=",
    "space": " ",
    **{f"calls: {name}": leak.text for name, leak in LEAKS.items()},
    **{f"calls and text: {name}": f"{leak.text}." for name, leak in ONE_OF_EACH.items()},
}
AFTER_A_BEGINNING = "<tool_call>read<arg_key>path</arg_key><arg_value>"


def scanning(text: Callable[[int], str], piece: int) -> Callable[[int], Work]:
    def prepare(size: int) -> Work:
        whole = text(size)
        pieces = [whole[start : start + piece] for start in range(0, size, piece)]

        def work() -> None:
            scanner = CallScanner(list(FORMATS.values()), frozenset(SCHEMAS))
            for one in pieces:
                scanner.feed(one)
            scanner.end()

        return work

    return prepare


@pytest.mark.parametrize("piece", [5, 1 << 30], ids=["in pieces", "at once"])
@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED)
def test_scanning_text(repeated: str, piece: int) -> None:
    sizes = CHARACTERS if piece > 5 else Sizes(1 << 10, 1 << 17, 0.1)
    assert_linear(scanning(lambda n: (repeated * (n // len(repeated) + 1))[:n], piece), sizes)


@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED)
def test_scanning_text_inside_a_call(repeated: str) -> None:
    def text(size: int) -> str:
        return (AFTER_A_BEGINNING + repeated * (size // len(repeated) + 1))[:size]

    assert_linear(scanning(text, 64), Sizes(1 << 10, 1 << 18, 0.1))


@pytest.mark.parametrize("formats", [list(FORMATS), []], ids=["known", "unknown"])
@pytest.mark.parametrize("name", ["anthropic", "chat", "responses", "gemini", "gemini-array"])
@pytest.mark.parametrize("piece", ["<tool_call>", AFTER_A_BEGINNING, "<", "a <b>", "x"])
def test_streams(name: str, piece: str, formats: list[str]) -> None:
    def prepare(size: int) -> Work:
        stream = stream_of(name, [AFTER_A_BEGINNING, *[piece] * size])

        def work() -> None:
            repair = stream_repair(protocol_of(name), context_of(name, formats))
            for event in stream:
                repair.feed(event)
            repair.end()

        return work

    assert_linear(prepare, EVENTS)


@pytest.mark.parametrize("name", ["anthropic", "chat", "responses", "gemini"])
@pytest.mark.parametrize("kind", ["many messages", "one message", "many words", "deep"])
def test_comparing_with_a_request(name: str, kind: str) -> None:
    call = ONE_OF_EACH["hermes"].text

    def prepare(size: int) -> Work:
        text = call
        if kind == "many messages":
            request = request_of(name, [("user", "tool_call read src")] * (size // 8))
        elif kind == "one message":
            request = request_of(name, [("user", "tool_call read src" * size)])
        elif kind == "deep":
            request = request_of(name, metadata={"a": json.loads("[" * 500 + "]" * 500)})
        else:
            path = " ".join(f"word{number}" for number in range(size))
            arguments = {"name": "read", "arguments": {"path": path}}
            text = f"<tool_call>{json.dumps(arguments)}</tool_call>"
            request = request_of(name, [("user", "tool_call word1 " * size)])
        context = context_of(name, ["hermes"], request)
        body = body_of(name, text)

        def work() -> None:
            repair_body(protocol_of(name), body, context)

        return work

    assert_linear(prepare, Sizes(first=64, last=1 << 14, seconds=0.1))
