"""Upstream: retries failed attempts, within limits, while the client has received nothing."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class RetryUpstream(Shell):
    """Retries after resets, early ends, stalls, errors inside a 200 and retryable statuses."""

    name = "wiremend.retry_upstream"
    features = frozenset({Feature.RETRY})


addons = suite_of(RetryUpstream)
