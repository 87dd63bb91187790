"""Findings, their places, and the notebook that collects them."""

from dataclasses import replace

import pytest
from wiremend.rules.rule import (
    FINDINGS_LIMIT,
    ONCE_LIMIT,
    TEXT_LIMIT,
    AttemptPlace,
    BodyPlace,
    CallPlace,
    EventPlace,
    Finding,
    Findings,
    HeaderPlace,
    Notes,
    Place,
    PlacedNotes,
    Rule,
)

ODD = Rule(
    code="S901",
    name="odd",
    detects="Odd.",
    impact="Fails.",
    action="Repairs.",
    protocols=("gemini",),
)
EVEN = replace(ODD, code="S902", name="even", detects="Even.")


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (EventPlace(12), "event 12"),
        (BodyPlace(("tools", 3, "input_schema")), "tools[3].input_schema"),
        (BodyPlace((0, "model")), "[0].model"),
        (BodyPlace(), "body"),
        (AttemptPlace(2), "attempt 2"),
        (HeaderPlace("anthropic-beta"), "anthropic-beta"),
        (CallPlace.REQUEST, "request"),
        (CallPlace.REQUEST_PATH, "path"),
        (CallPlace.RESPONSE, "response"),
        (CallPlace.STREAM_END, "end"),
    ],
)
def test_a_place_has_one_text(place: Place, text: str) -> None:
    assert str(Finding("S901", place, "this", "that")) == f"S901 {text}: this; that"


def test_notes_record_what_an_enabled_rule_found() -> None:
    notes = Notes({"S902"})
    assert notes.note(ODD, EventPlace(1), "this", "that")
    assert notes.findings == [Finding("S901", EventPlace(1), "this", "that")]


def test_notes_record_nothing_for_a_disabled_rule() -> None:
    notes = Notes({"S902"})
    assert not notes.note(EVEN, EventPlace(1), "this", "that")
    assert notes.findings == []


def test_asking_whether_a_rule_is_enabled_records_nothing() -> None:
    notes = Notes({"S902"})
    assert (notes.is_on(ODD), notes.is_on(EVEN)) == (True, False)
    assert notes.findings == []


def test_placed_notes_begin_again_at_each_place() -> None:
    notes = PlacedNotes(frozenset(), EventPlace(1))
    notes.note(ODD, "this", "that")
    first = notes.findings
    notes.enter(EventPlace(2))
    notes.note(EVEN, "these", "those")
    assert [str(finding) for finding in first] == ["S901 event 1: this; that"]
    assert [str(finding) for finding in notes.findings] == ["S902 event 2: these; those"]


def test_a_fault_of_every_event_is_recorded_once() -> None:
    notes = PlacedNotes({"S902"}, EventPlace(1))
    assert [notes.note(ODD, "this", "that", once=about) for about in ("a", "a", "b")] == [True] * 3
    assert [finding.code for finding in notes.findings] == ["S901", "S901"]
    assert not notes.note(EVEN, "this", "that", once="a")


def test_the_texts_of_a_finding_are_shortened() -> None:
    finding = Finding("S101", EventPlace(1), "a" * 10**6, "b" * 10**6)
    assert len(finding.found) == len(finding.done) == TEXT_LIMIT
    assert finding.found.endswith("a…")
    assert Finding("S101", EventPlace(1), "a" * TEXT_LIMIT, "b").found == "a" * TEXT_LIMIT


def test_the_number_of_findings_is_bounded() -> None:
    findings, notes = Findings(), Notes()
    for number in range(FINDINGS_LIMIT + 10):
        findings += [Finding("S101", EventPlace(number), "found", "done")] * 3
        assert notes.note(ODD, EventPlace(number), "found", "done")
    assert len(findings) == len(notes.findings) == FINDINGS_LIMIT


def test_the_number_of_faults_that_are_noted_once_is_bounded() -> None:
    notes = PlacedNotes()
    noted = 0
    for number in range(ONCE_LIMIT + 10):
        notes.enter(number)
        assert notes.note(ODD, "found", "done", once=f"id {number}")
        noted += len(notes.findings)
    assert noted == ONCE_LIMIT
