"""Tiers, and Hypothesis profiles without deadlines."""

import gc
import os
import sys
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
import tiers
from hypothesis import HealthCheck, settings

collect_ignore = ["example_project"]
"""test_installation.py runs a copy of it with the installed wheel."""

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile(
    "quick", deadline=None, derandomize=True, max_examples=40, suppress_health_check=_SLOW
)
"""For the short tier: the same examples in every run; the long tier looks for new ones."""
settings.register_profile(
    "deep", deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck)
)
"""For `scripts/test --deep`: about an hour."""
settings.register_profile(
    "thorough", deadline=None, max_examples=1_500, suppress_health_check=list(HealthCheck)
)
"""For `scripts/test --all`: minutes."""
settings.load_profile("quick")


def pytest_report_header(config: pytest.Config) -> str:
    """Return which marks the run selects."""
    return f"selected marks: {config.option.markexpr or 'all'}"


@pytest.hookimpl(tryfirst=True)  # before pytest deselects tests by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark rows that are not in the short tier."""
    tiers.mark_long_rows(items)


def pytest_collection_finish() -> None:
    """Leave the tests out of garbage collections, which else look at each of them again."""
    gc.collect()
    gc.freeze()


_MUTATED_EVENTS = pytest.StashKey[Counter[str]]()
_OUTPUT_KEY = "mutated_events"
_LIBRARY = pytest.StashKey[ModuleType]()


@pytest.fixture(scope="session")
def mutated_events(pytestconfig: pytest.Config) -> Counter[str]:
    """The number of broken events that the laws were tested with, by kind of stream."""
    return pytestconfig.stash.setdefault(_MUTATED_EVENTS, Counter())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the numbers of a worker of pytest-xdist to the process that prints them."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT_KEY] = dict(session.config.stash.get(_MUTATED_EVENTS, {}))


class _WorkersOfXdist:
    """Adds the numbers of workers; pytest knows the hook only if pytest-xdist is installed."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the numbers of a worker that has ended."""
        counts = node.config.stash.setdefault(_MUTATED_EVENTS, Counter())
        counts.update(getattr(node, "workeroutput", {}).get(_OUTPUT_KEY, {}))


def pytest_configure(config: pytest.Config) -> None:
    """Register the hook of pytest-xdist, and remember the library that the tests import."""
    _keep_bytecode(config)
    config.pluginmanager.register(_WorkersOfXdist())
    config.stash[_LIBRARY] = sys.modules["wiremend"]  # imported by its pytest plugin


@pytest.fixture
def first_imported_library(pytestconfig: pytest.Config) -> ModuleType:
    """The library as it was before pytest imported the tests."""
    return pytestconfig.stash[_LIBRARY]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print how many broken events the laws were tested with."""
    if counts := config.stash.get(_MUTATED_EVENTS, None):
        details = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"mutated events: {counts.total():,} ({details})")


def _keep_bytecode(config: pytest.Config) -> None:
    """Keep bytecode in the cache of pytest if the environment forbids files beside the sources.

    The tests start some 200 proxies. Each would compile the library, which takes half a second.
    """
    cache = getattr(config, "cache", None)
    if cache is not None and os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
