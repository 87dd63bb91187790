"""Upstream: a failed attempt is made again, within bounds, while the client has seen nothing."""

from load_configuration import suite_of
from wiremend.config.current import CurrentConfig
from wiremend.engine.health import ProviderHealth
from wiremend.seam.stream_layer import PlannedCall


class RetryUpstream:
    """Reset, early end, stall, wrapped error, retryable status: ask again."""

    name = "wiremend.retry_upstream"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current
        self.health = ProviderHealth()

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Ask for retries, by the policy in force."""
        plan = planned.plan
        if plan.protocol is None:
            return
        plan.retry = self.current.retry
        plan.timeouts = self.current.timeouts
        plan.health = self.health


addons = suite_of(RetryUpstream)
