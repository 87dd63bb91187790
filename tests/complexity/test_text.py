"""The time to read and edit text, events and content codings grows linearly."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard
from wiremend.protocols.base.usage import UsageMeter
from wiremend.protocols.registry import PROTOCOLS
from wiremend.text import json_value, sse
from wiremend.text.content_coding import UndecodableBody, decode_whole, decoder_for
from wiremend.text.json_array import ArrayDecoder
from wiremend.text.json_edits import Edits, Spans

from complexity.growth import Sizes, Work, assert_linear
from complexity.streams import chunks_of

pytestmark = pytest.mark.complexity

BYTES = Sizes(first=1 << 12, last=1 << 22, seconds=0.05)
ITEMS = Sizes(first=256, last=1 << 15, seconds=0.1)

STREAMS: dict[str, Callable[[int], bytes]] = {
    "one long event": lambda n: b"data: " + b"x" * n + b"\n\n",
    "many events": lambda n: b"data: x\n\n" * (n // 9),
    "blank lines": lambda n: b"\n" * n,
    "carriage returns": lambda n: b"\r" * n,
    "both": lambda n: b"\r\n" * (n // 2),
    "lines without end": lambda n: b"data: x\n" * (n // 8),
    "lines and returns": lambda n: b"data: x\r" * (n // 8),
    "comments": lambda n: b":\n" * (n // 2),
    "colons": lambda n: b"data:" + b":" * n + b"\n\n",
    "no end": lambda n: b"data: x" + b" " * n,
    "halves of a line end": lambda n: b"a\rb\n" * (n // 4),
}
ARRAYS: dict[str, Callable[[int], bytes]] = {
    "many elements": lambda n: b"[" + b'{"a":1},' * (n // 8) + b"1]",
    "one long string": lambda n: b'["' + b"x" * n + b'"]',
    "escapes": lambda n: b'["' + rb"\"" * (n // 2) + b'"]',
    "brackets": lambda n: b"[" * n,
    "pairs": lambda n: b"[" + b"[]," * (n // 3) + b"1]",
    "space": lambda n: b"[" + b" " * n + b"1]",
    "commas": lambda n: b"[" + b"," * n + b"1]",
    "a long number": lambda n: b"[" + b"1" * n + b"]",
    "numbers": lambda n: b"[" + b"1," * (n // 2) + b"1]",
    "after the end": lambda n: b"[1]" + b" \n" * (n // 2),
}
CHUNKS = {"whole": 1 << 30, "tiny": 1}


def feeding(make: Callable[[], Any], data: Callable[[int], bytes], chunk: int) -> Any:
    def prepare(size: int) -> Work:
        chunks = chunks_of(data(size), chunk)

        def work() -> None:
            decoder = make()
            for one in chunks:
                decoder.feed(one)
            decoder.end()

        return work

    return prepare


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("name", STREAMS)
def test_decoding_events(name: str, chunk: str) -> None:
    assert_linear(feeding(sse.Decoder, STREAMS[name], CHUNKS[chunk]), BYTES)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("name", ARRAYS)
def test_decoding_arrays(name: str, chunk: str) -> None:
    assert_linear(feeding(ArrayDecoder, ARRAYS[name], CHUNKS[chunk]), BYTES)


@pytest.mark.parametrize(
    "line", [b"event: x\n", b"data: x\n", b"id: x\n", b":\n", b"\r", b"data\n"]
)
@pytest.mark.parametrize("type", [None, "y"])
@pytest.mark.parametrize("lines", [1, 2])
def test_rewriting_an_event(line: bytes, type: str | None, lines: int) -> None:
    def prepare(size: int) -> Work:
        event = sse.Event(line * size + b"data: z\n\n", "x", b"z")
        data = b"\n".join([b"new"] * lines)
        return lambda: sse.with_data(event, data, type)

    assert_linear(prepare, ITEMS)


def test_rewriting_many_lines_as_many() -> None:
    def prepare(size: int) -> Work:
        event = sse.Event(b"data: x\n" * size + b"\n", "", b"\n".join([b"x"] * size))
        data = b"\n".join([b"y"] * (size + 1))
        return lambda: sse.with_data(event, data)

    assert_linear(prepare, ITEMS)


VALUES: dict[str, Callable[[int], str]] = {
    "a long string": lambda n: '"' + "x" * n + '"',
    "an escaped string": lambda n: '"' + r"\u00e9" * (n // 6) + '"',
    "surrogates": lambda n: '"' + r"\ud83d" * (n // 6) + '"',
    "a broken escape": lambda n: '"' + "x" * n + r"\x" + '"',
    "a long number": lambda n: "1" * n,
    "a long fraction": lambda n: "0." + "1" * n,
    "a long exponent": lambda n: "1e" + "1" * n,
    "numbers": lambda n: "[" + "111111111111111111111111," * (n // 25) + "1]",
    "deep lists": lambda n: "[" * n + "]" * n,
    "deep lists without end": lambda n: "[" * n,
    "deep objects": lambda n: '{"a":' * (n // 5) + "1" + "}" * (n // 5),
    "short lists": lambda n: "[" + "[]," * (n // 3) + "1]",
    "duplicate keys": lambda n: "{" + '"a":1,' * (n // 6) + '"a":1}',
    "many keys": lambda n: json.dumps({f"key_{i}": i for i in range(n // 12)}),
    "colliding keys": lambda n: json.dumps({str(i * (2**61 - 1)): i for i in range(n // 25)}),
    "white space": lambda n: " " * n + "1",
    "white space inside": lambda n: "[1" + " " * n + "]",
    "no JSON": lambda n: "x" * n,
    "lines": lambda n: "\n" * n + "x",
    "a cut object": lambda n: '{"a":"' + "x" * n,
    "NaN": lambda n: "[" + "NaN," * (n // 4) + "1]",
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("broken", [b"", b"\xff"])
def test_reading_and_writing_json(name: str, broken: bytes) -> None:
    def prepare(size: int) -> Work:
        data = VALUES[name](size).encode()
        if broken:
            data = b'["' + broken + b'",' + data + b"]"

        def work() -> None:
            if json_value.parses(data):
                json_value.write(json_value.read(data))

        return work

    assert_linear(prepare, BYTES)


def editing(edit: Callable[[Edits, int], None], text: Callable[[int], bytes]) -> Any:
    def prepare(size: int) -> Work:
        body = text(size)

        def work() -> None:
            edits = Edits(body)
            for number in range(size):
                edit(edits, number)
            edits.apply()

        return work

    return prepare


OBJECTS = {
    "flat": lambda n: json.dumps({f"k{i}": i for i in range(n)}).encode(),
    "nested": lambda n: json.dumps({f"k{i}": {"a": [1, {"b": [2]}]} for i in range(n)}).encode(),
    "spaced": lambda n: json.dumps({f"k{i}": "{[" for i in range(n)}, indent=8).encode(),
}
EDITS: dict[str, Callable[[Edits, int], None]] = {
    "replace": lambda edits, i: edits.replace((f"k{i}",), b"0"),
    "remove": lambda edits, i: edits.remove((f"k{i}",)),
    "rename": lambda edits, i: edits.rename((f"k{i}",), f"x{i}"),
    "insert_after": lambda edits, i: edits.insert_after((f"k{i}",), b'"x":0'),
    "append": lambda edits, i: edits.append((), b'"x":0'),
    "prepend": lambda edits, i: edits.prepend((), b'"x":0'),
    "text": lambda edits, i: edits.text((f"k{i}",)) and None,
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("edit", EDITS)
def test_editing_many_members(name: str, edit: str) -> None:
    assert_linear(editing(EDITS[edit], OBJECTS[name]), ITEMS)


ITEM_EDITS: dict[str, Callable[[Edits, int], None]] = {
    "replace": lambda edits, i: edits.replace((i,), b"0"),
    "replace inside": lambda edits, i: edits.replace((i, "a"), b"0"),
    "remove": lambda edits, i: edits.remove((i,)),
    "remove inside": lambda edits, i: edits.remove((i, "a")),
    "insert": lambda edits, i: edits.insert_item((), i, b"0"),
    "insert last": lambda edits, i: edits.insert_item((), 1 << 30, b"0"),
}


@pytest.mark.parametrize("edit", ITEM_EDITS)
def test_editing_many_items(edit: str) -> None:
    def text(size: int) -> bytes:
        return json.dumps([{"a": {"b": [{"c": 1}]}, "d": "]"} for _ in range(size)]).encode()

    assert_linear(editing(ITEM_EDITS[edit], text), ITEMS)


SPANNED: dict[str, Callable[[int], bytes]] = {
    "wide": lambda n: b'{"a":[' + b"[[[1]]]," * (n // 8) + b'1],"b":1}',
    "strings": lambda n: b'{"a":["' + rb"\"[" * (n // 3) + b'"],"b":1}',
    "deep": lambda n: (
        b'{"a":' + b"[" * min(500, n) + b'"x",' * (n // 4) + b"1" + b"]" * min(500, n) + b',"b":1}'
    ),
    "duplicate keys": lambda n: b"{" + b'"a":1,' * (n // 6) + b'"b":1}',
    "stairs": lambda n: (
        b'{"a":'
        + (b'[1,[2],"x",' * (n // 11))[: 11 * 400]
        + b"1"
        + b"]" * min(400, n // 11)
        + b',"b":1}'
    ),
    "space": lambda n: b'{"a":1' + b" " * n + b',"b":1}',
    "a long key": lambda n: b'{"' + b"x" * n + b'":1,"b":1}',
    "a long number": lambda n: b'{"a":' + b"1" * n + b',"b":1}',
}


@pytest.mark.parametrize("name", SPANNED)
def test_spans(name: str) -> None:
    def prepare(size: int) -> Work:
        body = SPANNED[name](size)

        def work() -> None:
            spans = Spans(body)
            assert spans.span(("b",)) is not None
            spans.span(("a", 0, 0, 0))

        return work

    assert_linear(prepare, BYTES)


CONTENT: dict[str, Callable[[int], bytes]] = {
    "gzip": lambda n: gzip.compress(b"ab" * n),
    "gzip, many members": lambda n: gzip.compress(b"abc") * (n // 64),
    "deflate": lambda n: zlib.compress(b"ab" * n),
    "br": lambda n: brotli.compress(b"ab" * n, quality=1),
    "zstd": lambda n: zstandard.compress(b"ab" * n),
    "gzip, gzip": lambda n: gzip.compress(gzip.compress(b"ab" * n)),
    "gzip, garbage": lambda n: gzip.compress(b"abc") + b"x" * n,
}


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("name", CONTENT)
def test_decoding_content(name: str, chunk: str) -> None:
    coding = "gzip, gzip" if name == "gzip, gzip" else name.partition(",")[0]

    def prepare(size: int) -> Work:
        data = CONTENT[name](size)
        chunks = chunks_of(data, CHUNKS[chunk])

        def work() -> None:
            try:
                decoder = decoder_for(coding)
                assert decoder is not None
                for one in chunks:
                    decoder.decode(one)
                decode_whole(coding, data, 1 << 30)
            except UndecodableBody:
                pass

        return work

    assert_linear(prepare, BYTES)


def test_a_long_list_of_codings() -> None:
    def prepare(size: int) -> Work:
        names = ", ".join(["identity"] * size)
        return lambda: decoder_for(names)

    assert_linear(prepare, ITEMS)


USAGE = {
    "keys": b'"usage":',
    "space": b'"usage"       ',
    "colon": b'"usage":        ',
    "found": b'data: {"usage":{"input_tokens":1},"usageMetadata":{"a":1}}\n\n',
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("unit", USAGE)
def test_looking_for_token_counts(unit: str, protocol: str) -> None:
    def prepare(size: int) -> Work:
        data = USAGE[unit] * (size // 8)

        def work() -> None:
            meter = UsageMeter(PROTOCOLS[protocol].usage_format)
            for one in chunks_of(data, 1 << 12):
                meter.feed(one)
            meter.feed(data)
            _ = meter.usage

        return work

    assert_linear(prepare, BYTES)
