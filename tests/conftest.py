"""Depth of the property tests: `--hypothesis-profile=deep` for a long run."""

from hypothesis import HealthCheck, settings

settings.register_profile("deep", max_examples=20_000, suppress_health_check=list(HealthCheck))
