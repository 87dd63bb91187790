"""What each reader makes of a file."""

import io
import lzma
from pathlib import Path

import orjson
import pytest
from recorded_files import (
    BROKEN,
    CUT,
    HAR_FLAVOURS,
    HOST,
    PATH,
    REQUEST,
    SOUND,
    attempt,
    chrome_messages,
    chrome_reset,
    entry,
    flow_file,
    har,
    http_flow,
    in_every_format,
    line,
    playwright_reset,
    recorded_flow,
)
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import Ending, Exchange, RecordedFlow, UnusableRecording
from wiremend.recording.sources import Source, find_sources, open_recording


def flows_of(path: Path, protocol: WireProtocol | None = None) -> list[RecordedFlow]:
    with open_recording(Source(path.name, path), protocol, io.BytesIO()) as recording:
        return list(recording.flows)


def exchanges_of(data: bytes, directory: Path, name: str = "file") -> list[Exchange]:
    path = directory / name
    path.write_bytes(data)
    protocol = WireProtocol.ANTHROPIC_MESSAGES if name.endswith(".sse") else None
    return [exchange for flow in flows_of(path, protocol) for exchange in flow.exchanges]


def body_of(exchange: Exchange) -> bytes | None:
    return exchange.response.body if exchange.response is not None else None


@pytest.mark.parametrize("name", in_every_format(SOUND))
def test_every_format_contains_the_same_exchange(name: str, tmp_path: Path) -> None:
    [exchange] = exchanges_of(in_every_format(SOUND)[name], tmp_path, name)
    assert body_of(exchange) == SOUND
    assert exchange.ending is Ending.COMPLETE
    if name != "body.sse":
        assert (exchange.host, exchange.path, exchange.body) == (HOST, PATH, REQUEST)


def test_upstreams_bytes_are_read_and_not_the_repaired_ones(tmp_path: Path) -> None:
    first = attempt(b"", status=529, outcome=AttemptOutcome.FAILED, detail="overloaded")
    flow = recorded_flow(first, attempt(BROKEN))
    failed, answered = exchanges_of(flow_file(flow), tmp_path)
    assert failed.response is not None
    assert (failed.attempt, failed.response.status) == (1, 529)
    assert (answered.attempt, body_of(answered)) == (2, BROKEN)
    assert [failed.is_checked, answered.is_checked] == [True, False]  # one request, checked once


def test_the_findings_of_the_proxy_are_read_where_bytes_were_not_kept(tmp_path: Path) -> None:
    finding = {
        "code": "S105",
        "place": {"kind": "event", "number": 2},
        "where": "event 2",
        "found": "block 1",
        "done": "numbered",
    }
    [exchange] = exchanges_of(flow_file(recorded_flow(findings=[finding])), tmp_path)
    assert exchange.live_findings is not None
    assert [str(one) for one in exchange.live_findings.response] == [
        "S105 event 2: block 1; numbered"
    ]


def test_a_refused_request_is_no_exchange_with_a_provider(tmp_path: Path) -> None:
    flow = recorded_flow(outcome=CallState.REFUSED.value)
    assert exchanges_of(flow_file(flow), tmp_path) == []


@pytest.mark.parametrize(
    ("outcome", "detail", "codes", "ending"),
    [
        (AttemptOutcome.CANCELLED, "cancelled by client", [], Ending.LEFT),
        (AttemptOutcome.FAILED, "no data for 120 s", ["R004"], Ending.LEFT),
        (AttemptOutcome.FAILED, "Overloaded", ["E001"], Ending.COMPLETE),
    ],
)
def test_how_an_attempt_ended(
    outcome: AttemptOutcome, detail: str, codes: list[str], ending: Ending, tmp_path: Path
) -> None:
    place = {"kind": "attempt", "number": 1}
    findings = [
        {"code": code, "place": place, "where": "attempt 1", "found": detail, "done": ""}
        for code in codes
    ]
    flow = recorded_flow(attempt(CUT, outcome=outcome, detail=detail), findings=findings)
    [exchange] = exchanges_of(flow_file(flow), tmp_path)
    assert exchange.ending is ending
    transport = [finding.code for finding in exchange.transport_findings]
    assert transport == [code for code in codes if code.startswith("R")]


