"""The time to show a call grows linearly: views run on the event loop of the proxy."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from views.viewed_calls import attempt, call, event, found, kept_body, kept_response, record
from wiremend.testing import answers
from wiremend.views.content.diff import changes, hunks
from wiremend.views.content.view_list import VIEWS, View, render
from wiremend.views.content.viewed import ViewedCall

from complexity.growth import Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

SIZES = Sizes(first=64, last=1 << 13, seconds=0.1)
START, END = (
    answers.text_stream(answers.ANTHROPIC).events[:3],
    answers.text_stream(answers.ANTHROPIC).events[-3:],
)


def stream(size: int, index: int = 0) -> bytes:
    delta = {"type": "content_block_delta", "index": index}
    texts = [{**delta, "delta": {"type": "text_delta", "text": f"word {n} "}} for n in range(size)]
    data = [f"event: content_block_delta\ndata: {json.dumps(text)}\n\n".encode() for text in texts]
    return b"".join([*START, *data, *END])


def many_events(size: int) -> ViewedCall:
    upstream, client = stream(size, 1), stream(size)
    chunks = [(n / 10, n * len(client) // size) for n in range(1, size + 1)]
    kept = kept_response({**kept_body(upstream), "chunks": chunks})
    shown = kept_response({**kept_body(client), "chunks": chunks})
    findings = [found("S105", event(n), "block 1", "block 0") for n in range(min(size, 1000))]
    return call(
        answer=client,
        record=record(
            attempts=[attempt(response=kept, end_seconds=size / 10)],
            client_response=shown,
            response_findings=findings,
        ),
    )


def many_messages(size: int) -> ViewedCall:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    for n in range(size):
        use = {"type": "tool_use", "id": f"t{n}", "name": f"mcp__s{n}__x", "input": {"n": n}}
        result = {"type": "tool_result", "tool_use_id": f"t{n}", "content": "line\n" * 3}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    tools = [{"name": f"mcp__s{n}__x", "input_schema": {"type": "object"}} for n in range(size)]
    body = {"model": "m", "messages": messages, "tools": tools}
    return call(body=body, earlier=[call(body={**body, "messages": messages[:-2]})])


def one_long_line(size: int) -> ViewedCall:
    text = "\u65e5" * size * 20
    return call(
        body={"model": "m", "system": text, "messages": [{"role": "user", "content": text}]},
        answer=b"\x00" * size * 50,
    )


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("make", [many_events, many_messages, one_long_line])
def test_a_view(view: View, make: Callable[[int], ViewedCall]) -> None:
    def prepare(size: int) -> Work:
        shown = make(size)

        def work() -> None:
            for is_request in (True, False):
                # A copy: a call keeps what was read.
                render(view, call_like(shown), is_request=is_request)

        return work

    assert_linear(prepare, SIZES)


def call_like(shown: ViewedCall) -> ViewedCall:
    return ViewedCall(
        shown.request, shown.response, shown.record, "", shown.rule_names, shown.earlier
    )


def test_differences_of_lists_without_a_common_item() -> None:
    def prepare(size: int) -> Work:
        old = [b"a%d" % n for n in range(size)]
        new = [b"b%d" % n for n in range(size)]
        return lambda: list(hunks(old, new))

    assert_linear(prepare, SIZES)


def test_differences_of_values() -> None:
    def prepare(size: int) -> Work:
        old = {"a": [{"n": n} for n in range(size)], **{str(n): n for n in range(size)}}
        new = {"a": [{"n": n + 1} for n in range(size)], **{str(n): -n for n in range(size)}}
        return lambda: list(changes(old, new))

    assert_linear(prepare, SIZES)
