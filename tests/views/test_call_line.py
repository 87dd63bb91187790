"""The log's line about a call."""

from typing import Any

import pytest
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, StoredAttempt, StoredFinding, Usage
from wiremend.views.call_line import call_line
from wiremend.views.outcome import summary_of

NAMES = {"S105": "block-index", "R005": "retryable-status"}
PLACE = "api.anthropic.com/v1/messages"
ANSWERED: dict[str, Any] = {
    "outcome": CallState.ANSWERED,
    "detail": "ok",
    "provider": "opencode-go",
    "model_asked": "claude-opus-5",
    "model_used": "kimi-k2.6",
    "head_seconds": 0.514,
    "end_seconds": 3.2,
    "usage": Usage(input_tokens=1234, cached_tokens=1000, output_tokens=56),
}


def attempts(*details: str) -> list[StoredAttempt]:
    return [
        StoredAttempt(number=number, outcome=AttemptOutcome.FAILED, detail=detail)
        for number, detail in enumerate(details, 1)
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "ok: claude-opus-5 → kimi-k2.6, opencode-go, first byte 0.51 s, total 3.20 s, "
            "1,234 (1,000 cached) → 56 tokens",
        ),
        (
            {
                "response_findings": [StoredFinding(code="S105")] * 16,
                "usage": None,
                "model_asked": "kimi-k2.6",
            },
            "repaired: kimi-k2.6, opencode-go, first byte 0.51 s, total 3.20 s, "
            "S105 block-index (16 times)",
        ),
        (
            {
                "outcome": CallState.FAILED,
                "detail": "error 529",
                "response_findings": [StoredFinding(code="R005")] * 2,
                "attempts": attempts("busy", "Over\x1b[2Jloaded\nNow\u202e!"),
                "usage": None,
            },
            "failed: 529 Over\\x1b[2Jloaded: claude-opus-5 → kimi-k2.6, opencode-go, "
            "2 attempts, first byte 0.51 s, total 3.20 s, R005 retryable-status (2 times): "
            "Over\\x1b[2Jloaded Now\\u202e!",
        ),
    ],
)
def test_a_line_has_everything_that_is_known(changes: dict[str, Any], line: str) -> None:
    record = CallRecord(**{**ANSWERED, **changes})
    assert call_line(PLACE, record, summary_of(record), NAMES) == f"{PLACE}: {line}"


def test_a_line_is_bounded() -> None:
    huge = "x\n" * 100_000
    record = CallRecord(
        **{**ANSWERED, "provider": huge, "model_used": huge, "outcome": CallState.FAILED},
        attempts=attempts(huge),
        response_findings=[StoredFinding(code=f"S{number}") for number in range(100, 999)],
    )
    line = call_line(PLACE, record, summary_of(record), NAMES)
    assert len(line) < 1000
    assert "\n" not in line
