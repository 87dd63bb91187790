"""Views: a record and bodies in, lines of text out."""

import json
from typing import Any

import pytest
from views.viewed_calls import (
    attempt,
    call,
    event,
    found,
    kept_body,
    kept_request,
    kept_response,
    lines_of,
    record,
)
from wiremend.testing import answers
from wiremend.views.content.viewed import ViewedCall

ANTHROPIC, PROTOCOLS = answers.ANTHROPIC, answers.PROTOCOLS
ANSWER = answers.text_stream(ANTHROPIC).data
BROKEN = answers.stream_with_blocks_from_index(1).data
LOST = "Connection lost: api.anthropic.com closed it before its response was complete"


def heading(title: str) -> str:
    return f"── {title} ".ljust(76, "─")


# The automatic views


def test_a_repaired_answer() -> None:
    findings = [found("S105", event(n), "block 1", "block 0") for n in range(3, 9)]
    usage = {"input_tokens": 1234, "output_tokens": 7, "cached_tokens": 1000}
    shown = call(answer=ANSWER, record=record(response_findings=findings, usage=usage))
    assert lines_of("call", shown, of="response") == [
        "✓ repaired: S105 block-index",
        "  claude-opus-5 · api.anthropic.com · claude-code",
        "  first byte 0.25 s · total 2.00 s · 1,234 (1,000 cached) → 7 tokens",
        " ",
        heading("what was wrong, and what was done"),
        "S105 block-index: block 1 → block 0 (6 events, 3 to 8)",
        " ",
        heading("answer"),
        "  Hello, wide world ✓",
        " ",
        "  stop: end_turn",
    ]


def test_a_retried_call_that_was_routed() -> None:
    attempts = [
        attempt(1, outcome="failed", detail="Overloaded", end_seconds=0.5, wait_seconds=0.25),
        attempt(2, provider="other", model="kimi-k3", start_seconds=0.75),
    ]
    findings = [found("R005", {"kind": "attempt", "number": 1}, "Overloaded", "trying again")]
    shown = call(
        answer=ANSWER,
        record=record(
            attempts=attempts, provider="other", model_used="kimi-k3", response_findings=findings
        ),
    )
    assert lines_of("call", shown, of="response")[:13] == [
        "✓ retried: Overloaded (2 attempts)",
        "  claude-opus-5 → kimi-k3 · other · claude-code",
        "  first byte 0.25 s · total 2.00 s · 9 → 7 tokens",
        " ",
        heading("what was wrong, and what was done"),
        "R005 retryable-status: Overloaded → trying again (attempt 1)",
        " ",
        heading("2 attempts"),
        "attempt 1  failed: Overloaded  (api.anthropic.com · claude-opus-5)",
        "  at 0.00 s · lasted 0.50 s · then waited 0.25 s",
        "attempt 2  answered  (other · kimi-k3)",
        "  at 0.75 s · lasted 1.25 s",
        "first byte to the client 0.25 s, end 2.00 s",
    ]


def test_a_failed_stream_has_the_providers_words_and_what_the_client_received() -> None:
    failed = record(
        outcome="failed",
        detail="error 502 in the stream",
        attempts=[attempt(outcome="failed", detail=LOST)],
        response_findings=[found("R002", {"kind": "attempt", "number": 1}, LOST, "ended")],
    )
    head = b"".join(answers.text_stream(ANTHROPIC).events[:4])
    error = json.dumps({"type": "error", "error": {"type": "api_error", "message": "It was lost."}})
    cut = head + f"event: error\ndata: {error}\n\n".encode()
    lines = lines_of("call", call(answer=cut, record=failed), of="response")
    assert lines[0] == "✗ failed: connection lost after 4 events"
    assert lines[3:6] == [
        "  Connection lost: api.anthropic.com closed it before its response was",
        "  complete",
        "  the client received 4 events, then an error that wiremend wrote",
    ]
    assert lines[-3:] == [
        heading("answer"),
        "  Hello",
        "  error from wiremend api_error: It was lost.",
    ]


