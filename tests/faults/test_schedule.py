"""Which calls and attempts a fault is injected into."""

import pytest
from wiremend.faults.fault import FaultKind, ProviderFault
from wiremend.faults.schedule import FaultSchedule, PlannedFault

RESET = ProviderFault(FaultKind.RESET)
STALL = ProviderFault(FaultKind.STALL)
HOST, MODEL, PATH = "api.anthropic.com", "claude-sonnet-4-5", "/v1/messages?beta=true"


def calls_with_fault(planned: PlannedFault, calls: int = 8, seed: int = 0) -> list[int]:
    """Return the numbers of the calls whose first attempt gets the fault."""
    schedule = FaultSchedule([planned], seed)
    chosen = [schedule.start_call().next_attempt(HOST, MODEL, PATH) for _ in range(calls)]
    return [number for number, fault in enumerate(chosen, 1) if fault]


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (PlannedFault(RESET), [1, 2, 3, 4, 5, 6, 7, 8]),
        (PlannedFault(RESET, first=3, last=3), [3]),
        (PlannedFault(RESET, first=3, last=5), [3, 4, 5]),
        (PlannedFault(RESET, every=3), [1, 4, 7]),
        (PlannedFault(RESET, first=2, every=3), [2, 5, 8]),
        (PlannedFault(RESET, probability=0.0), []),
        (PlannedFault(RESET, hosts=("*.anthropic.com",), last=1), [1]),
        (PlannedFault(RESET, hosts=("api.openai.com",)), []),
        (PlannedFault(RESET, models=("claude-*",), last=1), [1]),
        (PlannedFault(RESET, models=("gpt-*",)), []),
        (PlannedFault(RESET, paths=("*/messages",), last=1), [1]),
        (PlannedFault(RESET, paths=("*/messages?beta=true",)), []),
    ],
)
def test_the_calls_that_fail(planned: PlannedFault, expected: list[int]) -> None:
    assert calls_with_fault(planned) == expected


def test_a_seed_always_chooses_the_same_share_of_calls() -> None:
    planned = PlannedFault(RESET, probability=0.25)
    chosen = calls_with_fault(planned, 400, seed=7)
    assert chosen == calls_with_fault(planned, 400, seed=7)
    assert chosen != calls_with_fault(planned, 400, seed=8)
    assert 70 <= len(chosen) <= 130


@pytest.mark.parametrize(("attempts", "expected"), [(1, 1), (2, 2), (0, 4)])
def test_the_attempts_that_fail(attempts: int, expected: int) -> None:
    call = FaultSchedule([PlannedFault(RESET, attempts=attempts)]).start_call()
    faults = [call.next_attempt(HOST, MODEL, PATH) for _ in range(4)]
    assert [fault is not None for fault in faults] == [True] * expected + [False] * (4 - expected)


def test_only_matching_calls_are_counted() -> None:
    schedule = FaultSchedule([PlannedFault(RESET, models=("a",), first=2, last=2)])
    models = ["a", "b", "b", "a", "a"]
    chosen = [schedule.start_call().next_attempt(HOST, model, PATH) for model in models]
    assert [fault is not None for fault in chosen] == [False, False, False, True, False]


def test_a_fallback_on_another_host_is_not_broken() -> None:
    call = FaultSchedule([PlannedFault(RESET, hosts=(HOST,), attempts=0)]).start_call()
    assert call.next_attempt(HOST, MODEL, PATH) is not None
    assert call.next_attempt("api.moonshot.ai", "kimi-k3", PATH) is None


def test_the_first_entry_that_applies_is_injected_and_all_count() -> None:
    schedule = FaultSchedule([PlannedFault(RESET, first=2, last=2), PlannedFault(STALL, every=2)])
    faults = [schedule.start_call().next_attempt(HOST, MODEL, PATH) for _ in range(3)]
    assert [fault and (fault.number, fault.fault.kind) for fault in faults] == [
        (2, FaultKind.STALL),
        (1, FaultKind.RESET),
        (2, FaultKind.STALL),
    ]
