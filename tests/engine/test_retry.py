"""Tests of the retry policy and of the waits that responses ask for."""

import pytest
from wiremend.engine.actions import Head
from wiremend.engine.retry import RetryPolicy, read_retry_after
from wiremend.protocols.base.provider_error import ProviderError, error_from

POLICY = RetryPolicy(
    attempts=4,
    backoff_initial_seconds=0.5,
    backoff_max_seconds=8.0,
    max_elapsed_seconds=120.0,
    retry_after_max_seconds=60.0,
)
NOON = 1_800_000_000.0


def error(status: int, **fields: object) -> ProviderError:
    return ProviderError(status=status, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attempts", "elapsed", "failure", "random_value", "expected"),
    [
        pytest.param(1, 0.0, error(503), 1.0, 0.5, id="first wait is at most the initial one"),
        pytest.param(2, 1.0, error(503), 1.0, 1.0, id="the ceiling doubles"),
        pytest.param(3, 2.0, error(503), 0.25, 0.5, id="full jitter draws below the ceiling"),
        pytest.param(3, 2.0, error(503), 0.0, 0.0, id="full jitter may draw no wait at all"),
        pytest.param(4, 2.0, error(503), 1.0, None, id="no attempt beyond the count"),
        pytest.param(1, 119.8, error(503), 1.0, None, id="no attempt beyond the elapsed bound"),
        pytest.param(1, 0.0, error(400), 1.0, None, id="a bad request is not retried"),
        pytest.param(1, 0.0, error(401), 1.0, None, id="a bad key is not retried"),
        pytest.param(1, 0.0, error(529), 1.0, 0.5, id="an overloaded provider is retried"),
        pytest.param(1, 0.0, error(524), 1.0, 0.5, id="an edge timeout is retried"),
        pytest.param(
            1, 0.0, error(429, retry_after_seconds=7.0), 1.0, 7.0, id="retry-after sets the wait"
        ),
        pytest.param(
            1,
            0.0,
            error(429, retry_after_seconds=0.1),
            1.0,
            0.5,
            id="retry-after never shortens the wait",
        ),
        pytest.param(
            1,
            0.0,
            error(429, retry_after_seconds=61.0),
            1.0,
            None,
            id="retry-after past its cap: no retry",
        ),
        pytest.param(
            1,
            0.0,
            error(429, code="insufficient_quota"),
            1.0,
            None,
            id="an exhausted quota is not retried",
        ),
    ],
)
def test_the_policy_decides_whether_and_when_to_retry(
    attempts: int,
    elapsed: float,
    failure: ProviderError,
    random_value: float,
    expected: float | None,
) -> None:
    decision = POLICY.decide(
        failure, attempts_made=attempts, elapsed_seconds=elapsed, random=lambda: random_value
    )
    assert decision.wait_seconds == expected


def test_backoff_never_exceeds_its_maximum() -> None:
    assert POLICY.backoff_seconds(10_000, lambda: 1.0) == 8.0


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        pytest.param(429, {}, None, id="no header"),
        pytest.param(503, {b"retry-after": b"3"}, 3.0, id="seconds"),
        pytest.param(503, {b"Retry-After": b"1.5"}, 1.5, id="fractions, any case"),
        pytest.param(
            429,
            {b"retry-after-ms": b"250", b"retry-after": b"9"},
            0.25,
            id="milliseconds take precedence",
        ),
        pytest.param(
            429, {b"retry-after": b"Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0, id="a future date"
        ),
        pytest.param(
            429, {b"retry-after": b"Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0, id="a past date"
        ),
        pytest.param(429, {b"retry-after": b"soon"}, None, id="not a number"),
        pytest.param(429, {b"retry-after": b"-3"}, None, id="a negative number"),
        pytest.param(429, {b"x-ratelimit-reset-requests": b"6m0s"}, 360.0, id="a duration"),
        pytest.param(429, {b"x-ratelimit-reset-tokens": b"120ms"}, 0.12, id="milliseconds"),
        pytest.param(
            429,
            {b"x-ratelimit-reset-requests": b"1s", b"x-ratelimit-reset-tokens": b"9s"},
            1.0,
            id="the shortest of several",
        ),
        pytest.param(429, {b"x-ratelimit-reset": b"1800000012"}, 12.0, id="epoch seconds"),
        pytest.param(
            429,
            {b"anthropic-ratelimit-requests-reset": b"2027-01-15T08:00:05Z"},
            5.0,
            id="an RFC 3339 time",
        ),
        pytest.param(
            503,
            {b"x-ratelimit-reset-requests": b"9s"},
            None,
            id="rate limit headers count only for 429",
        ),
    ],
)
def test_read_retry_after(status: int, fields: dict[bytes, bytes], expected: float | None) -> None:
    seconds = read_retry_after(Head(status, tuple(fields.items())), NOON)
    assert seconds == (None if expected is None else pytest.approx(expected))


def test_a_wait_in_the_message_of_the_error_is_read() -> None:
    """OpenAI writes it into the message, and Codex reads it there."""
    error = error_from({"code": "rate_limit_exceeded", "message": "Please try again in 2.5s."})
    assert (error.status, error.retry_after_seconds) == (429, 2.5)
