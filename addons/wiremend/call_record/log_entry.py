"""The schema of `wiremend_log`: one JSON object for each call that has ended, on one line.

It contains no messages and no keys. `found`, `done` and `failure` may quote a few words of a
request or a response, shortened.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, StoredAttempt, StoredFinding, Usage

LOG_VERSION = 1
TEXT_LIMIT = 500
"""The longest text in an entry, in characters."""
LIST_LIMIT = 100
"""How many attempts, and rules, an entry lists."""


class LogPart(BaseModel):
    """A part of an entry. Readers must ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class LoggedRule(LogPart):
    """A rule that applied."""

    code: str
    """Such as `S105`."""
    name: str
    """Such as `block-index`; empty if this version does not know the rule."""
    times: int
    """In how many places it applied."""
    where: str
    """The first place, such as `event 12` or `tools[3].input_schema`."""
    found: str
    """What was found there."""
    done: str
    """What wiremend did there."""


class LoggedAttempt(LogPart):
    """One attempt to get a response from a provider. Times are seconds since the call's start."""

    number: int
    """The first one is 1. The attempt that replaces a stale one has the same number."""
    provider: str
    """The name of a configured provider, else a host."""
    model: str
    """The model requested from it."""
    outcome: AttemptOutcome | None
    """How it ended."""
    detail: str
    """The error's message; `ok` for a complete response."""
    start_seconds: float
    """When a connection was requested."""
    end_seconds: float | None
    """When it ended."""
    wait_seconds: float | None
    """Time until the next attempt; null: there was none."""


class LogEntry(LogPart):
    """One call."""

    version: int = LOG_VERSION
    """The version of this schema. It increases when a field changes its meaning or is removed; a
    new field does not change it."""
    time: datetime | None
    """When the call began, in UTC."""
    flow_id: str
    """The id of its flow in mitmweb and in flow files."""
    client: str
    """The family of clients, such as `claude-code`; empty if unknown."""
    protocol: str
    """The client's protocol, such as `anthropic-messages`; empty if none was recognised."""
    path: str
    """The path that the client requested, without its query."""
    model_asked: str
    """The model that the client requested."""
    model_used: str
    """The model requested from the last provider."""
    provider: str
    """The last provider: the name of a configured one, else a host."""
    host: str
    """Its host."""
    status: int | None
    """The HTTP status that the client received; null: none."""
    outcome: CallState | None
    """How the call ended."""
    detail: str
    """A description of that."""
    failure: str
    """What the provider, or the network, said in the last attempt that failed; empty if none did.
    A call with such an attempt may still have been answered."""
    first_byte_seconds: float | None
    """From the start of the call to the first byte that the client was sent; null: none was."""
    total_seconds: float | None
    """From the start to the end of the call."""
    usage: Usage | None
    """Token counts, if the provider reported any."""
    attempts: tuple[LoggedAttempt, ...]
    """The attempts in their order, at most 100."""
    rules: tuple[LoggedRule, ...]
    """The rules that applied, by their codes, at most 100."""
    reports_only: bool
    """Whether they were only reported: nothing was changed or repeated."""


def log_entry(
    record: CallRecord,
    rule_names: Mapping[str, str],
    *,
    flow_id: str,
    path: str,
    status: int | None,
) -> LogEntry:
    """Return the entry of a call. `path` is without its query; `status` is the client's."""
    failed = [it for it in record.attempts if it.outcome is AttemptOutcome.FAILED]
    started = record.started_at
    return LogEntry(
        time=None if started is None else datetime.fromtimestamp(started, UTC),
        flow_id=flow_id,
        client=record.client,
        protocol=record.protocol,
        path=_short(path),
        model_asked=_short(record.model_asked),
        model_used=_short(record.model_used),
        provider=_short(record.provider),
        host=_short(record.host),
        status=status,
        outcome=record.outcome,
        detail=_short(record.detail),
        failure=_short(failed[-1].detail) if failed else "",
        first_byte_seconds=record.head_seconds,
        total_seconds=record.end_seconds,
        usage=record.usage,
        attempts=tuple(_attempt(one) for one in record.attempts[:LIST_LIMIT]),
        rules=_rules(record, rule_names),
        reports_only=record.reports_only,
    )


def _attempt(attempt: StoredAttempt) -> LoggedAttempt:
    return LoggedAttempt(
        number=attempt.number,
        provider=_short(attempt.provider),
        model=_short(attempt.model),
        outcome=attempt.outcome,
        detail=_short(attempt.detail),
        start_seconds=attempt.start_seconds,
        end_seconds=attempt.end_seconds,
        wait_seconds=attempt.wait_seconds,
    )


def _rules(record: CallRecord, rule_names: Mapping[str, str]) -> tuple[LoggedRule, ...]:
    findings = [*record.request_findings, *record.response_findings]
    times = Counter(finding.code for finding in findings)
    first: dict[str, StoredFinding] = {}
    for finding in findings:
        first.setdefault(finding.code, finding)
    return tuple(
        LoggedRule(
            code=code,
            name=rule_names.get(code, ""),
            times=times[code],
            where=_short(first[code].where),
            found=_short(first[code].found),
            done=_short(first[code].done),
        )
        for code in sorted(first)[:LIST_LIMIT]
    )


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
