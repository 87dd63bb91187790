"""Response: an error inside a 200 becomes the HTTP error it stands for, while nothing was shown."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class RaiseWrappedErrors(Shell):
    """Holds a 200 back until its first meaningful event."""

    name = "wiremend.raise_wrapped_errors"
    features = frozenset({Feature.RAISE})


addons = suite_of(RaiseWrappedErrors)