def test_a_body_that_was_kept_in_part_is_not_cut_by_upstream(tmp_path: Path) -> None:
    flow = recorded_flow(attempt(CUT, size=len(CUT) + 1))
    [exchange] = exchanges_of(flow_file(flow), tmp_path)
    assert exchange.ending is Ending.LEFT
    assert exchange.notes == (f"only the first {len(CUT)} bytes were kept",)


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        ("", Ending.COMPLETE),
        ("peer closed connection without sending complete message body", Ending.CUT),
        ("Client disconnected.", Ending.LEFT),
        ("stream reset by client (CANCEL)", Ending.LEFT),
        ("Connection killed.", Ending.LEFT),
    ],
)
def test_who_ended_a_flow(error: str, ending: Ending, tmp_path: Path) -> None:
    [exchange] = exchanges_of(flow_file(http_flow(CUT, error=error)), tmp_path)
    assert exchange.ending is ending


def test_other_flows_than_http_are_counted_and_not_read(tmp_path: Path) -> None:
    from mitmproxy.test import tflow

    path = tmp_path / "file"
    path.write_bytes(flow_file(tflow.ttcpflow(), http_flow()))  # type: ignore[arg-type]
    assert [(flow.number, len(flow.exchanges)) for flow in flows_of(path)] == [(1, 0), (2, 1)]


# HAR


TEXTS = ("h\u00fc", "\u00c3\u00bc", "\u4e16\u754c \U0001f600", "plain")
FLAVOURS = ("Playwright", "Firefox", "base64")
AMBIGUOUS = ("Firefox", "\u00c3\u00bc")
"""Text that looks like UTF-8 read as Latin-1 cannot be told from Chrome's."""


@pytest.mark.parametrize(
    ("flavour", "text"),
    [(flavour, text) for flavour in FLAVOURS for text in TEXTS if (flavour, text) != AMBIGUOUS],
)
def test_text_in_any_encoding_is_the_same_bytes(flavour: str, text: str, tmp_path: Path) -> None:
    body = f'data: {{"text":"{text}"}}\n\n'.encode()
    [exchange] = exchanges_of(har(HAR_FLAVOURS[flavour](body)), tmp_path, "x.har")
    assert body_of(exchange) == body


def test_a_stream_that_was_reset_in_chrome_is_rebuilt_from_its_events(tmp_path: Path) -> None:
    [exchange] = exchanges_of(har(chrome_reset(CUT)), tmp_path, "x.har")
    assert (body_of(exchange), exchange.ending) == (CUT, Ending.CUT)
    assert exchange.error == "net::ERR_CONNECTION_RESET"
    assert exchange.notes


def test_a_stream_that_was_reset_in_playwright_is_cut(tmp_path: Path) -> None:
    [exchange] = exchanges_of(har(playwright_reset()), tmp_path, "x.har")
    assert (body_of(exchange), exchange.ending) == (None, Ending.CUT)


def test_a_request_that_the_page_aborted_is_not_upstreams_fault(tmp_path: Path) -> None:
    aborted = entry({"size": 0, "mimeType": ""}, status=0, _error="net::ERR_ABORTED")
    [exchange] = exchanges_of(har(aborted), tmp_path, "x.har")
    assert (exchange.response, exchange.ending) == (None, Ending.LEFT)


def test_a_sanitized_har_has_a_note(tmp_path: Path) -> None:
    messages = [{"time": 1, "eventName": m["eventName"]} for m in chrome_messages(SOUND)]
    content = {"size": 9, "mimeType": "text/event-stream", "_eventSourceMessages": messages}
    [exchange] = exchanges_of(har(entry(content)), tmp_path, "x.har")
    assert body_of(exchange) is None
    assert "sanitized" in exchange.notes[0]


def test_headers_that_do_not_describe_the_decoded_body_are_dropped(tmp_path: Path) -> None:
    headers = [("Content-Encoding", "br"), ("Content-Length", "7"), ("content-type", "text/plain")]
    [exchange] = exchanges_of(
        har(entry({"text": "x", "size": 1}, response_headers=headers)), tmp_path, "x.har"
    )
    assert exchange.response is not None
    assert exchange.response.headers == (("content-type", "text/plain"),)


