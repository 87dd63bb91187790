"""Reading records back: what was written, and what others wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.call_record import __doc__ as OVERVIEW
from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.plain import plain_finding, plain_text, plain_usage
from wiremend.call_record.schema import (
    CallRecord,
    StoredAttempt,
    StoredFinding,
    Usage,
)
from wiremend.protocols.base.usage import Usage as UsageCounts
from wiremend.rules.rule import (
    AttemptPlace,
    BodyPlace,
    CallPlace,
    EventPlace,
    Finding,
    HeaderPlace,
    Place,
    StoredPlace,
)

PLACES = [
    EventPlace(12),
    BodyPlace(("tools", 3, "input_schema")),
    BodyPlace(()),
    AttemptPlace(2),
    HeaderPlace("anthropic-beta"),
    *CallPlace,
]


def stored(**fields: Any) -> CallRecord:
    record = load_record({"wiremend": fields})
    assert record is not None
    return record


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_finding_comes_back_with_its_place(place: Place) -> None:
    finding = Finding("S105", place, "this", "that")
    plain = plain_finding(finding)
    assert plain["where"] == str(place)
    assert StoredFinding.model_validate(plain, extra="forbid").finding() == finding
    assert stored(response_findings=[plain]).findings == [finding]


def test_a_finding_that_was_read_back_can_be_written_again() -> None:
    plain = plain_finding(Finding("S105", StoredPlace("somewhere"), "this", "that"))
    [finding] = stored(request_findings=[plain]).findings
    assert finding == Finding("S105", StoredPlace("somewhere"), "this", "that")


def test_token_counts_come_back() -> None:
    counts = UsageCounts(input_tokens=3, reasoning_tokens=1)
    assert Usage.model_validate(plain_usage(counts), extra="forbid").counts() == counts


@pytest.mark.parametrize(
    ("text", "written"),
    [("plain", "plain"), ("é", "é"), ("a\ud83d", "a?"), ("x" * 3000, "x" * 2000 + "…")],
)
def test_texts_are_bounded_and_can_be_saved(text: str, written: str) -> None:
    assert plain_text(text) == written


@pytest.mark.parametrize("metadata", [{}, {"wiremend": None}, {"wiremend": [1]}, {"other": {}}])
def test_what_is_no_record_is_none(metadata: dict[str, Any]) -> None:
    assert load_record(metadata) is None


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_understood() -> None:
    record = stored(
        version=7,
        outcome="translated",
        detail="ok",
        mood="good",
        usage={"input_tokens": 3, "joules": 9},
        attempts=[
            {"number": 1, "outcome": "teleported", "start_seconds": 0.5},
            {"number": 2, "outcome": "answered", "start_seconds": "soon"},
            {"outcome": "answered"},
        ],
        response_findings=[
            {"code": "Z901", "place": {"kind": "dream", "depth": 3}, "where": "dream 3"},
            {"code": "S105", "place": {"kind": "event"}, "where": "event 5"},
            {"where": "a finding without a code"},
            "not a finding",
            {"code": "S106", "place": {"kind": "event", "number": 6}, "where": "event 6"},
        ],
    )
    assert (record.version, record.outcome, record.detail) == (7, None, "ok")
    assert record.usage == Usage(input_tokens=3)
    assert record.attempts == [
        StoredAttempt(number=1, outcome=None, start_seconds=0.5),
        StoredAttempt(number=2, outcome=AttemptOutcome.ANSWERED, start_seconds=0.0),
    ]
    assert [(one.code, one.place) for one in record.findings] == [
        ("Z901", StoredPlace("dream 3")),
        ("S105", StoredPlace("event 5")),
        ("S106", EventPlace(6)),
    ]


def test_a_record_without_a_version_is_read_as_far_as_it_is_understood() -> None:
    finding = {"code": "S105", "where": "event 5", "found": "this", "done": "that"}
    record = stored(outcome="ok", response_findings=[finding])
    assert record.outcome is None
    assert [str(one) for one in record.findings] == ["S105 event 5: this; that"]


def test_reading_a_broken_record_leaves_it_as_it_is() -> None:
    metadata = {"wiremend": {"outcome": 3, "attempts": [{"number": "x"}]}}
    record = load_record(metadata)
    assert record == CallRecord()
    assert metadata == {"wiremend": {"outcome": 3, "attempts": [{"number": "x"}]}}


NAMES = (*CallRecord.model_fields, *StoredAttempt.model_fields, *StoredFinding.model_fields)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.sampled_from([*CallState, "event", "body", "part", "end"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*NAMES, "kind", "number", "path", "data", "size", "chunks", "body"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(record=st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=8) | ANYTHING)
def test_reading_never_raises(record: Any) -> None:
    read = load_record({"wiremend": record})
    assert (read is None) is not isinstance(record, dict)


def test_the_overview_has_every_field_and_state() -> None:
    for model in (CallRecord, StoredAttempt, StoredFinding, Usage):
        for name in model.model_fields:
            assert name in OVERVIEW, name
    for state in (*CallState, *AttemptOutcome):
        assert f"    {state} " in OVERVIEW, state


def test_every_field_is_described() -> None:
    undescribed = [name for name, field in CallRecord.model_fields.items() if not field.description]
    assert undescribed == []
