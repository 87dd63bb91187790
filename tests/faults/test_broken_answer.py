"""What a broken provider sends instead of an answer: each fault in each protocol."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from strategies import wire
from wiremend.engine.actions import Head
from wiremend.faults.broken_answer import BrokenAnswer
from wiremend.faults.changes import (
    AnswerData,
    AnswerEnd,
    AnswerHead,
    AnswerReset,
    AnswerTrailers,
    Sent,
)
from wiremend.faults.fault import FaultKind, Moment, ProviderFault
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import PROTOCOLS
from wiremend.testing import answers as good

EVENTS = Head(200, ((b"content-type", b"text/event-stream"), (b"x-id", b"7")))
JSON = Head(200, ((b"content-type", b"application/json"), (b"content-length", b"1")))
ANTHROPIC, CHAT, RESPONSES, GEMINI = good.ANTHROPIC, good.CHAT, good.RESPONSES, good.GEMINI
NEVER = 1e9

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)


def play(
    fault: ProviderFault,
    protocol: WireProtocol,
    parts: tuple[bytes, ...] = (),
    head: Head = EVENTS,
    *,
    streams: bool = True,
    in_array: bool = False,
    until: float = NEVER,
) -> list[tuple[float, Sent]]:
    """Return what is sent, each with its time: the provider's parts arrive at 0, 1, 2, …"""
    answer = BrokenAnswer(fault, PROTOCOLS[protocol], streams=streams, in_array=in_array)
    sent = [(0.0, part) for part in answer.start(0.0)]
    if answer.needs_provider:
        sent += [(0.0, part) for part in answer.head(0.0, head)]
        for second, data in enumerate(parts):
            sent += woken(answer, float(second))
            sent += [(float(second), part) for part in answer.body(float(second), data)]
        last = float(max(0, len(parts) - 1))
        sent += [(last, part) for part in answer.end(last)]
    return sent + list(woken(answer, until))


def woken(answer: BrokenAnswer, until: float) -> Iterator[tuple[float, Sent]]:
    while answer.due is not None and answer.due <= until:
        due = answer.due
        yield from ((due, part) for part in answer.wake(due))


def body_of(sent: list[tuple[float, Sent]]) -> bytes:
    return b"".join(part.data for _, part in sent if isinstance(part, AnswerData))


def head_of(sent: list[tuple[float, Sent]]) -> Head:
    (head,) = [part.head for _, part in sent if isinstance(part, AnswerHead)]
    return head


def kinds_of(sent: list[tuple[float, Sent]]) -> list[str]:
    names = [type(part).__name__.removeprefix("Answer") for _, part in sent]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def values(body: bytes) -> list[Any]:
    return [json.loads(data) for _, data in wire.events_of(body) if data != b"[DONE]"]


# Faults that need nothing of the provider


@every_protocol
@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        (ProviderFault(FaultKind.RESET), ["Reset"]),
        (ProviderFault(FaultKind.RESET, at=Moment.AFTER_HEAD), ["Head", "Reset"]),
        (ProviderFault(FaultKind.STALL), []),
        (ProviderFault(FaultKind.STALL, at=Moment.AFTER_HEAD), ["Head"]),
        (ProviderFault(FaultKind.HTTP_ERROR, status=529), ["Head", "Data", "End"]),
        (ProviderFault(FaultKind.HTML_PAGE, status=524), ["Head", "Data", "End"]),
        (ProviderFault(FaultKind.WRAPPED_ERROR, after_events=0), ["Head", "Data", "End"]),
    ],
    ids=lambda value: str(value) if isinstance(value, ProviderFault) else "",
)
@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_that_is_made_here(
    fault: ProviderFault, kinds: list[str], protocol: WireProtocol, streams: bool
) -> None:
    answer = BrokenAnswer(fault, PROTOCOLS[protocol], streams=streams)
    assert not answer.needs_provider
    assert answer.is_applied
    assert kinds_of([(0.0, part) for part in answer.start(0.0)]) == kinds
    assert answer.due is None


