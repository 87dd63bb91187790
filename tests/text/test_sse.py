"""Server-sent events: decoding in chunks of any size, and writing; all bytes are kept."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.text import sse
from wiremend.text.sse import Decoder, Event, encode, with_data

type Read = tuple[bytes, str, bytes | None, bool]


def decode(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.end()


def read(*chunks: bytes) -> list[Read]:
    return [(event.raw, event.type, event.data, event.complete) for event in decode(*chunks)]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


CASES: dict[str, tuple[bytes, list[Read]]] = {
    "nothing": (b"", []),
    "LF": (b"data: a\n\n", [(b"data: a\n\n", "", b"a", True)]),
    "CRLF": (b"data: a\r\n\r\n", [(b"data: a\r\n\r\n", "", b"a", True)]),
    "CR": (b"data: a\r\r", [(b"data: a\r\r", "", b"a", True)]),
    "LF and CRLF mixed": (b"data: a\n\r\n", [(b"data: a\n\r\n", "", b"a", True)]),
    "CRLF and LF mixed": (b"data: a\r\n\n", [(b"data: a\r\n\n", "", b"a", True)]),
    "CRLF and CR mixed": (
        b"data: a\r\n\rdata: b\n\n",
        [(b"data: a\r\n\r", "", b"a", True), (b"data: b\n\n", "", b"b", True)],
    ),
    "CR before CRLF": (
        b"data: a\r\r\ndata: b\n\n",
        [
            (b"data: a\r\r", "", b"a", True),
            (b"\n", "", None, True),
            (b"data: b\n\n", "", b"b", True),
        ],
    ),
    "two events": (
        b"data: a\n\ndata: b\n\n",
        [(b"data: a\n\n", "", b"a", True), (b"data: b\n\n", "", b"b", True)],
    ),
    "a type": (b"event: ping\ndata: a\n\n", [(b"event: ping\ndata: a\n\n", "ping", b"a", True)]),
    "a type alone": (b"event: ping\n\n", [(b"event: ping\n\n", "ping", None, True)]),
    "the last type counts": (
        b"event: a\nevent: b\ndata\n\n",
        [(b"event: a\nevent: b\ndata\n\n", "b", b"", True)],
    ),
    "no space after the colon": (
        b"event:ping\ndata:a\n\n",
        [(b"event:ping\ndata:a\n\n", "ping", b"a", True)],
    ),
    "one space of two": (b"data:  a \n\n", [(b"data:  a \n\n", "", b" a ", True)]),
    "several data lines": (
        b"data: {\r\ndata: }\r\n\r\n",
        [(b"data: {\r\ndata: }\r\n\r\n", "", b"{\n}", True)],
    ),
    "empty data": (b"data:\n\n", [(b"data:\n\n", "", b"", True)]),
    "data without a colon": (b"data\n\n", [(b"data\n\n", "", b"", True)]),
    "two empty data lines": (b"data\ndata\n\n", [(b"data\ndata\n\n", "", b"\n", True)]),
    "a colon in the data": (b"data: a: b\n\n", [(b"data: a: b\n\n", "", b"a: b", True)]),
    "a comment": (b": keep-alive\n\n", [(b": keep-alive\n\n", "", None, True)]),
    "a comment in an event": (
        b": x\ndata: a\n:y\n\n",
        [(b": x\ndata: a\n:y\n\n", "", b"a", True)],
    ),
    "id and retry": (
        b"id: 1\nretry: 10\ndata: a\n\n",
        [(b"id: 1\nretry: 10\ndata: a\n\n", "", b"a", True)],
    ),
    "an unknown field": (b"foo: x\ndata: a\n\n", [(b"foo: x\ndata: a\n\n", "", b"a", True)]),
    "a field that begins like data": (
        b"data2: x\n data: y\nDATA: z\n\n",
        [(b"data2: x\n data: y\nDATA: z\n\n", "", None, True)],
    ),
    "blank lines": (
        b"\n\r\n\n",
        [(b"\n", "", None, True), (b"\r\n", "", None, True), (b"\n", "", None, True)],
    ),
    "blank lines before an event": (
        b"\n\ndata: a\n\n",
        [(b"\n", "", None, True), (b"\n", "", None, True), (b"data: a\n\n", "", b"a", True)],
    ),
    "a byte order mark": (
        b"\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        [
            (b"\xef\xbb\xbf", "", None, True),
            (b"data: a\n\n", "", b"a", True),
            (b"data: b\n\n", "", b"b", True),
        ],
    ),
    "a byte order mark later is text": (
        b"data: a\n\n\xef\xbb\xbfdata: b\n\n",
        [(b"data: a\n\n", "", b"a", True), (b"\xef\xbb\xbfdata: b\n\n", "", None, True)],
    ),
    "a second byte order mark is text": (
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n",
        [
            (b"\xef\xbb\xbf", "", None, True),
            (b"\xef\xbb\xbfdata: a\n\n", "", None, True),
        ],
    ),
    "half a byte order mark": (b"\xef\xbb", [(b"\xef\xbb", "", None, False)]),
    "what begins like a byte order mark": (
        b"\xef\xbbdata: a\n\n",
        [(b"\xef\xbbdata: a\n\n", "", None, True)],
    ),
    "no final blank line": (b"data: a\n", [(b"data: a\n", "", b"a", False)]),
    "no final line end": (b"data: a", [(b"data: a", "", b"a", False)]),
    "a cut field name": (
        b"data: a\n\nda",
        [(b"data: a\n\n", "", b"a", True), (b"da", "", None, False)],
    ),
    "a final CR for CRLF": (b"data: a\r\n\r", [(b"data: a\r\n\r", "", b"a", True)]),
    "a lone final CR": (
        b"data: a\n\n\r",
        [(b"data: a\n\n", "", b"a", True), (b"\r", "", None, True)],
    ),
    "invalid UTF-8": (b"data: \xff\xc3\n\n", [(b"data: \xff\xc3\n\n", "", b"\xff\xc3", True)]),
    "invalid UTF-8 in the type": (
        b"event: \xff\ndata: a\n\n",
        [(b"event: \xff\ndata: a\n\n", "\ufffd", b"a", True)],
    ),
    "line ends of Unicode are text": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\n\n".encode(),
        [
            (
                "data: a\u2028b\u2029c\x85d\x0be\x0cf\n\n".encode(),
                "",
                "a\u2028b\u2029c\x85d\x0be\x0cf".encode(),
                True,
            )
        ],
    ),
    "NUL": (b"data: \0\n\n", [(b"data: \0\n\n", "", b"\0", True)]),
}

each_case = pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES.keys())


@each_case
def test_events_are_read(data: bytes, expected: list[Read]) -> None:
    assert read(data) == expected


@each_case
def test_events_are_the_same_in_every_chunking(data: bytes, expected: list[Read]) -> None:
    assert read(*byte_by_byte(data)) == expected
    for cut in range(len(data)):
        assert read(data[:cut], data[cut:]) == expected
        assert read(data[:cut], b"", data[cut : cut + 1], data[cut + 1 :]) == expected


@each_case
def test_all_bytes_are_kept(data: bytes, expected: list[Read]) -> None:
    assert b"".join(raw for raw, _, _, _ in expected) == data


_marks = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"data:", b"data", b"event: x", b": ", b"a", b"\xef\xbb\xbf", b"\xff"]
)
_bytes = st.binary(max_size=80) | st.lists(_marks, max_size=30).map(b"".join)


@given(_bytes, st.lists(st.integers(0, 80), max_size=6))
def test_events_do_not_depend_on_the_chunks_and_all_bytes_are_kept(
    data: bytes, cuts: list[int]
) -> None:
    ends = sorted(min(cut, len(data)) for cut in cuts)
    chunks = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    events = read(*chunks)
    assert events == read(data)
    assert b"".join(raw for raw, _, _, _ in events) == data


@given(_bytes)
def test_the_data_is_as_the_standard_defines_it(data: bytes) -> None:
    expected: list[bytes] = []
    pending: list[bytes] = []
    lines = re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf"))
    for line in lines[:-1]:
        name, _, value = line.partition(b":")
        if not line:
            expected += [b"\n".join(pending)] if pending else []
            pending = []
        elif name == b"data":
            pending.append(value.removeprefix(b" "))
    events = [event.data for event in decode(data) if event.complete and event.data is not None]
    assert events == expected


def test_an_event_is_returned_with_its_last_byte() -> None:
    for end in (b"\n\n", b"\r\r", b"\r\n\r\n"):
        decoder = Decoder()
        assert decoder.feed(b"data: a" + end[:-1]) == []
        assert [event.data for event in decoder.feed(end[-1:])] == [b"a"]
        assert decoder.pending_bytes == 0


def test_pending_bytes_count_the_unfinished_event() -> None:
    decoder = Decoder()
    decoder.feed(b"data: a\n\ndata: b")
    assert decoder.pending_bytes == 7


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_an_event_past_the_limit_is_returned_in_parts(end: bytes, size: int) -> None:
    data = b"data: a\n\n" + b"data: " + b"x" * 300 + end + b"data: b\n\n"
    decoder = Decoder(limit_bytes=100)
    events = [
        event
        for at in range(0, len(data), size)
        for event in decoder.feed(data[at : at + size])
        if event.raw.strip() or event.is_part
    ]
    assert decoder.end() == []
    parts = [event for event in events if event.is_part]
    assert [event.data for event in events if not event.is_part] == [b"a", b"b"]
    assert b"".join(part.raw for part in parts).strip() == b"data: " + b"x" * 300
    assert [part.complete for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(len(part.raw) <= max(size, 100) + size for part in parts)


def test_an_event_past_the_limit_needs_little_memory() -> None:
    decoder = Decoder(limit_bytes=100)
    for _ in range(100):
        decoder.feed(b"x" * 60)
        assert decoder.pending_bytes <= 100


def test_the_limit_does_not_apply_to_several_events_together() -> None:
    assert len(Decoder(limit_bytes=100).feed(b"data: 0123456789\n\n" * 50)) == 50


def test_a_large_event_in_small_chunks_takes_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0
    blank_line = sse._BLANK_LINE

    class Counted:
        def search(self, buffer: bytearray, start: int) -> re.Match[bytes] | None:
            nonlocal searched
            searched += len(buffer) - start
            return blank_line.search(buffer, start)

    monkeypatch.setattr(sse, "_BLANK_LINE", Counted())
    decoder = Decoder()
    size, chunk = 4 * 1024 * 1024, b"x" * 512
    for _ in range(size // len(chunk)):
        assert decoder.feed(chunk) == []
    (event,) = decoder.feed(b"\n\n")
    assert len(event.raw) == size + 2
    assert searched < 1.1 * size


ENCODED = {
    "data": (b"a", "", b"data: a\n\n"),
    "a type": (b"a", "ping", b"event: ping\ndata: a\n\n"),
    "nothing": (b"", "", b"data: \n\n"),
    "lines": (b"{\n}", "", b"data: {\ndata: }\n\n"),
    "a space first": (b" a", "", b"data:  a\n\n"),
}


@pytest.mark.parametrize(("data", "type", "raw"), ENCODED.values(), ids=ENCODED.keys())
def test_an_event_is_written_and_read_back(data: bytes, type: str, raw: bytes) -> None:
    assert encode(data, type) == raw
    assert read(raw) == [(raw, type, data, True)]


@given(_bytes)
def test_any_written_data_is_read_back(data: bytes) -> None:
    assert read(encode(data, "x")) == [(encode(data, "x"), "x", as_read(data), True)]


def as_read(data: bytes) -> bytes:
    """Return data as a reader receives it: every line end becomes LF."""
    return re.sub(rb"\r\n|\r", b"\n", data)


REPLACED = {
    "LF": (b"data: a\n\n", b"NEW", b"data: NEW\n\n"),
    "CRLF": (b"data: a\r\n\r\n", b"NEW", b"data: NEW\r\n\r\n"),
    "CR": (b"data: a\r\r", b"NEW", b"data: NEW\r\r"),
    "other lines stay": (
        b": c\nevent: x\ndata: a\nid: 1\nretry:5\nfoo\n\n",
        b"NEW",
        b": c\nevent: x\ndata: NEW\nid: 1\nretry:5\nfoo\n\n",
    ),
    "several lines become one": (
        b"data: a\r\nid: 1\r\ndata: b\r\n\r\n",
        b"NEW",
        b"data: NEW\r\nid: 1\r\n\r\n",
    ),
    "one line becomes several": (
        b"data: a\r\nid: 1\r\n\r\n",
        b"{\n}\r\n\r",
        b"data: {\r\ndata: }\r\ndata: \r\ndata: \r\nid: 1\r\n\r\n",
    ),
    "the same number of lines, each in place": (
        b"data:{\r\nid: 1\ndata: a\r: c\rdata:}\n\n",
        b"{\nNEW\n}",
        b"data:{\r\nid: 1\ndata: NEW\r: c\rdata:}\n\n",
    ),
    "no space": (b"data:a\n\n", b"NEW", b"data:NEW\n\n"),
    "no space, and a value that begins with one": (b"data:a\n\n", b" b", b"data:  b\n\n"),
    "no colon": (b"data\n\n", b"NEW", b"data: NEW\n\n"),
    "an empty value": (b"data: a\n\n", b"", b"data: \n\n"),
    "no data": (b"event: x\r\n\r\n", b"NEW", b"event: x\r\ndata: NEW\r\n\r\n"),
    "no data, several lines": (b"id: 1\n\n", b"a\nb", b"id: 1\ndata: a\ndata: b\n\n"),
    "no blank line": (b"data: a\n", b"NEW", b"data: NEW\n"),
    "no line end": (b"data: a", b"NEW", b"data: NEW\n"),
    "no line end, several lines": (b"data: a", b"b\nc", b"data: b\ndata: c\n"),
    "no line end, no data": (b"event: x", b"NEW", b"event: x\ndata: NEW\n"),
    "a CR before another blank line": (b"data: a\rid: 1\n\n", b"NEW", b"data: NEW\rid: 1\n\n"),
    "a field that begins like data": (
        b"data2: a\ndata: a\n\n",
        b"NEW",
        b"data2: a\ndata: NEW\n\n",
    ),
    "data that a comment quotes": (b": a\ndata: a\n\n", b"NEW", b": a\ndata: NEW\n\n"),
}


@pytest.mark.parametrize(("raw", "data", "expected"), REPLACED.values(), ids=REPLACED.keys())
def test_replacing_data_keeps_all_other_bytes(raw: bytes, data: bytes, expected: bytes) -> None:
    (event,) = decode(raw)
    assert with_data(event, data) == expected


RETYPED = {
    "another type": (b"id: 1\nevent:a\r\ndata:x\n\n", b"id: 1\nevent: NEW\r\ndata:x\n\n"),
    "no type": (b"id: 1\r\ndata:x\r\n\r\n", b"id: 1\r\nevent: NEW\r\ndata:x\r\n\r\n"),
    "several types": (b"event: a\ndata: x\nevent: b\n\n", b"event: NEW\ndata: x\n\n"),
    "a type after the data": (b"data: x\revent\r\r", b"data: x\revent: NEW\r\r"),
    "a type with an empty name": (b"event: a\nevent\ndata: x\n\n", b"event: NEW\ndata: x\n\n"),
    "the type it has": (b"data:x\revent:NEW\n\n", b"data:x\revent:NEW\n\n"),
    "no data": (b": c\r\r", b": c\revent: NEW\r\r"),
    "several data lines": (
        b"data: x\n: c\ndata:y\n\n",
        b"event: NEW\ndata: x\n: c\ndata:y\n\n",
    ),
}


@pytest.mark.parametrize(("raw", "expected"), RETYPED.values(), ids=RETYPED.keys())
def test_replacing_a_type_keeps_all_other_bytes(raw: bytes, expected: bytes) -> None:
    (event,) = decode(raw)
    data = event.data
    assert (with_data(event, data, "NEW") if data is not None else _typed(event)) == expected


def _typed(event: Event) -> bytes:
    return with_data(Event(event.raw, event.type, b""), b"", "NEW")


@pytest.mark.parametrize("type", ["a\nb", "a\r", "\n"])
def test_a_type_with_a_line_end_is_refused(type: str) -> None:
    with pytest.raises(ValueError, match="contains a line end"):
        encode(b"x", type)
    with pytest.raises(ValueError, match="contains a line end"):
        with_data(Event(b"data: x\n\n", "", b"x"), b"x", type)


@given(_bytes, _bytes, st.none() | st.sampled_from(["", "x", " y"]))
def test_replaced_data_is_read_back(stream: bytes, data: bytes, type: str | None) -> None:
    for event in decode(stream):
        if event.complete and event.data is not None:
            events = decode(with_data(event, data, type))
            again = [(read.data, read.type) for read in events if read.data is not None]
            assert again == [(as_read(data), event.type if type is None else type)]


@given(_bytes)
def test_an_event_with_equal_data_keeps_its_bytes(stream: bytes) -> None:
    for event in decode(stream):
        if event.data is not None:
            assert with_data(event, event.data) == event.raw
            assert with_data(event, event.data, event.type) == event.raw


@given(_bytes, _bytes)
def test_other_lines_keep_their_bytes(stream: bytes, data: bytes) -> None:
    for event in decode(stream):
        if event.complete and event.data is not None:
            assert others(with_data(event, data)) == others(event.raw)


def others(raw: bytes) -> list[bytes]:
    """Return the lines of an event without its data lines and its blank line."""
    lines = sse.split_lines(raw)[:-1]
    return [line for line in lines if re.match(rb"data[:\r\n]", line) is None]


@given(_bytes)
def test_the_lines_of_an_event_joined_are_the_event(data: bytes) -> None:
    assert b"".join(sse.split_lines(data)) == data


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"data: a", (b"data", b"a")),
        (b"data:a:b", (b"data", b"a:b")),
        (b"data", (b"data", b"")),
        (b": x", (b"", b"x")),
        (b"", (b"", b"")),
    ],
)
def test_a_line_has_a_name_and_a_value(line: bytes, field: tuple[bytes, bytes]) -> None:
    assert sse.read_field(line) == field
