"""The summary at the end: which calls are counted as what."""

import logging

import pytest
from explain_flows import ExplainFlows
from load_configuration import Suite
from mitmproxy.test import tflow
from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord, StoredAttempt, StoredFinding
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge
from wiremend.views.call_totals import CallTotals


def record(
    outcome: CallState | None,
    *codes: str,
    attempts: int = 1,
    protocol: str = "anthropic-messages",
    asked: tuple[str, ...] = (),
) -> CallRecord:
    """Return the record of a call; `asked` contains the provider of each attempt."""
    attempts = len(asked) or attempts
    return CallRecord(
        protocol=protocol,
        outcome=outcome,
        provider=asked[-1] if asked else "",
        response_findings=[StoredFinding(code=code) for code in codes],
        attempts=[
            StoredAttempt(number=number + 1, provider=asked[number] if asked else "")
            for number in range(attempts)
        ],
    )


def totals_of(*records: CallRecord) -> CallTotals:
    totals = CallTotals()
    for one in records:
        totals.add(one)
    return totals


def summary_of(*records: CallRecord) -> str:
    return str(totals_of(*records))


ANSWERED = record(CallState.ANSWERED)
RETRIED = record(CallState.ANSWERED, attempts=2).model_copy(
    update={"response_findings": [StoredFinding(code="E001", done="trying again in 0.20 s")]}
)
SILENT = ANSWERED.model_copy(
    update={"response_findings": [StoredFinding(code="E008", done="passed on")]}
)


@pytest.mark.parametrize(
    ("records", "summary"),
    [
        ((), "no calls"),
        ((record(CallState.PASSED, "M005"), record(None)), "no calls"),
        ((record(CallState.REFUSED, protocol=""),), "no calls"),
        ((ANSWERED,), "1 call; none repaired"),
        ((ANSWERED, ANSWERED), "2 calls; none repaired"),
        ((record(CallState.ANSWERED, "S105", "S105"),), "1 call; 1 repaired; S105 in 1"),
        (
            (
                record(CallState.ANSWERED, "S105").model_copy(update={"reports_only": True}),
                record(CallState.ANSWERED, "S105"),
            ),
            "2 calls; 1 repaired, 1 only reported; S105 in 2",
        ),
        ((record(CallState.ANSWERED, "M001"),), "1 call; none repaired; M001 in 1"),
        ((record(CallState.ANSWERED, "X102"),), "1 call; none repaired; X102 in 1"),
        ((record(CallState.ANSWERED, "T306"),), "1 call; none repaired; T306 in 1"),
        ((record(CallState.ANSWERED, "X102", "S105"),), "1 call; 1 repaired; S105 in 1, X102 in 1"),
        ((RETRIED,), "1 call; 1 retried; E001 in 1"),
        ((SILENT,), "1 call; 1 only reported; E008 in 1"),
        (
            (record(CallState.ANSWERED, "R002", attempts=2),),
            "1 call; 1 retried; R002 in 1",
        ),
        (
            (record(CallState.FAILED, "R002", "E001", attempts=4), ANSWERED),
            "2 calls; 1 failed; E001 in 1, R002 in 1",
        ),
        (
            (
                record(CallState.INTERNAL_FAULT),
                record(CallState.CANCELLED, "S105"),
                record(CallState.REFUSED, "S105"),
            ),
            "3 calls; 1 failed, 1 cancelled, 1 refused; S105 in 2",
        ),
    ],
)
def test_the_summary_counts_calls(records: tuple[CallRecord, ...], summary: str) -> None:
    assert summary_of(*records) == summary


ASKED_ONE = record(CallState.ANSWERED, "S105", asked=("glm",))


@pytest.mark.parametrize(
    ("records", "summary", "providers"),
    [
        ((ASKED_ONE,), "1 call to glm; 1 repaired; S105 in 1", ""),
        ((ANSWERED,), "1 call; none repaired", ""),
        (
            (record(CallState.REFUSED, attempts=0).model_copy(update={"host": "forged.example"}),),
            "1 call; 1 refused",
            "",
        ),
        (
            (record(CallState.ANSWERED, "R002", asked=("kimi", "kimi", "glm")), ASKED_ONE),
            "2 calls; 1 repaired, 1 retried; R002 in 1, S105 in 1",
            "by provider: glm 2 calls, 1 repaired; kimi 1 call, 1 to a fallback",
        ),
        (
            (record(CallState.FAILED, asked=("kimi",)), record(CallState.REFUSED), ASKED_ONE),
            "3 calls; 1 repaired, 1 failed, 1 refused; S105 in 1",
            "by provider: glm 1 call, 1 repaired; kimi 1 call, 1 failed",
        ),
    ],
)
def test_calls_are_counted_by_provider(
    records: tuple[CallRecord, ...], summary: str, providers: str
) -> None:
    totals = totals_of(*records)
    assert (str(totals), totals.by_provider()) == (summary, providers)


def test_the_number_of_counted_providers_is_limited() -> None:
    totals = totals_of(
        *(record(CallState.ANSWERED, asked=(f"h{number}.example",)) for number in range(1000))
    )
    line = totals.by_provider()
    assert line.startswith("by provider: others 900 calls; h0.example 1 call; ")
    assert line.endswith("; …")
    assert len(line) < 300


def test_the_summary_has_a_bounded_length() -> None:
    codes = [f"S{number}" for number in range(100, 200)]
    assert summary_of(record(CallState.ANSWERED, *codes)).endswith("S111 in 1, …")


def test_the_summary_is_logged_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    shell = ExplainFlows(Suite(CurrentConfig(), Knowledge()))
    for outcome in (CallState.ANSWERED, CallState.FAILED):
        flow = tflow.tflow(resp=True)
        flow.metadata["wiremend"] = record(outcome).model_dump()
        shell.response(flow)
    caplog.set_level(logging.INFO, "wiremend")
    shell.done()
    assert caplog.messages[-1] == "wiremend: summary: 2 calls; 1 failed"


def test_the_providers_are_logged_behind_the_summary(caplog: pytest.LogCaptureFixture) -> None:
    shell = ExplainFlows(Suite(CurrentConfig(), Knowledge()))
    for provider in ("kimi", "glm"):
        flow = tflow.tflow(resp=True)
        flow.metadata["wiremend"] = record(CallState.ANSWERED, asked=(provider,)).model_dump()
        shell.response(flow)
    caplog.set_level(logging.INFO, "wiremend")
    shell.done()
    assert caplog.messages[-2:] == [
        "wiremend: summary: 2 calls; none repaired",
        "wiremend: summary: by provider: glm 1 call; kimi 1 call",
    ]
