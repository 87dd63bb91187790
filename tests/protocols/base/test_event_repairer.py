"""The outer loop that the repairers of all protocols share."""

import pytest
from framings import FRAMINGS, Framing, bytes_of, codes_of
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import EventKind
from wiremend.text import sse

SERVER_SENT = {name: framing for name, framing in FRAMINGS.items() if not framing.array}
AFTER_THE_END = {"anthropic": "S119", "chat": "S213", "responses": "S314", "gemini": "S409"}
BROKEN_EVENT = {"anthropic": "S121", "chat": "S217", "responses": "S316", "gemini": "S407"}
FOREIGN_FRAME = {"anthropic": "S120", "chat": "S216", "responses": "S315", "gemini": "S406"}
KEEPALIVE = {"anthropic": "S124", "responses": "S312"}

ERROR = b'event: error\ndata: {"type":"error","error":{"code":429,"message":"slow down"}}\n\n'
LATE = b'data: {"type":"ping","cost":"0.1"}\n\n'
BLANK = b"\n"
TEXT = b"data: hello\n\n"
BROKEN = b'data: {"type":"response.x","choices":[\n\n'

each_name = pytest.mark.parametrize("name", SERVER_SENT)
FAILURE = make_error(status=503, type="server_error", message="It broke.")


def feed(
    framing: Framing, stream: bytes, *disabled: str
) -> tuple[bytes, list[EventKind], list[str]]:
    """Return the bytes sent for an unfinished stream, the kinds of events, and the codes."""
    repair = framing.repair(framing.context(disabled=frozenset(disabled)))
    repaired = repair.feed(stream)
    return bytes_of(repaired), [item.kind for item in repaired], codes_of(repaired)


@each_name
def test_events_after_the_end_are_dropped(name: str) -> None:
    framing, code = SERVER_SENT[name], AFTER_THE_END[name]
    ended, _, earlier_codes = feed(framing, ERROR)
    shown, kinds, codes = feed(framing, ERROR + LATE + BLANK)
    assert (shown, kinds) == (ended, [EventKind.ERROR, EventKind.IDLE, EventKind.IDLE])
    assert codes == [*earlier_codes, code]


@each_name
def test_events_after_the_end_are_kept_if_the_rule_is_disabled(name: str) -> None:
    framing, code = SERVER_SENT[name], AFTER_THE_END[name]
    ended, _, earlier_codes = feed(framing, ERROR, code)
    shown, kinds, codes = feed(framing, ERROR + LATE + BLANK, code)
    assert shown == ended + LATE + BLANK
    assert (kinds, codes) == ([EventKind.ERROR, EventKind.IDLE, EventKind.IDLE], earlier_codes)


@each_name
def test_a_broken_event_ends_the_stream(name: str) -> None:
    _, kinds, codes = feed(SERVER_SENT[name], BROKEN)
    assert (kinds, codes) == ([EventKind.ERROR], [BROKEN_EVENT[name]])


@each_name
def test_a_broken_event_is_kept_if_the_rule_is_disabled(name: str) -> None:
    result = feed(SERVER_SENT[name], BROKEN, BROKEN_EVENT[name])
    assert result == (BROKEN, [EventKind.CONTENT], [])


@each_name
def test_text_is_dropped(name: str) -> None:
    result = feed(SERVER_SENT[name], TEXT)
    assert result == (b"", [EventKind.IDLE], [FOREIGN_FRAME[name]])


@each_name
def test_text_is_kept_if_the_rule_is_disabled(name: str) -> None:
    assert feed(SERVER_SENT[name], TEXT, FOREIGN_FRAME[name]) == (TEXT, [EventKind.IDLE], [])


@pytest.mark.parametrize("name", KEEPALIVE)
def test_a_keepalive_becomes_a_blank_line_unless_the_rule_is_disabled(name: str) -> None:
    frame = b'data: {"type":"keepalive"}\n\n'
    assert feed(SERVER_SENT[name], frame) == (b"\n", [EventKind.IDLE], [KEEPALIVE[name]])
    assert feed(SERVER_SENT[name], frame, KEEPALIVE[name]) == (frame, [EventKind.IDLE], [])


@pytest.mark.parametrize("name", ["anthropic", "chat", "responses"])
def test_the_text_of_an_error_event_is_its_message(name: str) -> None:
    framing = SERVER_SENT[name]
    repair = framing.repair(framing.context())
    [reported] = repair.feed(b"event: error\ndata: It broke.\n\n")
    assert reported.kind is EventKind.ERROR
    assert reported.error is not None
    assert reported.error.message == "It broke."


def test_an_event_line_changes_no_gemini_event() -> None:
    error_line = b"event: error\ndata: It broke.\n\n"
    _, kinds, codes = feed(SERVER_SENT["gemini"], error_line)
    assert (kinds, codes) == ([EventKind.IDLE], ["S410", "S406"])


@each_name
def test_the_end_of_the_stream_does_not_change_the_result(name: str) -> None:
    framing = SERVER_SENT[name]
    repairer = framing.protocol.make_repairer(framing.context())
    [event] = sse.Decoder().feed(ERROR)
    reported = repairer.feed(event)
    ended = repairer.end()
    assert (ended.data, ended.kind, ended.error) == (b"", EventKind.ERROR, reported.error)


def test_nothing_is_added_to_a_stream_that_is_complete() -> None:
    framing = FRAMINGS["gemini-array"]
    repair = framing.repair(framing.context())
    repair.feed(b'[{"candidates":[{"finishReason":"STOP"}]}]')
    assert repair.end()[-1].kind is EventKind.TERMINAL
    assert repair.fail(FAILURE) == b""
