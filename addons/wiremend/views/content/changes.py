"""The view *before and after*: what was received, and what was passed on, as a diff."""

from collections.abc import Sequence
from typing import Any

from wiremend.call_record.outcomes import AttemptOutcome
from wiremend.call_record.schema import CallRecord, KeptRequest, StoredAttempt
from wiremend.text import json_value
from wiremend.views.content.diff import ABSENT, Change, changes, nearest_hunks
from wiremend.views.content.messages import size_text
from wiremend.views.content.page import Page, neutralised, one_line
from wiremend.views.content.viewed import READ_LIMIT_BYTES, ViewedCall, events_of, kept_data

_VALUE_LINES = 12
_COLUMNS_BEFORE_A_DIFFERENCE = 24
_COLUMNS_AFTER_A_DIFFERENCE = 12
_EVENTS_OF_A_HUNK = 20
_NOT_KEPT = (
    "Not known: the traffic of this call was not kept. It is kept in mitmweb and mitmproxy, and "
    "with -w (--set wiremend_keep=always)."
)


def response_changes_view(call: ViewedCall, page: Page) -> None:
    """Add a diff of the events that the provider sent (-) and those the client received (+)."""
    record = call.record
    attempt = _answering(record) if record is not None else None
    received = attempt.response.body if attempt is not None and attempt.response else None
    shown = record.client_response.body if record is not None and record.client_response else None
    old, new = kept_data(received), kept_data(shown)
    if old is None or new is None:
        page.line((record.not_kept if record is not None else "") or _NOT_KEPT)
        return
    assert attempt is not None
    if old == new:
        page.line(f"The client received the provider's {len(old):,} bytes unchanged.")
        return
    page.line(f"--- {one_line(attempt.provider, 60)}, attempt {attempt.number}")
    page.line("+++ the client")
    events_before, events_after = _events(old), _events(new)
    if not events_before or not events_after:
        _add_json_changes(old, new, page)
        return
    is_same, is_limited = True, max(len(old), len(new)) > READ_LIMIT_BYTES
    for hunk in nearest_hunks(events_before, events_after):
        if is_limited and hunk.reaches(len(events_before), len(events_after)):
            hunk = hunk.paired()  # what one side has in addition may follow on the other, unread
            if not hunk.old:
                break
        is_same = False
        page.line(f"@@ event {hunk.old_start + 1} → {hunk.new_start + 1}")
        _add_hunk(hunk.old, hunk.new, page)
        if page.is_full:
            break
    if is_limited:
        sizes = f"{size_text(READ_LIMIT_BYTES)} of {size_text(max(len(old), len(new)))}"
        page.line(f"… compared up to here: {sizes}")
    elif is_same:
        page.line("The events are the same; only their spelling, line ends or comments differ.")


def request_changes_view(call: ViewedCall, page: Page) -> None:
    """Add a diff of the JSON that the client sent (-) and that was sent to the provider (+)."""
    record = call.record
    asked = record.client_request if record is not None else None
    attempt = _answering(record) if record is not None else None
    sent = attempt.request if attempt is not None else None
    if asked is None or sent is None:
        page.line((record.not_kept if record is not None else "") or _NOT_KEPT)
        return
    old, new = kept_data(asked.body), kept_data(sent.body)
    _add_heads(asked, sent, page)
    if old is None or new is None:
        page.line("A body was not kept.")
    elif old == new:
        page.line(f"The body was sent as the client wrote it ({len(old):,} bytes).")
    else:
        _add_json_changes(old, new, page)


def _answering(record: CallRecord) -> StoredAttempt | None:
    """Return the attempt whose response the client has; else the last one."""
    answered = [one for one in record.attempts if one.outcome is AttemptOutcome.ANSWERED]
    attempts = answered or record.attempts
    return attempts[-1] if attempts else None


def _events(body: bytes) -> list[bytes]:
    """Return the data of events, JSON in one spelling, so that only other values differ.

    Of a long body only those that are complete in its first part.
    """
    events = list(events_of(body[:READ_LIMIT_BYTES]))
    if len(body) > READ_LIMIT_BYTES:
        del events[-1:]
    return [_respelled(event.data) for event in events if event.data is not None]


def _respelled(data: bytes) -> bytes:
    try:
        return json_value.write(json_value.read(data))
    except (ValueError, RecursionError):
        return data


def _add_hunk(old: Sequence[bytes], new: Sequence[bytes], page: Page) -> None:
    for index in range(min(_EVENTS_OF_A_HUNK, max(len(old), len(new)))):
        one = _text(old[index]) if index < len(old) else None
        other = _text(new[index]) if index < len(new) else None
        start = _start_of_difference(one, other, page.columns) if one and other else 0
        for sign, text in (("-", one), ("+", other)):
            if text is not None:
                page.rows([f"{sign} {'…' if start else ''}{text[start : start + page.columns]}"])
    more = max(len(old), len(new)) - _EVENTS_OF_A_HUNK
    if more > 0:
        page.line(f"… {more:,} more events")


def _text(data: bytes) -> str:
    return neutralised(data[:4000].decode("utf-8", "replace"))


def _start_of_difference(one: str, other: str, columns: int) -> int:
    """Return from where two events are shown, so that their difference is in sight."""
    most = min(len(one), len(other))
    same = next((at for at in range(most) if one[at] != other[at]), most)
    is_in_sight = same < columns - _COLUMNS_AFTER_A_DIFFERENCE
    return 0 if is_in_sight else same - _COLUMNS_BEFORE_A_DIFFERENCE


def _add_heads(asked: KeptRequest, sent: KeptRequest, page: Page) -> None:
    if asked.url != sent.url:
        page.line("@@ address")
        page.line(f"- {one_line(asked.url, 400)}", hanging="  ")
        page.line(f"+ {one_line(sent.url, 400)}", hanging="  ")
    old = {name.lower(): value for name, value in asked.headers}
    new = {name.lower(): value for name, value in sent.headers}
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if differing:
        page.line("@@ headers")
    for name in differing:
        for sign, value in (("-", old.get(name)), ("+", new.get(name))):
            if value is not None:
                page.line(f"{sign} {one_line(name, 60)}: {one_line(value, 300)}", hanging="  ")


def _add_json_changes(old: bytes, new: bytes, page: Page) -> None:
    try:
        before, after = json_value.read(old), json_value.read(new)
    except ValueError:
        page.line("A body is no JSON, so there is no diff:")
        page.block("- " + old[:20_000].decode("utf-8", "replace"), "", 100)
        page.block("+ " + new[:20_000].decode("utf-8", "replace"), "", 100)
        return
    is_same = True
    for change in changes(before, after):
        is_same = False
        if page.is_full:
            page.line()
            return
        _add_change(change, page)
    if is_same:
        page.line("The values are the same; only the spelling of the JSON differs.")


def _add_change(change: Change, page: Page) -> None:
    page.line(f"@@ {one_line(change.place, 300)}", hanging="   ")
    for sign, value in (("-", change.old), ("+", change.new)):
        if value is not ABSENT:
            page.block(_written(value), f"{sign} ", _VALUE_LINES)


def _written(value: Any) -> str:
    return json_value.write_indented(value)
