"""What a complete, buffered response means to its call: a result, a rejection or a failure."""

from collections.abc import Sequence
from dataclasses import dataclass

from wiremend.engine import transport_rules as transport
from wiremend.engine import wrapped_errors as errors
from wiremend.engine.actions import Head
from wiremend.engine.call_settings import CallSettings
from wiremend.engine.error_responses import html_error, is_html
from wiremend.engine.transport_errors import error_of_status
from wiremend.protocols.base.provider_error import RETRYABLE_STATUS, ProviderError
from wiremend.protocols.base.repairer import StreamContext
from wiremend.repair.stream import repair_body
from wiremend.rules.rule import Finding, Rule


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
    settings: CallSettings, head: Head, body: bytes, *, host: str, context: StreamContext
) -> BodyVerdict:
    """Return what a response with this head and this decoded body means.

    `host` names the provider in error messages, `context` is that of the attempt.
    """
    if is_html(head, body) and settings.raise_errors:
        return BodyVerdict(body, error=html_error(head, body, host), rule=errors.WEB_PAGE)
    if head.status >= 400:
        is_failure = head.status in RETRYABLE_STATUS or not body.strip()
        return BodyVerdict(
            body,
            error=error_of_status(head, body),
            rule=transport.RETRYABLE_STATUS if is_failure else None,
        )
    return _judge_success(settings, body, context)


def _judge_success(settings: CallSettings, body: bytes, context: StreamContext) -> BodyVerdict:
    repaired = repair_body(settings.protocol, body, context)
    if repaired.error is None:
        return BodyVerdict(repaired.data, repaired.findings)
    if not settings.raise_errors:
        return BodyVerdict(body)
    rule = errors.NOT_A_STREAM if settings.streaming else errors.ERROR_IN_BODY
    return BodyVerdict(body, repaired.findings, repaired.error, rule)
