"""Which requests are equal for replay."""

import json
from typing import Any

import pytest
from wiremend.identities import Machine
from wiremend.recording.normal_form import AskedRequest, Level, Normaliser, folder_of
from wiremend.recording.path_maps import PathMap, PathMaps

HERE = Machine(names=("berta",), hosts=("laptop-7",), homes=("/home/berta",))
HOST = "api.anthropic.com"
PATH = "/v1/messages"


def asked(host: str = HOST, path: str = PATH, **fields: Any) -> AskedRequest:
    return AskedRequest("POST", host, path, json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("nothing changes here", "nothing changes here"),
        # ids
        ("id 3f2c1a9e-1111-2222-3333-444455556666.", "id <id>."),
        ("commit 0123456789abcdef0123456789abcdef01234567", "commit <id>"),
        ("0123456789abcde is short", "0123456789abcde is short"),
        ("cc_version=2.1; cch=a1b2c;", "cc_version=2.1; cch=<id>;"),
        (
            "Chunk ID: 39395c\nWall time: 0.0312 seconds",
            "Chunk ID: <id>\nWall time: <seconds> seconds",
        ),
        # dates
        ("Today's date: Sun Nov 29 2026", "Today's date: <date>"),
        ("Today's date is Sunday, November 29, 2026 (in", "Today's date is <date> (in"),
        ("Today's date is 2026-11-29.", "Today's date is <date>."),
        ("at 2026-11-29T01:02:03.456Z", "at <date>"),
        ("on 11/29/2026, 1:02:03 PM", "on <date>"),
        ("29 November 2026", "<date>"),
        ("version 2026-11", "version 2026-11"),
        # paths
        ("read /home/berta/app/notes.txt", "read notes.txt"),
        ('{"path": "C:\\\\Users\\\\berta\\\\notes.txt"}', '{"path": "notes.txt"}'),
        ("<path>/tmp/x/note.txt</path>", "<path>note.txt</path>"),
        ("file:///tmp/x/note.txt", "file://note.txt"),
        ("https://example.com/a/b", "https://example.com/a/b"),
        ("and/or, 1/2, src/main.py", "and/or, 1/2, src/main.py"),
        # where a client runs
        ("<cwd>/tmp/a</cwd><timezone>Etc/UTC</timezone>", "<cwd>...</cwd><timezone>...</timezone>"),
        ("Working directory: /tmp/a b\nx", "Working directory: ...\nx"),
        ("My operating system is: linux\nx", "My operating system is: ...\nx"),
        # identities, and what a recording has in their place
        ("I am berta on laptop-7", "I am <name> on <name>"),
        ("I am name1 on name0002", "I am <name> on <name>"),
        ("berta@example.com", "<mail>"),
        ("Roberta", "Roberta"),
        ("key REDACTED______ here", "key <key> here"),
    ],
)
def test_a_text_has_placeholders(text: str, normal: str) -> None:
    normaliser = Normaliser(HERE)
    assert normaliser.text(text) == normal
    assert normaliser.text(normal) == normal


MESSAGE = {"role": "user", "content": "Hello."}
BASE: dict[str, Any] = {"model": "m", "stream": True, "messages": [MESSAGE]}


def call(**arguments: Any) -> dict[str, Any]:
    use = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": arguments}
    return {"role": "assistant", "content": [use]}


SAME, OTHER = True, False


@pytest.mark.parametrize(
    ("one", "other", "strict", "messages", "order"),
    [
        ({}, {}, SAME, SAME, SAME),
        ({}, {"metadata": {"user_id": "x"}, "user": "y", "store": False}, SAME, SAME, SAME),
        ({"system": "a"}, {"system": "b"}, OTHER, SAME, SAME),
        ({"temperature": 0}, {"temperature": 1}, OTHER, SAME, SAME),
        ({"tools": [{"name": "a"}]}, {"tools": [{"name": "b"}]}, OTHER, SAME, SAME),
        ({"tools": [{"name": "a"}]}, {}, OTHER, SAME, OTHER),
        ({}, {"model": "n"}, OTHER, OTHER, OTHER),
        ({}, {"stream": False}, OTHER, OTHER, OTHER),
        ({}, {"messages": [{"role": "user", "content": "Bye."}]}, OTHER, OTHER, SAME),
        ({}, {"messages": [MESSAGE, call(), MESSAGE]}, OTHER, OTHER, OTHER),
        # A system message in the conversation is a system prompt.
        ({"messages": [{"role": "system", "content": "a"}, MESSAGE]}, {}, OTHER, SAME, SAME),
        # The mark moves to the newest message in each turn.
        ({"messages": [MESSAGE | {"cache_control": {"type": "ephemeral"}}]}, {}, SAME, SAME, SAME),
        # An id is dropped where it names a call, and kept where it is an argument.
        (
            {"messages": [{"role": "user", "content": [{"id": "a", "type": "text"}]}]},
            {"messages": [{"role": "user", "content": [{"id": "b", "type": "text"}]}]},
            *(SAME, SAME, SAME),
        ),
        ({"messages": [call(id=1)]}, {"messages": [call(id=2)]}, OTHER, OTHER, SAME),
    ],
)
def test_levels(
    one: dict[str, Any], other: dict[str, Any], strict: bool, messages: bool, order: bool
) -> None:
    forms = [Normaliser().normal_form(asked(**(BASE | fields))) for fields in (one, other)]
    found = [forms[0].key(level) == forms[1].key(level) for level in Level]
    assert list(Level) == [Level.STRICT, Level.MESSAGES, Level.ORDER]
    assert found == [strict, messages, order]


