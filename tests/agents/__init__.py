"""Tests of real agent CLIs with a real mitmdump and a scripted provider: scripts/test --agents."""
