"""How property tests run: no clock judges them; `--hypothesis-profile=deep` runs for long."""

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile("quick", deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "deep", deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("quick")