@pytest.mark.parametrize(
    ("path", "fields", "model", "streaming", "count", "answers"),
    [
        (PATH, BASE, "m", True, 1, 0),
        ("/v1/responses", {"model": "m", "input": "Hello."}, "m", False, 1, 0),
        (
            "/v1/responses",
            {
                "model": "m",
                "input": [
                    MESSAGE,
                    {"type": "reasoning"},
                    {"type": "function_call"},
                    {"type": "function_call_output"},
                    {"role": "developer", "content": "x"},
                ],
            },
            *("m", False, 4, 1),
        ),
        (
            "/v1beta/models/g:streamGenerateContent?alt=sse",
            {"contents": [{"role": "user"}, {"role": "model"}, {"role": "user"}]},
            *("", True, 3, 1),
        ),
        (
            "/v1internal:generateContent",
            {"model": "g", "request": {"contents": [{"role": "user"}]}},
            *("g", False, 1, 0),
        ),
    ],
)
def test_every_protocol_has_a_conversation(
    path: str, fields: dict[str, Any], model: str, streaming: bool, count: int, answers: int
) -> None:
    form = Normaliser().normal_form(asked(path=path, **fields))
    assert (form.model, form.streaming) == (model, streaming)
    assert (len(form.messages), form.answers_so_far) == (count, answers)


@pytest.mark.parametrize("body", [b"", b"[1]", b"not JSON", b"\xff\xfe", b"[" * 2000])
def test_any_body_has_a_key(body: bytes) -> None:
    form = Normaliser().normal_form(AskedRequest("POST", HOST, PATH, body))
    assert all(form.key(level) for level in Level)


def test_the_order_of_members_and_the_query_do_not_matter() -> None:
    one = asked(path=PATH + "?beta=true", **BASE)
    other = asked(**dict(reversed(BASE.items())))
    normaliser = Normaliser()
    keys = {normaliser.normal_form(request).key(Level.STRICT) for request in (one, other)}
    assert len(keys) == 1


def test_a_key_in_a_prompt_is_masked_as_in_a_recording() -> None:
    key = "sk-ant-api03-" + "a" * 40
    masked = b"REDACTED".ljust(len(key), b"_").decode()
    forms = [
        Normaliser().normal_form(asked(**BASE | {"messages": [MESSAGE | {"content": text}]}))
        for text in (f"key: {key}", f"key: {masked}")
    ]
    assert forms[0].key(Level.STRICT) == forms[1].key(Level.STRICT)
    assert forms[0].messages == [MESSAGE | {"content": "key: <key>"}]


def test_mapped_folders_are_equal_also_where_they_stand_alone() -> None:
    maps = PathMaps((PathMap("/tmp/old", "/srv/new"),))
    forms = [
        Normaliser(maps=maps).normal_form(asked(**BASE | {"messages": [f"in {folder} now"]}))
        for folder in ("/tmp/old", "/srv/new")
    ]
    assert forms[0].messages == forms[1].messages == ["in new now"]


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("<cwd>/tmp/a b</cwd>", "/tmp/a b"),
        ("x\n - Primary working directory: /tmp/a\n", "/tmp/a"),
        ("<env>\n  Working directory: /tmp/a\n", "/tmp/a"),
        ("- **Workspace Directories:**\n  - /tmp/a\n-", "/tmp/a"),
        ("nothing", ""),
    ],
)
def test_the_folder_of_a_client_is_read(text: str, folder: str) -> None:
    assert folder_of(asked(system=text)) == folder
