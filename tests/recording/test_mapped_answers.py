"""`--map OLD=NEW`: folders in recorded tool calls."""

import json

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.mapped_answers import mapped_answer
from wiremend.recording.path_maps import PathMap, PathMaps
from wiremend.recording.recorded_calls import AnswerEnd, RecordedAnswer
from wiremend.testing import answers

MAPS = PathMaps((PathMap("/tmp/old", "/srv/a/new"),))


@pytest.mark.parametrize(
    ("text", "mapped"),
    [
        ("/tmp/old/x", "/srv/a/new/x"),
        ('"/tmp/old"', '"/srv/a/new"'),
        ("cd /tmp/old; ls /tmp/old/", "cd /srv/a/new; ls /srv/a/new/"),
        ("/tmp/old.txt /tmp/older /tmp/old-er", "/tmp/old.txt /tmp/older /tmp/old-er"),
        ("in /tmp/old.", "in /srv/a/new."),
        ("/var/tmp/old/x ~/tmp/old", "/var/tmp/old/x ~/tmp/old"),
        ("\\/tmp\\/old\\/x", "\\/srv\\/a\\/new\\/x"),
    ],
)
def test_a_folder_is_replaced_where_it_stands_as_a_whole(text: str, mapped: str) -> None:
    assert MAPS.text(text) == mapped
    for at in range(len(text) + 1):
        assert "".join(MAPS.fragments([text[:at], text[at:]])) == mapped


def test_the_longer_of_two_folders_wins() -> None:
    maps = PathMaps((PathMap("/a", "/x"), PathMap("/a/b", "/y"), PathMap("C:\\a", "D:\\z")))
    assert maps.text('/a/b/c /a/c "C:\\\\a\\\\f" C:\\a\\f') == '/y/c /x/c "D:\\\\z\\\\f" D:\\z\\f'


@pytest.mark.parametrize("text", ["", "x", "=x", "x=", "/=/x"])
def test_a_map_needs_two_folders(text: str) -> None:
    with pytest.raises(ValueError, match="is not OLD=NEW with two folders"):
        PathMap.parse(text)


def answer_of(body: bytes, chunks: tuple[tuple[float, int], ...] = ()) -> RecordedAnswer:
    return RecordedAnswer(AnswerEnd.COMPLETE, status=200, body=body, chunks=chunks)


@pytest.mark.parametrize("protocol", answers.PROTOCOLS, ids=str)
@pytest.mark.parametrize("arguments", [{"path": "/tmp/old/n.txt"}, {"paths": ["/tmp/old", "x"]}])
def test_the_arguments_of_a_streamed_call_are_replaced(
    protocol: WireProtocol, arguments: dict[str, object]
) -> None:
    """They arrive in three pieces: the folder is in two of them."""
    recorded = answers.stream_that_calls("read", arguments, protocol)
    moved = json.loads(json.dumps(arguments).replace("/tmp/old", "/srv/a/new"))
    body = mapped_answer(answer_of(b"".join(recorded.events)), MAPS).body
    assert b"/tmp/old" not in body
    expected = answers.stream_that_calls("read", moved, protocol)
    assert pieces(body) == pieces(b"".join(expected.events))


def pieces(body: bytes) -> tuple[str, list[object]]:
    """Return the streamed arguments, joined, and everything that has arguments as a whole."""
    events = [
        json.loads(line[len(b"data: ") :])
        for line in body.splitlines()
        if line.startswith(b"data: {")
    ]
    fragments: list[str] = []
    whole: list[object] = []
    for data in events:
        match data:
            case {"delta": {"partial_json": str(piece)}} | {"delta": str(piece)}:
                fragments.append(piece)
            case {
                "choices": [{"delta": {"tool_calls": [{"function": {"arguments": str(piece)}}]}}]
            }:
                fragments.append(piece)
            case _:
                whole.append(data)
    return "".join(fragments), whole


def test_only_the_arguments_are_replaced_and_other_events_keep_their_bytes() -> None:
    text = answers.text_stream(answers.ANTHROPIC).events
    body = b"".join(text).replace(b"wide world", b"/tmp/old")
    assert mapped_answer(answer_of(body), MAPS).body == body


@pytest.mark.parametrize("protocol", answers.PROTOCOLS, ids=str)
def test_the_arguments_in_a_whole_body_are_replaced(protocol: WireProtocol) -> None:
    body = answers.json_tool_body(protocol).replace(b"Paris", b"/tmp/old/n.txt")
    mapped = mapped_answer(answer_of(body), MAPS).body
    assert json.loads(mapped) == json.loads(body.replace(b"/tmp/old", b"/srv/a/new"))


def test_chunks_end_after_the_same_events() -> None:
    events = answers.stream_that_calls("read", {"path": "/tmp/old/n"}, answers.ANTHROPIC).events
    ends, position = [], 0
    for event in events:
        position += len(event)
        ends.append(position)
    recorded = answer_of(b"".join(events), tuple((float(n), end) for n, end in enumerate(ends)))
    mapped = mapped_answer(recorded, MAPS)
    assert mapped.body != recorded.body
    assert mapped.chunks[-1][1] == len(mapped.body)
    for _, end in mapped.chunks:
        assert mapped.body[:end].endswith(b"\n\n")
