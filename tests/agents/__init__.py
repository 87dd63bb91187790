"""Real agent CLIs behind a real mitmdump, before a scripted provider: scripts/test --agents."""
