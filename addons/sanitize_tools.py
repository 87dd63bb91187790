"""Request: adapts tools, messages and fields to their target, and learns from rejections."""

import logging

from load_configuration import Shell, Suite, suite_of
from wiremend.adapt.lessons import as_toml
from wiremend.engine.settings import Feature

logger = logging.getLogger("wiremend")


class SanitizeTools(Shell):
    """Changes only requests that their target would not accept."""

    name = "wiremend.sanitize_tools"
    features = frozenset({Feature.ADAPT})

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.book = suite.knowledge.lessons

    def done(self) -> None:
        """Log the learnt lessons as TOML, ready to paste into the configuration."""
        if self.book.learnt:
            logger.info("wiremend: learnt from rejections:\n%s", as_toml(self.book.learnt))


addons = suite_of(SanitizeTools)
