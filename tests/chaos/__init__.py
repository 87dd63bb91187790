"""Agents under injected faults, with repairs and without: `scripts/chaos`."""
