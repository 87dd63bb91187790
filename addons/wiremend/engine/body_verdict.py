"""What a complete, buffered response means to its call: a result, a rejection or a failure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wiremend.engine import rules
from wiremend.engine.actions import Head
from wiremend.engine.call import Call
from wiremend.engine.error_responses import html_error, is_html
from wiremend.engine.transport_errors import error_of_status
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import RETRYABLE_STATUS, ProviderError, make_error
from wiremend.protocols.base.repairer import StreamContext
from wiremend.repair.body import fold_stream, repair_body
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import CallPlace, Finding, Rule
from wiremend.text.body_form import BodyForm, form_of

_START_BYTES = 64


@dataclass(frozen=True, slots=True)
class BodyVerdict:
    """Exactly one of three: a result (no error), a rejection (no rule), a failure (both)."""

    body: bytes
    """What the client is sent if this is the result."""
    findings: Sequence[Finding] = ()
    error: ProviderError | None = None
    rule: Rule | None = None
    """The rule that found the failure. A rejection is an HTTP error that no retry can change."""


def judge_body(
    call: Call,
    head: Head,
    body: bytes,
    *,
    host: str,
    context: StreamContext,
    protocol: Protocol,
    faults: list[Fault],
) -> BodyVerdict:
    """Return what a response with this head and this decoded body means.

    `host` names the provider in error messages, `context` and `protocol` are those of the attempt.
    A fault in a rule is appended to `faults`, and the body is the result as it is.
    """
    if is_html(head, body) and call.raise_errors:
        error = _read_contained(html_error, head, body, host, head=head, faults=faults)
        return BodyVerdict(body, error=error, rule=rules.WEB_PAGE)
    if head.status >= 400:
        is_failure = head.status in RETRYABLE_STATUS or not body.strip()
        return BodyVerdict(
            body,
            error=_read_contained(error_of_status, head, body, head=head, faults=faults),
            rule=rules.RETRYABLE_STATUS if is_failure else None,
        )
    if not call.may_stream and form_of(body[:_START_BYTES]) is BodyForm.EVENTS:
        is_on = call.raise_errors and rules.EVENTS.code not in context.disabled
        if not is_on:
            return BodyVerdict(body)
        return _judge_events(protocol, body, context, faults)
    return _judge_success(call, protocol, body, context, faults)


def _judge_events(
    protocol: Protocol, body: bytes, context: StreamContext, faults: list[Fault]
) -> BodyVerdict:
    """Judge a stream that answers a call without one."""
    folded = fold_stream(protocol, body, context, faults)
    if folded.error is not None:
        return BodyVerdict(body, folded.findings, folded.error, rules.ERROR_IN_BODY)
    found = Finding(rules.EVENTS.code, CallPlace.RESPONSE, "an event stream", "sent as JSON")
    return BodyVerdict(folded.data, [found, *folded.findings])


def _read_contained(
    read: Callable[..., ProviderError], *args: object, head: Head, faults: list[Fault]
) -> ProviderError:
    """Return `read(*args)`; after a fault, an error with the status of this head only."""

    def unread(fault: Fault) -> ProviderError:
        faults.append(fault)
        return make_error(status=head.status if head.status >= 400 else None)

    return contain("reading a provider's error", unread, read, *args)


def _judge_success(
    call: Call, protocol: Protocol, body: bytes, context: StreamContext, faults: list[Fault]
) -> BodyVerdict:
    repaired = repair_body(protocol, body, context, faults)
    if repaired.error is None:
        return BodyVerdict(repaired.data, repaired.findings)
    if not call.raise_errors:
        return BodyVerdict(body)
    rule = rules.NOT_A_STREAM if call.streaming else rules.ERROR_IN_BODY
    return BodyVerdict(body, repaired.findings, repaired.error, rule)
