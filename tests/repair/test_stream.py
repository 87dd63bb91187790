"""StreamRepair, independent of the protocol: meaningless fields, bare errors, memory limits."""

import gc
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType

import pytest
from framings import FRAMINGS, bytes_of
from wiremend.clients import traits_of_client
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.repair.stream import StreamRepair, stream_repair
from wiremend.rules.rule import FINDINGS_LIMIT
from wiremend.text.sse import EVENT_LIMIT_BYTES

OPENAI_PYTHON = traits_of_client("openai-python")
PYTHON = StreamContext(client=OPENAI_PYTHON)
CHUNK = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}'

FIELDS = {
    "a retry delay": (b"retry: 3000\n\n", b"\n", ["S005"]),
    "an event without data": (b"event: ping\r\n\r\n", b"\r\n", ["S005"]),
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
def test_lines_that_openai_python_reads_as_events_are_dropped(
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
    ids=["another client", "the rule is disabled"],
)
@pytest.mark.parametrize("event", [row[0] for row in FIELDS.values()], ids=FIELDS.keys())
def test_for_other_clients_these_lines_are_unchanged(event: bytes, context: StreamContext) -> None:
    repair = stream_repair(CHAT, context)
    (repaired,) = repair.feed(event)
    assert (repaired.data, repaired.findings) == (event, [])


# An error instead of a stream

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
def test_a_json_error_instead_of_events_keeps_its_status_and_message(
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
def test_text_after_an_array_is_handled_the_same_in_any_chunks(at: int) -> None:
    framing, stream = FRAMINGS["gemini-array"], b']{"error":{"message":"x"}}'
    repaired = framing.repaired([stream[:at], stream[at:]], framing.context())
    assert bytes_of(repaired) == bytes_of(framing.repaired([stream], framing.context()))


@pytest.mark.parametrize("body", [b'{"error":null}\n\n', b'{"id":1}\n\n', b"{\n\n", b"[1]\n\n"])
def test_other_json_instead_of_events_is_unchanged(body: bytes) -> None:
    framing = FRAMINGS["chat"]
    assert framing.repaired([body], framing.context())[0] == Repaired(body, EventKind.IDLE)


# Limits on memory


def repair_of(name: str, **limits: int) -> StreamRepair:
    framing = FRAMINGS[name]
    context = framing.context()
    return StreamRepair(framing.protocol.make_repairer(context), context, **limits)


def memory_of(root: object) -> int:
    """Return the bytes of memory of an object and of all instances that it refers to."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        instance = waiting.pop()
        if id(instance) not in seen and not isinstance(instance, type | ModuleType | FunctionType):
            seen[id(instance)] = instance
            waiting += gc.get_referents(instance)
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
def test_an_event_without_an_end_is_passed_on_and_released(name: str, piece: bytes) -> None:
    repair = repair_of(name)
    fed = passed = 0
    while fed <= EVENT_LIMIT_BYTES + 10 * len(piece):
        fed += len(piece)
        passed += sum(len(item.data) for item in repair.feed(piece))
    assert fed - passed <= len(piece) + 4
    assert memory_of(repair) < 1_000_000
    assert repair.end()[-1].kind is EventKind.ERROR


def block_event(number: int) -> bytes:
    return (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
        b'"content_block":{"type":"tool_use","id":"toolu_%d","name":"read","input":{}}}\n\n'
    ) % (number, number)


def choice_event(number: int) -> bytes:
    return (
        b'data: {"object":"chat.completion.chunk","choices":[{"index":%d,'
        b'"delta":{"content":"x"},"finish_reason":null}]}\n\n'
    ) % number


def item_event(number: int) -> bytes:
    return (
        b"event: response.output_item.added\n"
        b'data: {"type":"response.output_item.added","sequence_number":%d,"output_index":%d,'
        b'"item":{"id":"m%d","type":"message","role":"assistant","content":[]}}\n\n'
    ) % (number, number, number)


def candidate_event(number: int) -> bytes:
    return b'data: {"candidates":[{"content":{"parts":[{"text":"x"}]},"index":%d}]}\n\n' % number


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("anthropic", block_event),
        ("chat", choice_event),
        ("responses", item_event),
        ("gemini", candidate_event),
    ],
)
def test_a_stream_over_the_limit_is_passed_through_and_not_stored(
    name: str, event: Callable[[int], bytes]
) -> None:
    repair = repair_of(name, limit_bytes=50_000)
    number = 0
    while not repair.gave_up:
        (*_, last) = repair.feed(event(number))
        number += 1
        assert number < 1_000
    assert [finding.code for finding in last.findings] == ["S006"]
    used = memory_of(repair)
    rest = [event(number + more) for more in range(1_000)]
    assert [item.data for data in rest for item in repair.feed(data)] == rest
    assert memory_of(repair) == used


def test_the_number_of_findings_is_limited() -> None:
    repair = repair_of("gemini")
    repaired = [item for _ in range(5_000) for item in repair.feed(b": keep-alive\n\n")]
    assert sum(len(item.findings) for item in repaired) == FINDINGS_LIMIT
    assert {item.data for item in repaired} == {b"\n"}
