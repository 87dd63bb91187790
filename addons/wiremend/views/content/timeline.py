"""The view *timeline*: attempts, waits, first bytes, gaps and keep-alives on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from wiremend.call_record.outcomes import AttemptOutcome
from wiremend.call_record.schema import CallRecord, KeptBody, StoredAttempt
from wiremend.protocols.base.provider_error import read_error
from wiremend.text import json_value
from wiremend.text.counted import counted
from wiremend.views.content.page import Page, one_line
from wiremend.views.content.viewed import ViewedCall, kept_data
from wiremend.views.outcome import end_of_stream, failure_of

_LEVELS = "▁▂▃▄▅▆▇█"
_SILENT, _WAITING, _BEAT, _BEFORE = "·", "░", "♥", " "
_LABEL_COLUMNS = 9
_LONGEST_GAPS = 3
_SHORTEST_GAP_SECONDS = 0.5
_SHOWN_ATTEMPTS = 40
_ERROR_BYTES = 100_000
_REFUSED = "request refused: "
"""The outcome of the attempt, `rejected`, is the same."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    seconds: float
    size: int
    is_beat: bool


def timeline_view(call: ViewedCall, page: Page) -> None:
    """Add when what happened. Gaps and bars need the traffic to be kept."""
    record = call.record
    if record is None:
        page.line("Not known: wiremend did not carry this call.")
        return
    add_attempts(record, page)
    end = _end_of(record)
    if end > 0:
        page.heading("on one scale")
        _add_bars(record, page, end)
    _add_gaps(record, page)
    if record.client_response is None:
        reason = record.not_kept or "it is kept in mitmweb, mitmproxy and with -w"
        page.line()
        page.line(f"The traffic of this call is not kept ({reason}): no gaps, no bars of bytes.")


def add_attempts(record: CallRecord, page: Page) -> None:
    """Add a line for each attempt, and the times of the call."""
    shown = record.attempts[:_SHOWN_ATTEMPTS]
    for attempt in shown:
        page.line(_attempt_line(attempt, record), hanging="    ")
        page.line(_times_line(attempt), "  ", "    ")
    if len(record.attempts) > len(shown):
        page.line(f"… {len(record.attempts) - len(shown)} more attempts")
    held = _held(record)
    parts = [
        f"first byte to the client {_s(record.head_seconds)}" if record.head_seconds else "",
        f"held back {_s(held)}" if held is not None and held >= 0.001 else "",
        f"end {_s(record.end_seconds)}" if record.end_seconds is not None else "not ended yet",
    ]
    page.line(", ".join(part for part in parts if part))
    if ended := end_of_stream(record):
        page.line(ended)


def _attempt_line(attempt: StoredAttempt, record: CallRecord) -> str:
    target = " · ".join(part for part in (attempt.provider, attempt.model) if part)
    outcome = attempt.outcome.value if attempt.outcome is not None else "unknown"
    if attempt.outcome in (AttemptOutcome.FAILED, AttemptOutcome.REJECTED):
        words = _words_of_provider(attempt)
        reason = one_line(failure_of(attempt, record).removeprefix(_REFUSED), 120)
        outcome += f": {reason}{f': {words}' if words else ''}"
    if attempt.injected:
        outcome += f" (injected on purpose: {one_line(attempt.injected, 120)})"
    return f"attempt {attempt.number}  {outcome}{f'  ({one_line(target, 100)})' if target else ''}"


def _times_line(attempt: StoredAttempt) -> str:
    start, end, wait = attempt.start_seconds, attempt.end_seconds, attempt.wait_seconds
    first = _first_byte(attempt)
    parts = [
        f"at {_s(start)}",
        f"lasted {_s(end - start)}" if end is not None else "",
        f"first byte after {_s(first - start)}" if first is not None else "",
        f"then waited {_s(wait)}" if wait else "",
    ]
    return " · ".join(part for part in parts if part)


def _words_of_provider(attempt: StoredAttempt) -> str:
    """Return the message of a kept error response, if the record has only its status."""
    data = kept_data(_attempt_body(attempt)) if attempt.detail.startswith("status ") else None
    if not data or len(data) > _ERROR_BYTES:
        return ""
    try:
        error = read_error(json_value.read(data))
    except ValueError:
        return ""
    return one_line(error.message, 200) if error is not None else ""


