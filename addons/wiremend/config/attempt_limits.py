"""The keys on attempts: retries, the circuit breaker, timeouts and keep-alives."""

from typing import Annotated

from pydantic import (
    Field,
    model_validator,
)

from wiremend.config.section import Section
from wiremend.config.values import (
    Pause,
    Seconds,
    refuse,
)


class Retry(Section):
    """Retries of failed attempts.

    A failed attempt is made again while the client has received nothing that would have to be
    taken back: after connect failures, resets, early ends, timeouts, retryable statuses and errors
    inside a 200. The backoff is exponential with full jitter. A retry budget for each provider
    (`budget`) and a circuit breaker (`[breaker]`) limit the retries further.
    """

    attempts: Annotated[int, Field(strict=True, ge=1, le=20)] = 4
    """Attempts at each target of a call (the first model and each `fallback`), the first one
    included. 1 means no retries."""
    backoff_initial: Seconds = 0.5
    """Upper bound of the wait before the first retry. It doubles with each further retry. It must
    not exceed `backoff_max`."""
    backoff_max: Seconds = 8.0
    """Highest upper bound of the wait before a retry."""
    max_elapsed: Seconds = 120.0
    """No retry starts later than this after the start of the call."""
    budget: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 30
    """Retries that each provider gets within a minute, over all calls and models; every five
    calls add one. Once they are used up, failed attempts are not repeated. 0 means that only the
    other keys limit retries."""
    retry_after_max: Seconds = 60.0
    """The longest wait requested by the provider (`Retry-After` and similar headers) that is
    observed. If it requests a longer one, the attempt is not repeated: the next `fallback` is
    tried, or the client receives the error."""
    silent_stop: Annotated[bool, Field(strict=True)] = False
    """Whether to ask once more if tools were offered and the response is complete, but contains no
    text, refusal, call, audio or block of a server's tool. Only while the client has received
    nothing, and not if the request ends in a tool's result, where such a stop may be meant. The
    second response is forwarded as it is. The events of a stream before its first text, call or
    reasoning are held back until one of these arrives."""

    @model_validator(mode="after")
    def _initial_is_within_max(self) -> "Retry":
        if self.backoff_initial > self.backoff_max:
            if "backoff_initial" in self.model_fields_set:
                key, bound = "backoff_initial", f"backoff_max ({self.backoff_max:g}) or less"
            else:
                key, bound = "backoff_max", f"backoff_initial ({self.backoff_initial:g}) or more"
            refuse(((key,), f"expected {bound}, got {getattr(self, key):g}"))
        return self


class RetryChanges(Section):
    """Other values of `[retry]` for the attempts at a target.

    Keys that are not set are unchanged. A fallback has those of its own provider. The values of a
    `[[models]]` entry replace those of its providers.
    """

    attempts: Annotated[
        Annotated[int, Field(strict=True, ge=1, le=20)] | None, Field(examples=[2])
    ] = None
    """As in `[retry]`."""
    backoff_initial: Annotated[Seconds | None, Field(examples=[1.0])] = None
    """As in `[retry]`. A higher one than the `backoff_max` in force is lowered to it."""
    backoff_max: Annotated[Seconds | None, Field(examples=[20.0])] = None
    """As in `[retry]`."""
    max_elapsed: Annotated[Seconds | None, Field(examples=[60.0])] = None
    """As in `[retry]`."""
    budget: Annotated[
        Annotated[int, Field(strict=True, ge=0, le=100_000)] | None, Field(examples=[10])
    ] = None
    """As in `[retry]`."""
    retry_after_max: Annotated[Seconds | None, Field(examples=[30.0])] = None
    """As in `[retry]`."""
    silent_stop: Annotated[Annotated[bool, Field(strict=True)] | None, Field(examples=[True])] = (
        None
    )
    """As in `[retry]`."""

    @model_validator(mode="after")
    def _initial_is_within_max(self) -> "RetryChanges":
        initial, most = self.backoff_initial, self.backoff_max
        if initial is not None and most is not None and initial > most:
            text = f"expected backoff_max ({most:g}) or less, got {initial:g}"
            refuse((("backoff_initial",), text))
        return self


