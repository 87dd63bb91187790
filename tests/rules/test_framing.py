"""What StreamRepair does whatever the protocol: fields of no meaning, and bounds on memory."""

import pytest
from wiremend.engine.menders import make_mender
from wiremend.protocols.names import WireProtocol
from wiremend.rules.framing import StreamRepair
from wiremend.rules.mending import StreamContext

PYTHON = StreamContext(client="openai-python")
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
    repair = StreamRepair(make_mender(WireProtocol.CHAT_COMPLETIONS, PYTHON), PYTHON)
    (mended,) = repair.feed(event)
    assert (mended.data, [finding.code for finding in mended.findings]) == (shown, codes)


@pytest.mark.parametrize(
    "context",
    [StreamContext(), StreamContext(client="openai-python", disabled=frozenset({"S005"}))],
    ids=["another client", "the rule is off"],
)
@pytest.mark.parametrize("event", [row[0] for row in FIELDS.values()], ids=FIELDS.keys())
def test_for_others_they_are_left_alone(event: bytes, context: StreamContext) -> None:
    repair = StreamRepair(make_mender(WireProtocol.CHAT_COMPLETIONS, context), context)
    (mended,) = repair.feed(event)
    assert (mended.data, mended.findings) == (event, [])
