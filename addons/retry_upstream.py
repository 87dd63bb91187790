"""Upstream: a failed attempt is made again, within bounds, while the client has seen nothing."""

from dataclasses import replace

from load_configuration import suite_of
from wiremend.config.current import CurrentConfig
from wiremend.engine.call_machine import Target
from wiremend.engine.health import ProviderHealth
from wiremend.engine.stream_layer import PlannedCall


class RetryUpstream:
    """Reset, early end, stall, wrapped error, retryable status: ask again."""

    name = "wiremend.retry_upstream"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current
        self.health = ProviderHealth()

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Ask for retries, by the policy in force."""
        plan = planned.plan
        if plan.protocol is None or plan.facts is None:
            return
        plan.retry = self.current.retry
        plan.timeouts = self.current.timeouts
        targets = plan.targets or (Target(plan.host, plan.facts.model),)
        plan.targets = tuple(
            replace(target, health=self.health.of(target.provider, target.model))
            for target in targets
        )


addons = suite_of(RetryUpstream)