class Breaker(Section):
    """The circuit breaker, which stops calls to a provider that fails.

    There is one for each provider and model. A `[providers.NAME]` entry is a provider of its own,
    whatever host it shares; otherwise the host and port that calls are sent to are the provider.
    While a breaker is open, calls are answered with 503 at once, or go to the next `fallback`.
    After a pause one call is let through; if it succeeds, so are all others.

    Only failures of the provider count: lost connections, timeouts, server errors and broken
    streams, after all attempts. Clients that leave or read slowly, refused keys, rate limits and
    other errors below 500 do not count.
    """

    failures: Annotated[int, Field(strict=True, ge=0, le=1000)] = 5
    """How many calls in a row must fail to open the breaker. 0 switches all breakers off."""
    pause: Pause = 5.0
    """How long the breaker stays open the first time. It doubles each time the breaker opens again
    before a call has succeeded. It must not exceed `pause_max`."""
    pause_max: Pause = 10.0
    """The longest pause. A call that was let through and has no result for so long no longer
    keeps others out."""

    @model_validator(mode="after")
    def _pause_is_within_max(self) -> "Breaker":
        if self.pause > self.pause_max:
            if "pause" in self.model_fields_set:
                key, bound = "pause", f"pause_max ({self.pause_max:g}) or less"
            else:
                key, bound = "pause_max", f"pause ({self.pause:g}) or more"
            refuse(((key,), f"expected {bound}, got {getattr(self, key):g}"))
        return self


class Timeouts(Section):
    """Time limits. 0 means no limit.

    `total` applies to the whole call with its retries, every other limit to one attempt. An
    attempt that exceeds a limit has failed and may be made again (see `[retry]`).
    """

    connect: Seconds = 10.0
    """From the start of an attempt to an established connection, TLS handshake included."""
    first_byte: Seconds = 300.0
    """Streaming calls: from the request sent to the head of the response."""
    answer: Seconds = 900.0
    """Other calls: from the request sent to the end of the response. Providers send nothing until
    such a response is complete."""
    idle: Seconds = 120.0
    """Between any two bytes of a response body."""
    progress: Seconds = 600.0
    """Between two events with content in a stream. Pings, comments and blank lines do not
    count."""
    total: Seconds = 0.0
    """The whole call. This is the only limit that also ends a healthy stream."""


class TimeoutChanges(Section):
    """Other values of `[timeouts]` for the attempts at a target.

    Keys that are not set are unchanged. A fallback has those of its own provider. The values of a
    `[[models]]` entry replace those of its providers. 0 means no limit.
    """

    connect: Annotated[Seconds | None, Field(examples=[5.0])] = None
    """As in `[timeouts]`."""
    first_byte: Annotated[Seconds | None, Field(examples=[60.0])] = None
    """As in `[timeouts]`."""
    answer: Annotated[Seconds | None, Field(examples=[600.0])] = None
    """As in `[timeouts]`."""
    idle: Annotated[Seconds | None, Field(examples=[60.0])] = None
    """As in `[timeouts]`."""
    progress: Annotated[Seconds | None, Field(examples=[300.0])] = None
    """As in `[timeouts]`."""
    total: Annotated[Seconds | None, Field(examples=[1200.0])] = None
    """As in `[timeouts]`: it counts from the start of the call, also at a fallback."""


class Heartbeat(Section):
    """Keep-alives for streaming clients that receive nothing else."""

    after: Seconds = 15.0
    """Silence toward the client before the first keep-alive. 0 means that none is sent."""
    interval: Seconds = 15.0
    """Silence before each further keep-alive. 0 means the value of `after`."""