ODD_ENTRIES = {
    "postData without text": {"request": {"method": "POST", "url": "https://h/p", "postData": {}}},
    "a data URL": {"request": {"method": "GET", "url": "data:text/plain,x"}},
    "a blob URL": {"request": {"method": "GET", "url": "blob:https://h/1"}},
    "an invalid URL": {"request": {"method": "GET", "url": "https://[h/"}},
    "time and content missing": {
        "time": None,
        "request": {"method": "GET", "url": "https://h/"},
        "response": {"status": 200},
    },
    "an unknown coding": {
        "request": {"method": "GET", "url": "https://h/"},
        "response": {"status": 200, "headers": [{"name": "content-encoding", "value": "zz"}]},
    },
    "nothing": {},
    "a number": 7,
    "null everywhere": {"request": None, "response": None, "cache": None},
    "lists of nothing": {"request": {"url": "https://h/", "headers": [None, {}, {"name": 1}]}},
}


@pytest.mark.parametrize("odd", ODD_ENTRIES.values(), ids=ODD_ENTRIES.keys())
def test_an_odd_entry_does_not_hide_the_others(odd: object, tmp_path: Path) -> None:
    data = har(odd, HAR_FLAVOURS["Firefox"](SOUND))  # type: ignore[arg-type]
    assert body_of(exchanges_of(data, tmp_path, "x.har")[-1]) == SOUND


# JSON Lines


def test_lines_may_have_base64_bodies_and_no_path(tmp_path: Path) -> None:
    data = line(b"\xff", path=None, content_type=None) + b"\n" + line(SOUND, request=None)
    first, second = exchanges_of(data, tmp_path, "x.jsonl")
    assert (body_of(first), first.path) == (b"\xff", "")
    assert first.response is not None
    assert not first.response.has_label
    assert second.body is None


# Which files


def test_a_folder_is_read_in_order_and_its_other_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("b.har", "a.mitm", "sub/c.jsonl", "notes.txt", "package.json", ".git/d.har"):
        (tmp_path / name).touch()
    found = find_sources(str(tmp_path), with_bodies=False)
    names = [source.path and source.path.relative_to(tmp_path).as_posix() for source in found]
    assert names == ["a.mitm", "b.har", "sub/c.jsonl"]


def test_bodies_in_a_folder_are_read_if_their_protocol_is_given(tmp_path: Path) -> None:
    for name in ("a.sse", "b.json"):
        (tmp_path / name).touch()
    assert find_sources(str(tmp_path), with_bodies=False) == []
    assert len(find_sources(str(tmp_path), with_bodies=True)) == 2


@pytest.mark.parametrize("name", in_every_format(SOUND))
def test_standard_input_is_read_without_seeking(name: str) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            data = self._data.read(min(len(buffer), 100))
            buffer[: len(data)] = data
            return len(data)

    protocol = WireProtocol.ANTHROPIC_MESSAGES if name.endswith(".sse") else None
    stdin = io.BufferedReader(Pipe(in_every_format(SOUND)[name]))
    [source] = find_sources("-", with_bodies=False)
    with open_recording(source, protocol, stdin) as recording:
        [flow] = recording.flows
    assert body_of(flow.exchanges[0]) == SOUND


# Files that cannot be read

SECRET = "sk-ant-api03-secret-in-the-file"
FLOWS = flow_file(http_flow(request=b'{"model":"%b"}' % SECRET.encode()), http_flow())
SIZE = len(flow_file(http_flow()))


def _newer() -> bytes:
    return FLOWS.replace(b"7:version;2:21#", b"7:version;2:99#")


