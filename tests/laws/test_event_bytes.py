"""The bytes of an event that must not change when its data does; regression tests."""

from typing import Any

import pytest
from framings import FRAMINGS, bytes_of, codes_of
from strategies.wire import events_of, values_of
from wiremend.catalogue import catalogue
from wiremend.protocols.base.repairer import EventKind

MARK = b"\xef\xbb\xbf"
ALL_CODES = frozenset(rule.code for rule in catalogue())

MESSAGE = (
    b'"message":{"id":"msg_1","type":"message","role":"assistant","model":"v/m","content":[],'
    b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}'
)
TOOL = b'"index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"read_1a2b","input":{}}'
STARTED = b'event: message_start\ndata: {"type":"message_start",' + MESSAGE + b"}\n\n"
BLOCK = b'event: content_block_start\ndata: {"type":"content_block_start",' + TOOL + b"}\n\n"
STOPPED = (
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"tool_use",'
    b'"stop_sequence":null},"usage":{"output_tokens":9}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
CHUNK = b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"v/m","choices":[%s]}'
CONTENT = CHUNK % b'{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}'
FINISHED = (
    b"data: " + CHUNK % b'{"index":0,"delta":{},"finish_reason":"stop"}' + b"\n\ndata: [DONE]\n\n"
)
RESPONSE = (
    b'"response":{"id":"resp_1","object":"response","created_at":1760000000.0,"model":"v/m",'
    b'"output":[],"big":18446744073709551617,'
)
CREATED = (
    b'event: response.created\ndata: {"type":"response.created","sequence_number":0, '
    + RESPONSE
    + b'"status":"in_progress"}}\n\n'
)
COMPLETED = (
    b'event: response.completed\ndata: {"type":"response.completed","sequence_number":1, '
    + RESPONSE
    + b'"status":"completed"}}\n\n'
)
GEMINI = (
    b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"read_1a2b","args":{}}}],'
    b'"role":"model"},"finishReason":"STOP"}],"modelVersion":"v/m"}'
)


def spread(event: bytes) -> bytes:
    """Return the event with its JSON on several lines, between other fields."""
    return event.replace(b",", b",\r\ndata: ", 2).replace(b"data: ", b": x\nid: 1\ndata:  ", 1)


def tight(event: bytes) -> bytes:
    """Return the event without a space after its colons."""
    return event.replace(b"event: ", b"event:").replace(b"data: ", b"data:")


RENAMED = {"read_1a2b": "the.client's"}
SHOWN = {"shown_model": "shown"}
UNCHANGED: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "Anthropic, no space": ("anthropic", tight(STARTED) + BLOCK + STOPPED, {}),
    "Anthropic, several lines": ("anthropic", spread(STARTED) + BLOCK + STOPPED, {}),
    "Anthropic, the model shown": (
        "anthropic",
        spread(tight(STARTED)) + BLOCK + STOPPED,
        {"shown_model": "v/m"},
    ),
    "Anthropic, the model shown, with an escape": (
        "anthropic",
        STARTED.replace(b"v/m", b"v\\/m") + BLOCK + STOPPED,
        {"shown_model": "v/m"},
    ),
    "Chat, the model shown, with an escape": (
        "chat",
        (b"data:" + CONTENT + b"\r\r" + FINISHED).replace(b"v/m", b"\\u0076/m"),
        {"shown_model": "v/m"},
    ),
    "Responses, the model shown, with an escape": (
        "responses",
        (CREATED + COMPLETED).replace(b"v/m", b"v\\/m"),
        {"shown_model": "v/m"},
    ),
    "Gemini, the model shown, with an escape": (
        "gemini",
        b"data: " + GEMINI.replace(b"v/m", b"v\\/m") + b"\n\n",
        {"shown_model": "v/m"},
    ),
    "a byte order mark": ("anthropic", MARK + STARTED + BLOCK + STOPPED, {}),
    "a byte order mark, a blank line": (
        "chat",
        MARK + b"\ndata: " + CONTENT + b"\n\n" + FINISHED,
        {},
    ),
}


@pytest.mark.parametrize(("name", "stream", "fields"), UNCHANGED.values(), ids=UNCHANGED)
def test_valid_streams_are_unchanged(name: str, stream: bytes, fields: dict[str, Any]) -> None:
    framing = FRAMINGS[name]
    assert framing.violations(stream) == []
    repaired = framing.repaired([stream], framing.context(**fields))
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])


OTHER_NAMES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "Anthropic, several lines": ("anthropic", spread(STARTED) + BLOCK + STOPPED, SHOWN),
    "Anthropic, no space": ("anthropic", tight(STARTED) + BLOCK + STOPPED, SHOWN),
    "Anthropic, after a byte order mark": ("anthropic", MARK + STARTED + BLOCK + STOPPED, SHOWN),
    "Chat, several lines": (
        "chat",
        spread(b"data: " + CONTENT + b"\n\n") + tight(FINISHED),
        SHOWN,
    ),
    "Responses, numbers and white space": ("responses", CREATED + COMPLETED, SHOWN),
    "Responses, several lines": ("responses", spread(CREATED) + tight(COMPLETED), SHOWN),
    "Gemini, several lines": (
        "gemini",
        b"data: " + GEMINI.replace(b",", b",\rdata: ") + b"\r\r",
        SHOWN,
    ),
    "a tool, several lines": (
        "anthropic",
        STARTED + spread(BLOCK) + STOPPED,
        {"tool_names_by_sent": RENAMED},
    ),
    "a tool in an array, several lines": (
        "gemini-array",
        b"[" + GEMINI.replace(b",", b",\n ") + b"\r\n]",
        {"tool_names_by_sent": RENAMED},
    ),
    "a tool and the model": (
        "anthropic",
        spread(STARTED) + tight(spread(BLOCK)) + STOPPED,
        {"tool_names_by_sent": RENAMED, **SHOWN},
    ),
}