def test_a_cancelled_call_without_a_response_is_explained_on_its_request() -> None:
    cancelled = record(
        outcome="cancelled",
        detail="cancelled by client",
        head_seconds=None,
        attempts=[attempt(outcome="cancelled", detail="cancelled by client")],
    )
    lines = lines_of("call", call(record=cancelled, error="cancelled by client"), of="request")
    assert lines[:2] == [
        "✗ cancelled before the answer",
        "  claude-opus-5 · api.anthropic.com · claude-code",
    ]
    assert heading("timeline") in lines
    assert lines[-2:] == ["▸ 1 user", "  Say hello."]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("is_stream", [True, False])
def test_the_answer_of_every_protocol(protocol: Any, is_stream: bool) -> None:
    body = answers.text_stream(protocol).data if is_stream else answers.json_body(protocol)
    lines = lines_of("call", call(protocol, answer=body), of="response")
    assert lines[lines.index(heading("answer")) + 1] == "  Hello, wide world ✓"
    assert lines[-1].startswith("  stop: ")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("is_stream", [True, False])
def test_a_tool_call_of_every_protocol(protocol: Any, is_stream: bool) -> None:
    body = answers.tool_stream(protocol).data if is_stream else answers.json_tool_body(protocol)
    lines = lines_of("call", call(protocol, answer=body), of="response")
    at = lines.index("  → get_weather")
    assert lines[at + 1 : at + 4] == ["    {", '      "city": "Paris"', "    }"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_request_of_every_protocol(protocol: Any) -> None:
    lines = lines_of("call", call(protocol), of="request")
    assert heading("1 message") in lines
    assert lines[-2:] == ["▸ 1 user", "  Say hello."]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_is_still_growing(protocol: Any) -> None:
    stream = answers.text_stream(protocol)
    grown = b"".join(stream.events[: stream.places["mid_content"]])
    running = record(
        protocol=protocol.value,
        outcome="running",
        detail="",
        end_seconds=None,
        attempts=[attempt(outcome="running", end_seconds=None)],
    )
    lines = lines_of("call", call(protocol, answer=grown, record=running), of="response")
    assert lines[0] == "… running"
    assert lines[-2].startswith("  Hello")
    assert lines[-1] == "  … more is to come"


IMAGE = {"type": "base64", "media_type": "image/png", "data": "A" * 4000}
LONG_REQUEST = {
    "model": "claude-opus-5",
    "max_tokens": 100,
    "stream": True,
    "temperature": 0.5,
    "system": "You are an agent.\nBe brief.",
    "tools": [
        {"name": "Read", "description": "Reads.", "input_schema": {"type": "object"}},
        {"name": "mcp__notion__create", "input_schema": {"type": "object"}},
        {"name": "mcp__notion__find", "input_schema": {"type": "object"}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Look."}, {"type": "image", "source": IMAGE}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I should read it.", "signature": "x"},
                {"type": "text", "text": "Reading."},
                {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a.py"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": "no such file",
                }
            ],
        },
    ],
}


def test_a_request_with_tools_images_and_results() -> None:
    lines = lines_of("call", call(body=LONG_REQUEST), of="request")
    assert lines[lines.index(heading("request")) :] == [
        heading("request"),
        "  claude-opus-5 · stream · max tokens 100 · temperature 0.5",
        " ",
        heading("system (27 characters)"),
        "  You are an agent.",
        "  Be brief.",
        " ",
        heading("3 tools"),
        "  Read",
        "  notion (2): create, find",
        " ",
        heading("3 messages"),
        "▸ 1 user",
        "  Look.",
        "  [image: image/png, 3.0 kB]",
        "◂ 2 assistant",
        "  thinking (17 characters)",
        "  ┆ I should read it.",
        "  Reading.",
        "  → Read",
        "    {",
        '      "path": "a.py"',
        "    }",
        "▸ 3 tool",
        "  ← Read failed",
        "    no such file",
    ]


# By name


def test_the_context_has_shares() -> None:
    counted = record(usage={"input_tokens": 1000})
    lines = lines_of("context", call(body=LONG_REQUEST, record=counted), of="request")
    assert lines[0].startswith("3.2 kB of text, counted as 1,000 tokens by the provider; media")
    at = lines.index(heading("by kind"))
    kinds = {line[:28].strip() for line in lines[at + 1 : lines.index(" ", at)]}
    assert kinds == {
        "media",
        "tools",
        "system",
        "tool results",
        "thinking",
        "tool calls",
        "assistant text",
        "user text",
    }
    servers = lines[lines.index(heading("definitions of tools, by server")) + 1 :][:2]
    assert {line[:28].strip() for line in servers} == {"notion", "(no server)"}
    assert lines[-1].startswith("Read ")


