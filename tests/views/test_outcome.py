"""The flow list: records in, comment and marker out."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.call_record.schema import CallRecord
from wiremend.views.outcome import (
    COMMENT_LIMIT,
    comment_of,
    events_in,
    marker_of,
    received_instead,
    summary_of,
)

LOST = "Connection lost: api.anthropic.com closed it before its response was complete: peer closed"
RESET = "Connection lost: api.anthropic.com reset it before its response was complete"
OPEN = "opencode-go kimi-k2.6: the circuit breaker is open"
OWN_END = "wiremend ended the stream with error 502"
EARLY = "Connection lost: the stream ended before its stop reason."
IDLE = "Request timeout: api.anthropic.com sent nothing more within 120 s (limit: idle)."


def attempt(outcome: str, detail: str, number: int = 1) -> dict[str, Any]:
    return {"number": number, "provider": "p", "outcome": outcome, "detail": detail}


def found(*codes: str) -> list[dict[str, Any]]:
    return [{"code": code, "place": {"kind": "event", "number": 3}} for code in codes]


def record(outcome: str, detail: str = "", **fields: Any) -> CallRecord:
    named = {"model_asked": "kimi-k2.6", "model_used": "kimi-k2.6", "head_seconds": 0.2}
    return CallRecord.model_validate({"outcome": outcome, "detail": detail, **named, **fields})


PASSED_ON = {**found("E008")[0], "done": "passed on"}
FINE = [attempt("answered", "ok")]
RETRIED = [attempt("failed", "Overloaded"), attempt("answered", "ok", 2)]
REFUSED = [attempt("rejected", "refused: tools.3: invalid"), attempt("answered", "ok", 2)]
FELL_BACK = [
    {**attempt("failed", "status 404"), "model": "kimi-k2.6"},
    attempt("answered", "ok", 2),
]
FALLBACK = {"model_asked": "claude-opus-5", "model_used": "kimi-k3"}
INJECTED = {**attempt("answered", "ok"), "injected": "fault 1, slow"}
ROWS: list[tuple[CallRecord, int, str, str]] = [
    (
        record("answered", "ok", attempts=[INJECTED]),
        8,
        "ok · kimi-k2.6 · injected on purpose: fault 1, slow",
        ":bug:",
    ),
    (record("answered", "ok", attempts=FINE), 8, "ok · kimi-k2.6", ""),
    (
        record("answered", "ok", attempts=FINE, request_findings=found("M001")),
        8,
        "ok · kimi-k2.6 · M001",
        "",
    ),
    (
        record("answered", "ok", attempts=FINE, response_findings=found("S105", "S105")),
        8,
        "repaired · kimi-k2.6 · S105 (2)",
        ":wrench:",
    ),
    (
        record("answered", "ok", attempts=FINE, response_findings=found("S105"), reports_only=True),
        8,
        "only reported · kimi-k2.6 · S105",
        ":mag:",
    ),
    (
        record("answered", "ok", attempts=FINE, response_findings=found("X102", "T306")),
        8,
        "ok · kimi-k2.6 · X102, T306",
        "",
    ),
    (
        record("answered", "ok", attempts=FINE, response_findings=[PASSED_ON, *found("X102")]),
        8,
        "only reported · kimi-k2.6 · E008, X102",
        ":mag:",
    ),
    (
        record("answered", "ok", attempts=FINE, request_findings=found("T101")),
        8,
        "repaired · kimi-k2.6 · T101",
        ":wrench:",
    ),
    (
        record("answered", "ok", attempts=RETRIED, response_findings=found("R005", "S105")),
        8,
        "retried: Overloaded (2 attempts) · kimi-k2.6 · R005, S105",
        ":repeat:",
    ),
    (
        record("answered", "ok", attempts=REFUSED, request_findings=found("T301")),
        8,
        "retried: request refused: tools.3: invalid (2 attempts) · kimi-k2.6 · T301",
        ":repeat:",
    ),
    (
        record("answered", "ok", attempts=FELL_BACK, response_findings=found("M003"), **FALLBACK),
        8,
        "fell back: kimi-k2.6 status 404 (2 attempts) · claude-opus-5 → kimi-k3 · M003",
        ":twisted_rightwards_arrows:",
    ),
    (
        record(
            "failed",
            "error 502 in the stream",
            attempts=[attempt("failed", "error 502 in the stream")],
            response_findings=[*found("S105"), {**found("R003")[0], "found": EARLY}],
        ),
        10,
        "failed: ended early after 9 events · kimi-k2.6 · S105, R003",
        ":x:",
    ),
    (
        record("answered", "ok", attempts=[attempt("stale", ""), *FINE]),
        8,
        "ok · kimi-k2.6",
        "",
    ),
    (
        record(
            "failed",
            OWN_END,
            attempts=[attempt("failed", EARLY)],
            response_findings=[{**found("R003")[0], "found": EARLY}],
        ),
        10,
        "failed: ended early after 9 events · kimi-k2.6 · R003",
        ":x:",
    ),
    (
        record(
            "failed",
            "error 503",
            head_seconds=None,
            response_findings=[{**found("R007")[0], "found": OPEN}],
        ),
        0,
        "failed: circuit breaker open · kimi-k2.6 · R007",
        ":x:",
    ),
    (record("failed", OWN_END), 3, f"failed: {OWN_END} after 2 events · kimi-k2.6", ":x:"),
    (
        record(
            "failed",
            "error 502 in the stream",
            attempts=[attempt("failed", RESET)],
            response_findings=found("R002"),
        ),
        5,
        "failed: reset after 4 events · kimi-k2.6 · R002",
        ":x:",
    ),
    (
        record(
            "failed",
            "error 502 in the stream",
            attempts=[attempt("failed", LOST)],
            response_findings=found("R002"),
        ),
        2,
        "failed: connection lost after 1 event · kimi-k2.6 · R002",
        ":x:",
    ),
    (
        record(
            "failed",
            "error 529 in the stream",
            attempts=[attempt("failed", "Overloaded")],
            response_findings=found("E002"),
        ),
        5,
        "failed: 529 Overloaded after 4 events · kimi-k2.6 · E002",
        ":x:",
    ),
    (
        record(
            "failed",
            "error 529 in the stream",
            attempts=[attempt("failed", "error 529 in the stream")],
        ),
        5,
        "failed: error 529 after 4 events · kimi-k2.6",
        ":x:",
    ),
    (
        record("failed", "error 500", attempts=[attempt("failed", "boom")], head_seconds=None),
        0,
        "failed: 500 boom · kimi-k2.6",
        ":x:",
    ),
    (
        record(
            "failed",
            "error 504 in the stream",
            attempts=[attempt("failed", IDLE)],
            response_findings=found("S105", "R004"),
        ),
        5,
        "timed out: nothing for 120 s (idle) after 4 events · kimi-k2.6 · S105, R004",
        ":stopwatch:",
    ),
    (
        record("cancelled", "cancelled by client", attempts=[attempt("cancelled", "")]),
        5,
        "cancelled after 5 events · kimi-k2.6",
        ":electric_plug:",
    ),
    (
        record("cancelled", "cancelled by client", head_seconds=None),
        0,
        "cancelled before the answer · kimi-k2.6",
        ":electric_plug:",
    ),
    (
        record("cancelled", "killed"),
        1,
        "cancelled: killed after 1 event · kimi-k2.6",
        ":electric_plug:",
    ),
    (record("acknowledged", "204"), 0, "acknowledged: 204 · kimi-k2.6", ""),
    (record("refused", "It has no key."), 0, "refused: It has no key. · kimi-k2.6", ":no_entry:"),
    (
        record("internal-fault", "internal fault (KeyError)"),
        0,
        "failed: internal fault (KeyError) · kimi-k2.6",
        ":x:",
    ),
]


RECEIVED: list[tuple[str, list[str], int, str]] = [
    ("error 502", ["R001"], 0, "error 502, which wiremend wrote"),
    ("error 529", ["R005"], 0, "error 529"),
    ("error 503", ["R007"], 0, "error 503, which wiremend wrote"),
    ("cut", ["R002"], 3, "a part of the answer, then the end of the connection"),
    ("internal fault (KeyError)", [], 0, "an error: internal fault (KeyError)"),
    (OWN_END, ["E002"], 3, "2 events, then an error that wiremend wrote"),
    (OWN_END, ["R004"], 1, "no event, then an error that wiremend wrote"),
    ("error 504 in the stream", ["S105", "R004"], 2, "1 event, then an error that wiremend wrote"),
    ("error 500 in the stream", ["E001"], 2, "1 event, then the error of the provider"),
]


@pytest.mark.parametrize(("detail", "codes", "events", "received"), RECEIVED)
def test_what_a_client_received_instead_of_an_answer(
    detail: str, codes: list[str], events: int, received: str
) -> None:
    call = record("failed", detail, response_findings=found(*codes))
    assert received_instead(call, events) == received


@pytest.mark.parametrize(("call", "events", "comment", "marker"), ROWS)
def test_a_call_in_the_flow_list(call: CallRecord, events: int, comment: str, marker: str) -> None:
    summary = summary_of(call, events)
    assert (comment_of(call, summary), marker_of(call, summary)) == (comment, marker)


def test_every_marker_is_an_emoji_of_mitmproxy() -> None:
    from mitmproxy.utils.emoji import emoji
    from wiremend.views.outcome import Verdict

    markers = [verdict.marker for verdict in Verdict if verdict.marker]
    assert set(markers) <= set(emoji)
    assert len(set(markers)) == len(markers)


@given(
    st.text(max_size=600), st.text(max_size=300), st.sampled_from(["failed", "refused", "answered"])
)
def test_a_comment_is_one_short_line_whatever_the_provider_writes(
    detail: str, model: str, outcome: str
) -> None:
    attempts = [attempt("failed", detail), attempt("answered", detail, 2)]
    call = record(
        outcome, detail, model_asked=model, attempts=attempts, response_findings=found("R002")
    )
    comment = comment_of(call, summary_of(call, 3))
    assert len(comment) <= COMMENT_LIMIT
    assert not [char for char in comment if unicodedata.category(char) in ("Cc", "Zl", "Zp")]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"", 0),
        (b'{"data:": 1}', 0),
        (b"data: 1\n\n", 1),
        (b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", 2),
        (b": comment\n\ndata: 1\n\n\n", 1),
    ],
)
def test_events_are_counted(body: bytes, events: int) -> None:
    assert events_in(body) == events
