"""Hypothesis profiles without deadlines; `scripts/test --deep` selects `deep`."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

collect_ignore = ["example_project"]
"""test_installation.py runs a copy of it with the installed wheel."""

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile("quick", deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "deep", deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("quick")

_MUTATED_EVENTS = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def mutated_events(pytestconfig: pytest.Config) -> Counter[str]:
    """The number of broken events that the laws were tested with, by kind of stream."""
    return pytestconfig.stash.setdefault(_MUTATED_EVENTS, Counter())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print how many broken events the laws were tested with."""
    if counts := config.stash.get(_MUTATED_EVENTS, None):
        details = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"mutated events: {counts.total():,} ({details})")
