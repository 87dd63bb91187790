"""Response: an error inside a 200 becomes the HTTP error it stands for, while nothing was shown."""

from load_configuration import suite_of
from wiremend.config.current import CurrentConfig
from wiremend.seam.stream_layer import PlannedCall


class RaiseWrappedErrors:
    """Holds a 200 back until its first meaningful event."""

    name = "wiremend.raise_wrapped_errors"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Ask for errors to be raised."""
        planned.plan.raise_errors = planned.plan.protocol is not None


addons = suite_of(RaiseWrappedErrors)
