"""Request: sends calls to other models and providers, as configured in `[[models]]`."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class RewriteModels(Shell):
    """Edits the model name in the request; address and credentials change together."""

    name = "wiremend.rewrite_models"
    features = frozenset({Feature.ROUTE})


addons = suite_of(RewriteModels)