def before(turns: int, **changes: Any) -> ViewedCall:
    messages = LONG_REQUEST["messages"]
    assert isinstance(messages, list)
    return call(body={**LONG_REQUEST, "messages": messages[:turns], **changes})


OTHER = call(body={**LONG_REQUEST, "messages": [{"role": "user", "content": "Something else."}]})


@pytest.mark.parametrize(
    ("earlier", "first", "added"),
    [
        ([before(1)], "2 new messages after 1 that the request before also had (of 1)", 2),
        ([OTHER, before(1)], "2 new messages after 1 that the request before also had (of 1)", 2),
        (
            [before(2), before(1)],
            "1 new message after 2 that the request before also had (of 2)",
            1,
        ),
        (
            [before(3)],
            "The messages are the same as in the request before, which this one repeats.",
            0,
        ),
        ([], "No earlier request of this conversation is in memory; these are all", 3),
        ([OTHER], "No earlier request of this conversation is in memory; these are all", 3),
    ],
)
def test_what_a_request_adds_to_the_one_before(
    earlier: list[ViewedCall], first: str, added: int
) -> None:
    shown = call(body=LONG_REQUEST, earlier=earlier)
    lines = lines_of("since last turn", shown, of="request")
    assert lines[0] == first
    assert sum(line[:1] in "▸◂" for line in lines if line.strip()) == added


def test_what_else_changed_since_the_last_turn() -> None:
    changed = before(1, system="You are another agent.", model="claude-haiku-5", tools=[])
    shown = call(body=LONG_REQUEST, earlier=[changed])
    text = "\n".join(lines_of("since last turn", shown, of="request"))
    assert "⚠ the system prompt is another one" in text
    assert "the model changed: claude-haiku-5 → claude-opus-5" in text
    assert "tools that are new: Read, notion.create, notion.find" in text


def kept(upstream: bytes, client: bytes, **fields: Any) -> ViewedCall:
    answered = attempt(response=kept_response(kept_body(upstream)))
    shown = kept_response(kept_body(client))
    return call(answer=client, record=record(attempts=[answered], client_response=shown, **fields))


def test_before_and_after_of_a_stream() -> None:
    lines = lines_of("before and after", kept(BROKEN, ANSWER), of="response")
    assert lines[:5] == [
        "--- api.anthropic.com, attempt 1",
        "+++ the client",
        "@@ event 3 → 3",
        '- {"type":"content_block_start","index":1,"content_block":{"type":"text","t…',
        '+ {"type":"content_block_start","index":0,"content_block":{"type":"text","t…',
    ]
    assert (
        sum(line.startswith("- ") for line in lines)
        == sum(line.startswith("+ ") for line in lines)
        == 6
    )


def test_renumbered_events_are_compared_in_place() -> None:
    """The second block of the one is numbered as the first of the other: they are not paired."""

    def event(index: int, word: str) -> str:
        return f'{{"index":{index},"word":"{word}"}}'

    words = ["start", "start", "end", "end"]
    old = [event(index, word) for index, word in zip((1, 2, 1, 2), words, strict=True)]
    new = [event(index, word) for index, word in zip((0, 1, 0, 1), words, strict=True)]
    upstream = "".join(f"data: {one}\n\n" for one in old)
    client = "".join(f"data: {one}\n\n" for one in [*new, "{}"])
    lines = lines_of("before and after", kept(upstream.encode(), client.encode()), of="response")
    pairs = [
        f"{sign} {one}"
        for pair in zip(old, new, strict=True)
        for sign, one in zip("-+", pair, strict=True)
    ]
    assert lines[2:] == ["@@ event 1 → 1", *pairs, "+ {}"]


def test_dropped_events_are_left_out_of_the_comparison() -> None:
    events = [b'data: {"n":%d}\n\n' % n for n in range(20)]
    shown = kept(b"".join(events), b"".join(events[3:]))
    lines = lines_of("before and after", shown, of="response")
    assert lines[2:] == ["@@ event 1 → 1", '- {"n":0}', '- {"n":1}', '- {"n":2}']


