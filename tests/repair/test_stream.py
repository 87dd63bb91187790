"""What StreamRepair does whatever the protocol: fields of no meaning, and bounds on memory."""

import gc
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType

import pytest
from framings import FRAMINGS, bytes_of
from wiremend.clients import traits_of_client
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.chat.stream import ChatRepairer
from wiremend.repair.stream import FINDINGS_LIMIT, StreamRepair, stream_repair
from wiremend.text.sse import EVENT_LIMIT_BYTES, Event

OPENAI_PYTHON = traits_of_client("openai-python")
PYTHON = StreamContext(client=OPENAI_PYTHON)
CHUNK = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}'

FIELDS = {
    "a pause before the next try": (b"retry: 3000\n\n", b"\n", ["S005"]),
    "an event of no data": (b"event: ping\r\n\r\n", b"\r\n", ["S005"]),
    "an id alone": (b"id: 7\n\n", b"\n", ["S005"]),
    "an id before data": (b"id: 7\n" + CHUNK + b"\n\n", CHUNK + b"\n\n", ["S005"]),
    "an id after data": (CHUNK + b"\rid\r\r", CHUNK + b"\r\r", ["S005"]),
    "an id between a comment and data": (
        b": note\nid:7\nretry:1\n" + CHUNK + b"\n\n",
        b": note\n" + CHUNK + b"\n\n",
        ["S005"],
    ),
    "an event line over data": (
        b"event: message\n" + CHUNK + b"\n\n",
        b"event: message\n" + CHUNK + b"\n\n",
        [],
    ),
    "a comment": (b": id: 7\n\n", b": id: 7\n\n", []),
    "a blank line": (b"\n", b"\n", []),
}


@pytest.mark.parametrize(("event", "shown", "codes"), FIELDS.values(), ids=FIELDS.keys())
def test_lines_that_openai_python_takes_for_events_are_dropped(
    event: bytes, shown: bytes, codes: list[str]
) -> None:
    repair = stream_repair(CHAT, PYTHON)
    (repaired,) = repair.feed(event)
    assert (repaired.data, [finding.code for finding in repaired.findings]) == (shown, codes)


@pytest.mark.parametrize(
    "context",
    [
        StreamContext(),
        StreamContext(client=OPENAI_PYTHON, disabled=frozenset({"S005"})),
    ],
    ids=["another client", "the rule is off"],
)
@pytest.mark.parametrize("event", [row[0] for row in FIELDS.values()], ids=FIELDS.keys())
def test_for_others_they_are_left_alone(event: bytes, context: StreamContext) -> None:
    repair = stream_repair(CHAT, context)
    (repaired,) = repair.feed(event)
    assert (repaired.data, repaired.findings) == (event, [])


# An error that was promised to be a stream

BARE = {
    "an envelope": (b'{"error":{"type":"rate_limit_error","message":"Slow down"}}', 429),
    "an envelope and a blank line": (b'{"error":{"code":401,"message":"No key"}}\r\n\r\n', 401),
    "on several lines": (b'{\n  "code": 500,\n  "msg": "NOT_FOUND",\n  "success": false\n}\n', 500),
    "after a byte order mark": (b'\xef\xbb\xbf{"error":"Upstream died"}', 502),
}
SHOWN = {
    "anthropic": b"",
    "chat": b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n',
    "responses": b"",
}


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize(("body", "status"), BARE.values(), ids=BARE)
def test_a_json_error_in_place_of_events_keeps_its_status_and_its_words(
    name: str, body: bytes, status: int
) -> None:
    framing = FRAMINGS[name]
    for stream in (body, SHOWN[name] + body):
        for chunks in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
            repaired = framing.repaired(chunks, framing.context())
            error = repaired[-1].error
            assert error is not None
            assert error.status == status
            assert error.message.encode() in bytes_of(repaired)
            assert framing.violations(bytes_of(repaired)) == []


@pytest.mark.parametrize("at", range(26))
def test_what_follows_an_array_means_the_same_in_any_chunks(at: int) -> None:
    framing, stream = FRAMINGS["gemini-array"], b']{"error":{"message":"x"}}'
    repaired = framing.repaired([stream[:at], stream[at:]], framing.context())
    assert bytes_of(repaired) == bytes_of(framing.repaired([stream], framing.context()))


