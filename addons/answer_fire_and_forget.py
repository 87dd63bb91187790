"""Response: a complete 204 without a body, for paths whose responses clients do not use."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class AnswerFireAndForget(Shell):
    """For servers that answer such a path with a 204 that never ends (opencode#16180)."""

    name = "wiremend.answer_fire_and_forget"
    features = frozenset({Feature.ACKNOWLEDGE})


addons = suite_of(AnswerFireAndForget)