DEEP = b"[" * 100_000
UNUSABLE = {
    "empty": (b"", "it is empty", 0),
    "white space": (b" \n", "it contains only white space", 0),
    "text": (f"hello {SECRET}".encode(), "it is not a recording", 0),
    "HTML": (f"<html>{SECRET}".encode(), "it is HTML or XML, not a recording", 0),
    "PNG": (b"\x89PNG\r\n\x1a\n", "it is a PNG image, not a recording", 0),
    "SQLite": (b"SQLite format 3\x00", "it is a SQLite database, not a recording", 0),
    "a packet capture": (b"\xd4\xc3\xb2\xa1", "it is a packet capture", 0),
    "gzip": (b"\x1f\x8b\x08", "it is compressed with gzip", 0),
    "a zipped HAR": (b"PK\x03\x04", "it is a ZIP archive", 0),
    "UTF-16": (b"\xff\xfe{\x00", "it is text in UTF-16", 0),
    "JSON that is no HAR": (f'{{"a":"{SECRET}"}}'.encode(), "it is JSON, but no HAR file", 0),
    "events without a protocol": (SOUND, "it contains events; if it is a response, give", 0),
    "cut inside a flow": (FLOWS[:-9], "the file ends after flow 1, inside flow 2", 1),
    "cut inside the first flow": (FLOWS[:-SIZE][:-9], "the file ends inside flow 1", 0),
    "cut inside a length": (FLOWS[:-SIZE] + b"12", "the file ends after flow 1, inside flow 2", 1),
    "garbage behind a flow": (FLOWS + b"garbage", "the file is damaged behind flow 2", 2),
    "a length that is wrong": (b"9" + FLOWS, "the file ends inside flow 1", 0),
    "a length that is too short": (
        b"5" + FLOWS[FLOWS.index(b":") :],
        "the first flow is damaged",
        0,
    ),
    "an absurd length": (b"999999999999:x", "the file ends inside flow 1", 0),
    "no flow": (b"5:hello,", "the first flow is damaged", 0),
    "an odd flow": (b"0:}", "flow 1 is damaged, or too old", 0),
    "deep nesting": (b"100002:" + DEEP + b"}" * 3, "the first flow is damaged", 0),
    "a newer mitmproxy": (_newer(), "flow 1 was written by a newer mitmproxy (version 99", 0),
    "a HAR without entries": (b'{"log":{}}', "it is JSON without a list of entries", 0),
    "a cut HAR": (
        har(HAR_FLAVOURS["Firefox"](SOUND))[:-40],
        "the file ends after 0 complete entries",
        0,
    ),
    "a HAR cut between entries": (
        har(HAR_FLAVOURS["Firefox"](SOUND)).rpartition(b"]")[0],
        "the file ends after 1 complete entries",
        1,
    ),
    "an entry that is no JSON": (b'{"log":{"entries":[{"a":x}]}}', "entry 1 is not JSON", 0),
    "xz that is cut": (lzma.compress(line())[:-20], "its compressed data are cut or damaged", 0),
    "a line that is no JSON": (line() + b'{"a":', "line 2 is not JSON, and the file ends in it", 1),
    "a line that is no exchange": (
        line() + orjson.dumps({"a": SECRET}),
        "line 2 is no exchange: 'protocol' is missing or invalid",
        1,
    ),
    "a protocol that there is not": (
        line(protocol=SECRET),
        "line 1 is no exchange: 'protocol' is not the name of a protocol",
        0,
    ),
    "base64 that is none": (
        line(response={"base64": "!"}),
        "line 1 is no exchange: 'response' is not valid base64",
        0,
    ),
}


def read_into(flows: list[int], path: Path) -> None:
    with open_recording(Source("file", path), None, io.BytesIO()) as recording:
        flows.extend(flow.number for flow in recording.flows)


@pytest.mark.parametrize(("data", "reason", "read"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_damaged_or_foreign_file_has_one_reason_that_quotes_nothing(
    data: bytes, reason: str, read: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    flows: list[int] = []
    with pytest.raises(UnusableRecording) as caught:
        read_into(flows, path)
    assert str(caught.value).startswith(reason)
    assert len(flows) == read
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_larger_than_the_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {**in_every_format(SOUND), "plain.jsonl": line()}
    for module in ("flow_files", "har", "json_lines", "bodies"):
        monkeypatch.setattr(f"wiremend.recording.{module}.ENTRY_LIMIT_BYTES", 200)
    for name, data in files.items():
        with pytest.raises(UnusableRecording, match="is larger than"):
            exchanges_of(data, tmp_path, name)


@pytest.mark.parametrize("name", ["missing", "\0"])
def test_a_missing_file_has_a_reason(name: str) -> None:
    with pytest.raises(UnusableRecording):
        find_sources(name, with_bodies=False)
