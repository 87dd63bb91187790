"""Upstream: a failed attempt is made again, within bounds, while the client has seen nothing."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class RetryUpstream(Shell):
    """Reset, early end, stall, wrapped error, retryable status: the attempt is made again."""

    name = "wiremend.retry_upstream"
    features = frozenset({Feature.RETRY})


addons = suite_of(RetryUpstream)
