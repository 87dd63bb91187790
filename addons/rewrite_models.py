"""Request: another model, or another provider, where `[[models]]` says so."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class RewriteModels(Shell):
    """Edits the bytes of the model's name; addresses and credentials change together."""

    name = "wiremend.rewrite_models"
    features = frozenset({Feature.ROUTE})


addons = suite_of(RewriteModels)
