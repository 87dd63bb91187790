"""Upstream: a failed attempt is made again, within bounds, while the client has seen nothing."""

from load_configuration import suite_of
from wiremend.config.current import CurrentConfig
from wiremend.engine.stream_layer import PlannedCall


class RetryUpstream:
    """Reset, early end, stall, wrapped error, retryable status: ask again."""

    name = "wiremend.retry_upstream"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Ask for retries, by the policy in force."""
        if planned.plan.protocol is not None:
            planned.plan.retry = self.current.retry
            planned.plan.timeouts = self.current.timeouts


addons = suite_of(RetryUpstream)
