"""Which call a fragment belongs to, and what it becomes: one row per way to write calls.

A row is the fragments as they came, and what is shown of them: index, id, name, arguments.
"""

from typing import Any

import pytest
from wiremend.protocols.base.draft import ContentLost, Draft
from wiremend.protocols.chat.tool_calls import ToolCalls

NEW = "a made-up id"
Row = tuple[Any, Any, Any, Any]


def fragment(index: Any, identity: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A fragment with the fields that are not `...`."""
    function = {"name": name, "arguments": arguments}
    made: dict[str, Any] = {"index": index, "id": identity}
    made["function"] = {key: value for key, value in function.items() if value is not ...}
    return {key: value for key, value in made.items() if value is not ...}


def row(shown: dict[str, Any]) -> Row:
    function = shown["function"]
    identity = shown.get("id", ...)
    if isinstance(identity, str) and len(identity) > 20:
        identity = NEW
    return shown["index"], identity, function.get("name", ...), function.get("arguments", ...)


def repair_stream(
    fragments: list[Any], *, off: frozenset[str] = frozenset(), tools: tuple[str, ...] = ()
) -> tuple[list[Row], list[str]]:
    """What is shown, each fragment in a delta of its own; then what the calls lack."""
    notes = Draft(off)
    calls = ToolCalls(notes, tools)
    shown: list[Row] = []
    for one in fragments:
        became, _ = calls.repair([one], "chatcmpl-1")
        shown += map(row, became)
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
    "a good call": (ONE, ONE, []),
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


@pytest.mark.parametrize(("came", "shown", "codes"), CASES.values(), ids=CASES)
def test_calls_are_told_apart(came: list[Row], shown: list[Row], codes: list[str]) -> None:
    assert repair_stream([fragment(*one) for one in came]) == (shown, codes)


@pytest.mark.parametrize("code", ["S201", "S203", "S206", "S218"])
def test_a_rule_that_is_off_leaves_fragments_as_they_came(code: str) -> None:
    came = {
        "S201": [(1, "c1", "f", "{}")],
        "S203": [(0, "c1", "", "{}")],
        "S206": [(0, "c1", "f", "")],
        "S218": [(0, "c1", "f", ""), (0, "c1", "f", "{}")],
    }[code]
    assert repair_stream([fragment(*one) for one in came], off=frozenset({code})) == (came, [])


@pytest.mark.parametrize(
    ("came", "tools", "said"),
    [
        pytest.param([(0, ..., ..., "{}")], (), "never started", id="arguments of no call"),
        pytest.param([(0, "c1", "f", '{"p"')], (), "inside its JSON", id="cut arguments"),
        pytest.param(
            [(0, "c1", ..., "{}")], ("f", "g"), "call without a name", id="no name at all"
        ),
    ],
)
def test_what_is_lost_ends_in_an_error(came: list[Row], tools: tuple[str, ...], said: str) -> None:
    with pytest.raises(ContentLost, match=said):
        repair_stream([fragment(*one) for one in came], tools=tools)


def test_the_only_tool_is_meant_where_none_is_named() -> None:
    shown, _ = repair_stream([fragment(0, "c1", ..., "{}")], tools=("f",))
    assert shown == [(0, "c1", "f", "{}")]


def test_made_up_ids_differ_between_answers_and_not_between_attempts() -> None:
    def made_up(stream_id: str) -> list[str]:
        calls = ToolCalls(Draft(), ())
        fragments = [fragment(0, ..., "f", "{}"), fragment(1, ..., "g", "{}")]
        return [one["id"] for one in calls.repair(fragments, stream_id)[0]]

    first, second = made_up("chatcmpl-1"), made_up("chatcmpl-2")
    assert first == made_up("chatcmpl-1")
    assert len({*first, *second}) == 4
    assert all(len(one) <= 40 for one in first)


def test_many_fragments_are_joined_in_linear_time() -> None:
    """Two hundred thousand of them: an agent that writes a large file."""
    calls = ToolCalls(Draft(), ())
    calls.repair([fragment(0, "c1", "f", '{"text":"')], "s")
    for _ in range(200_000):
        calls.repair([fragment(0, ..., ..., "x")], "s")
    calls.repair([fragment(0, ..., ..., '"}')], "s")
    assert calls.are_whole
