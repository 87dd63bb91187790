"""Matching requests with a recording, and what is reported about them."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from wiremend.recording.cassette import Cassette, Forwarded, Hit, Miss
from wiremend.recording.normal_form import AskedRequest, Level
from wiremend.recording.path_maps import PathMap
from wiremend.recording.recorded_calls import AnswerEnd, RecordedAnswer, RecordedCall

ANSWER = RecordedAnswer(AnswerEnd.COMPLETE, status=200, body=b"{}")


def asked(*texts: str, **fields: Any) -> AskedRequest:
    """Return a request whose messages are these texts, alternately of user and model."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    body = {"model": "m", "messages": messages, **fields}
    return AskedRequest("POST", "api.anthropic.com", "/v1/messages", json.dumps(body).encode())


def cassette(*requests: AskedRequest, **options: Any) -> Cassette:
    calls = [RecordedCall(n, request, (ANSWER,)) for n, request in enumerate(requests, 1)]
    return Cassette(calls, "session.mitm", **options)


def served(tape: Cassette, requests: Sequence[AskedRequest]) -> list[int]:
    """Return the numbers of the recorded calls that answer; 0 for a miss."""
    matches = [tape.match(request) for request in requests]
    return [match.call.number if isinstance(match, Hit) else 0 for match in matches]


A, B = asked("a"), asked("b")


@pytest.mark.parametrize(
    ("recorded", "requests", "numbers"),
    [
        ([A, B], [B, A], [2, 1]),
        # Equal requests: in recorded order, and the last one again.
        ([A, A, B], [A, A, A], [1, 2, 2]),
        # One that is equal in everything is preferred.
        ([asked("a", system="x"), asked("a", system="y")], [asked("a", system="y")] * 2, [2, 1]),
        ([A], [asked("c"), A], [0, 1]),
        ([], [A], [0]),
    ],
)
def test_which_call_answers(
    recorded: list[AskedRequest], requests: list[AskedRequest], numbers: list[int]
) -> None:
    assert served(cassette(*recorded), requests) == numbers


@pytest.mark.parametrize(
    ("level", "request_", "number"),
    [
        (Level.STRICT, asked("a", system="changed"), 0),
        (Level.MESSAGES, asked("a", system="changed"), 1),
        (Level.MESSAGES, asked("changed"), 0),
        (Level.ORDER, asked("changed"), 1),
        (Level.ORDER, asked("changed", "x", "y"), 2),
        (Level.ORDER, asked("a", model="n"), 0),
    ],
)
def test_a_level_decides_and_no_looser_one_takes_its_place(
    level: Level, request_: AskedRequest, number: int
) -> None:
    tape = cassette(asked("a"), asked("a", "b", "c"), level=level)
    assert served(tape, [request_]) == [number]


def test_order_goes_by_conversation() -> None:
    tape = cassette(asked("a"), asked("a", "b", "c"), asked("d"), level=Level.ORDER)
    assert served(tape, [asked("x", "y", "z"), asked("x"), asked("u")]) == [2, 1, 3]


def test_a_miss_names_the_nearest_call_and_the_differences() -> None:
    tape = cassette(asked("a", "b", "one\ntwo\nthree"), asked("zzz"))
    match = tape.match(asked("a", "b", "one\n2\nthree", "e"))
    assert isinstance(match, Miss)
    assert match.reason == (
        "This request is not in the recording session.mitm; the first difference is at "
        "messages[2].content."
    )
    assert match.text.splitlines() == [
        "request 1 is not in session.mitm: POST api.anthropic.com/v1/messages (m, 4 messages)",
        "  the nearest recorded one is call 1; it differs in:",
        "    messages[2].content",
        "      - two",
        "      + 2",
        "    messages[3] (only in this request)",
        '      + {"role":"assistant","content":"e"}',
    ]


def test_of_equally_near_calls_the_first_that_was_not_requested_is_meant() -> None:
    tape = cassette(asked("a"), asked("b"), asked("c"))
    assert served(tape, [asked("a")]) == [1]
    match = tape.match(asked("b now"))
    assert isinstance(match, Miss)
    assert "the nearest recorded one is call 2;" in match.text


@pytest.mark.parametrize(
    ("recorded", "now", "lines"),
    [
        ("x" * 500 + "a", "x" * 500 + "b", ["..." + "x" * 40 + "a", "..." + "x" * 40 + "b"]),
        ("a\x1b[31m", "b", [r"a\x1b[31m", "b"]),
        ("\n".join("abcdefghij"), "k", [*"abcdef", "... 4 more lines", "k"]),
    ],
)
def test_a_difference_is_bounded_and_printable(recorded: str, now: str, lines: list[str]) -> None:
    match = cassette(asked(recorded)).match(asked(now))
    assert isinstance(match, Miss)
    assert [line.strip(" -+") for line in match.text.splitlines()[3:]] == lines


def test_the_report_counts_hits_misses_and_unused_calls() -> None:
    tape = cassette(A, B, asked("c"))
    served(tape, [A, A, asked("d")])
    tape.note_side_request("GET", "example.com/telemetry")
    report = tape.report()
    assert (report.calls, report.hits, report.misses) == (3, 2, 1)
    assert report.unused == [
        "call 2, POST api.anthropic.com/v1/messages (m, 1 message)",
        "call 3, POST api.anthropic.com/v1/messages (m, 1 message)",
    ]
    assert report.lines()[-2:] == [
        "other requests, answered with 404: GET example.com/telemetry",
        "1 of 3 recorded calls replayed from session.mitm; 1 request not in it",
    ]


def test_misses_are_forwarded_on_request() -> None:
    tape = cassette(A, forwards=True)
    match = tape.match(B)
    assert isinstance(match, Forwarded)
    assert match.text.splitlines()[-2:] == ["      - a", "      + b"]
    assert served(tape, [A, asked("c")]) == [1, 0]
    report = tape.report()
    assert (report.hits, report.misses, report.forwarded) == (1, 0, 2)
    assert report.lines() == [
        "1 of 1 recorded calls replayed from session.mitm; 2 requests forwarded"
    ]


def test_misses_are_bounded() -> None:
    tape = cassette(A)
    served(tape, [asked(f"miss {number}") for number in range(100)])
    report = tape.report()
    assert (report.misses, len(report.miss_texts)) == (100, 20)
    assert "... and 80 more requests" in report.lines()


@pytest.mark.parametrize("forwards", [False, True])
def test_a_call_that_was_not_kept_whole_is_a_miss(forwards: bool) -> None:
    call = RecordedCall(1, A, (), "its response was too large to be kept")
    match = Cassette([call], "session.mitm", forwards=forwards).match(A)
    assert isinstance(match, Miss)
    assert "call 1 of session.mitm cannot be replayed: its response was too" in match.text


def in_folder(folder: str) -> AskedRequest:
    return asked(f"<cwd>{folder}</cwd> {folder}")


@pytest.mark.parametrize(
    ("maps", "lines"),
    [
        ((), ["recorded in another folder; try --map /tmp/old=/srv/new"]),
        ((PathMap("/tmp/old", "/srv/new"),), []),
    ],
)
def test_a_missing_map_is_suggested(maps: tuple[PathMap, ...], lines: list[str]) -> None:
    tape = cassette(in_folder("/tmp/old"), maps=maps)
    assert served(tape, [in_folder("/srv/new")]) == [1 if maps else 0]
    assert [line for line in tape.report().lines() if "--map" in line] == lines
