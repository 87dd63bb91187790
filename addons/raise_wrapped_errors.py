"""Response: turns an error inside a 200 into an HTTP error if the client has received nothing."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class RaiseWrappedErrors(Shell):
    """Holds a 200 until its first event with content or an error."""

    name = "wiremend.raise_wrapped_errors"
    features = frozenset({Feature.RAISE})


addons = suite_of(RaiseWrappedErrors)
