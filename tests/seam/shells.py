"""The addons of the suite without mitmproxy's master, and a playbook that has them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from answer_fire_and_forget import AnswerFireAndForget
from count_tokens import CountTokens
from explain_flows import ExplainFlows
from finish_calls import FinishCalls
from intercept_providers import InterceptProviders
from keep_traffic import KeepTraffic
from list_models import ListModels
from load_configuration import LoadConfiguration, suite_of
from raise_wrapped_errors import RaiseWrappedErrors
from redact_secrets import RedactSecrets
from repair_streams import RepairStreams
from retry_upstream import RetryUpstream
from rewrite_models import RewriteModels
from sanitize_tools import SanitizeTools
from wiremend.config.model import Config
from wiremend.seam import contained_stream, stream_layer

from seam.playbook import Playbook, playing


@dataclass
class Shells:
    """All addons, in the order in which mitmproxy calls them."""

    addons: list[Any]

    def call(self, hook: str, subject: Any) -> None:
        """Call this hook of every addon that has it."""
        for addon in self.addons:
            if method := getattr(addon, hook, None):
                method(subject)


CONFIGURATION: dict[str, Any] = {
    "timeouts": {"first_byte": 20.0, "answer": 20.0, "idle": 20.0},
    "fire_and_forget": {"paths": ["/session/*/prompt_async"], "ack_after": 5.0},
    "retry": {"attempts": 2, "backoff_initial": 0.0, "backoff_max": 0.0},
    "models": [
        {"match": "*haiku*", "model": "other", "provider": "other", "fallback": ["third"]},
        {"match": "gpt*", "model": "o\u0001ther/%ff"},
        {"match": "translated", "model": "translated", "provider": "translating"},
    ],
    "providers": {
        "other": {"base_url": "https://other.example/v1", "api_key": "a-configured-key"},
        "openai": {"base_url": "https://api.openai.com", "leaked_calls": ["hermes"]},
        "translating": {
            "base_url": "http://api.anthropic.com",
            "protocol": {"translated": "chat"},
        },
    },
}
"""Short limits, quick retries, and routes for some of the models that the tests ask for."""


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
        KeepTraffic,
        RedactSecrets,
        ExplainFlows,
    )
    next(one for one in addons if isinstance(one, KeepTraffic)).is_kept = True
    loader = addons[0]
    assert isinstance(loader, LoadConfiguration)
    values = configuration if configuration is not None else CONFIGURATION
    current = loader.current
    current._derived = current._derive(Config.model_validate(values))
    return Shells(addons)


class Lines(logging.Handler):
    """Collects what the addons log."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Append the line."""
        self._lines.append(record.getMessage())


class Clock:
    """Stands for the module `time` in the seam."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self.now

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return 1.7e9 + self.now


@contextmanager
def full_playbook(
    host: str = "",
    alpn: bytes | None = None,
    kind: type[Playbook] = Playbook,
    configuration: dict[str, Any] | None = None,
) -> Iterator[tuple[Playbook, Clock]]:
    """Yield a playbook with all addons, as mitmproxy loads them, and its clock.

    As in mitmproxy, an exception in a hook is logged, and the hook completes.
    """
    shells, clock = loaded_shells(configuration), Clock()

    def call(hook: str, subject: Any) -> None:
        try:
            shells.call(hook, subject)
        except Exception as exception:
            logging.getLogger("wiremend").error("Addon error: %r", exception)

    plan = partial(call, "wiremend_call")
    with (
        pytest.MonkeyPatch.context() as patch,
        playing(plan, host, alpn, kind) as book,
    ):
        for module in (stream_layer, contained_stream):
            patch.setattr(module, "time", clock)
        logger = logging.getLogger("wiremend")
        patch.setattr(logger, "propagate", False)
        patch.setattr(logger, "handlers", [Lines(book.logs)])
        for name in ("requestheaders", "request", "responseheaders", "response", "error"):
            book.at_hook[name] = partial(call, name)
        yield book, clock