@pytest.mark.parametrize(("name", "stream", "fields"), OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_only_the_name_changes(name: str, stream: bytes, fields: dict[str, Any]) -> None:
    framing = FRAMINGS[name]
    assert framing.violations(stream) == []
    expected = stream
    if "shown_model" in fields:
        expected = expected.replace(b'"v/m"', b'"shown"')
    if "tool_names_by_sent" in fields:
        expected = expected.replace(b'"read_1a2b"', b'"the.client\'s"')
    assert expected != stream
    repaired = framing.repaired([stream], framing.context(**fields))
    assert (bytes_of(repaired), codes_of(repaired)) == (expected, [])


def test_a_comment_with_the_same_text_as_the_data_is_unchanged() -> None:
    data = b'{"type":"content_block_start",' + TOOL + b"}"
    event = b": " + data + b"\n" + BLOCK
    framing = FRAMINGS["anthropic"]
    repaired = framing.repaired(
        [STARTED + event + STOPPED], framing.context(tool_names_by_sent=RENAMED)
    )
    renamed = BLOCK.replace(b"read_1a2b", b"the.client's")
    assert bytes_of(repaired) == STARTED + b": " + data + b"\n" + renamed + STOPPED


def test_a_model_name_with_a_lone_surrogate_is_shown() -> None:
    framing = FRAMINGS["chat"]
    stream = b"data: " + CONTENT + b"\n\n" + FINISHED
    repaired = framing.repaired([stream], framing.context(shown_model="\ud83d"))
    assert bytes_of(repaired) == stream.replace(b'"v/m"', b'"\\ud83d"')
    assert codes_of(repaired) == []


@pytest.mark.parametrize(
    ("name", "added"), [("anthropic", "message_start"), ("responses", "response.created")]
)
def test_an_event_that_is_added_at_the_start_comes_after_the_byte_order_mark(
    name: str, added: str
) -> None:
    framing = FRAMINGS[name]
    stream = {"anthropic": BLOCK + STOPPED, "responses": COMPLETED}[name]
    out = bytes_of(framing.repaired([MARK + stream], framing.context()))
    assert out.startswith(MARK + b"event: " + added.encode() + b"\n")
    assert out.count(MARK) == 1
    assert [type for type, _ in events_of(out)][1:] == [type for type, _ in events_of(stream)]


def test_an_event_line_is_added_to_the_other_lines() -> None:
    framing = FRAMINGS["anthropic"]
    event = b": note\r\nid: 7\r\ndata:" + STARTED.partition(b"data: ")[2][:-2] + b"\r\n\r\n"
    repaired = framing.repaired([event + BLOCK + STOPPED], framing.context())
    expected = event.replace(b"data:", b"event: message_start\r\ndata:")
    assert bytes_of(repaired) == expected + BLOCK + STOPPED
    assert len(codes_of(repaired)) == 1


def test_for_openai_python_an_id_after_a_byte_order_mark_is_dropped() -> None:
    framing = FRAMINGS["chat"]
    stream = MARK + b"id: 7\ndata: " + CONTENT + b"\n\n" + FINISHED
    repaired = framing.repaired([stream], framing.context(client="openai-python"))
    assert bytes_of(repaired) == stream.replace(b"id: 7\n", b"")
    assert codes_of(repaired) == ["S005"]


def test_in_gemini_a_byte_order_mark_is_dropped() -> None:
    framing = FRAMINGS["gemini"]
    stream = b"\ndata: " + GEMINI + b"\n\n"
    repaired = framing.repaired([MARK + stream], framing.context())
    assert bytes_of(repaired) == stream
    assert [finding.found for item in repaired for finding in item.findings] == [
        "a byte order mark"
    ]


@pytest.mark.parametrize("client", ["", "gemini-cli", "python-genai"])
def test_in_gemini_several_lines_are_joined_for_clients_that_need_it(client: str) -> None:
    framing = FRAMINGS["gemini"]
    stream = b"data: " + GEMINI.replace(b",", b",\ndata: ", 1) + b"\n\n"
    out = bytes_of(framing.repaired([stream], framing.context(client=client, **SHOWN)))
    assert out.count(b"data: ") == (1 if client == "gemini-cli" else 2)
    assert values_of(out) == values_of(stream.replace(b"v/m", b"shown"))


def test_a_bare_error_after_the_end_is_unchanged_if_all_rules_are_disabled() -> None:
    framing = FRAMINGS["anthropic"]
    stream = STARTED + BLOCK + STOPPED + b'{"error":{"type":"api_error","message":"late"}}\n\n'
    repaired = framing.repaired([stream], framing.context(disabled=ALL_CODES))
    assert bytes_of(repaired) == stream
    assert repaired[-1].kind is EventKind.TERMINAL
