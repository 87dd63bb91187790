"""The addons of the suite, without mitmproxy's master."""

from dataclasses import dataclass
from typing import Any

from answer_fire_and_forget import AnswerFireAndForget
from count_tokens import CountTokens
from explain_flows import ExplainFlows
from finish_calls import FinishCalls
from intercept_providers import InterceptProviders
from list_models import ListModels
from load_configuration import LoadConfiguration, suite_of
from raise_wrapped_errors import RaiseWrappedErrors
from redact_secrets import RedactSecrets
from repair_streams import RepairStreams
from retry_upstream import RetryUpstream
from rewrite_models import RewriteModels
from sanitize_tools import SanitizeTools
from wiremend.config.model import Config


@dataclass
class Shells:
    """All addons, in the order in which mitmproxy calls them."""

    addons: list[Any]

    def call(self, hook: str, subject: Any) -> None:
        """Call this hook of every addon that has it."""
        for addon in self.addons:
            if method := getattr(addon, hook, None):
                method(subject)


CONFIGURATION = {
    "retry": {"attempts": 2, "backoff_initial": 0.0, "backoff_max": 0.0},
    "models": [
        {"match": "*haiku*", "model": "other", "provider": "other", "fallback": ["third"]},
        {"match": "gpt*", "model": "o\u0001ther/%ff"},
    ],
    "providers": {"other": {"base_url": "https://other.example/v1", "api_key": "a-configured-key"}},
}
"""Quick retries, and routes for some of the models that the tests ask for."""


def loaded_shells(configuration: dict[str, Any] | None = None) -> Shells:
    """Return the addons, with this configuration in force."""
    addons = suite_of(
        InterceptProviders,
        FinishCalls,
        RewriteModels,
        CountTokens,
        ListModels,
        AnswerFireAndForget,
        RepairStreams,
        SanitizeTools,
        RaiseWrappedErrors,
        RetryUpstream,
        RedactSecrets,
        ExplainFlows,
    )
    loader = addons[0]
    assert isinstance(loader, LoadConfiguration)
    values = configuration if configuration is not None else CONFIGURATION
    loader.current._apply(Config.model_validate(values))
    return Shells(addons)