@every_protocol
def test_an_http_error_has_the_envelope_of_the_protocol(protocol: WireProtocol) -> None:
    fault = ProviderFault(FaultKind.HTTP_ERROR, status=429, retry_after=1.5, message="No.")
    sent = play(fault, protocol)
    head = head_of(sent)
    assert (head.status, head.get(b"retry-after")) == (429, "1.5")
    assert head.get(b"content-length") == str(len(body_of(sent)))
    assert json.loads(body_of(sent))["error"]["message"] == "No."


@every_protocol
def test_a_page_is_html(protocol: WireProtocol) -> None:
    sent = play(ProviderFault(FaultKind.HTML_PAGE, status=524), protocol)
    assert head_of(sent).get(b"content-type").startswith("text/html")
    assert b"524" in body_of(sent)


@every_protocol
def test_a_wrapped_error_is_an_event_in_a_200(protocol: WireProtocol) -> None:
    fault = ProviderFault(FaultKind.WRAPPED_ERROR, after_events=0, message="No.")
    sent = play(fault, protocol)
    assert head_of(sent).status == 200
    assert [value["error"]["message"] for value in values(body_of(sent))] == ["No."]


def test_a_wrapped_error_is_an_element_of_an_array() -> None:
    fault = ProviderFault(FaultKind.WRAPPED_ERROR, after_events=0)
    ((error,),) = [json.loads(body_of(play(fault, GEMINI, in_array=True)))]
    assert error["error"]["code"] == 500


# Faults in the provider's own answer