def _s(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"


def _end_of(record: CallRecord) -> float:
    times = [record.end_seconds or 0.0, record.head_seconds or 0.0]
    for body in (_body(record.client_response), *map(_attempt_body, record.attempts)):
        times += [seconds for seconds, _ in (body.chunks if body else ())][-1:]
    times += [attempt.end_seconds or 0.0 for attempt in record.attempts]
    return max([0.0, *filter(isfinite, times)])


def _body(message: object) -> KeptBody | None:
    return getattr(message, "body", None)


def _attempt_body(attempt: StoredAttempt) -> KeptBody | None:
    return _body(attempt.response)


def _first_byte(attempt: StoredAttempt) -> float | None:
    body = _attempt_body(attempt)
    return body.chunks[0][0] if body is not None and body.chunks else None


def _held(record: CallRecord) -> float | None:
    """Return how long the answer's first bytes were withheld from the client, in seconds."""
    firsts = [_first_byte(one) for one in record.attempts if one.outcome is AttemptOutcome.ANSWERED]
    if not firsts or firsts[-1] is None or record.head_seconds is None:
        return None
    return max(0.0, record.head_seconds - firsts[-1])


def _chunks(body: KeptBody | None) -> list[_Chunk]:
    chunks, start = [], 0
    for seconds, end in body.chunks if body is not None else ():
        data = body.data[start : min(end, start + 3)] if body is not None else b""
        chunks.append(_Chunk(seconds, end - start, end - start <= 2 and not data.strip()))
        start = end
    return chunks


def _add_bars(record: CallRecord, page: Page, end: float) -> None:
    columns = page.columns - _LABEL_COLUMNS - 2
    most = max((_largest(body, end, columns) for body in _bodies(record)), default=1)
    for attempt in record.attempts[:_SHOWN_ATTEMPTS]:
        bar = _bar(_chunks(_attempt_body(attempt)), end, columns, most)
        first = _column(attempt.start_seconds, end, columns)
        ended = attempt.end_seconds if attempt.end_seconds is not None else end
        last = _column(ended, end, columns)
        wait = _column(ended + (attempt.wait_seconds or 0), end, columns)
        shown = [
            _BEFORE if at < first else bar[at] if at <= last else _WAITING if at <= wait else " "
            for at in range(columns)
        ]
        page.rows([f"{f'try {attempt.number}':<{_LABEL_COLUMNS}} {''.join(shown)}"])
    client = _bar(_chunks(_body(record.client_response)), end, columns, most)
    page.rows([f"{'client':<{_LABEL_COLUMNS}} {''.join(client)}"])
    right = _s(end)
    page.rows([f"{'':<{_LABEL_COLUMNS}} 0{right:>{columns - 1}}"])
    page.line(
        f"{_LEVELS[0]} to {_LEVELS[-1]} bytes  {_SILENT} silence  {_BEAT} keep-alive  "
        f"{_WAITING} wait until the next attempt"
    )


def _bodies(record: CallRecord) -> list[KeptBody]:
    bodies = (_body(record.client_response), *map(_attempt_body, record.attempts))
    return [body for body in bodies if body is not None]


def _column(seconds: float, end: float, columns: int) -> int:
    share = seconds / end  # of a file that anybody may have written
    return int(share * columns) if 0 <= share < 1 else columns - 1 if share >= 1 else 0


def _amounts(chunks: Sequence[_Chunk], end: float, columns: int) -> list[int]:
    amounts = [0] * columns
    for chunk in chunks:
        if not chunk.is_beat:
            amounts[_column(chunk.seconds, end, columns)] += chunk.size
    return amounts


def _largest(body: KeptBody, end: float, columns: int) -> int:
    return max(1, *_amounts(_chunks(body), end, columns))


def _bar(chunks: Sequence[_Chunk], end: float, columns: int, most: int) -> list[str]:
    bar = [_SILENT] * columns
    for chunk in chunks:
        if chunk.is_beat:
            bar[_column(chunk.seconds, end, columns)] = _BEAT
    for at, amount in enumerate(_amounts(chunks, end, columns)):
        if amount:
            bar[at] = _LEVELS[min(len(_LEVELS) - 1, amount * len(_LEVELS) // (most + 1))]
    return bar


def _add_gaps(record: CallRecord, page: Page) -> None:
    """Add the longest silences, and how many keep-alives the client was sent."""
    gaps: list[tuple[float, float, str]] = []
    for attempt in record.attempts[:_SHOWN_ATTEMPTS]:
        chunks = _chunks(_attempt_body(attempt))
        times = [attempt.start_seconds, *(one.seconds for one in chunks if not one.is_beat)]
        times += [attempt.end_seconds] if attempt.end_seconds is not None else []
        name = f"attempt {attempt.number}"
        gaps += [(after - before, before, name) for before, after in pairwise(times)]
    longest = sorted((gap for gap in gaps if gap[0] >= _SHORTEST_GAP_SECONDS), reverse=True)
    if longest and record.client_response is not None:
        page.heading("longest silences of the provider")
        for length, start, name in longest[:_LONGEST_GAPS]:
            page.line(f"{_s(length)} from {_s(start)}  ({name})")
    beats = [one.seconds for one in _chunks(_body(record.client_response)) if one.is_beat]
    if beats:
        page.line(f"{counted(len(beats), 'keep-alive')} to the client, the first at {_s(beats[0])}")