def test_an_attempt_shows_the_providers_words_for_its_status() -> None:
    words = b'{"type":"error","error":{"type":"not_found_error","message":"model: m3"}}'
    failed = attempt(
        outcome="failed", detail="status 404", response=kept_response(kept_body(words))
    )
    shown = call(answer=ANSWER, record=record(attempts=[failed, attempt(2)]))
    lines = lines_of("timeline", shown, of="response")
    assert lines[:2] == [
        "attempt 1  failed: status 404: model: m3  (api.anthropic.com ·",
        "    claude-opus-5)",
    ]


@pytest.mark.parametrize(
    ("upstream", "line"),
    [
        (ANSWER, f"The client received the provider's {len(ANSWER):,} bytes unchanged."),
        (
            ANSWER.replace(b"\n", b"\r\n"),
            "The events are the same; only their spelling, line ends or comments differ.",
        ),
    ],
)
def test_an_answer_that_was_not_changed(upstream: bytes, line: str) -> None:
    text = " ".join(lines_of("before and after", kept(upstream, ANSWER), of="response"))
    assert line in text


def test_before_and_after_of_a_request() -> None:
    old = {"model": "claude-opus-5", "tools": [{"name": "a"}, {"name": "b"}], "top_k": 3}
    new = {"model": "kimi-k3", "tools": [{"name": "a", "input_schema": {}}, {"name": "b"}]}
    asked, sent = json.dumps(old).encode(), json.dumps(new).encode()
    url = "https://other.example/v1/messages"
    changed = record(
        client_request=kept_request(asked), attempts=[attempt(request=kept_request(sent, url))]
    )
    assert lines_of("before and after", call(body=new, record=changed), of="request") == [
        "@@ address",
        "- https://api.anthropic.com/v1/messages",
        "+ https://other.example/v1/messages",
        "@@ model",
        '- "claude-opus-5"',
        '+ "kimi-k3"',
        "@@ tools[0].input_schema",
        "+ {}",
        "@@ top_k",
        "- 3",
    ]


def test_traffic_that_was_not_kept_is_reported() -> None:
    for side in ("request", "response"):
        lines = lines_of("before and after", call(answer=ANSWER, record=record()), of=side)
        assert lines[0].startswith("Not known: the traffic of this call was not kept.")


def test_the_timeline_has_waits_silences_and_keep_alives() -> None:
    stalled = kept_response(kept_body(b"data: 1\n\ndata: 2\n\n", (1.0, 9.0), (9, 18)))
    client = kept_response(kept_body(b"data: 1\n\n\ndata: 2\n\n", (1.0, 5.0, 9.0), (9, 10, 19)))
    attempts = [
        attempt(outcome="failed", detail=LOST, end_seconds=0.5, wait_seconds=0.3),
        attempt(2, start_seconds=0.8, end_seconds=10.0, response=stalled),
    ]
    shown = record(attempts=attempts, client_response=client, head_seconds=1.5, end_seconds=10.0)
    lines = lines_of("timeline", call(answer=ANSWER, record=shown), of="response")
    assert "first byte to the client 1.50 s, held back 0.50 s, end 10.00 s" in lines
    at = lines.index(heading("on one scale"))
    first, second, client_bar = lines[at + 1 : at + 4]
    assert first.rstrip() == "try 1     ····░░"
    assert second[10:].count("█") == client_bar[10:].count("█") == 2
    assert client_bar.count("♥") == 1
    assert "8.00 s from 1.00 s  (attempt 2)" in lines
    assert "1 keep-alive to the client, the first at 5.00 s" in lines


CUT = "Connection lost: the stream ended before its stop reason."
OWN_END = "wiremend ended the stream with error 502"