@every_protocol
@pytest.mark.parametrize("one_read", [True, False])
def test_a_reset_in_an_event_cuts_it(protocol: WireProtocol, one_read: bool) -> None:
    events = good.text_stream(protocol).events
    fault = ProviderFault(FaultKind.RESET, at=Moment.IN_EVENT, after_events=2)
    sent = play(fault, protocol, (b"".join(events),) if one_read else events)
    assert kinds_of(sent) == ["Head", "Data", "Reset"]
    assert body_of(sent) == b"".join(events[:2]) + events[2][: len(events[2]) // 2]


@every_protocol
def test_a_reset_in_a_body_cuts_it(protocol: WireProtocol) -> None:
    body = good.json_body(protocol)
    fault = ProviderFault(FaultKind.RESET, at=Moment.IN_EVENT)
    sent = play(fault, protocol, (body,), JSON, streams=False)
    assert kinds_of(sent) == ["Head", "Data", "Reset"]
    assert body_of(sent) == body[: len(body) // 2]


def test_a_reset_after_more_events_than_there_are_has_no_effect() -> None:
    stream = good.text_stream(CHAT)
    fault = ProviderFault(FaultKind.RESET, at=Moment.IN_EVENT, after_events=99)
    answer = BrokenAnswer(fault, PROTOCOLS[CHAT], streams=True)
    sent = [*answer.head(0.0, EVENTS), *answer.body(0.0, stream.data), *answer.end(0.0)]
    assert body_of([(0.0, part) for part in sent]) == stream.data
    assert not answer.is_applied
    assert answer.missing == "the answer ended before it"


@every_protocol
def test_a_stall_in_an_event_sends_nothing_more(protocol: WireProtocol) -> None:
    events = good.text_stream(protocol).events
    fault = ProviderFault(FaultKind.STALL, at=Moment.IN_EVENT, after_events=2)
    sent = play(fault, protocol, events)
    assert kinds_of(sent) == ["Head", "Data"]
    assert body_of(sent).startswith(b"".join(events[:2]))


@every_protocol
def test_a_pause_in_an_event_delays_all_that_follows(protocol: WireProtocol) -> None:
    stream = good.text_stream(protocol)
    fault = ProviderFault(FaultKind.STALL, at=Moment.IN_EVENT, after_events=2, seconds=50.0)
    sent = play(fault, protocol, (stream.data,))
    assert kinds_of(sent) == ["Head", "Data", "End"]
    assert body_of(sent) == stream.data
    assert {when for when, _ in sent} == {0.0, 50.0}
    assert body_of([item for item in sent if item[0] == 0.0]).startswith(stream.events[0])


@pytest.mark.parametrize(("at", "head_at"), [(Moment.BEFORE_HEAD, 5.0), (Moment.AFTER_HEAD, 0.0)])
def test_a_pause_at_the_head(at: Moment, head_at: float) -> None:
    stream = good.text_stream(CHAT)
    sent = play(ProviderFault(FaultKind.STALL, at=at, seconds=5.0), CHAT, (stream.data,))
    assert [when for when, _ in sent] == [head_at, 5.0, 5.0]
    assert body_of(sent) == stream.data


@every_protocol
def test_a_late_wrapped_error_ends_the_stream(protocol: WireProtocol) -> None:
    events = good.text_stream(protocol).events
    fault = ProviderFault(FaultKind.WRAPPED_ERROR, after_events=2, message="No.")
    sent = play(fault, protocol, events)
    assert kinds_of(sent) == ["Head", "Data", "End"]
    assert body_of(sent).startswith(b"".join(events[:2]))
    assert values(body_of(sent))[2:] == [values(body_of(sent))[-1]]
    assert values(body_of(sent))[-1]["error"]["message"] == "No."


@every_protocol
def test_a_slow_drip_has_the_same_bytes(protocol: WireProtocol) -> None:
    stream = good.text_stream(protocol)
    fault = ProviderFault(FaultKind.SLOW_DRIP, piece_bytes=100, seconds=0.5)
    sent = play(fault, protocol, (stream.data,))
    pieces = [(when, part.data) for when, part in sent if isinstance(part, AnswerData)]
    assert body_of(sent) == stream.data
    assert [when for when, _ in pieces] == [0.5 * (n + 1) for n in range(len(pieces))]
    assert {len(data) for _, data in pieces[:-1]} == {100}


@every_protocol
def test_trailers_follow_the_body(protocol: WireProtocol) -> None:
    body = good.json_body(protocol)
    sent = play(ProviderFault(FaultKind.TRAILERS), protocol, (body,), JSON, streams=False)
    assert [type(part) for _, part in sent] == [AnswerHead, AnswerData, AnswerTrailers, AnswerEnd]
    assert head_of(sent).get(b"content-length") == ""


@pytest.mark.parametrize(
    ("label", "expected"),
    [(None, "text/plain; charset=utf-8"), ("text/html", "text/html"), ("", "")],
)
def test_a_bad_label_keeps_the_body(label: str | None, expected: str) -> None:
    stream = good.text_stream(CHAT)
    fault = ProviderFault(FaultKind.BAD_LABEL, content_type=label)
    sent = play(fault, CHAT, (stream.data,))
    assert head_of(sent).get(b"content-type") == expected
    assert head_of(sent).get(b"x-id") == "7"
    assert body_of(sent) == stream.data


@pytest.mark.parametrize("protocol", [ANTHROPIC, RESPONSES])
@pytest.mark.parametrize(
    ("names", "expected"), [("drop", {""}), ("wrong", {"injected.wrong_name"})]
)
def test_the_names_of_events_are_changed(
    protocol: WireProtocol, names: Any, expected: set[str]
) -> None:
    stream = good.text_stream(protocol)
    fault = ProviderFault(FaultKind.BAD_LABEL, event_names=names)
    sent = play(fault, protocol, (stream.data,))
    assert {type for type, _ in wire.events_of(body_of(sent))} == expected
    assert values(body_of(sent)) == values(stream.data)
    assert head_of(sent) == EVENTS


# Faults inside events


def indices(protocol: WireProtocol, body: bytes) -> list[int]:
    found = []
    for value in values(body):
        match protocol:
            case WireProtocol.ANTHROPIC_MESSAGES:
                found += [value["index"]] if "index" in value else []
            case WireProtocol.CHAT_COMPLETIONS:
                calls = [
                    c for choice in value["choices"] for c in choice["delta"].get("tool_calls", [])
                ]
                found += [call["index"] for call in calls if not call.get("id")]
            case WireProtocol.RESPONSES:
                found += [value["output_index"]] if "output_index" in value else []
            case _:
                found += [candidate["index"] for candidate in value["candidates"]]
    return found


@every_protocol
def test_a_wrong_index_is_one_too_high(protocol: WireProtocol) -> None:
    data = good.tool_stream(protocol).data
    sent = play(ProviderFault(FaultKind.WRONG_INDEX), protocol, (data,))
    before = indices(protocol, data)
    assert before
    assert indices(protocol, body_of(sent)) == [index + 1 for index in before]


def arguments(protocol: WireProtocol, body: bytes) -> str:
    """Return the arguments in the deltas, or what is left of Gemini's object."""
    if protocol is GEMINI:
        return body.decode().partition('"args"')[2].splitlines()[0]
    text = ""
    for value in values(body):
        if protocol is ANTHROPIC:
            text += value.get("delta", {}).get("partial_json", "")
        elif protocol is CHAT:
            for choice in value["choices"]:
                for call in choice["delta"].get("tool_calls", []):
                    text += call["function"].get("arguments", "")
        elif value["type"] == "response.function_call_arguments.delta":
            text += value["delta"]
    return text


@every_protocol
def test_the_arguments_of_a_call_are_cut_and_the_rest_is_sent(protocol: WireProtocol) -> None:
    stream = good.tool_stream(protocol)
    sent = play(ProviderFault(FaultKind.CUT_TOOL_JSON), protocol, (stream.data,))
    body = body_of(sent)
    whole, cut = arguments(protocol, stream.data), arguments(protocol, body)
    assert kinds_of(sent) == ["Head", "Data", "End"]
    assert whole.startswith(cut)
    assert 0 < len(cut) < len(whole)
    assert body.endswith(stream.events[-1]) or protocol in (RESPONSES, GEMINI)
    assert b"Paris" not in body


@every_protocol
def test_the_arguments_in_a_body_are_cut(protocol: WireProtocol) -> None:
    body = good.json_tool_body(protocol)
    fault = ProviderFault(FaultKind.CUT_TOOL_JSON)
    sent = play(fault, protocol, (body,), JSON, streams=False)
    assert kinds_of(sent) == ["Head", "Data", "End"]
    assert b"Paris" in body
    assert b"Paris" not in body_of(sent)


@every_protocol
@pytest.mark.parametrize("kind", [FaultKind.CUT_TOOL_JSON, FaultKind.WRONG_INDEX])
def test_an_answer_without_a_place_keeps_its_bytes(kind: FaultKind, protocol: WireProtocol) -> None:
    stream = good.text_stream(protocol)
    answer = BrokenAnswer(ProviderFault(kind), PROTOCOLS[protocol], streams=True)
    sent = [*answer.head(0.0, EVENTS), *answer.body(0.0, stream.data), *answer.end(0.0)]
    if not answer.is_applied:
        assert body_of([(0.0, part) for part in sent]) == stream.data
        assert answer.missing
    assert answer.is_applied == (kind is FaultKind.WRONG_INDEX and protocol is not CHAT)


# Codings, and losses that are real


@pytest.mark.parametrize("kind", [FaultKind.WRONG_INDEX, FaultKind.CUT_TOOL_JSON])
def test_a_coded_answer_is_sent_without_coding(kind: FaultKind) -> None:
    stream = good.tool_stream(ANTHROPIC)
    head = Head(200, (*EVENTS.fields, (b"content-encoding", b"gzip")))
    sent = play(ProviderFault(kind), ANTHROPIC, (gzip.compress(stream.data),), head)
    assert head_of(sent).get(b"content-encoding") == ""
    assert body_of(sent) == body_of(play(ProviderFault(kind), ANTHROPIC, (stream.data,)))


def test_an_unknown_coding_passes() -> None:
    head = Head(200, (*EVENTS.fields, (b"content-encoding", b"secret")))
    sent = play(ProviderFault(FaultKind.WRONG_INDEX), ANTHROPIC, (b"\x00\x01",), head)
    assert head_of(sent) == head
    assert body_of(sent) == b"\x00\x01"


def test_a_connection_that_is_really_lost_ends_the_answer() -> None:
    fault = ProviderFault(FaultKind.SLOW_DRIP, piece_bytes=4, seconds=1.0)
    answer = BrokenAnswer(fault, PROTOCOLS[CHAT], streams=True)
    answer.head(0.0, EVENTS)
    answer.body(0.0, b"data: {}\n\n")
    assert answer.lost(0.0, "closed") == []
    sent = list(woken(answer, NEVER))
    assert body_of(sent) == b"data: {}\n\n"
    assert sent[-1] == (3.0, AnswerReset("closed"))
