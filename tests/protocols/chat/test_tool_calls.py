"""The assignment of fragments to calls, and their repair: one row per form of calls.

A row contains the received and the sent fragments: index, id, name, arguments.
"""

from typing import Any

import pytest
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat.tool_calls import ToolCalls

NEW = "a generated id"
Row = tuple[Any, Any, Any, Any]


def fragment(index: Any, identity: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """Return a fragment with the fields that are not `...`."""
    function = {"name": name, "arguments": arguments}
    result: dict[str, Any] = {"index": index, "id": identity}
    result["function"] = {key: value for key, value in function.items() if value is not ...}
    return {key: value for key, value in result.items() if value is not ...}


def row(shown: dict[str, Any]) -> Row:
    function = shown["function"]
    identity = shown.get("id", ...)
    if isinstance(identity, str) and len(identity) > 20:
        identity = NEW
    return shown["index"], identity, function.get("name", ...), function.get("arguments", ...)


def repair_stream(
    fragments: list[Any], *, off: frozenset[str] = frozenset(), tools: tuple[str, ...] = ()
) -> tuple[list[Row], list[str]]:
    """Return the sent fragments, one delta each, then the missing ones, and the codes."""
    notes = Draft(off)
    calls = ToolCalls(notes, StreamContext(tool_names=tools))
    shown: list[Row] = []
    for received in fragments:
        repaired, _ = calls.repair([received], "chatcmpl-1")
        shown += map(row, repaired)
    shown += map(row, calls.settle("chatcmpl-1"))
    return shown, sorted({finding.code for finding in notes.findings} - {"S202"})


ONE = [(0, "c1", "f", ""), (0, ..., ..., '{"p"'), (0, ..., ..., ":1}")]
TWO = [(0, "c1", "f", "{}"), (1, "c2", "g", "{}")]

INTERLEAVED = [
    (0, "c1", "f", '{"a"'),
    (1, "c2", "g", '{"b"'),
    (0, ..., ..., ":1}"),
    (1, ..., ..., ":2}"),
]

CASES: dict[str, tuple[list[Row], list[Row], list[str]]] = {
    "a valid call": (ONE, ONE, []),
    "interleaved by index": (
        [
            (0, "c1", "f", '{"a"'),
            (1, "c2", "g", '{"b"'),
            (0, ..., ..., ":1}"),
            (1, ..., ..., ":2}"),
        ],
        [
            (0, "c1", "f", '{"a"'),
            (1, "c2", "g", '{"b"'),
            (0, ..., ..., ":1}"),
            (1, ..., ..., ":2}"),
        ],
        [],
    ),
    "always index 0, by id": ([(0, "c1", "f", "{}"), (0, "c2", "g", "{}")], TWO, ["S201"]),
    "the same tool twice under index 0": (
        [(0, "c1", "f", ""), (0, ..., ..., "{}"), (0, "c2", "f", ""), (0, ..., ..., "{}")],
        [(0, "c1", "f", ""), (0, ..., ..., "{}"), (1, "c2", "f", ""), (1, ..., ..., "{}")],
        ["S201"],
    ),
    "a new name after whole arguments": (
        [(0, "c1", "f", "{}"), (0, ..., "g", "{}")],
        [(0, "c1", "f", "{}"), (1, NEW, "g", "{}")],
        ["S201"],
    ),
    "no index, by id": ([(..., "c1", "f", "{}"), (..., "c2", "g", "{}")], TWO, ["S201"]),
    "no index in later fragments": (
        [(0, "c1", "f", ""), (..., ..., ..., "{}")],
        [(0, "c1", "f", ""), (0, ..., ..., "{}")],
        ["S201"],
    ),
    "the index as a string": (
        [("0", "c1", "f", ""), ("0", ..., ..., "{}")],
        [(0, "c1", "f", ""), (0, ..., ..., "{}")],
        ["S201"],
    ),
    "from index 1": ([(1, "c1", "f", "{}"), (2, "c2", "g", "{}")], TWO, ["S201"]),
    "id and name in every fragment": (
        [(0, "c1", "f", ""), (0, "c1", "f", '{"p"'), (0, "c1", "f", ":1}")],
        ONE,
        ["S218"],
    ),
    "a new id in every fragment": (
        [(0, "c1", "f", ""), (0, "c2", ..., '{"p"'), (0, "c3", ..., ":1}")],
        ONE,
        ["S218"],
    ),
    "a new id and the name in every fragment": (
        [(0, "c1", "f", '{"p"'), (0, "c2", "f", ":1}")],
        [(0, "c1", "f", '{"p"'), (0, ..., ..., ":1}")],
        ["S218"],
    ),
    "interleaved by id under index 0": (
        [
            (0, "c1", "f", '{"a"'),
            (0, "c2", "g", '{"b"'),
            (0, "c1", ..., ":1}"),
            (0, "c2", ..., ":2}"),
        ],
        INTERLEAVED,
        ["S201", "S218"],
    ),
    "a name that comes late": (
        [(0, "c1", ..., '{"p"'), (0, ..., "f", ":1}")],
        [(0, "c1", "f", '{"p":1}')],
        ["S203"],
    ),
    "no id": ([(0, ..., "f", "{}")], [(0, NEW, "f", "{}")], []),
    "an orphan after a call": (
        [(0, "c1", "f", ""), (3, ..., ..., "{}")],
        [(0, "c1", "f", ""), (0, ..., ..., "{}")],
        ["S201", "S204"],
    ),
    "arguments as an object": (
        [(0, "c1", "f", {"p": 1})],
        [(0, "c1", "f", '{"p":1}')],
        ["S205"],
    ),
    "empty arguments": (
        [(0, "c1", "f", "")],
        [(0, "c1", "f", ""), (0, ..., ..., "{}")],
        ["S206"],
    ),
}


@pytest.mark.parametrize(("received", "shown", "codes"), CASES.values(), ids=CASES)
def test_fragments_are_assigned_to_calls(
    received: list[Row], shown: list[Row], codes: list[str]
) -> None:
    assert repair_stream([fragment(*fields) for fields in received]) == (shown, codes)


@pytest.mark.parametrize("code", ["S201", "S203", "S206", "S218"])
def test_a_disabled_rule_leaves_fragments_unchanged(code: str) -> None:
    received = {
        "S201": [(1, "c1", "f", "{}")],
        "S203": [(0, "c1", "", "{}")],
        "S206": [(0, "c1", "f", "")],
        "S218": [(0, "c1", "f", ""), (0, "c1", "f", "{}")],
    }[code]
    assert repair_stream([fragment(*fields) for fields in received], off=frozenset({code})) == (
        received,
        [],
    )


@pytest.mark.parametrize(
    ("received", "tools", "excerpt"),
    [
        pytest.param([(0, ..., ..., "{}")], (), "never started", id="arguments of no call"),
        pytest.param([(0, "c1", "f", '{"p"')], (), "inside its JSON", id="cut arguments"),
        pytest.param(
            [(0, "c1", ..., "{}")], ("f", "g"), "call without a name", id="no name at all"
        ),
    ],
)
def test_lost_content_ends_in_an_error(
    received: list[Row], tools: tuple[str, ...], excerpt: str
) -> None:
    with pytest.raises(ContentLost, match=excerpt):
        repair_stream([fragment(*fields) for fields in received], tools=tools)


def test_a_call_without_a_name_gets_the_only_offered_one() -> None:
    shown, _ = repair_stream([fragment(0, "c1", ..., "{}")], tools=("f",))
    assert shown == [(0, "c1", "f", "{}")]


def test_generated_ids_differ_between_responses_but_not_between_attempts() -> None:
    def generated(stream_id: str) -> list[str]:
        calls = ToolCalls(Draft(), StreamContext())
        fragments = [fragment(0, ..., "f", "{}"), fragment(1, ..., "g", "{}")]
        return [call["id"] for call in calls.repair(fragments, stream_id)[0]]

    first, second = generated("chatcmpl-1"), generated("chatcmpl-2")
    assert first == generated("chatcmpl-1")
    assert len({*first, *second}) == 4
    assert all(len(identity) <= 40 for identity in first)


def test_many_fragments_are_joined_in_linear_time() -> None:
    """Two hundred thousand fragments, as when an agent writes a large file."""
    calls = ToolCalls(Draft(), StreamContext())
    calls.repair([fragment(0, "c1", "f", '{"text":"')], "s")
    for _ in range(200_000):
        calls.repair([fragment(0, ..., ..., "x")], "s")
    calls.repair([fragment(0, ..., ..., '"}')], "s")
    assert calls.are_whole