@pytest.mark.parametrize(
    ("detail", "attempted"),
    [(OWN_END, CUT), ("error 502 in the stream", "error 502 in the stream")],
    ids=["now", "in old recordings"],
)
def test_an_error_that_wiremend_wrote_is_not_the_providers(detail: str, attempted: str) -> None:
    at = {"kind": "attempt", "number": 1}
    cut = record(
        outcome="failed",
        detail=detail,
        attempts=[attempt(outcome="failed", detail=attempted)],
        response_findings=[found("R003", at, CUT, "ended in the protocol's error")],
    )
    answered = b"".join(answers.text_stream(ANTHROPIC).events[:4]) + b"data: {}\n\n"
    shown = call(answer=answered, record=cut)
    lines = lines_of("timeline", shown, of="response")
    assert lines[0] == "attempt 1  failed: ended early  (api.anthropic.com · claude-opus-5)"
    assert lines[2:4] == ["first byte to the client 0.25 s, end 2.00 s", OWN_END]
    lines = lines_of("call", shown, of="response")
    assert lines[0] == "✗ failed: ended early after 4 events"
    assert "  the client received 4 events, then an error that wiremend wrote" in lines


def test_the_error_of_a_provider_stays_the_providers() -> None:
    at = {"kind": "attempt", "number": 1}
    failed = record(
        outcome="failed",
        detail="error 529 in the stream",
        attempts=[attempt(outcome="failed", detail="Overloaded")],
        response_findings=[found("E002", at, "Overloaded", "ended in the protocol's error")],
    )
    shown = call(answer=b"data: {}\n\n" * 5, record=failed)
    timeline = "\n".join(lines_of("timeline", shown, of="response"))
    assert "wiremend" not in timeline
    lines = lines_of("call", shown, of="response")
    assert lines[0] == "✗ failed: 529 Overloaded after 4 events"
    assert "  the client received 4 events, then the error of the provider" in lines


def test_of_many_retries_the_first_ones_and_the_last_are_shown() -> None:
    retries = [
        found("R005", {"kind": "attempt", "number": n}, "Overloaded", f"trying again in {n} s")
        for n in range(1, 6)
    ]
    last = found("R005", {"kind": "attempt", "number": 6}, "Overloaded", "gave up: 6 attempts")
    shown = call(record=record(response_findings=[*retries, last]))
    lines = lines_of("call", shown, of="request")
    at = lines.index(heading("what was wrong, and what was done"))
    assert lines[at + 1 : at + 5] == [
        "R005 retryable-status: Overloaded → trying again in 1 s (attempt 1)",
        "R005 retryable-status: Overloaded → trying again in 2 s (attempt 2)",
        "R005 retryable-status: 3 more (attempt 3, attempt 4, attempt 5)",
        "R005 retryable-status: Overloaded → gave up: 6 attempts (attempt 6)",
    ]


def test_long_streams_are_compared_as_far_as_they_are_read() -> None:
    delta = b'data: {"type":"content_block_delta","index":%d,"delta":{"text":"' + b"x" * 5000
    many = b"".join((delta % 0) + b'"}}\n\n' for _ in range(1000))
    lines = lines_of("before and after", kept(BROKEN + many, ANSWER + many), of="response")
    assert lines[2] == "@@ event 3 → 3"
    assert lines[-1] == "… compared up to here: 2.1 MB of 5.1 MB"
    assert sum(line.startswith("@@") for line in lines) == 1
    lines = lines_of("before and after", kept(many + BROKEN, many + ANSWER), of="response")
    assert lines[2:] == ["… compared up to here: 2.1 MB of 5.1 MB"]
    other = many.replace(b'"index":0', b'"index":1')
    lines = lines_of("before and after", kept(many, other), of="response")
    assert lines[2] == "@@ event 1 → 1"
    assert lines[-1] == "… compared up to here: 2.1 MB of 5.1 MB"


def test_findings_are_folded_by_rule_with_all_their_places() -> None:
    findings = [found("S105", event(n), "block 1", "block 0") for n in range(2, 18)]
    path = {"kind": "body", "path": ["tools", 3, "name"]}
    shown = record(response_findings=findings, request_findings=[found("M001", path, "a", "b")])
    assert lines_of("findings", call(record=shown), of="request") == [
        heading("in the request"),
        "M001: a → b (tools[3].name)",
        " ",
        heading("in the response"),
        "S105 block-index: block 1 → block 0 (16 events, 2 to 17)",
    ]


@pytest.mark.parametrize("view", ["findings", "timeline", "before and after"])
def test_a_call_without_a_record_is_no_fault(view: str) -> None:
    for side in ("request", "response"):
        lines = lines_of(view, call(answer=ANSWER), of=side)
        assert len(lines) <= 3
        assert "failed" not in lines[0]
