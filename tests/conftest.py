"""How property tests run: no clock judges them; `scripts/test --deep` runs them for long."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile("quick", deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "deep", deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("quick")

_MUTATED_EVENTS = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def mutated_events(pytestconfig: pytest.Config) -> Counter[str]:
    """How many broken events the laws were tried on, by the kind of stream."""
    return pytestconfig.stash.setdefault(_MUTATED_EVENTS, Counter())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how deep the laws were tried."""
    if counted := config.stash.get(_MUTATED_EVENTS, None):
        each = ", ".join(f"{name} {count:,}" for name, count in sorted(counted.items()))
        terminalreporter.write_line(f"mutated events: {counted.total():,} ({each})")
