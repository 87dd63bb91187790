"""Containing exceptions, and the lines about them."""

import asyncio
from typing import Any

import pytest
from wiremend.rules.containment import Fault, FaultLog, contain, fault_of


def raising(exception: BaseException) -> Any:
    raise exception


def deep(depth: int) -> int:
    return depth if depth < 0 else deep(depth + 1)


RAISED = [
    RecursionError(),
    MemoryError(),
    OverflowError(),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "secret"),
    ValueError("secret"),
    AssertionError(),
    StopIteration(),
    ExceptionGroup("secret", [ValueError()]),
]


@pytest.mark.parametrize("exception", RAISED, ids=repr)
def test_every_exception_is_contained_without_its_text(exception: Exception) -> None:
    fault = contain("a test", lambda fault: fault, raising, exception)
    assert (fault.step, fault.kind) == ("a test", type(exception).__name__)
    assert fault.place.startswith("test_containment.py:")
    assert "secret" not in f"{fault}{fault!r}{fault.trace}"


def test_endless_recursion_is_contained() -> None:
    fault = contain("a test", lambda fault: fault, deep, 0)
    assert isinstance(fault, Fault)
    assert fault.kind == "RecursionError"
    assert len(fault.trace.splitlines()) < 30


@pytest.mark.parametrize(
    "exception",
    [KeyboardInterrupt(), SystemExit(), GeneratorExit(), asyncio.CancelledError()],
    ids=repr,
)
def test_what_ends_a_program_or_a_task_is_not_contained(exception: BaseException) -> None:
    with pytest.raises(type(exception)):
        contain("a test", lambda fault: fault, raising, exception)


def test_a_line_contains_the_fault_the_step_the_call_and_what_was_done() -> None:
    fault = Fault("planning", "ValueError", "plan.py:3")
    assert FaultLog().line(fault, "'POST a/b'", "it ends", 0.0) == (
        "wiremend: internal fault (ValueError in plan.py:3) while planning: 'POST a/b'; it ends"
    )


def test_the_same_place_is_logged_a_few_times_a_minute() -> None:
    log, fault = FaultLog(lines=2, seconds=60.0), Fault("planning", "ValueError", "plan.py:3")
    other = Fault("planning", "ValueError", "plan.py:4")
    lines = [log.line(fault, "a call", "it ends", now) for now in (0.0, 1.0, 2.0, 3.0, 61.5)]
    assert [line is not None for line in lines] == [True, True, False, False, True]
    assert str(lines[-1]).endswith("it ends (2 more like this were not logged)")
    assert log.line(other, "a call", "it ends", 2.0) is not None


def test_a_fault_without_a_stack_has_no_place() -> None:
    assert str(fault_of("a test", ValueError())) == "ValueError"
