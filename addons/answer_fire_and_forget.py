"""Response: a complete, bodiless 204 for paths that nobody waits on."""

from load_configuration import suite_of
from wiremend.config.current import CurrentConfig
from wiremend.seam.stream_layer import PlannedCall


class AnswerFireAndForget:
    """For servers that answer such a path with a 204 that never ends (opencode#16180)."""

    name = "wiremend.answer_fire_and_forget"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Ask for an early acknowledgement."""
        request = planned.flow.request
        if self.current.fire_and_forget.matches(request.method, request.path):
            settings = self.current.config.fire_and_forget
            planned.plan.acknowledge_after_seconds = settings.ack_after
            planned.plan.timeouts = self.current.timeouts


addons = suite_of(AnswerFireAndForget)