@pytest.mark.parametrize("body", [b'{"error":null}\n\n', b'{"id":1}\n\n', b"{\n\n", b"[1]\n\n"])
def test_other_json_in_place_of_events_is_left_alone(body: bytes) -> None:
    framing = FRAMINGS["chat"]
    assert framing.repaired([body], framing.context())[0] == Repaired(body, EventKind.IDLE)


# Nothing grows without limit


def repair_of(name: str, **limits: int) -> StreamRepair:
    framing = FRAMINGS[name]
    context = framing.context()
    return StreamRepair(framing.protocol.make_repairer(context), context, **limits)


def kept_bytes(root: object) -> int:
    """How much memory an object and all that only instances refer to from it take."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    return sum(map(sys.getsizeof, seen.values()))


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("anthropic", b"x" * 262_144),
        ("chat", (b"data: " + b"x" * 1_000 + b"\n") * 256),
        ("gemini-array", b'["' + b"x" * 262_144 + b'\\"'),
    ],
    ids=["an endless line", "endless lines", "an endless string"],
)
def test_an_event_without_an_end_ends_the_stream_and_is_let_go(name: str, piece: bytes) -> None:
    repair = repair_of(name)
    fed = 0
    repaired: list[Repaired] = []
    while not any(one.kind is EventKind.ERROR for one in repaired):
        assert fed <= EVENT_LIMIT_BYTES + len(piece)
        repaired = repair.feed(piece)
        fed += len(piece)
    assert repaired[-1].findings[0].code == "S004"
    assert repair.feed(piece + b'"]\n\ndata: {}\n\n') == []
    assert repair.end()[-1].error == repaired[-1].error
    assert kept_bytes(repair) < 1_000_000


def a_block_after_the_other(number: int) -> bytes:
    return (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
        b'"content_block":{"type":"tool_use","id":"toolu_%d","name":"read","input":{}}}\n\n'
    ) % (number, number)


def a_choice_after_the_other(number: int) -> bytes:
    return (
        b'data: {"object":"chat.completion.chunk","choices":[{"index":%d,'
        b'"delta":{"content":"x"},"finish_reason":null}]}\n\n'
    ) % number


def an_item_after_the_other(number: int) -> bytes:
    return (
        b"event: response.output_item.added\n"
        b'data: {"type":"response.output_item.added","sequence_number":%d,"output_index":%d,'
        b'"item":{"id":"m%d","type":"message","role":"assistant","content":[]}}\n\n'
    ) % (number, number, number)


def a_candidate_after_the_other(number: int) -> bytes:
    return b'data: {"candidates":[{"content":{"parts":[{"text":"x"}]},"index":%d}]}\n\n' % number


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("anthropic", a_block_after_the_other),
        ("chat", a_choice_after_the_other),
        ("responses", an_item_after_the_other),
        ("gemini", a_candidate_after_the_other),
    ],
)
def test_a_stream_without_an_end_passes_from_a_limit_on_and_is_not_kept(
    name: str, event: Callable[[int], bytes]
) -> None:
    repair = repair_of(name, limit_bytes=50_000)
    number = 0
    while not repair.gave_up:
        (*_, last) = repair.feed(event(number))
        number += 1
        assert number < 1_000
    assert [finding.code for finding in last.findings] == ["S006"]
    kept = kept_bytes(repair)
    rest = [event(number + more) for more in range(1_000)]
    assert [one.data for data in rest for one in repair.feed(data)] == rest
    assert kept_bytes(repair) == kept


def test_what_is_wrong_with_every_event_is_not_told_for_ever() -> None:
    repair = repair_of("gemini")
    told = [one for _ in range(5_000) for one in repair.feed(b": keep-alive\n\n")]
    assert sum(len(one.findings) for one in told) == FINDINGS_LIMIT
    assert {one.data for one in told} == {b"\n"}


def test_a_repair_that_gives_up_loses_no_byte_of_an_unfinished_event() -> None:
    class Failing(ChatRepairer):
        def feed(self, event: Event) -> Repaired:
            raise ValueError

    repair = StreamRepair(Failing(StreamContext()))
    stream = b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
    repaired = repair.feed(stream[:12]) + repair.feed(stream[12:]) + repair.end()
    assert b"".join(one.data for one in repaired) == stream
