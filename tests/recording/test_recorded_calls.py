"""What replay reads from recordings of every format."""

import gzip
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from recorded_files import (
    CUT,
    EVENTS,
    HOST,
    PATH,
    REQUEST,
    SOUND,
    attempt,
    entry,
    flow_file,
    har,
    http_flow,
    recorded_flow,
)
from wiremend.call_record.kept_bytes import plain_body
from wiremend.call_record.outcomes import AttemptOutcome
from wiremend.recording.exchange import UnusableRecording
from wiremend.recording.recorded_calls import AnswerEnd, RecordedCall, load_calls

CLIENT_REQUEST = {
    "method": "POST",
    "url": f"https://{HOST}{PATH}?beta=true",
    "headers": [["content-type", "application/json"]],
    "body": plain_body(REQUEST),
}


def load(tmp_path: Path, data: bytes, name: str = "session.mitm") -> list[RecordedCall]:
    path = tmp_path / name
    path.write_bytes(data)
    return load_calls(path)


def line(**fields: Any) -> bytes:
    """Return one line of JSON Lines."""
    exchange = {
        "source": "x",
        "host": HOST,
        "path": PATH,
        "protocol": "anthropic-messages",
        "streaming": True,
        "status": 200,
        "content_type": EVENTS,
        "request": {"text": REQUEST.decode()},
        "response": {"text": SOUND.decode()},
    }
    return orjson.dumps(exchange | fields) + b"\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("session.mitm", flow_file(http_flow())),
        ("session.mitm.xz", lzma.compress(flow_file(http_flow()))),
        ("session.har", har(entry({"text": SOUND.decode()}))),
        ("session.jsonl", line()),
        ("session.jsonl.xz", lzma.compress(line())),
    ],
)
def test_every_format_is_read(name: str, data: bytes, tmp_path: Path) -> None:
    [call] = load(tmp_path, data, name)
    assert (call.number, call.problem) == (1, "")
    request = call.request
    assert (request.host, request.path, request.body) == (HOST, PATH, REQUEST)
    [answer] = call.answers
    assert (answer.status, answer.body, answer.end) == (200, SOUND, AnswerEnd.COMPLETE)


def test_the_providers_side_is_read_and_not_the_repaired_answer(tmp_path: Path) -> None:
    broken = SOUND.replace(b'"index":0', b'"index":1')
    flow = recorded_flow(attempt(broken), client_request=CLIENT_REQUEST)
    [call] = load(tmp_path, flow_file(flow))
    assert call.request.path == f"{PATH}?beta=true"
    assert [answer.body for answer in call.answers] == [broken]


R002 = {"code": "R002", "where": "attempt 1"}
R005 = {"code": "R005", "where": "attempt 1"}


@pytest.mark.parametrize(
    ("kept", "findings", "end"),
    [
        (attempt(SOUND), [], AnswerEnd.COMPLETE),
        (attempt(SOUND, outcome=AttemptOutcome.REJECTED), [], AnswerEnd.COMPLETE),
        (attempt(b"{}", status=529, outcome=AttemptOutcome.FAILED), [R005], AnswerEnd.COMPLETE),
        (attempt(CUT, outcome=AttemptOutcome.FAILED), [], AnswerEnd.COMPLETE),
        (attempt(CUT, outcome=AttemptOutcome.FAILED), [R002], AnswerEnd.RESET),
        (attempt(None, outcome=AttemptOutcome.FAILED), [R002], AnswerEnd.RESET),
        (attempt(CUT, outcome=AttemptOutcome.CANCELLED), [], AnswerEnd.SILENT),
        (attempt(CUT, outcome=AttemptOutcome.RUNNING), [], AnswerEnd.RESET),
    ],
)
def test_how_an_answer_ends(
    kept: dict[str, Any], findings: list[Mapping[str, Any]], end: AnswerEnd, tmp_path: Path
) -> None:
    flow = recorded_flow(kept, findings=findings, client_request=CLIENT_REQUEST)
    [call] = load(tmp_path, flow_file(flow))
    assert [answer.end for answer in call.answers] == [end]


def test_a_stale_attempt_is_no_answer(tmp_path: Path) -> None:
    stale = attempt(None, outcome=AttemptOutcome.STALE)
    flow = recorded_flow(stale, attempt(SOUND), client_request=CLIENT_REQUEST)
    [call] = load(tmp_path, flow_file(flow))
    assert [answer.body for answer in call.answers] == [SOUND]


def test_times_are_relative_to_the_attempt(tmp_path: Path) -> None:
    kept = attempt(SOUND) | {"start_seconds": 2.0, "end_seconds": 2.75}
    kept["response"]["body"]["chunks"] = [[2.25, 10], [2.5, len(SOUND)]]
    [call] = load(tmp_path, flow_file(recorded_flow(kept, client_request=CLIENT_REQUEST)))
    [answer] = call.answers
    assert (answer.chunks, answer.seconds) == (((0.25, 10), (0.5, len(SOUND))), 0.75)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (line(request=None), "its request was not recorded"),
        (line(response=None), "its response was not recorded"),
        (flow_file(http_flow(None)), "its response was not recorded"),
        (
            flow_file(recorded_flow(attempt(CUT, size=9999), client_request=CLIENT_REQUEST)),
            "its response was too large to be kept",
        ),
    ],
)
def test_a_call_that_cannot_be_replayed_has_the_reason(
    data: bytes, problem: str, tmp_path: Path
) -> None:
    [call] = load(tmp_path, data)
    assert call.problem == problem


def test_a_coded_request_is_decoded(tmp_path: Path) -> None:
    flow = http_flow(request=gzip.compress(REQUEST), headers=[(b"content-encoding", b"gzip")])
    [call] = load(tmp_path, flow_file(flow))
    assert call.request.body == REQUEST


TWO = flow_file(http_flow(), http_flow())

UNUSABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "it is empty"),
    "white space": (lambda: b" \n", "it contains only white space"),
    "cut": (lambda: TWO[:-50], "the file ends after flow 1, inside flow 2"),
    "garbage": (lambda: flow_file(http_flow()) + b"garbage", "the file is damaged behind flow 1; "),
    "cut xz": (lambda: lzma.compress(TWO)[:-20], "its compressed data are cut or damaged"),
    "gzip": (lambda: gzip.compress(TWO), "it is compressed with gzip; unpack it first"),
    "PNG": (lambda: b"\x89PNG\r\n", "it is a PNG image, not a recording"),
    "HTML": (lambda: b"<html></html>", "it is HTML or XML, not a recording"),
    "text": (lambda: b"hello", "it is not a recording: no flow file, HAR or JSON Lines"),
    "a response": (lambda: SOUND, "it is no recording: it contains no requests"),
    "JSON": (lambda: b'{"a": 1}', "it is no recording: it contains no requests"),
    "an empty HAR": (har, "it contains no request"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_file_has_one_line_that_does_not_quote_it(kind: str, tmp_path: Path) -> None:
    make, reason = UNUSABLE[kind]
    with pytest.raises(UnusableRecording) as raised:
        load(tmp_path, make(), "session")
    text = str(raised.value)
    assert text.startswith(reason)
    assert "\n" not in text
    assert HOST not in text


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "no such file"), (tmp_path, "it is a folder")):
        with pytest.raises(UnusableRecording, match=reason):
            load_calls(path)
