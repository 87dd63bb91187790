"""Which calls and findings fail a test."""

from collections.abc import Sequence

import pytest
from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord
from wiremend.testing.call_checks import failed_calls, unexpected_findings


def call(**fields: object) -> CallRecord:
    return CallRecord.model_validate(fields)


FAILURES = {
    CallState.FAILED,
    CallState.CANCELLED,
    CallState.REFUSED,
    CallState.INTERNAL_FAULT,
}


@pytest.mark.parametrize("state", CallState)
def test_a_call_without_a_proper_answer_failed(state: CallState) -> None:
    numbers = [number for number, _ in failed_calls([call(), call(outcome=state)])]
    assert numbers == ([2] if state in FAILURES else [])


@pytest.mark.parametrize(
    ("ignore", "unexpected"),
    [
        ([], ["M001", "S101", "T102"]),
        (["M001"], ["S101", "T102"]),
        (["M", "T102"], ["S101"]),
        ("T102", ["M001", "S101"]),
        (["S1", "M", "T"], []),
        (["101"], ["M001", "S101", "T102"]),
    ],
)
def test_findings_are_unexpected_unless_their_codes_are_ignored(
    ignore: Sequence[str], unexpected: list[str]
) -> None:
    calls = [
        call(request_findings=[finding("M001")]),
        call(),
        call(response_findings=[finding("S101"), finding("T102")]),
    ]
    found = unexpected_findings(calls, ignore)
    assert [one.code for _, one in found] == unexpected
    numbers = {"M001": 1, "S101": 3, "T102": 3}
    assert [number for number, _ in found] == [numbers[code] for code in unexpected]


def finding(code: str) -> dict[str, object]:
    return {"code": code, "where": "event 1", "found": "x"}
