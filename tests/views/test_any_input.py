"""Whatever a call contains, every view is text of a bounded size, and none raises."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views.viewed_calls import RULE_NAMES
from wiremend.call_record.load import load_record
from wiremend.call_record.schema import METADATA_KEY
from wiremend.testing import answers
from wiremend.views.content.page import MOST_LINES, width_of
from wiremend.views.content.view_list import VIEWS, render
from wiremend.views.content.viewed import ShownRequest, ShownResponse, ViewedCall

CORPUS = Path(__file__).parents[1] / "corpus"
STREAMS = sorted(path for path in CORPUS.rglob("*.sse") if not path.name.endswith(".mended.sse"))
COLUMNS = 60

texts = st.text(st.characters(exclude_categories=[]), max_size=20)
KEYS = """
messages system tools role content type text input name id tool_use_id model stream index delta
choices function arguments contents parts candidates usage input_schema output instructions
functionCall finishReason stop_reason error message source data kind number attempts outcome chunks
body request response client_request place path url headers
"""
WORDS = """
user assistant system tool text tool_use tool_result thinking image function_call message
function_call_output reasoning input_text base64 answered failed event body
"""
FIELDS = """
version protocol client model_asked model_used provider outcome detail head_seconds end_seconds
response_findings attempts usage client_request client_response not_kept
"""
keys, words = st.sampled_from(KEYS.split()), st.sampled_from(WORDS.split())
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5)
)
objects = st.dictionaries(keys, values, max_size=8)


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


bodies = st.binary(max_size=200) | objects.map(written) | values.map(written)
events = st.lists(bodies, max_size=5).map(
    lambda data: b"".join(b"data: " + one.replace(b"\n", b" ") + b"\n\n" for one in data)
)


def read(value: Any) -> Any:
    return load_record({METADATA_KEY: value})


records = st.none() | st.dictionaries(st.sampled_from(FIELDS.split()), values).map(read)


def assert_is_shown(call: ViewedCall) -> None:
    for view in VIEWS:
        for is_request in (True, False):
            text = render(view, call, is_request=is_request, columns=COLUMNS)
            text.encode()
            lines = text.split("\n")
            assert f"The view {view.name} failed" not in text, text
            assert len(lines) <= max(MOST_LINES, view.most_lines) + 1
            assert all(width_of(line) <= COLUMNS for line in lines)


def call(
    path: str, body: bytes, answer: bytes | None, record: Any, status: int = 200
) -> ViewedCall:
    response = None if answer is None else ShownResponse(status, answer)
    request = ShownRequest("POST", path, "application/json", body)
    return ViewedCall(
        request, response, record, "", RULE_NAMES, lambda: [call(path, body, None, None)]
    )


@given(
    path=st.sampled_from([*answers.PATHS.values(), "/other"]),
    body=bodies,
    answer=st.none() | bodies | events,
    record=records,
    status=st.sampled_from([200, 400, 529]),
)
def test_any_call(path: str, body: bytes, answer: bytes | None, record: Any, status: int) -> None:
    assert_is_shown(call(path, body, answer, record, status))


@pytest.mark.parametrize("folder", sorted({path.parent.parent.name for path in STREAMS}))
def test_every_broken_stream_of_the_corpus_and_what_is_left_of_it_when_cut(folder: str) -> None:
    paths = {protocol.value.replace("-", "_"): protocol for protocol in answers.PROTOCOLS}
    protocol = paths[folder]
    path = answers.PATHS[protocol, True]
    body = written(answers.request_body(protocol, stream=True))
    for file in STREAMS:
        if file.parent.parent.name == folder:
            stream = file.read_bytes()
            for end in (len(stream), len(stream) * 2 // 3):
                assert_is_shown(call(path, body, stream[:end], None))


@given(st.data())
def test_records_with_times_and_bytes_in_any_order(data: st.DataObject) -> None:
    seconds = st.floats()
    chunks = st.lists(st.tuples(seconds, st.integers(-5, 200)), max_size=6)
    kept = st.fixed_dictionaries(
        {"data": st.binary(max_size=100), "size": st.integers(0, 300), "chunks": chunks}
    )
    response = st.fixed_dictionaries({"status": st.just(200), "headers": st.just([]), "body": kept})
    attempt = st.fixed_dictionaries(
        {"number": st.integers(-3, 9), "start_seconds": seconds, "response": response},
        optional={
            "end_seconds": seconds,
            "wait_seconds": seconds,
            "outcome": st.sampled_from(["answered", "failed", "cancelled", "running"]),
        },
    )
    record = st.fixed_dictionaries(
        {"attempts": st.lists(attempt, max_size=4), "client_response": response},
        optional={"head_seconds": seconds, "end_seconds": seconds},
    )
    loaded = read(data.draw(record))
    assert loaded is not None
    assert_is_shown(call("/v1/messages", b"{}", b"", loaded))
